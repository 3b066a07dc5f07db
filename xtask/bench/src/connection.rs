//! One HTTP/1.1 connection over TLS that is kept open, as a client-go worker would.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use drydock_runtime::{Clock, Tasks};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;

use crate::kubeconfig::Target;

pub(crate) struct Connection {
    target: Target,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> Result<Self> {
        let tcp = tokio::net::TcpStream::connect(&target.authority).await.context("connect")?;
        tcp.set_nodelay(true)?;
        let tls = target.tls.connect(target.server_name.clone(), tcp).await.context("TLS")?;
        let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
        Tasks::new("bench", Clock::real()).spawn("connection", async move {
            let _ = driver.await;
        });
        Ok(Self { target: target.clone(), sender })
    }

    /// Sends a request; answers the response once its head is there.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<http::Response<Incoming>> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.target.authority)
            .header("accept", "application/json");
        if !body.is_empty() {
            request = request.header("content-type", content_type);
        }
        if let Some(token) = &self.target.bearer {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.sender.ready().await?;
        Ok(self.sender.send_request(request.body(Full::new(body))?).await?)
    }

    /// Sends a request and reads the whole answer, which must be a success; answers its length in bytes.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<usize> {
        let response = self.send(method, path, content_type, body).await?;
        let status = response.status();
        let mut body = response.into_body();
        let mut length = 0;
        let mut start = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame?.data_ref() {
                length += data.len();
                if !status.is_success() && start.len() < 500 {
                    start.extend_from_slice(data);
                }
            }
        }
        if !status.is_success() {
            bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(&start));
        }
        Ok(length)
    }
}
