//! Messages from the agent.

use http::{HeaderName, HeaderValue};
use pinfold_model::strict_json;
use serde_json::{Map, Value, json};

use super::error::{McpError, McpErrorKind};
use super::header::{self, McpHeaders};
use super::id::RequestId;
use super::key;
use super::revision::Revision;

#[cfg(test)]
mod tests;

/// Members of a JSON-RPC message.
pub(super) const MEMBERS: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];

/// Parameters that have a meaning to the gate or to a server's routing.
const PARAMETERS: &[&str] = &[
    "_meta",
    "argument",
    "arguments",
    "capabilities",
    "clientInfo",
    "cursor",
    "inputResponses",
    "level",
    "name",
    "protocolVersion",
    "ref",
    "requestId",
    "requestState",
    "task",
    "taskId",
    "uri",
];

/// The last revision without streamable HTTP.
const BEFORE_STREAMABLE_HTTP: &str = "2024-11-05";
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META: &[&str] = &[
    META_VERSION,
    "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/clientInfo",
    "progressToken",
];

/// Characters of a tool name.
const TOOL_NAME_CHARS_MAX: usize = 128;

type Members = Map<String, Value>;

/// A message from the agent, strictly read.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientMessage {
    /// The revision that the message is written in. An `initialize` that names none in a header counts as 2025-03-26, whatever
    /// it proposes.
    pub revision: Revision,
    /// Whether the client said the revision in a header.
    pub names_revision: bool,
    /// What it is.
    pub kind: ClientKind,
}

/// What a message is.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientKind {
    /// Expects a reply.
    Request {
        /// Ties the reply to it.
        id: RequestId,
        /// The method; known or not.
        method: String,
        /// The parameters.
        params: Option<Members>,
    },
    /// Expects none.
    Notification {
        /// The method; known or not.
        method: String,
        /// The parameters.
        params: Option<Members>,
    },
    /// Answers a request of the server; of revisions with sessions only.
    Response {
        /// The id of the server's request.
        id: RequestId,
        /// The result or the error.
        outcome: Result<Members, Members>,
    },
}

/// A call of a tool.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ToolCall<'a> {
    /// The tool, of the character set of the specification.
    pub name: &'a str,
    /// The arguments; none where the call has no such member.
    pub arguments: Option<&'a Members>,
    /// State of an earlier reply that asked for input, which the call continues.
    pub request_state: Option<&'a str>,
}

impl ClientMessage {
    /// The method of a request or notification.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match &self.kind {
            ClientKind::Request { method, .. } | ClientKind::Notification { method, .. } => {
                Some(method)
            }
            ClientKind::Response { .. } => None,
        }
    }

    /// The id of a request.
    #[must_use]
    pub fn request_id(&self) -> Option<&RequestId> {
        match &self.kind {
            ClientKind::Request { id, .. } => Some(id),
            ClientKind::Notification { .. } | ClientKind::Response { .. } => None,
        }
    }

    /// The parameters of a request or notification.
    #[must_use]
    pub fn params(&self) -> Option<&Members> {
        match &self.kind {
            ClientKind::Request { params, .. } | ClientKind::Notification { params, .. } => {
                params.as_ref()
            }
            ClientKind::Response { .. } => None,
        }
    }

    /// The call, when this is a `tools/call` request.
    #[must_use]
    pub fn tool_call(&self) -> Option<ToolCall<'_>> {
        let ClientKind::Request { method, params: Some(params), .. } = &self.kind else {
            return None;
        };
        let name = params.get("name").and_then(Value::as_str)?;
        (method == "tools/call").then(|| ToolCall {
            name,
            arguments: params.get("arguments").and_then(Value::as_object),
            request_state: params.get("requestState").and_then(Value::as_str),
        })
    }

    /// The message to forward: the encoding of what was judged.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut members = Map::new();
        let mut add = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        add("jsonrpc", json!("2.0"));
        if let Some(method) = self.method() {
            add("method", json!(method));
        }
        if let Some(params) = self.params() {
            add("params", Value::Object(params.clone()));
        }
        match &self.kind {
            ClientKind::Request { id, .. } => add("id", id.to_value()),
            ClientKind::Notification { .. } => {}
            ClientKind::Response { id, outcome } => {
                add("id", id.to_value());
                match outcome {
                    Ok(result) => add("result", Value::Object(result.clone())),
                    Err(error) => add("error", Value::Object(error.clone())),
                }
            }
        }
        Value::Object(members).to_string().into_bytes()
    }

    /// The headers to forward, from the body alone.
    #[must_use]
    pub fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        if self.names_revision {
            let version = HeaderValue::from_static(self.revision.as_str());
            headers.push((HeaderName::from_static(header::VERSION), version));
        }
        let ClientKind::Request { method, params, .. } = &self.kind else {
            return headers;
        };
        if self.revision.is_stateless() {
            let subject = params.as_ref().and_then(|params| subject(method, params));
            let mirrored = [(header::METHOD, Some(method.as_str())), (header::NAME, subject)];
            headers.extend(mirrored.into_iter().filter_map(|(name, text)| {
                Some((HeaderName::from_static(name), header::encode(text?)?))
            }));
        }
        headers
    }
}

/// Reads one message from the agent and holds the headers against it.
///
/// # Errors
/// [`McpError`] with the status, code and id to answer with.
pub fn parse_client_message(bytes: &[u8], headers: &McpHeaders) -> Result<ClientMessage, McpError> {
    let mut members = parse_object(bytes).map_err(|kind| kind.with_id(None))?;
    let id = members.get("id").and_then(RequestId::read);
    let with_id = |kind: McpErrorKind| kind.with_id(id.as_ref());
    check_members(&members).map_err(with_id)?;
    let kind = classify(&mut members).map_err(with_id)?;
    check_params(&kind).map_err(with_id)?;
    let revision = read_revision(&kind, headers).map_err(with_id)?;
    check_asked(&kind).map_err(with_id)?;
    let names_revision = headers.protocol_version.is_some();
    let message = ClientMessage { revision, names_revision, kind };
    check_mirrors(&message, headers).map_err(with_id)?;
    Ok(message)
}

/// One object of the strict profile.
pub(super) fn parse_object(bytes: &[u8]) -> Result<Members, McpErrorKind> {
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(McpErrorKind::Batch);
    }
    match strict_json::parse(bytes, strict_json::MCP_MESSAGE)? {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(McpErrorKind::Shape("an object"))
        }
    }
}

fn check_members(members: &Members) -> Result<(), McpErrorKind> {
    key::check_only(members, MEMBERS)?;
    members.values().try_for_each(|member| key::check_deep(member, true))?;
    check_version(members)
}

pub(super) fn check_version(members: &Members) -> Result<(), McpErrorKind> {
    if members.get("jsonrpc").and_then(Value::as_str) == Some("2.0") {
        Ok(())
    } else {
        Err(McpErrorKind::Shape("`jsonrpc` is \"2.0\""))
    }
}

fn classify(members: &mut Members) -> Result<ClientKind, McpErrorKind> {
    let id = read_id(members)?;
    let outcome = read_outcome(members)?;
    match (take_call(members)?, id, outcome) {
        (Some((method, params)), Some(id), None) => Ok(ClientKind::Request { id, method, params }),
        (Some((method, params)), None, None) => Ok(ClientKind::Notification { method, params }),
        (None, Some(id), Some(outcome)) => Ok(ClientKind::Response { id, outcome }),
        (_, _, _) => Err(McpErrorKind::Shape("a request, a notification or a response")),
    }
}

fn read_id(members: &Members) -> Result<Option<RequestId>, McpErrorKind> {
    match members.get("id") {
        None => Ok(None),
        Some(value) => RequestId::read(value)
            .map(Some)
            .ok_or(McpErrorKind::Shape("`id` is an integer of 64 bits or a string of 256 bytes")),
    }
}

/// The method and parameters, where there is a method.
pub(super) fn take_call(
    members: &mut Members,
) -> Result<Option<(String, Option<Members>)>, McpErrorKind> {
    let params = match members.remove("params") {
        None => None,
        Some(Value::Object(params)) => Some(params),
        Some(_) => return Err(McpErrorKind::Params("expected `params` to be an object")),
    };
    match (members.remove("method"), params) {
        (Some(Value::String(method)), params) => Ok(Some((method, params))),
        (None, None) => Ok(None),
        (Some(_), _) => Err(McpErrorKind::Shape("`method` is a string")),
        (None, Some(_)) => Err(McpErrorKind::Shape("`params` goes with `method`")),
    }
}

/// The result or the error, where there is one.
pub(super) fn read_outcome(
    members: &mut Members,
) -> Result<Option<Result<Members, Members>>, McpErrorKind> {
    match (members.remove("result"), members.remove("error")) {
        (None, None) => Ok(None),
        (Some(Value::Object(result)), None) => Ok(Some(Ok(result))),
        (None, Some(Value::Object(error))) if is_error(&error) => Ok(Some(Err(error))),
        (_, _) => Err(McpErrorKind::Shape("one of `result` and `error`, an object")),
    }
}

fn is_error(error: &Members) -> bool {
    let code = error.get("code").is_some_and(|code| code.is_i64());
    code && error.get("message").is_some_and(Value::is_string)
}

fn check_params(kind: &ClientKind) -> Result<(), McpErrorKind> {
    let (ClientKind::Request { method, params, .. } | ClientKind::Notification { method, params }) =
        kind
    else {
        return Ok(());
    };
    let empty = Map::new();
    let params = params.as_ref().unwrap_or(&empty);
    key::check_known(params, PARAMETERS)?;
    match params.get("_meta") {
        None => {}
        Some(Value::Object(meta)) => key::check_known(meta, META)?,
        Some(_) => return Err(McpErrorKind::Params("expected `_meta` to be an object")),
    }
    if method == "tools/call" {
        check_tool_call(kind, params)
    } else {
        check_subject(method, params)
    }
}

fn check_tool_call(kind: &ClientKind, params: &Members) -> Result<(), McpErrorKind> {
    if !matches!(kind, ClientKind::Request { .. }) {
        return Err(McpErrorKind::Shape("a tool call has an `id`"));
    }
    let name = params.get("name").and_then(Value::as_str);
    if !name.is_some_and(is_tool_name) {
        return Err(McpErrorKind::ToolName);
    }
    if !params.get("arguments").is_none_or(Value::is_object) {
        return Err(McpErrorKind::Params("expected `arguments` to be an object"));
    }
    if !params.get("requestState").is_none_or(Value::is_string) {
        return Err(McpErrorKind::Params("expected `requestState` to be a string"));
    }
    Ok(())
}

/// Methods that are judged by a name, an URI or a task must have one.
fn check_subject(method: &str, params: &Members) -> Result<(), McpErrorKind> {
    if subject_member(method).is_some() && subject(method, params).is_none() {
        return Err(McpErrorKind::Params("expected a string in `name`, `uri` or `taskId`"));
    }
    Ok(())
}

fn subject_member(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/get" | "tasks/result" | "tasks/cancel" | "tasks/update" => Some("taskId"),
        _ => None,
    }
}

/// What `Mcp-Name` mirrors.
fn subject<'a>(method: &str, params: &'a Members) -> Option<&'a str> {
    params.get(subject_member(method)?).and_then(Value::as_str)
}

/// Whether a tool may have this name at all (specification, "Tool Names").
#[must_use]
pub fn is_tool_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=TOOL_NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

/// The revision that header and body agree on.
fn read_revision(kind: &ClientKind, headers: &McpHeaders) -> Result<Revision, McpErrorKind> {
    let in_body = version_in_body(kind)?;
    let named = match (headers.protocol_version.as_deref(), in_body) {
        (None, None) => return Ok(Revision::V2025_03_26),
        (None, Some(_)) => return Err(McpErrorKind::HeaderMissing(header::VERSION)),
        (Some(header), Some(body)) if header != body => {
            return Err(McpErrorKind::HeaderMismatch(header::VERSION));
        }
        (Some(header), _) => header,
    };
    let unsupported = || McpErrorKind::Revision(key::shorten(named));
    let revision = Revision::named(named).ok_or_else(unsupported)?;
    match (revision.is_stateless(), kind) {
        (true, ClientKind::Request { .. }) if in_body.is_none() => {
            Err(McpErrorKind::Params("expected the protocol version in `_meta`"))
        }
        (true, ClientKind::Response { .. }) => {
            Err(McpErrorKind::Shape("a request or a notification, in this revision"))
        }
        (_, _) => Ok(revision),
    }
}

/// What `initialize` asks for: the revision before streamable HTTP is not spoken, and a session of it must not be opened. Newer ones than are
/// known may be asked for; the server answers with one that it has.
fn check_asked(kind: &ClientKind) -> Result<(), McpErrorKind> {
    let ClientKind::Request { method, params: Some(params), .. } = kind else { return Ok(()) };
    let asked = params.get("protocolVersion").and_then(Value::as_str);
    if method == "initialize" && asked == Some(BEFORE_STREAMABLE_HTTP) {
        return Err(McpErrorKind::Revision(BEFORE_STREAMABLE_HTTP.to_owned()));
    }
    Ok(())
}

fn version_in_body(kind: &ClientKind) -> Result<Option<&str>, McpErrorKind> {
    let (ClientKind::Request { params, .. } | ClientKind::Notification { params, .. }) = kind
    else {
        return Ok(None);
    };
    let meta = params.as_ref().and_then(|params| params.get("_meta"));
    match meta.and_then(|meta| meta.get(META_VERSION)) {
        None => Ok(None),
        Some(Value::String(version)) => Ok(Some(version)),
        Some(_) => Err(McpErrorKind::Params("expected the protocol version to be a string")),
    }
}

/// `Mcp-Method` and `Mcp-Name`: required of stateless requests, and held against the body wherever they occur. The name is
/// required where the core specification says so, which is not for tasks.
fn check_mirrors(message: &ClientMessage, headers: &McpHeaders) -> Result<(), McpErrorKind> {
    let required = message.revision.is_stateless() && message.request_id().is_some();
    let method = message.method();
    check_mirror(header::METHOD, headers.method.as_deref(), method, required)?;
    let member = method.and_then(subject_member);
    let (Some(method), Some(member)) = (method, member) else {
        // Not forwarded and not judged by, so it can't mislead anybody.
        return Ok(());
    };
    let subject = message.params().and_then(|params| subject(method, params));
    check_mirror(header::NAME, headers.name.as_deref(), subject, required && member != "taskId")
}

fn check_mirror(
    header: &'static str,
    found: Option<&str>,
    expected: Option<&str>,
    required: bool,
) -> Result<(), McpErrorKind> {
    match found {
        Some(_) if found != expected => Err(McpErrorKind::HeaderMismatch(header)),
        None if required => Err(McpErrorKind::HeaderMissing(header)),
        Some(_) | None => Ok(()),
    }
}
