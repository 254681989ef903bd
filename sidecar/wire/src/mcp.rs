//! Messages of the Model Context Protocol over streamable HTTP, read strictly in both directions and written anew.
//!
//! Revisions 2025-03-26, 2025-06-18, 2025-11-25 (with sessions) and 2026-07-28 (stateless). Facts come from the body; the headers
//! must agree with it. What is forwarded is the encoding of what was judged, never the bytes that came. Batches are refused in
//! every revision. Nothing here decides whether a method or tool may be used.

mod client;
mod error;
mod header;
mod id;
mod key;
mod method;
mod reply;
mod revision;
mod server;

pub use client::{ClientKind, ClientMessage, ToolCall, is_tool_name, parse_client_message};
pub use error::{McpError, McpErrorKind};
pub use header::{McpHeaders, mirrored_arguments};
pub use id::{ID_BYTES_MAX, RequestId};
pub use method::{ClientMethod, ServerMethod};
pub use reply::{
    DENIED, Denial, HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND,
    PARSE_ERROR, UNSUPPORTED_VERSION, denial_reply, error_reply, tool_denial,
};
pub use revision::Revision;
pub use server::{DroppedTool, InputRequest, ServerMessage, WhyDropped, parse_server_message};
