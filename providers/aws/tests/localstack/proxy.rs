//! Stands between the provider and LocalStack, and can be cut.

use std::net::SocketAddr;

use drydock_runtime::{Clock, Tasks};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    to: String,
    tasks: Tasks,
}

impl Proxy {
    /// `to` is `host:port`.
    pub(crate) async fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::new("proxy", Clock::real());
        serve(&tasks, listener, to.to_owned());
        Self { address, to: to.to_owned(), tasks }
    }

    /// Ends all connections; new ones are refused.
    pub(crate) async fn cut(&mut self) {
        self.tasks.close().await;
    }

    pub(crate) async fn mend(&mut self) {
        self.tasks = Tasks::new("proxy", Clock::real());
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        serve(&self.tasks, socket.listen(64).unwrap(), self.to.clone());
    }
}

fn serve(tasks: &Tasks, listener: TcpListener, to: String) {
    let connections = tasks.clone();
    tasks.spawn("proxy", async move {
        while let Ok((mut inbound, _)) = listener.accept().await {
            let to = to.clone();
            connections.spawn("connection", async move {
                if let Ok(mut outbound) = TcpStream::connect(to).await {
                    let _ = tokio::io::copy_bidirectional(&mut inbound, &mut outbound).await;
                }
            });
        }
    });
}
