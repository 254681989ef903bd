//! Another mutating webhook, as a service mesh or an agent for secrets has it: called after Pinfold's, it does to a pod what the pod's own annotation says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pinfold_tests::TestAuthority;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::Outcome;
use crate::stage::Stage;

/// JSON Patch that the mesh answers with, each time it is asked.
pub(super) const PATCH: &str = "mesh.example/patch";
/// Label that says whether it is asked `once`, or `again` whenever others have changed the pod.
pub(super) const ASKED: &str = "mesh";
/// For each read or write.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A mesh that is asked until it is dropped.
pub(super) struct Mesh {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
}

impl Mesh {
    /// Serves and registers it behind the stage's own configuration: the API server calls them in the order of their names.
    pub(super) fn open(stage: &Stage) -> Outcome<Self> {
        let authority = TestAuthority::new("mesh")?;
        let config = serving(&authority)?;
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let mesh =
            Self { address: listener.local_addr()?, closed: Arc::new(AtomicBool::new(false)) };
        let closed = Arc::clone(&mesh.closed);
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if closed.load(Ordering::Acquire) {
                    return;
                }
                let config = Arc::clone(&config);
                // Whoever breaks off gets no answer, and the API server says so.
                thread::spawn(move || drop(answer(client, config)));
            }
        });
        stage.server.apply(&mesh.registration(stage, &authority).to_string())?;
        Ok(mesh)
    }

    fn registration(&self, stage: &Stage, authority: &TestAuthority) -> Value {
        let entry = |asked: &str, reinvocation: &str| {
            json!({
                "name": format!("{asked}.mesh.example"),
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": format!("https://{}/", self.address), "caBundle": BASE64_STANDARD.encode(authority.certificate_pem())},
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "reinvocationPolicy": reinvocation,
                "namespaceSelector": {"matchLabels": {"pinfold-test": stage.name}},
                "objectSelector": {"matchLabels": {ASKED: asked}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            })
        };
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": format!("{}-mesh", stage.name)},
            "webhooks": [entry("once", "Never"), entry("again", "IfNeeded")],
        })
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        // Wakes the thread; if that fails it is gone already.
        let _ = TcpStream::connect(self.address);
    }
}

fn serving(authority: &TestAuthority) -> Outcome<Arc<ServerConfig>> {
    let pair = authority.serving(&["127.0.0.1"])?;
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate_pem.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// One request and its answer.
fn answer(client: TcpStream, config: Arc<ServerConfig>) -> Outcome {
    client.set_read_timeout(Some(TIMEOUT))?;
    client.set_write_timeout(Some(TIMEOUT))?;
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config)?, client));
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let answer = judged(&serde_json::from_slice(&body)?).to_string();
    let mut stream = stream.into_inner();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len())?;
    stream.conn.send_close_notify();
    Ok(stream.flush()?)
}

fn judged(review: &Value) -> Value {
    let request = review.get("request").unwrap_or(&Value::Null);
    let annotations = request.pointer("/object/metadata/annotations");
    let patch = annotations.and_then(|all| all.get(PATCH)).and_then(Value::as_str);
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
        "uid": request.get("uid"), "allowed": true, "patchType": "JSONPatch", "patch": BASE64_STANDARD.encode(patch.unwrap_or("[]")),
    }})
}
