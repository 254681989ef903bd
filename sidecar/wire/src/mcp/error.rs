//! Why an MCP message is refused before any rule is asked, and how that is answered.

use http::StatusCode;
use pinfold_model::strict_json::StrictJsonError;
use serde_json::json;

use super::id::RequestId;
use super::reply;
use super::revision::Revision;

/// A refused message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct McpError {
    /// The id to echo, where one was read.
    pub id: Option<RequestId>,
    /// What is wrong.
    pub kind: McpErrorKind,
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum McpErrorKind {
    /// A content type other than `application/json` in UTF-8, or an encoded body.
    #[error("expected content type `application/json` without content encoding")]
    ContentType,
    /// `Accept` leaves out one of the two forms of a reply.
    #[error("expected `Accept: application/json, text/event-stream`")]
    NotAcceptable,
    /// A header there twice, or not of visible ASCII.
    #[error("header `{0}` is malformed or there twice")]
    Header(&'static str),
    /// Not strict JSON.
    #[error("{0}")]
    Json(#[from] StrictJsonError),
    /// An array of messages.
    #[error("expected one message, found a batch")]
    Batch,
    /// Not an object, a member of the wrong type, or members that don't go together.
    #[error("expected a JSON-RPC 2.0 message: {0}")]
    Shape(&'static str),
    /// A member that JSON-RPC doesn't have.
    #[error("unknown member `{0}`")]
    UnknownMember(String),
    /// A member that differs from another one, or from one that has a meaning, in case only.
    #[error("member `{0}` differs from another name in case only")]
    CaseTwin(String),
    /// A control character in a member name.
    #[error("member `{0}` has a control character in its name")]
    MemberName(String),
    /// Parameters of the wrong shape.
    #[error("{0}")]
    Params(&'static str),
    /// A tool name outside the character set of the specification.
    #[error("expected a tool name of 1 to 128 characters from letters, digits, `_`, `-` and `.`")]
    ToolName,
    /// A revision that isn't understood.
    #[error("unsupported protocol version `{0}`")]
    Revision(String),
    /// A header that the revision requires is absent.
    #[error("header `{0}` is missing")]
    HeaderMissing(&'static str),
    /// A header that says something else than the body.
    #[error("header `{0}` differs from the body")]
    HeaderMismatch(&'static str),
}

impl McpErrorKind {
    /// The error with the id to echo.
    pub(super) fn with_id(self, id: Option<&RequestId>) -> McpError {
        McpError { id: id.cloned(), kind: self }
    }
}

impl McpError {
    /// The HTTP status to answer a client with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match &self.kind {
            McpErrorKind::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            McpErrorKind::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            McpErrorKind::Json(StrictJsonError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            McpErrorKind::Header(_)
            | McpErrorKind::Json(StrictJsonError::Encoding | StrictJsonError::Syntax(_))
            | McpErrorKind::Batch
            | McpErrorKind::Shape(_)
            | McpErrorKind::UnknownMember(_)
            | McpErrorKind::CaseTwin(_)
            | McpErrorKind::MemberName(_)
            | McpErrorKind::Params(_)
            | McpErrorKind::ToolName
            | McpErrorKind::Revision(_)
            | McpErrorKind::HeaderMissing(_)
            | McpErrorKind::HeaderMismatch(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// The JSON-RPC code.
    #[must_use]
    pub fn code(&self) -> i64 {
        match &self.kind {
            McpErrorKind::Json(_) => reply::PARSE_ERROR,
            McpErrorKind::Params(_) | McpErrorKind::ToolName => reply::INVALID_PARAMS,
            McpErrorKind::Revision(_) => reply::UNSUPPORTED_VERSION,
            McpErrorKind::HeaderMissing(_) | McpErrorKind::HeaderMismatch(_) => {
                reply::HEADER_MISMATCH
            }
            McpErrorKind::ContentType
            | McpErrorKind::NotAcceptable
            | McpErrorKind::Header(_)
            | McpErrorKind::Batch
            | McpErrorKind::Shape(_)
            | McpErrorKind::UnknownMember(_)
            | McpErrorKind::CaseTwin(_)
            | McpErrorKind::MemberName(_) => reply::INVALID_REQUEST,
        }
    }

    /// The reason in answers, metrics and records.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match &self.kind {
            McpErrorKind::ContentType => "mcp-content-type",
            McpErrorKind::NotAcceptable => "mcp-accept",
            McpErrorKind::Json(StrictJsonError::TooLarge { .. }) => "mcp-limit",
            McpErrorKind::Json(StrictJsonError::Encoding | StrictJsonError::Syntax(_)) => {
                "mcp-json"
            }
            McpErrorKind::Batch => "mcp-batch",
            McpErrorKind::Shape(_) | McpErrorKind::UnknownMember(_) => "mcp-message",
            McpErrorKind::CaseTwin(_) | McpErrorKind::MemberName(_) => "mcp-member-name",
            McpErrorKind::Params(_) => "mcp-params",
            McpErrorKind::ToolName => "mcp-tool-name",
            McpErrorKind::Revision(_) => "mcp-revision",
            McpErrorKind::Header(_)
            | McpErrorKind::HeaderMissing(_)
            | McpErrorKind::HeaderMismatch(_) => "mcp-header",
        }
    }

    /// The JSON-RPC error to answer a client with.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let data = match &self.kind {
            McpErrorKind::Revision(requested) => {
                let supported: Vec<_> =
                    Revision::ALL.iter().map(|revision| revision.as_str()).collect();
                json!({"supported": supported, "requested": requested})
            }
            McpErrorKind::ContentType
            | McpErrorKind::NotAcceptable
            | McpErrorKind::Header(_)
            | McpErrorKind::Json(_)
            | McpErrorKind::Batch
            | McpErrorKind::Shape(_)
            | McpErrorKind::UnknownMember(_)
            | McpErrorKind::CaseTwin(_)
            | McpErrorKind::MemberName(_)
            | McpErrorKind::Params(_)
            | McpErrorKind::ToolName
            | McpErrorKind::HeaderMissing(_)
            | McpErrorKind::HeaderMismatch(_) => json!({"reason": self.reason()}),
        };
        reply::error_reply(self.id.as_ref(), self.code(), &self.kind.to_string(), Some(data))
    }
}
