//! Answers of the sidecar itself: a denial as JSON with its reason, and nothing of the request's headers.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::body::BodyFraming;
use pinfold_wire::encode::response_head;
use serde_json::json;

/// An answer with a body in memory.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// An answer of some content type.
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self { status, headers, body }
    }

    /// A JSON answer.
    pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// An answer without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Vec::new() }
    }

    /// A denial.
    pub(crate) fn refusal(status: StatusCode, denial: &Denial, policy: &str, id: &str) -> Self {
        Self::json(status, denial_body(denial, policy, id))
    }

    /// The bytes; a reply to HEAD has a head only.
    pub(crate) fn encode(&self, to_head: bool, keep_alive: bool) -> Vec<u8> {
        let length = u64::try_from(self.body.len()).unwrap_or(u64::MAX);
        let framing = BodyFraming::Length(length);
        let mut bytes = response_head(self.status, &self.headers, framing, keep_alive);
        if !to_head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// The documented body of a denial.
fn denial_body(denial: &Denial, policy: &str, id: &str) -> Vec<u8> {
    let Denial { reason, rule, path, message, remedy } = denial;
    let body = json!({
        "error": "denied",
        "reason": reason.as_str(),
        "rule": rule,
        "path": path,
        "message": message,
        "remedy": remedy,
        "policy": policy,
        "id": id,
    });
    let mut bytes = body.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

/// The status that says whose turn it is: the request's, the policy's, the upstream's, or ours.
pub(crate) fn status_of(reason: Reason) -> StatusCode {
    match reason {
        Reason::Malformed => StatusCode::BAD_REQUEST,
        Reason::Resolve | Reason::Upstream | Reason::Reply => StatusCode::BAD_GATEWAY,
        Reason::Limit
        | Reason::Audit
        | Reason::Guard
        | Reason::Breaker
        | Reason::KillSwitch
        | Reason::NoPolicy => StatusCode::SERVICE_UNAVAILABLE,
        Reason::Budget | Reason::Rate => StatusCode::TOO_MANY_REQUESTS,
        Reason::Host
        | Reason::Port
        | Reason::Protocol
        | Reason::Method
        | Reason::Path
        | Reason::Address
        | Reason::Name
        | Reason::Server
        | Reason::Tool
        | Reason::Argument
        | Reason::RpcMethod
        | Reason::RecordType
        | Reason::SearchSuffix => StatusCode::FORBIDDEN,
    }
}
