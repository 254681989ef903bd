//! Messages from a server.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::client::{MEMBERS, check_version, is_tool_name, parse_object, read_outcome, take_call};
use super::error::{McpError, McpErrorKind};
use super::id::RequestId;
use super::key;

#[cfg(test)]
mod tests;

/// Members of results that have a meaning to the gate or to a client.
const RESULT_MEMBERS: &[&str] = &[
    "_meta",
    "capabilities",
    "content",
    "contents",
    "inputRequests",
    "isError",
    "messages",
    "nextCursor",
    "prompts",
    "protocolVersion",
    "requestState",
    "resourceTemplates",
    "resources",
    "resultType",
    "serverInfo",
    "structuredContent",
    "task",
    "tools",
];

/// Members of a tool.
const TOOL_MEMBERS: &[&str] = &[
    "_meta",
    "annotations",
    "description",
    "execution",
    "icons",
    "inputSchema",
    "name",
    "outputSchema",
    "title",
];

type Members = Map<String, Value>;

/// A message from a server, strictly read.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerMessage {
    /// The result of a client's request.
    Result {
        /// The id of that request.
        id: RequestId,
        /// The result.
        result: Members,
    },
    /// The failure of a client's request.
    Error {
        /// The id of that request; none where the server could not read it.
        id: Option<RequestId>,
        /// Code, message and data.
        error: Members,
    },
    /// A request to the client, such as sampling, elicitation or roots.
    Request {
        /// Ties the reply to it.
        id: RequestId,
        /// The method; known or not.
        method: String,
        /// The parameters.
        params: Option<Members>,
    },
    /// A notification.
    Notification {
        /// The method; known or not.
        method: String,
        /// The parameters.
        params: Option<Members>,
    },
}

/// A request to the client inside a result (2026-07-28, multi round-trip requests).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputRequest<'a> {
    /// The server's name for it.
    pub key: &'a str,
    /// The method; known or not.
    pub method: &'a str,
}

/// A tool that was taken out of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedTool {
    /// Its name, shortened and escaped; empty when it has none.
    pub name: String,
    /// The cause.
    pub why: WhyDropped,
}

/// Why a tool was taken out of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyDropped {
    /// Not an object with a name of the specification's character set and an input schema.
    Malformed,
    /// A member that differs from a known one in case only.
    CaseTwin,
    /// The list has the name more than once; all of them are dropped.
    Collision,
    /// Policy doesn't allow it.
    Policy,
}

impl ServerMessage {
    /// The id of the client's request that this answers.
    #[must_use]
    pub fn answers(&self) -> Option<&RequestId> {
        match self {
            Self::Result { id, .. } => Some(id),
            Self::Error { id, .. } => id.as_ref(),
            Self::Request { .. } | Self::Notification { .. } => None,
        }
    }

    /// Whether this is a result that lists tools. Any such result is to be filtered, whatever was asked.
    #[must_use]
    pub fn lists_tools(&self) -> bool {
        matches!(self, Self::Result { result, .. } if result.contains_key("tools"))
    }

    /// Keeps the tools of a list that `keep` says, given name and definition; cursor, `_meta` and order stay. Without a list nothing
    /// is dropped.
    ///
    /// # Errors
    /// `tools` isn't an array: the message must not be passed on.
    pub fn retain_tools(
        &mut self,
        mut keep: impl FnMut(&str, &Value) -> bool,
    ) -> Result<Vec<DroppedTool>, McpError> {
        let Self::Result { id, result } = self else {
            return Ok(Vec::new());
        };
        let tools = match result.get_mut("tools") {
            None => return Ok(Vec::new()),
            Some(Value::Array(tools)) => tools,
            Some(_) => {
                return Err(McpErrorKind::Shape("`tools` is an array").with_id(Some(id)));
            }
        };
        let mut times: HashMap<String, usize> = HashMap::new();
        for name in tools.iter().filter_map(|tool| tool.get("name").and_then(Value::as_str)) {
            let count = times.entry(name.to_owned()).or_default();
            *count = count.saturating_add(1);
        }
        let mut dropped = Vec::new();
        tools.retain(|tool| match judge_tool(tool, &times, &mut keep) {
            None => true,
            Some(why) => {
                let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
                dropped.push(DroppedTool { name: key::shorten(name), why });
                false
            }
        });
        Ok(dropped)
    }

    /// The type of a result (2026-07-28); none means `complete`.
    #[must_use]
    pub fn result_type(&self) -> Option<&str> {
        match self {
            Self::Result { result, .. } => result.get("resultType").and_then(Value::as_str),
            Self::Error { .. } | Self::Request { .. } | Self::Notification { .. } => None,
        }
    }

    /// The requests inside a result.
    ///
    /// # Errors
    /// `inputRequests` isn't an object of requests: the message must not be passed on.
    pub fn input_requests(&self) -> Result<Vec<InputRequest<'_>>, McpError> {
        let Self::Result { id, result } = self else {
            return Ok(Vec::new());
        };
        let malformed =
            || McpErrorKind::Shape("`inputRequests` is an object of requests").with_id(Some(id));
        let Some(requests) = result.get("inputRequests") else {
            return Ok(Vec::new());
        };
        let requests = requests.as_object().ok_or_else(malformed)?;
        requests
            .iter()
            .map(|(key, request)| read_input_request(key, request).ok_or_else(malformed))
            .collect()
    }

    /// The message to pass on: the encoding of what was judged.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut members = Map::new();
        let mut add = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        add("jsonrpc", json!("2.0"));
        match self {
            Self::Result { id, result } => {
                add("id", id.to_value());
                add("result", Value::Object(result.clone()));
            }
            Self::Error { id, error } => {
                if let Some(id) = id {
                    add("id", id.to_value());
                }
                add("error", Value::Object(error.clone()));
            }
            Self::Request { method, params, .. } | Self::Notification { method, params } => {
                if let Self::Request { id, .. } = self {
                    add("id", id.to_value());
                }
                add("method", json!(method));
                if let Some(params) = params {
                    add("params", Value::Object(params.clone()));
                }
            }
        }
        Value::Object(members).to_string().into_bytes()
    }
}

fn read_input_request<'a>(key: &'a str, request: &'a Value) -> Option<InputRequest<'a>> {
    let members = request.as_object()?;
    key::check_known(members, &["method", "params"]).ok()?;
    Some(InputRequest { key, method: members.get("method")?.as_str()? })
}

fn judge_tool(
    tool: &Value,
    times: &HashMap<String, usize>,
    keep: &mut impl FnMut(&str, &Value) -> bool,
) -> Option<WhyDropped> {
    let Some(members) = tool.as_object() else {
        return Some(WhyDropped::Malformed);
    };
    if key::check_known(members, TOOL_MEMBERS).is_err() {
        return Some(WhyDropped::CaseTwin);
    }
    let name = members.get("name").and_then(Value::as_str).filter(|name| is_tool_name(name));
    let (Some(name), true) = (name, members.get("inputSchema").is_some_and(Value::is_object))
    else {
        return Some(WhyDropped::Malformed);
    };
    if times.get(name) != Some(&1) {
        return Some(WhyDropped::Collision);
    }
    if keep(name, tool) { None } else { Some(WhyDropped::Policy) }
}

/// Reads one message from a server, be it a JSON body or the data of an event.
///
/// # Errors
/// [`McpError`]: the message must not be passed on. What is answered to the client is the caller's.
pub fn parse_server_message(bytes: &[u8]) -> Result<ServerMessage, McpError> {
    let mut members = parse_object(bytes).map_err(|kind| kind.with_id(None))?;
    let id = members.get("id").and_then(RequestId::read);
    read(&mut members).map_err(|kind| kind.with_id(id.as_ref()))
}

fn read(members: &mut Members) -> Result<ServerMessage, McpErrorKind> {
    key::check_only(members, MEMBERS)?;
    check_version(members)?;
    members.values().try_for_each(|member| key::check_deep(member, false))?;
    let outcome = read_outcome(members)?;
    let id = match (members.get("id"), &outcome) {
        // JSON-RPC 2.0 section 5: null when the id of a request could not be read.
        (None, _) | (Some(Value::Null), Some(Err(_))) => None,
        (Some(value), _) => Some(
            RequestId::read(value).ok_or(McpErrorKind::Shape("`id` is an integer or a string"))?,
        ),
    };
    match (take_call(members)?, id, outcome) {
        (None, Some(id), Some(Ok(result))) => {
            key::check_known(&result, RESULT_MEMBERS)?;
            Ok(ServerMessage::Result { id, result })
        }
        (None, id, Some(Err(error))) => Ok(ServerMessage::Error { id, error }),
        (Some((method, params)), Some(id), None) => {
            Ok(ServerMessage::Request { id, method, params })
        }
        (Some((method, params)), None, None) => Ok(ServerMessage::Notification { method, params }),
        (_, _, _) => Err(McpErrorKind::Shape("a result, an error, a request or a notification")),
    }
}
