//! A running service: its data folder, its database, its service, its listener.
//!
//! Starting refuses before it changes anything: a folder that another process uses, a port that is taken, a database that
//! cannot be used. Stopping ends what is running in the order that loses nothing: requests, clusters, database.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use drydock_cloud::PoolRecords;
use drydock_runtime::{Clock, Tasks, wall};
use tokio::net::TcpListener;

use crate::config::Config;
use crate::database::{Database, DatabaseError};
use crate::doors::rest::{self, Access};
use crate::service::{ControlPlanes, Parts, Providers, Service, ServiceError};

/// The service of a process. Dropping it without [`Server::stop`] is as a kill.
pub struct Server {
    address: SocketAddr,
    service: Service,
    http: Tasks,
    _lock: Lock,
}

/// What a server is joined to: named by the composition root alone.
pub struct Backends {
    pub providers: Providers,
    pub control_planes: Arc<dyn ControlPlanes>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot {action} {}", path.display())]
    Folder { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} is in use by another drydock{process}; stop it, or choose another --data-dir", folder.display())]
    InUse { folder: PathBuf, process: String },
    #[error("cannot listen on {address}: the port {} is taken by another program; choose another with --listen", address.port())]
    PortTaken { address: SocketAddr },
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("cannot start the service")]
    Service(#[from] ServiceError),
}

/// How long requests under way may take when the service stops.
const DRAIN: Duration = Duration::from_secs(5);

impl Server {
    /// Starts the service. `backends` is called when the data folder is this process's own.
    ///
    /// # Errors
    /// Why it cannot run. Nothing is changed then.
    pub async fn start<E>(
        config: &Config,
        backends: impl AsyncFnOnce(&Config, Arc<dyn PoolRecords>) -> Result<Backends, E>,
    ) -> Result<Self, E>
    where
        E: From<StartError>,
    {
        raise_file_limit();
        let lock = Lock::take(&config.data_dir)?;
        let listener = bind(config.listen).await?;
        let address = listener.local_addr().map_err(|source| listen_error(config.listen, source))?;
        let database = Database::open(&config.data_dir.join("drydock.db")).await.map_err(StartError::from)?;
        let backends = backends(config, Arc::new(database.clone())).await?;
        let parts = Parts {
            database,
            providers: backends.providers,
            control_planes: backends.control_planes,
            ports: config.cluster_ports,
        };
        let service = Service::start(parts).await.map_err(StartError::from)?;
        let access = config.api_token.as_deref().map_or_else(Access::local, Access::with_token);
        let router = rest::router(service.clone(), access);
        let http = Tasks::new("", Clock::real());
        let stop = http.cancelled();
        http.spawn_to_end("http", async move {
            let serving = axum::serve(listener, router).with_graceful_shutdown({
                let stop = stop.clone();
                async move { stop.cancelled().await }
            });
            tokio::select! {
                outcome = serving => if let Err(error) = outcome {
                    tracing::error!(%error, "the management API stopped");
                },
                // A client that holds its connection does not hold the service.
                () = async { stop.cancelled().await; wall::sleep(DRAIN).await } => {}
            }
        });
        Ok(Self { address, service, http, _lock: lock })
    }

    /// Where the management API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What clients of this machine use.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        format!("http://{address}")
    }

    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Stops cleanly: requests under way are answered, every control plane and the database are closed.
    pub async fn stop(self) {
        self.service.begin_close();
        self.http.close().await;
        self.service.close().await;
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| listen_error(address, source))
}

fn listen_error(address: SocketAddr, source: std::io::Error) -> StartError {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => StartError::PortTaken { address },
        _ => StartError::Listen { address, source },
    }
}

/// Each cluster holds files and sockets; a thousand clusters need more than most systems let a process open by default.
#[cfg(unix)]
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tracing::debug!(files = ?limit.maximum, "raised the limit of open files"),
        Err(error) => tracing::warn!(%error, files = ?limit.current, "cannot raise the limit of open files"),
    }
}

#[cfg(not(unix))]
fn raise_file_limit() {}

/// Says that the folder is this process's. Ends with the process, however that ends.
struct Lock(#[expect(dead_code, reason = "held, not used")] File);

impl Lock {
    fn take(folder: &Path) -> Result<Self, StartError> {
        let fail = |action, path: &Path, source| StartError::Folder { action, path: path.to_owned(), source };
        make_private(folder).map_err(|source| fail("make the data folder", folder, source))?;
        let path = folder.join("drydock.lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| fail("open", &path, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim();
                let process = if holder.is_empty() { String::new() } else { format!(" (process {holder})") };
                return Err(StartError::InUse { folder: folder.to_owned(), process });
            }
            Err(TryLockError::Error(source)) => return Err(fail("lock", &path, source)),
        }
        let told = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        told.map_err(|source| fail("write", &path, source))?;
        Ok(Self(file))
    }
}

/// The folder holds keys: only its owner may look.
fn make_private(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
