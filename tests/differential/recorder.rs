//! A webhook that allows everything and keeps the AdmissionReviews, so that the engine judges what a real API server sent.
//!
//! It is asked twice: as a mutating webhook, before the check of escalation (all cases), and as a validating one, after it and after
//! validation (those that passed).

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pinfold_tests::TestAuthority;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::Outcome;
use crate::kinds::GROUP;

/// What the API server sent about one case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reviews {
    /// Before the check.
    pub(crate) mutating: Option<Bytes>,
    /// After the check and validation.
    pub(crate) validating: Option<Bytes>,
}

type Kept = Arc<Mutex<HashMap<u64, Reviews>>>;

/// The webhook.
pub(crate) struct Recorder {
    kept: Kept,
    address: SocketAddr,
    authority: TestAuthority,
}

impl Recorder {
    /// Listens on a free port, within the runtime that this is called in.
    pub(crate) async fn start() -> Outcome<Self> {
        let authority = TestAuthority::new("pinfold-recorder")?;
        let pair = authority.serving(&["127.0.0.1"])?;
        let certificate = CertificateDer::from_pem_slice(pair.certificate_pem.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (kept, address) = (Kept::default(), listener.local_addr()?);
        tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), Arc::clone(&kept)));
        Ok(Self { kept, address, authority })
    }

    /// Takes out what was kept about a case.
    pub(crate) fn take(&self, case: u64) -> Reviews {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(&case).unwrap_or_default()
    }

    /// The two registrations: writes of RBAC objects by anybody who is impersonated.
    pub(crate) fn registrations(&self) -> [(&'static str, Value); 2] {
        let of = |kind: &str, plural: &'static str, path: &str| {
            let authority = STANDARD.encode(self.authority.certificate_pem());
            let rule = json!({"apiGroups": [GROUP], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                "resources": ["roles", "clusterroles", "rolebindings", "clusterrolebindings"], "scope": "*"});
            let impersonated = json!({"name": "impersonated",
                "expression": "has(request.userInfo.extra) && 'pinfold-case' in request.userInfo.extra"});
            let webhook = json!({"name": "recorder.pinfold.test", "rules": [rule], "failurePolicy": "Fail",
                "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 30,
                "matchConditions": [impersonated],
                "clientConfig": {"url": format!("https://{}/{path}", self.address), "caBundle": authority}});
            let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
                "metadata": {"name": "recorder.pinfold.test"}, "webhooks": [webhook]});
            (plural, object)
        };
        [
            of("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "mutate"),
            of("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "validate"),
        ]
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, kept: Kept) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, tls.clone(), Arc::clone(&kept)));
    }
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, kept: Kept) {
    // A connection that breaks shows as a failed call at the API server.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Ok(stream) = tls.accept(stream).await else { return };
    let service = service_fn(move |request| answer(request, Arc::clone(&kept)));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    kept: Kept,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let validating = request.uri().path() == "/validate";
    let body = request
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let case = review.pointer("/request/userInfo/extra/pinfold-case/0").and_then(Value::as_str);
    if let Some(case) = case.and_then(|case| case.parse().ok()) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let reviews: &mut Reviews = kept.entry(case).or_default();
        let slot = if validating { &mut reviews.validating } else { &mut reviews.mutating };
        *slot = Some(body);
    }
    let uid = review.pointer("/request/uid").cloned().unwrap_or_default();
    let response = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {"uid": uid, "allowed": true}});
    Ok(Response::builder()
        .header("content-type", "application/json")
        .body(Full::from(response.to_string()))
        .unwrap_or_default())
}
