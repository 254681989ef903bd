//! The API server's side: connections that are kept, one request after the other on each, and how long every answer took.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::material::Outcome;
use crate::peers::HOST;

/// Requests on their way at the same time: the API server keeps at most 25 idle HTTP/1.1 connections to a webhook.
pub(crate) const AT_ONCE: usize = 25;
const ALLOWED: &[u8] = br#""allowed":true"#;

/// How they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// [`AT_ONCE`] connections.
    Http1,
    /// One connection with [`AT_ONCE`] streams.
    Http2,
}

impl Protocol {
    fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

/// What was measured.
pub(crate) struct Load {
    /// From the first request to the last answer.
    pub(crate) took: Duration,
    /// Of every request, shortest first.
    pub(crate) latencies: Vec<Duration>,
}

/// Sends one body over and over.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) authority: String,
    pub(crate) body: Bytes,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    /// Sends `requests` and ends with the first answer that isn't an allowance.
    pub(crate) async fn load(
        &self,
        address: SocketAddr,
        protocol: Protocol,
        requests: usize,
    ) -> Outcome<Load> {
        let senders = self.connect(address, protocol).await?;
        let left = Arc::new(AtomicUsize::new(requests));
        let mut tasks = JoinSet::new();
        let began = Instant::now();
        for sender in senders {
            tasks.spawn(drain(sender, self.body.clone(), Arc::clone(&left)));
        }
        let mut latencies = Vec::with_capacity(requests);
        while let Some(ended) = tasks.join_next().await {
            latencies.append(&mut ended??);
        }
        let took = began.elapsed();
        latencies.sort_unstable();
        Ok(Load { took, latencies })
    }

    async fn connect(&self, address: SocketAddr, protocol: Protocol) -> Outcome<Vec<Sender>> {
        let tls = self.tls(protocol)?;
        let mut senders = Vec::new();
        if protocol == Protocol::Http2 {
            let io = TokioIo::new(stream(&tls, address).await?);
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            senders.extend((0..AT_ONCE).map(|_| Sender::Http2(sender.clone())));
            return Ok(senders);
        }
        for _ in 0..AT_ONCE {
            let io = TokioIo::new(stream(&tls, address).await?);
            let (sender, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            senders.push(Sender::Http1(sender));
        }
        Ok(senders)
    }

    fn tls(&self, protocol: Protocol) -> Outcome<TlsConnector> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.alpn().to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

async fn stream(tls: &TlsConnector, address: SocketAddr) -> Outcome<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(tls.connect(ServerName::try_from(HOST)?, stream).await?)
}

/// Sends as long as requests are left.
async fn drain(mut sender: Sender, body: Bytes, left: Arc<AtomicUsize>) -> Outcome<Vec<Duration>> {
    let mut latencies = Vec::new();
    let take = |left: usize| left.checked_sub(1);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        let began = Instant::now();
        ask(&mut sender, body.clone()).await?;
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}

async fn ask(sender: &mut Sender, body: Bytes) -> Outcome<()> {
    let request = Request::post(format!("https://{HOST}/validate"))
        .header("host", HOST)
        .header("content-type", "application/json")
        .header("accept", "application/json, */*")
        .header("user-agent", "kube-apiserver-admission")
        .body(Full::from(body))?;
    let response = match sender {
        Sender::Http1(sender) => {
            sender.ready().await?;
            sender.send_request(request).await?
        }
        Sender::Http2(sender) => {
            sender.ready().await?;
            sender.send_request(request).await?
        }
    };
    let status = response.status();
    let answer = response.into_body().collect().await?.to_bytes();
    let allowed = answer.windows(ALLOWED.len()).any(|part| part == ALLOWED);
    if status == StatusCode::OK && allowed {
        return Ok(());
    }
    Err(format!("not allowed, {status}: {}", String::from_utf8_lossy(&answer)).into())
}
