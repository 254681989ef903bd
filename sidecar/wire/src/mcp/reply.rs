//! Replies that the sidecar itself gives.

use serde_json::{Map, Value, json};

use super::id::RequestId;
use super::revision::Revision;

/// JSON-RPC: not JSON.
pub const PARSE_ERROR: i64 = -32_700;
/// JSON-RPC: not a message.
pub const INVALID_REQUEST: i64 = -32_600;
/// JSON-RPC: no such method.
pub const METHOD_NOT_FOUND: i64 = -32_601;
/// JSON-RPC: wrong parameters.
pub const INVALID_PARAMS: i64 = -32_602;
/// MCP 2026-07-28: headers and body disagree.
pub const HEADER_MISMATCH: i64 = -32_020;
/// MCP 2026-07-28: unknown revision.
pub const UNSUPPORTED_VERSION: i64 = -32_022;
/// Pinfold: denied by policy. Outside -32768 to -32000, which JSON-RPC and MCP reserve.
pub const DENIED: i64 = -31_403;

/// Where a denial stands in `_meta`.
const DENIAL_META: &str = "pinfold.dev/denial";

/// Why something was denied, in words for the agent.
#[derive(Debug, Clone, Copy)]
pub struct Denial<'a> {
    /// The rule that speaks.
    pub rule: &'a str,
    /// The reason, one of the documented enumeration.
    pub reason: &'a str,
    /// What was found.
    pub message: &'a str,
    /// What would be allowed.
    pub remedy: &'a str,
}

impl Denial<'_> {
    fn to_text(self) -> String {
        let Self { rule, reason, message, remedy } = self;
        format!("Denied by policy ({rule}, {reason}): {message}. Allowed instead: {remedy}.")
    }

    fn to_value(self) -> Value {
        let Self { rule, reason, message, remedy } = self;
        json!({"rule": rule, "reason": reason, "message": message, "remedy": remedy})
    }
}

/// A denied tool call: a result that says so, which the model reads, rather than an error, which many clients hide from it.
#[must_use]
pub fn tool_denial(id: &RequestId, denial: &Denial<'_>, revision: Revision) -> Vec<u8> {
    let mut result = json!({
        "content": [{"type": "text", "text": denial.to_text()}],
        "isError": true,
        "_meta": {DENIAL_META: denial.to_value()},
    });
    if revision.is_stateless()
        && let Some(members) = result.as_object_mut()
    {
        members.insert("resultType".to_owned(), json!("complete"));
    }
    json!({"jsonrpc": "2.0", "id": id.to_value(), "result": result}).to_string().into_bytes()
}

/// Anything else that was denied: an error of code [`DENIED`].
#[must_use]
pub fn denial_reply(id: Option<&RequestId>, denial: &Denial<'_>) -> Vec<u8> {
    error_reply(id, DENIED, &denial.to_text(), Some(json!({DENIAL_META: denial.to_value()})))
}

/// A JSON-RPC error; without an id where the request's could not be read.
#[must_use]
pub fn error_reply(
    id: Option<&RequestId>,
    code: i64,
    message: &str,
    data: Option<Value>,
) -> Vec<u8> {
    let mut error = Map::new();
    error.insert("code".to_owned(), json!(code));
    error.insert("message".to_owned(), json!(message));
    if let Some(data) = data {
        error.insert("data".to_owned(), data);
    }
    let mut reply = Map::new();
    reply.insert("jsonrpc".to_owned(), json!("2.0"));
    if let Some(id) = id {
        reply.insert("id".to_owned(), id.to_value());
    }
    reply.insert("error".to_owned(), Value::Object(error));
    Value::Object(reply).to_string().into_bytes()
}
