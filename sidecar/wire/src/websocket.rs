//! The opening handshake of WebSocket (RFC 6455 section 4), both ways. What comes after it is not looked at.
//!
//! Nothing here decides whether a change is allowed, or computes the key's answer.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::body::BodyFraming;
use crate::encode::{ForwardHead, reply_headers};
use crate::head::{self, Head, Upgrade};
use crate::path::RequestPath;

#[cfg(test)]
mod tests;

/// Characters of `Sec-WebSocket-Key`: 16 bytes in base64.
const KEY_CHARACTERS: usize = 24;
/// The only version (RFC 6455 section 4.1).
const VERSION: &[u8] = b"13";
/// Fields of the handshake that are there once at most.
const SINGLE: &[HeaderName] =
    &[header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION, header::SEC_WEBSOCKET_ACCEPT];

/// Checks a request that asks for WebSocket, and gives its key.
///
/// # Errors
/// [`WebSocketError`] for what a server could take for something else.
pub fn key(head: &Head) -> Result<&HeaderValue, WebSocketError> {
    if head.upgrade != Some(Upgrade::WebSocket) || !has_option(&head.headers) {
        return Err(WebSocketError::Upgrade);
    }
    if head.method != Method::GET || head.body != BodyFraming::None || head.expect_continue {
        return Err(WebSocketError::Method);
    }
    if SINGLE.iter().any(|name| head.headers.get_all(name).iter().count() > 1) {
        return Err(WebSocketError::Repeated);
    }
    let version = head.headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
    if version != Some(VERSION) {
        return Err(WebSocketError::Version);
    }
    let key = head.headers.get(header::SEC_WEBSOCKET_KEY).ok_or(WebSocketError::Key)?;
    if is_key(key.as_bytes()) { Ok(key) } else { Err(WebSocketError::Key) }
}

/// Base64 of 16 bytes: 22 digits and two equals signs.
fn is_key(key: &[u8]) -> bool {
    let digits = key.strip_suffix(b"==").unwrap_or_default();
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == KEY_CHARACTERS && digits.iter().all(digit)
}

fn has_option(headers: &HeaderMap) -> bool {
    let options = head::connection_options(headers).unwrap_or_default();
    options.iter().any(|option| option == "upgrade")
}

/// The request to forward: as [`ForwardHead::new`], and it asks for WebSocket.
///
/// # Errors
/// As [`key`].
pub fn forward(head: &Head, path: &RequestPath) -> Result<ForwardHead, WebSocketError> {
    key(head)?;
    let mut forward = ForwardHead::new(head, path);
    forward.ask_for_websocket();
    Ok(forward)
}

/// Checks that a reply changes to what was asked for. `accept` is what `Sec-WebSocket-Accept` must be.
///
/// # Errors
/// [`WebSocketError`]; then nothing of the reply may be passed on.
pub fn check_reply(headers: &HeaderMap, accept: &str) -> Result<(), WebSocketError> {
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    let websocket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    let changes = protocols.next().is_some_and(websocket) && protocols.next().is_none();
    if !changes || !has_option(headers) {
        return Err(WebSocketError::Upgrade);
    }
    let mut accepts = headers.get_all(header::SEC_WEBSOCKET_ACCEPT).iter();
    let accepted = accepts.next().is_some_and(|value| value.as_bytes() == accept.as_bytes());
    if accepted && accepts.next().is_none() { Ok(()) } else { Err(WebSocketError::Accept) }
}

/// The head of the reply that changes the protocol, for the agent.
#[must_use]
pub fn switching_head(headers: &HeaderMap) -> Vec<u8> {
    let status = StatusCode::SWITCHING_PROTOCOLS;
    let mut bytes = format!("HTTP/1.1 {} Switching Protocols\r\n", status.as_str()).into_bytes();
    for (name, value) in &reply_headers(headers) {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\n\r\n");
    bytes
}

/// Why a handshake is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebSocketError {
    /// Not `Connection: upgrade` with `Upgrade: websocket` alone.
    #[error("expected `Connection: Upgrade` and `Upgrade: websocket`")]
    Upgrade,
    /// Another method than GET, or a body.
    #[error("expected GET without a body")]
    Method,
    /// A field of the handshake twice.
    #[error("found a field of the handshake twice")]
    Repeated,
    /// Another version.
    #[error("expected `Sec-WebSocket-Version: 13`")]
    Version,
    /// No key, or one that isn't 16 bytes in base64.
    #[error("expected a `Sec-WebSocket-Key` of 16 bytes in base64")]
    Key,
    /// Another answer than the one that belongs to the key.
    #[error("expected the `Sec-WebSocket-Accept` that belongs to the key")]
    Accept,
}

impl WebSocketError {
    /// The reason in answers, metrics and records.
    #[must_use]
    pub fn reason(self) -> &'static str {
        "websocket"
    }
}
