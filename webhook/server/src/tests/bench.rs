//! A server in this process, a client that trusts it, and reviews to send.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pinfold_certs::{Authority, Validity};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::admission::Judge;
use crate::config::{Config, Limits, RegistrationMode, ServingSource, ViewSource};
use crate::server::{Running, start_with};

/// Longest wait for anything in a test.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const POLICY: &str =
    "apiVersion: pinfold.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {name: test}\nspec: {}\n";

pub(super) const NAMESPACES: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: plain}
---
apiVersion: v1
kind: Namespace
metadata: {name: guarded, labels: {krate.a5c.ai/org: acme, pinfold.dev/agents: 'true'}}
";

/// Directories and certificates of one server.
pub(super) struct Bench {
    pub(super) dir: TempDir,
    pub(super) authority: Authority,
    pub(super) config: Config,
    pub(super) judge: Judge,
}

pub(super) struct Server {
    pub(super) bench: Bench,
    pub(super) running: Running,
}

fn validity() -> Validity {
    Validity::starting(SystemTime::now(), Duration::from_secs(3600)).unwrap()
}

impl Bench {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create("test", validity()).unwrap();
        let serving = authority
            .issue_serving(
                &["localhost"],
                Validity::starting(SystemTime::now(), Duration::from_secs(60)).unwrap(),
            )
            .unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("policy")).unwrap();
        std::fs::create_dir(at("cluster")).unwrap();
        std::fs::write(at("policy/policy.yaml"), POLICY).unwrap();
        std::fs::write(at("cluster/namespaces.yaml"), NAMESPACES).unwrap();
        std::fs::write(at("tls.crt"), &serving.certificate).unwrap();
        std::fs::write(at("tls.key"), serving.key.expose()).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let limits = Limits { policy_poll: Duration::from_millis(10), ..Limits::default() };
        let config = Config {
            policy: vec![at("policy")],
            view: ViewSource::Files(vec![at("cluster")]),
            listen: any,
            metrics: any,
            serving: ServingSource::Files { cert: at("tls.crt"), key: at("tls.key") },
            registration: RegistrationMode::Off,
            registration_file: None,
            policy_push: false,
            pod: None,
            service: "pinfold-webhook".to_owned(),
            namespace: "pinfold-system".to_owned(),
            client_ca: None,
            audit: Some(at("audit")),
            ready_file: Some(at("ready.json")),
            drain: Duration::from_millis(500),
            view_lag_max: Duration::from_secs(60),
            limits,
        };
        Self { dir, authority, config, judge: Judge::default() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.config.limits);
        self
    }

    pub(super) async fn start(self) -> Server {
        let running = start_with(self.config.clone(), self.judge).await.unwrap();
        Server { bench: self, running }
    }

    pub(super) fn tls(&self, protocols: &[&str], client: bool) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        let ca = self.authority.certificate().as_bytes();
        roots.add(CertificateDer::from_pem_slice(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = if client {
            let issued = self.authority.issue_client("kube-apiserver", leaf()).unwrap();
            let chain =
                vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(issued.key.expose().as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        } else {
            builder.with_no_client_auth()
        };
        config.alpn_protocols =
            protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

/// A client that trusts a CA and speaks HTTP/1.1.
pub(super) fn trusting(ca: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

fn leaf() -> Validity {
    Validity::starting(SystemTime::now(), Duration::from_secs(60)).unwrap()
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(super) fn allowed(&self) -> bool {
        self.json()["response"]["allowed"].as_bool().unwrap()
    }

    pub(super) fn message(&self) -> String {
        self.json()["response"]["status"]["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// A connection over which one request after the other goes.
pub(super) enum Client {
    Http1(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Http2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Client {
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Reply, hyper::Error> {
        let response = match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: parts.status, headers: parts.headers, body })
    }

    pub(super) async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Reply {
        self.send(post(path, body)).await.unwrap()
    }
}

pub(super) fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .header("host", "localhost")
        .body(Full::from(body.into()))
        .unwrap()
}

pub(super) fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = request(Method::POST, path, body);
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    request
}

impl Server {
    pub(super) async fn stream(&self, protocols: &[&str]) -> TlsStream<TcpStream> {
        self.try_stream(protocols, false).await.unwrap()
    }

    pub(super) async fn try_stream(
        &self,
        protocols: &[&str],
        client: bool,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.running.addresses.listen).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").unwrap();
        self.bench.tls(protocols, client).connect(name, tcp).await
    }

    pub(super) async fn http1(&self) -> Client {
        http1(self.stream(&["http/1.1"]).await).await
    }

    pub(super) async fn http2(&self) -> Client {
        let io = TokioIo::new(self.stream(&["h2"]).await);
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        Client::Http2(sender)
    }

    /// A page of the metrics port.
    pub(super) async fn page(&self, path: &str) -> Reply {
        let tcp = TcpStream::connect(self.running.addresses.metrics).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.unwrap();
        tokio::spawn(connection);
        let asked = Request::builder()
            .uri(path)
            .header("host", "localhost")
            .body(Full::<Bytes>::default())
            .unwrap();
        let (parts, body) = sender.send_request(asked).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// The value of one series, 0 if it isn't there.
    pub(super) async fn metric(&self, series: &str) -> f64 {
        let text = self.page("/metrics").await.text();
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or(0.0)
    }

    /// Waits until a series has at least a value.
    pub(super) async fn until_metric(&self, series: &str, least: f64) {
        let reached = async {
            while self.metric(series).await < least {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, reached).await.is_err() {
            panic!("{series} never reached {least}: {}", self.page("/metrics").await.text());
        }
    }
}

pub(super) async fn http1(stream: TlsStream<TcpStream>) -> Client {
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    Client::Http1(sender)
}

/// A review that creates a ConfigMap: nothing that a rule denies.
pub(super) fn harmless(uid: &str) -> Value {
    review(
        uid,
        "CREATE",
        "plain",
        &json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": "plain"}, "data": {"a": "b"}
        }),
    )
}

pub(super) fn review(uid: &str, operation: &str, namespace: &str, object: &Value) -> Value {
    let (group, version) = match object["apiVersion"].as_str().unwrap().split_once('/') {
        Some((group, version)) => (group, version),
        None => ("", object["apiVersion"].as_str().unwrap()),
    };
    let kind = object["kind"].as_str().unwrap();
    let resource = format!("{}s", kind.to_lowercase());
    let delete = operation == "DELETE";
    let update = operation == "UPDATE";
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": uid, "operation": operation, "namespace": namespace,
        "name": object["metadata"]["name"],
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": resource},
        "userInfo": {"username": "ada", "groups": ["system:authenticated"]},
        "object": if delete { Value::Null } else { object.clone() },
        "oldObject": if delete || update { object.clone() } else { Value::Null },
        "dryRun": false
    }})
}
