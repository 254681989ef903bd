//! One write: both annotations in one request that names what it replaces.

use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Method, Request};
use kube::{Client, Error};
use pinfold_model::object::ObjectKey;
use pinfold_model::policy::inject::{POLICY, POLICY_DIGEST};
use serde_json::{Value, json};

/// How long one write may take.
const WRITE_MAX: Duration = Duration::from_secs(5);
/// Who writes, for `managedFields`.
const FIELD_MANAGER: &str = "pinfold-webhook";

/// A policy for a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(super) pod: ObjectKey,
    /// Which pod of that name.
    pub(super) uid: String,
    /// The digest that is there and is replaced; empty if none is.
    pub(super) written: String,
    pub(super) text: Arc<str>,
    pub(super) digest: String,
    /// No AgentPolicy applies any more.
    pub(super) none: bool,
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is there.
    Written,
    /// What was to be replaced isn't there any more: another replica was faster, or it is another pod.
    Outrun,
    /// There is no such pod.
    Gone,
    /// The API server asks for patience, or doesn't answer.
    Busy(String),
    /// It is refused.
    Failed(String),
}

impl Outcome {
    /// Label of the metric.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Outrun => "outrun",
            Self::Gone => "gone",
            Self::Busy(_) => "busy",
            Self::Failed(_) => "failed",
        }
    }
}

/// Writes to pods.
pub(crate) trait Write: Send + Sync + 'static {
    /// Writes, unless something else is there than the order says.
    fn write(&self, order: &Order) -> impl Future<Output = Outcome> + Send;
}

/// A real API server.
pub(crate) struct ApiServer(pub(crate) Client);

impl Write for ApiServer {
    async fn write(&self, order: &Order) -> Outcome {
        let request = match request(order) {
            Ok(request) => request,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        match tokio::time::timeout(WRITE_MAX, self.0.request_text(request)).await {
            Ok(Ok(_)) => Outcome::Written,
            Ok(Err(error)) => outcome(&error),
            Err(_) => Outcome::Busy(format!("no answer within {WRITE_MAX:?}")),
        }
    }
}

fn request(order: &Order) -> Result<Request<Vec<u8>>, http::Error> {
    let ObjectKey { namespace, name, .. } = &order.pod;
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}?fieldManager={FIELD_MANAGER}");
    let request = Request::builder().method(Method::PATCH).uri(path);
    let request = request.header(CONTENT_TYPE, "application/json-patch+json");
    request.body(steps(order).to_string().into_bytes())
}

/// JSON Patch (RFC 6902). A test that fails is answered 422, and nothing of the patch is done. Nothing tests that a member is absent, so a pod without
/// a digest is told by its uid alone; what is written is the same whoever does it.
pub(super) fn steps(order: &Order) -> Value {
    let at =
        |key: &str| format!("/metadata/annotations/{}", key.replace('~', "~0").replace('/', "~1"));
    let mut steps = vec![json!({"op": "test", "path": "/metadata/uid", "value": order.uid})];
    if !order.written.is_empty() {
        steps.push(json!({"op": "test", "path": at(POLICY_DIGEST), "value": order.written}));
    }
    steps.push(json!({"op": "add", "path": at(POLICY), "value": order.text.as_ref()}));
    steps.push(json!({"op": "add", "path": at(POLICY_DIGEST), "value": order.digest}));
    Value::Array(steps)
}

fn outcome(error: &Error) -> Outcome {
    let Error::Api(status) = error else { return Outcome::Busy(error.to_string()) };
    let causes = status.details.as_ref().map_or(0, |details| details.causes.len());
    match status.code {
        404 => Outcome::Gone,
        // A pod that breaks a rule of the API server is told with the fields at fault, a test that fails without.
        422 if causes == 0 => Outcome::Outrun,
        // Five writers in a row were faster than the API server.
        409 | 429 | 500..=599 => Outcome::Busy(status.message.clone()),
        _ => Outcome::Failed(status.message.clone()),
    }
}
