//! `drydock serve`.

use std::path::PathBuf;

use clap::Args;
use drydock_runtime::tasks::chain;

use crate::compose;
use crate::config::{Config, ConfigError, Settings};
use crate::server::Server;
use crate::telemetry;

use super::CliError;
use super::output;

#[derive(Args, Debug)]
#[command(after_help = "\
Every setting may also be given as a variable DRYDOCK_… or as a key of the file, named as its flag:
  listen: 127.0.0.1:8080
  speed: 60
Flags come first, then variables, then the file.")]
pub(super) struct ServeArgs {
    /// YAML file of settings
    #[arg(long, env = "DRYDOCK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

impl ServeArgs {
    /// Settles the settings and starts logging, by default at `level`.
    pub(super) fn config(self, level: &str) -> Result<Config, CliError> {
        let file = self.config;
        let usage = |error: ConfigError| CliError::Usage(chain(&error));
        let config = self.settings.settle(file.as_deref()).map_err(usage)?;
        keep_files_private();
        let filter = config.log.as_deref().unwrap_or(level);
        telemetry::start(filter, config.log_format).map_err(CliError::Usage)?;
        Ok(config)
    }
}

/// The data folder holds keys. One that was there before may be open to others, so each file is for its owner alone.
fn keep_files_private() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

pub(super) async fn run(args: ServeArgs) -> Result<(), CliError> {
    let config = args.config("info")?;
    let mut stop = Signals::listen()?;
    let server = start_server(&config).await?;
    stop.wait().await;
    tracing::info!("stopping");
    stop_server(server, stop).await;
    Ok(())
}

/// Starts the service, and says where it is.
pub(super) async fn start_server(config: &Config) -> Result<Server, CliError> {
    let server = Server::start(config, compose::backends).await?;
    output::print(&format!(
        "drydock {} serves {} (data in {})\n",
        env!("CARGO_PKG_VERSION"),
        server.url(),
        config.data_dir.display()
    ))?;
    Ok(server)
}

/// Stops the service; a second signal ends the process at once.
pub(super) async fn stop_server(server: Server, mut again: Signals) {
    tokio::select! {
        () = server.stop() => {}
        () = again.wait() => {
            eprintln!("ended without waiting; nothing that was acknowledged is lost");
            std::process::exit(130);
        }
    }
}

/// Ctrl-C, and what `kill` and service managers send.
pub(super) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    pub(super) fn listen() -> Result<Self, CliError> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(anyhow::Error::from);
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    #[cfg(unix)]
    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    pub(super) fn listen() -> Result<Self, CliError> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    pub(super) async fn wait(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
