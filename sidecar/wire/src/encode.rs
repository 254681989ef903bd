//! Heads as they are passed on: written anew from what was judged, never copied.
//!
//! Every part is a type that can't hold a line break ([`http::HeaderValue`], [`RequestPath`], [`Authority`]), so nothing can
//! inject a field. Connection fields, proxy fields and Pinfold's own never pass, whatever `Connection` says.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::authority::Authority;
use crate::body::BodyFraming;
use crate::field;
use crate::head::{self, Head};
use crate::path::RequestPath;

#[cfg(test)]
mod tests;

/// Ends a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Ends one chunk's data.
pub const CHUNK_END: &[u8] = b"\r\n";
/// Lets a client send the body that it holds back.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A request head on its way to the upstream.
#[derive(Debug, Clone)]
pub struct ForwardHead {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: BodyFraming,
    websocket: bool,
}

impl ForwardHead {
    /// The head to forward: the judged path, `Host` from the judged authority, the framing that was read.
    #[must_use]
    pub fn new(head: &Head, path: &RequestPath) -> Self {
        Self::to(head, &head.authority, path)
    }

    /// The same to another authority, such as that of a named upstream.
    #[must_use]
    pub fn to(head: &Head, authority: &Authority, path: &RequestPath) -> Self {
        // A head whose `Connection` can't be read is refused when it is parsed.
        let options = head::connection_options(&head.headers).unwrap_or_default();
        let mut headers = passed_on(&head.headers, &options);
        // An authority consists of host characters, digits, brackets and colons only.
        if let Ok(host) = HeaderValue::from_str(&authority.to_string()) {
            headers.insert(header::HOST, host);
        }
        let (method, target) = (head.method.clone(), path.to_wire());
        Self { method, target, headers, body: head.body, websocket: false }
    }

    /// Replaces a field, such as one that carries a credential.
    ///
    /// # Errors
    /// [`EncodeError::Reserved`] for `Host` and for fields that never pass.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), EncodeError> {
        if name == header::HOST || field::is_stripped(&name) {
            return Err(EncodeError::Reserved(name));
        }
        self.headers.insert(name, value);
        Ok(())
    }

    /// Drops a field, such as one in which a credential will be set.
    pub fn remove(&mut self, name: &HeaderName) {
        if *name != header::HOST {
            self.headers.remove(name);
        }
    }

    /// Asks for a change to WebSocket; only what was checked to ask for it may come here.
    pub(crate) fn ask_for_websocket(&mut self) {
        self.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        self.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        self.websocket = true;
    }

    /// Whether it asks for a change to WebSocket.
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        self.websocket
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// All fields but the framing, `Host` included.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// How the body is delimited.
    #[must_use]
    pub fn body(&self) -> BodyFraming {
        self.body
    }

    /// The head as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        push_fields(&mut bytes, &self.headers);
        match self.body {
            BodyFraming::None if expects_body(&self.method) => push_length(&mut bytes, 0),
            BodyFraming::None => {}
            BodyFraming::Length(length) => push_length(&mut bytes, length),
            BodyFraming::Chunked => bytes.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

/// RFC 9110 section 8.6: these say `Content-Length: 0` when they are empty.
fn expects_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

/// A response head to the agent: the upstream's fields without those that never pass, and our framing.
///
/// `BodyFraming::None` says that there is no content; a reply to HEAD names the framing that GET would have.
#[must_use]
pub fn response_head(
    status: StatusCode,
    headers: &HeaderMap,
    body: BodyFraming,
    keep_alive: bool,
) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    push_fields(&mut bytes, &reply_headers(headers));
    let bodiless = status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    match body {
        _ if bodiless => {}
        BodyFraming::None => push_length(&mut bytes, 0),
        BodyFraming::Length(length) => push_length(&mut bytes, length),
        BodyFraming::Chunked => bytes.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    if !keep_alive {
        bytes.extend_from_slice(b"connection: close\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// The fields of an upstream's reply that pass to the agent, without any framing.
#[must_use]
pub fn reply_headers(headers: &HeaderMap) -> HeaderMap {
    passed_on(headers, &head::connection_options(headers).unwrap_or_default())
}

/// The trailer fields that pass: those that neither frame, route nor authenticate (RFC 9110 section 6.5.1).
#[must_use]
pub fn trailers(trailers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(trailers.len());
    for (name, value) in trailers.iter().filter(|(name, _)| field::is_trailer(name)) {
        passed.append(name.clone(), value.clone());
    }
    passed
}

/// The line before a chunk's data; [`CHUNK_END`] follows the data. Nothing for an empty chunk, which would end the body.
#[must_use]
pub fn chunk_line(data_bytes: usize) -> Vec<u8> {
    if data_bytes == 0 { Vec::new() } else { format!("{data_bytes:x}\r\n").into_bytes() }
}

/// The fields that pass, in their order.
fn passed_on(headers: &HeaderMap, connection_options: &[String]) -> HeaderMap {
    let passes = |name: &HeaderName| {
        let named = connection_options.iter().any(|option| option == name.as_str());
        !field::is_stripped(name) && (!named || field::is_protected(name))
    };
    let passing = headers.iter().filter(|(name, _)| passes(name));
    let mut passed = HeaderMap::with_capacity(headers.len());
    for (name, value) in passing {
        passed.append(name.clone(), value.clone());
    }
    passed
}

fn push_fields(bytes: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
}

fn push_length(bytes: &mut Vec<u8>, length: u64) {
    bytes.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
}

/// Why a head can't be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A field that the sidecar writes itself or never passes.
    #[error("header `{0}` can't be set: it belongs to the connection")]
    Reserved(HeaderName),
}
