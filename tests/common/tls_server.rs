//! A small HTTPS server that answers what a test says: an issuer of tokens, or a webhook.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use drydock_auth::pki::Authority;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

pub struct TlsServer {
    address: SocketAddr,
    authority: Authority,
}

impl TlsServer {
    /// `answer` is given path and body (null for none); it says code and body.
    pub fn start(answer: impl Fn(&str, Value) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let authority = Authority::generate("test").expect("an authority");
        let issued = authority.issue_server("test", &["127.0.0.1".to_owned()]).expect("a certificate");
        let chain = CertificateDer::pem_slice_iter(issued.certificate_pem.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>().expect("a chain");
        let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).expect("a key");
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        let config = Arc::new(config.expect("TLS"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, answer) = (config.clone(), answer.clone());
                // A client that goes away is none of the test's business.
                std::thread::spawn(move || drop(serve(config, stream, &*answer)));
            }
        });
        Self { address, authority }
    }

    /// `https://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// PEM of what signed its certificate.
    pub fn ca_pem(&self) -> String {
        self.authority.certificate_pem()
    }
}

fn serve(
    config: Arc<rustls::ServerConfig>,
    stream: TcpStream,
    answer: &dyn Fn(&str, Value) -> (u16, Value),
) -> std::io::Result<()> {
    let connection = rustls::ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = rustls::StreamOwned::new(connection, stream);
    let mut read = Vec::new();
    let end = loop {
        let mut chunk = [0; 4096];
        let size = stream.read(&mut chunk)?;
        read.extend_from_slice(&chunk[..size]);
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if size == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    while read.len() < end + length.unwrap_or(0) {
        let mut chunk = [0; 4096];
        let size = stream.read(&mut chunk)?;
        read.extend_from_slice(&chunk[..size]);
    }
    let path = head.split_whitespace().nth(1).unwrap_or("/");
    let body = serde_json::from_slice(&read[end..]).unwrap_or(Value::Null);
    let (code, body) = answer(path, body);
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()?;
    stream.conn.send_close_notify();
    stream.flush()
}
