//! HTTP requests to answers: which path, method and type is served, and what is refused before anything is read.
//!
//! Nothing here redirects, and no answer repeats what the request said.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use pinfold_engine::admit;
use pinfold_model::finding::RuleId;
use pinfold_review::respond::{Reasons, denied};
use tokio::sync::Semaphore;

use crate::admission::{Answered, Call, Endpoint};
use crate::body::{self, BodyError};
use crate::config::Limits;
use crate::drain::DrainWatch;
use crate::health::Health;

/// An answer on its way out.
pub(crate) type Reply = Response<Full<Bytes>>;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The Prometheus text format.
const METRICS_TEXT: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// What the TLS port serves.
pub(crate) struct Front {
    pub(crate) health: Arc<Health>,
    pub(crate) limits: Limits,
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) memory: Arc<Semaphore>,
    pub(crate) drain: DrainWatch,
}

/// What the metrics port serves.
pub(crate) struct Back {
    pub(crate) health: Arc<Health>,
    pub(crate) drain: DrainWatch,
}

/// Something that answers requests.
pub(crate) trait Route: Send + Sync + 'static {
    /// Answers one request; never fails, refuses instead.
    fn reply(&self, request: Request<Incoming>) -> impl Future<Output = Reply> + Send;
}

impl Route for Front {
    async fn reply(&self, request: Request<Incoming>) -> Reply {
        let version = request.version();
        let endpoint = match request.uri().path() {
            "/validate" => Some(Endpoint::Validate),
            "/mutate" => Some(Endpoint::Mutate),
            _ => None,
        };
        let reply = match endpoint {
            Some(endpoint) => self.admission(endpoint, request).await,
            None => health_reply(&self.health, &request),
        };
        leaving(reply, version, &self.drain)
    }
}

impl Route for Back {
    async fn reply(&self, request: Request<Incoming>) -> Reply {
        let version = request.version();
        let reply = match (request.uri().path(), readable(&request)) {
            ("/metrics", true) => {
                let mut reply = Response::new(Full::from(self.health.metrics_text()));
                reply.headers_mut().insert(CONTENT_TYPE, METRICS_TEXT);
                reply
            }
            ("/metrics", false) => not_allowed("GET"),
            _ => health_reply(&self.health, &request),
        };
        leaving(reply, version, &self.drain)
    }
}

impl Front {
    async fn admission(&self, endpoint: Endpoint, request: Request<Incoming>) -> Reply {
        if request.method() != Method::POST {
            return not_allowed("POST");
        }
        if !is_json(&request) {
            self.refused("content-type");
            return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected `application/json`\n");
        }
        let Ok(_running) = self.requests.try_acquire() else {
            self.refused("busy");
            return text(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many requests are being decided, try again\n",
            );
        };
        let traceparent = traceparent(&request);
        match body::read(request.into_body(), &self.limits, &self.memory).await {
            Ok(held) => {
                let body = held.bytes.clone();
                let call = Call { endpoint, body, traceparent, began: Instant::now() };
                self.guarded(call).await
            }
            Err(error) => self.body_refused(error),
        }
    }

    /// Runs one request inside a net: a panic is counted, and denies.
    async fn guarded(&self, call: Call) -> Reply {
        let uid = OnceLock::new();
        let answer = AssertUnwindSafe(self.health.admission.answer(call, &uid));
        let Ok(Answered { body, has_uid }) = answer.catch_unwind().await else {
            self.health.admission.metrics.panics.inc();
            tracing::error!(uid = uid.get(), "a request ended in a panic and was denied");
            return panicked(uid.get());
        };
        let mut reply = Response::new(Full::from(body));
        if !has_uid {
            *reply.status_mut() = StatusCode::BAD_REQUEST;
        }
        reply.headers_mut().insert(CONTENT_TYPE, JSON);
        reply
    }

    fn body_refused(&self, error: BodyError) -> Reply {
        let (reason, status, said) = match error {
            BodyError::TooLarge => (
                "too-large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "the review is larger than 7 MiB, the most that is read\n",
            ),
            BodyError::NoMemory => (
                "no-memory",
                StatusCode::SERVICE_UNAVAILABLE,
                "too many bytes are being read, try again\n",
            ),
            BodyError::TimedOut => {
                ("slow-body", StatusCode::REQUEST_TIMEOUT, "the review took too long to arrive\n")
            }
            BodyError::Broken => {
                ("broken-body", StatusCode::BAD_REQUEST, "the review is cut off\n")
            }
        };
        self.refused(reason);
        let mut reply = text(status, said);
        // The rest of the body is not read, so the connection can't go on.
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        reply
    }

    fn refused(&self, reason: &str) {
        self.health.admission.metrics.refusals.with_label_values(&[reason]).inc();
    }
}

fn panicked(uid: Option<&String>) -> Reply {
    let decision = admit::refuse(
        RuleId::REQ_NOT_READY,
        "$",
        "the webhook failed while deciding; this is a defect of the webhook",
        "report the webhook's log lines of this request",
    );
    let reasons = Reasons { findings: &decision.findings, decision_id: "", policy_digest: "" };
    let body = denied(uid.map_or("", String::as_str), &reasons);
    let mut reply = Response::new(Full::from(body));
    if uid.is_none() {
        *reply.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    reply.headers_mut().insert(CONTENT_TYPE, JSON);
    reply
}

fn health_reply(health: &Health, request: &Request<Incoming>) -> Reply {
    match (request.uri().path(), readable(request)) {
        ("/healthz", true) => text(StatusCode::OK, "ok\n"),
        ("/readyz", true) => match health.not_ready() {
            None => text(StatusCode::OK, "ok\n"),
            Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, reason),
        },
        ("/healthz" | "/readyz", false) => not_allowed("GET"),
        _ => text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn readable(request: &Request<Incoming>) -> bool {
    request.method() == Method::GET || request.method() == Method::HEAD
}

fn is_json(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// A W3C trace context, if the header is one.
fn traceparent(request: &Request<Incoming>) -> Option<String> {
    const LENGTH: usize = 55;
    let value = request.headers().get("traceparent")?.to_str().ok()?;
    let plain = value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    (value.len() == LENGTH && plain).then(|| value.to_owned())
}

fn text(status: StatusCode, said: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::from(said.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, TEXT);
    reply
}

fn not_allowed(allow: &'static str) -> Reply {
    let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    reply
}

/// On the way out every HTTP/1 answer ends its connection; HTTP/2 has GOAWAY for that.
fn leaving(mut reply: Reply, version: Version, drain: &DrainWatch) -> Reply {
    if version == Version::HTTP_2 {
        reply.headers_mut().remove(CONNECTION);
    } else if !drain.is_serving() {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}
