//! Stands between the service and a cloud, and can be cut.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

pub struct Proxy {
    address: SocketAddr,
    line: Arc<Line>,
}

struct Line {
    to: String,
    is_cut: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// `to` is a URL without a path.
    pub fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let to = to.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let line = Arc::new(Line { to, is_cut: AtomicBool::new(false), open: Mutex::default() });
        let accepting = line.clone();
        std::thread::spawn(move || {
            for inbound in listener.incoming().flatten() {
                let line = accepting.clone();
                // What cannot be joined is closed, as by a dead line.
                std::thread::spawn(move || drop(line.join(inbound)));
            }
        });
        Self { address, line }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends all connections; new ones are closed at once.
    pub fn cut(&self) {
        self.line.is_cut.store(true, Ordering::SeqCst);
        for stream in self.line.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn mend(&self) {
        self.line.is_cut.store(false, Ordering::SeqCst);
    }
}

impl Line {
    fn join(&self, inbound: TcpStream) -> io::Result<()> {
        let outbound = TcpStream::connect(&self.to)?;
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if self.is_cut.load(Ordering::SeqCst) {
                return Ok(());
            }
            open.extend([inbound.try_clone()?, outbound.try_clone()?]);
        }
        let (mut up_from, mut up_to) = (inbound.try_clone()?, outbound.try_clone()?);
        let up = std::thread::spawn(move || {
            let _ = io::copy(&mut up_from, &mut up_to);
            let _ = up_to.shutdown(Shutdown::Write);
        });
        let (mut down_from, mut down_to) = (outbound, inbound);
        let _ = io::copy(&mut down_from, &mut down_to);
        let _ = down_to.shutdown(Shutdown::Write);
        let _ = up.join();
        Ok(())
    }
}
