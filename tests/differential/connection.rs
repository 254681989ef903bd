//! Kept connections to the API server as its administrator, and many requests at once over them.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use pinfold_tests::ApiServer;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::Outcome;
use crate::world::User;

/// Requests on their way at the same time.
const AT_ONCE: usize = 12;

/// One HTTP request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) content_type: &'static str,
    /// As whom, and the number by which the recorded review is found.
    pub(crate) on_behalf: Option<(User, u64)>,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn new(method: Method, target: impl Into<String>, body: Option<&Value>) -> Self {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let target = target.into();
        Self { method, target, content_type: "application/json", on_behalf: None, body }
    }
}

/// Its answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// Connections that are kept.
#[derive(Clone)]
pub(crate) struct Connections {
    tls: TlsConnector,
    address: String,
    idle: Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>,
}

impl Connections {
    pub(crate) fn new(server: &ApiServer) -> Outcome<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(server.authority_pem().as_bytes())?)?;
        let beside = |file| fs::read(server.kubeconfig().with_file_name(file));
        let certificate = CertificateDer::from_pem_slice(&beside("admin.crt")?)?;
        let key = PrivateKeyDer::from_pem_slice(&beside("admin.key")?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)?;
        let tls = TlsConnector::from(Arc::new(config));
        let address = server.url().trim_start_matches("https://").to_owned();
        Ok(Self { tls, address, idle: Arc::default() })
    }

    /// Sends all, some at once, and gives the answers in their order.
    pub(crate) async fn send_all(&self, calls: Vec<Call>) -> Outcome<Vec<Reply>> {
        let count = calls.len();
        let (calls, next) = (Arc::new(calls), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for _ in 0..AT_ONCE.min(count) {
            tasks.spawn(self.clone().drain(Arc::clone(&calls), Arc::clone(&next)));
        }
        let mut replies: Vec<(usize, Reply)> = Vec::with_capacity(count);
        while let Some(ended) = tasks.join_next().await {
            replies.append(&mut ended??);
        }
        replies.sort_by_key(|(number, _)| *number);
        Ok(replies.into_iter().map(|(_, reply)| reply).collect())
    }

    pub(crate) async fn send(&self, call: Call) -> Outcome<Reply> {
        self.send_all(vec![call]).await?.pop().ok_or_else(|| "no answer".into())
    }

    async fn drain(
        self,
        calls: Arc<Vec<Call>>,
        next: Arc<AtomicUsize>,
    ) -> Outcome<Vec<(usize, Reply)>> {
        let kept = self.idle.lock().await.pop();
        let mut sender = match kept {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let mut replies = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(call) = calls.get(number) else { break };
            if sender.is_closed() {
                sender = self.connect().await?;
            }
            replies.push((number, self.exchange(&mut sender, call).await?));
        }
        self.idle.lock().await.push(sender);
        Ok(replies)
    }

    async fn connect(&self) -> Outcome<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from("127.0.0.1")?, stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn exchange(&self, sender: &mut SendRequest<Full<Bytes>>, call: &Call) -> Outcome<Reply> {
        let mut request = Request::builder()
            .method(&call.method)
            .uri(&call.target)
            .header("host", &self.address)
            .header("content-type", call.content_type)
            .header("accept", "application/json");
        if let Some((user, number)) = &call.on_behalf {
            request = request
                .header("impersonate-user", &user.name)
                .header("impersonate-extra-pinfold-case", *number);
            for group in &user.groups {
                request = request.header("impersonate-group", group);
            }
        }
        sender.ready().await?;
        let response = sender.send_request(request.body(Full::from(call.body.clone()))?).await?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Reply { status, body })
    }
}
