//! Heads of HTTP/1.1 requests, read more strictly than RFC 9112 asks: what lenient servers repair, this refuses.
//!
//! Line endings are CRLF, `Host` is there once and agrees with the target, and the body is framed in one way only.
//! HTTP/1.0 is read for CONNECT alone, because clients in use (Python before 3.12) open tunnels with it.
//! Methods, upgrades and hosts are facts here; whether they may pass is decided elsewhere.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::authority::{Authority, AuthorityError};
use crate::body::BodyFraming;
use crate::field::{self, FieldError};
use crate::path::{PathError, RequestPath};

#[cfg(test)]
mod tests;

/// Bytes of a whole head.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes of the request line.
pub const REQUEST_LINE_BYTES_MAX: usize = 8 * 1024;
/// Header fields of a head.
pub const HEADERS_MAX: usize = 100;

/// The port of `http`.
const HTTP_PORT: u16 = 80;
const HEAD_END: &[u8; 4] = b"\r\n\r\n";

/// A request head.
#[derive(Debug, Clone)]
pub struct Head {
    /// The method, case-sensitive; known or not.
    pub method: Method,
    /// The form of the target.
    pub target: Target,
    /// The endpoint asked for: of a CONNECT or absolute-form target, else of `Host`.
    pub authority: Authority,
    /// All fields, `Host` and the framing included.
    pub headers: HeaderMap,
    /// How the body is delimited.
    pub body: BodyFraming,
    /// Whether the connection stays open after this message.
    pub keep_alive: bool,
    /// What protocol the client asks to change to.
    pub upgrade: Option<Upgrade>,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
}

/// A request target (RFC 9112 section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `/path?query`.
    Origin(RawPath),
    /// `http://authority/path?query`.
    Absolute(RawPath),
    /// `authority`, of CONNECT.
    Authority,
    /// `*`, of OPTIONS.
    Asterisk,
}

/// A path that nobody may judge or forward before it is normalized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawPath(String);

impl RawPath {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The path in its one reading.
    ///
    /// # Errors
    /// [`PathError`] when there is more than one.
    pub fn normalize(&self) -> Result<RequestPath, PathError> {
        RequestPath::parse(&self.0)
    }

    /// The path in its one reading, or as it was written: see [`RequestPath::read`].
    ///
    /// # Errors
    /// [`PathError`] for what no server should take.
    pub fn read(&self) -> Result<RequestPath, PathError> {
        RequestPath::read(&self.0)
    }
}

/// A protocol change asked for by the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// HTTP/2 without TLS, and nothing else: what a server may ignore, and clients expect it to (RFC 9110 section 7.8).
    H2c,
    /// WebSocket alone.
    WebSocket,
    /// Anything else.
    Other,
}

/// Reads one head from a growing buffer, looking at each byte once until the head is complete.
#[derive(Debug, Default)]
pub struct HeadReader {
    scanned: usize,
    first_line_ended: bool,
}

impl HeadReader {
    /// A reader at the beginning of a head.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at `buffer`, which holds all bytes since the beginning of the head: the head and its length in bytes, or nothing
    /// while it is incomplete.
    ///
    /// # Errors
    /// [`HeadError`]; the connection can't be used any further.
    pub fn read(&mut self, buffer: &[u8]) -> Result<Option<(Head, usize)>, HeadError> {
        let Some(end) = self.scan(buffer)? else {
            return Ok(None);
        };
        let lines = buffer.get(..end.saturating_sub(HEAD_END.len())).unwrap_or_default();
        parse_lines(lines).map(|head| Some((head, end)))
    }

    /// Refuses what can be refused early; finds the end of the head.
    fn scan(&mut self, buffer: &[u8]) -> Result<Option<usize>, HeadError> {
        if buffer.first().is_some_and(|byte| !byte.is_ascii_graphic()) {
            return Err(HeadError::RequestLine);
        }
        let window = buffer.get(..buffer.len().min(HEAD_BYTES_MAX)).unwrap_or_default();
        for (at, byte) in window.iter().enumerate().skip(self.scanned) {
            let before = at.checked_sub(1).and_then(|at| window.get(at));
            check_byte(before.copied(), *byte)?;
            let end = at.saturating_add(1);
            if *byte == b'\n' {
                self.first_line_ended = true;
                if window.get(..end).is_some_and(|head| head.ends_with(HEAD_END)) {
                    return Ok(Some(end));
                }
            }
            if !self.first_line_ended && end > REQUEST_LINE_BYTES_MAX {
                return Err(HeadError::RequestLineTooLarge);
            }
            self.scanned = end;
        }
        if buffer.len() >= HEAD_BYTES_MAX {
            return Err(HeadError::TooLarge);
        }
        Ok(None)
    }
}

/// Reads the head at the beginning of `buffer`; see [`HeadReader::read`].
///
/// # Errors
/// As there.
pub fn parse(buffer: &[u8]) -> Result<Option<(Head, usize)>, HeadError> {
    HeadReader::new().read(buffer)
}

fn check_byte(before: Option<u8>, byte: u8) -> Result<(), HeadError> {
    match (before, byte) {
        (Some(b'\r'), b'\n') => Ok(()),
        (Some(b'\r'), _) | (_, b'\n') => Err(HeadError::LineEnding),
        (_, b'\r' | b'\t' | 0x20..=0x7e | 0x80..) => Ok(()),
        (_, _) => Err(HeadError::ControlCharacter),
    }
}

fn parse_lines(lines: &[u8]) -> Result<Head, HeadError> {
    let mut lines =
        lines.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = RequestLine::parse(lines.next().unwrap_or_default())?;
    let mut headers = HeaderMap::new();
    for (count, text) in lines.enumerate() {
        if count >= HEADERS_MAX {
            return Err(HeadError::TooManyHeaders);
        }
        let (name, value) = field::parse_line(text).map_err(HeadError::Field)?;
        headers.append(name, value);
    }
    assemble(line, headers)
}

fn assemble(line: RequestLine<'_>, headers: HeaderMap) -> Result<Head, HeadError> {
    let host = read_host(&headers, line.old)?;
    let (target, authority) = read_target(&line, host)?;
    let body = read_framing(&headers)?;
    if target == Target::Authority && body != BodyFraming::None {
        return Err(HeadError::Framing);
    }
    let options = connection_options(&headers)?;
    Ok(Head {
        upgrade: read_upgrade(&headers, &options),
        expect_continue: read_expect(&headers)?,
        keep_alive: !line.old && !options.iter().any(|option| option == "close"),
        method: line.method,
        target,
        authority,
        headers,
        body,
    })
}

struct RequestLine<'a> {
    method: Method,
    target: &'a str,
    /// HTTP/1.0.
    old: bool,
}

impl<'a> RequestLine<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, HeadError> {
        let line = std::str::from_utf8(line).map_err(|_| HeadError::RequestLine)?;
        let mut parts = line.split(' ');
        let parts = [parts.next(), parts.next(), parts.next(), parts.next()];
        let [Some(method), Some(target), Some(version), None] = parts else {
            return Err(HeadError::RequestLine);
        };
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| HeadError::RequestLine)?;
        let old = match version {
            "HTTP/1.1" => false,
            "HTTP/1.0" if method == Method::CONNECT => true,
            _ if version.starts_with("HTTP/") => return Err(HeadError::Version),
            _ => return Err(HeadError::RequestLine),
        };
        if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HeadError::Target);
        }
        Ok(Self { method, target, old })
    }
}

/// The value of `Host`, exactly one (RFC 9112 section 3.2); HTTP/1.0 may go without.
fn read_host(headers: &HeaderMap, old: bool) -> Result<Option<Authority>, HeadError> {
    let mut values = headers.get_all(header::HOST).iter();
    match (values.next(), values.next()) {
        (None, _) if old => Ok(None),
        (None, _) => Err(HeadError::HostMissing),
        (Some(_), Some(_)) => Err(HeadError::HostRepeated),
        (Some(value), None) => {
            // Not `to_str`, so that bytes outside ASCII get their own reason.
            let text = std::str::from_utf8(value.as_bytes()).map_err(|_| {
                HeadError::Host(AuthorityError::Host(pinfold_model::host::HostError::NotAscii))
            })?;
            Authority::parse(text).map(Some).map_err(HeadError::Host)
        }
    }
}

fn read_target(
    line: &RequestLine<'_>,
    host: Option<Authority>,
) -> Result<(Target, Authority), HeadError> {
    let connect = line.method == Method::CONNECT;
    if connect {
        let authority = Authority::parse(line.target).map_err(HeadError::TargetAuthority)?;
        let port = authority.port.ok_or(HeadError::Target)?;
        let agrees = |host: &Authority| {
            host.host == authority.host && host.port.is_none_or(|other| other == port)
        };
        if !host.as_ref().is_none_or(agrees) {
            return Err(HeadError::HostMismatch);
        }
        return Ok((Target::Authority, authority));
    }
    let host = host.ok_or(HeadError::HostMissing)?;
    if line.target.starts_with('/') {
        return Ok((Target::Origin(RawPath(line.target.to_owned())), host));
    }
    if line.target == "*" && line.method == Method::OPTIONS {
        return Ok((Target::Asterisk, host));
    }
    let (authority, path) = read_absolute(line.target)?;
    if !authority.same_endpoint(&host, HTTP_PORT) {
        return Err(HeadError::HostMismatch);
    }
    let target = match (path, &line.method) {
        ("", &Method::OPTIONS) => Target::Asterisk,
        (path, _) if path.starts_with('/') => Target::Absolute(RawPath(path.to_owned())),
        (path, _) => Target::Absolute(RawPath(format!("/{path}"))),
    };
    Ok((target, authority))
}

/// `http://authority` and the rest, of the absolute form.
fn read_absolute(target: &str) -> Result<(Authority, &str), HeadError> {
    let (scheme, rest) = target.split_once("://").ok_or(HeadError::Target)?;
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(HeadError::Scheme);
    }
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).ok_or(HeadError::Target)?;
    let authority = Authority::parse(authority).map_err(HeadError::TargetAuthority)?;
    Ok((authority, path))
}

/// `Content-Length` or `Transfer-Encoding: chunked`, never both (RFC 9112 section 6.3).
fn read_framing(headers: &HeaderMap) -> Result<BodyFraming, HeadError> {
    let coding = single(headers, &header::TRANSFER_ENCODING)?;
    let length = single(headers, &header::CONTENT_LENGTH)?;
    match (coding.map(HeaderValue::as_bytes), length) {
        (None, None) => Ok(BodyFraming::None),
        (Some(b"chunked"), None) => Ok(BodyFraming::Chunked),
        (None, Some(length)) => match read_length(length.as_bytes())? {
            0 => Ok(BodyFraming::None),
            length => Ok(BodyFraming::Length(length)),
        },
        (Some(_), _) => Err(HeadError::Framing),
    }
}

fn single<'a>(
    headers: &'a HeaderMap,
    name: &header::HeaderName,
) -> Result<Option<&'a HeaderValue>, HeadError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(HeadError::Framing),
    }
}

fn read_length(digits: &[u8]) -> Result<u64, HeadError> {
    let plain = digits.iter().all(u8::is_ascii_digit);
    let padded = digits.len() > 1 && digits.first() == Some(&b'0');
    let text = std::str::from_utf8(digits).map_err(|_| HeadError::Framing)?;
    if !plain || padded {
        return Err(HeadError::Framing);
    }
    text.parse().map_err(|_| HeadError::Framing)
}

/// The options of all `Connection` fields, lower case.
pub(crate) fn connection_options(headers: &HeaderMap) -> Result<Vec<String>, HeadError> {
    list(headers, &header::CONNECTION).ok_or(HeadError::Field(FieldError::Value))
}

/// The members of a comma-separated field, lower case; none when a value isn't visible ASCII.
fn list(headers: &HeaderMap, name: &header::HeaderName) -> Option<Vec<String>> {
    let mut members = Vec::new();
    for value in headers.get_all(name) {
        let texts = value.to_str().ok()?.split(',').map(str::trim);
        members.extend(texts.filter(|text| !text.is_empty()).map(str::to_ascii_lowercase));
    }
    Some(members)
}

fn read_upgrade(headers: &HeaderMap, options: &[String]) -> Option<Upgrade> {
    let protocols = list(headers, &header::UPGRADE).unwrap_or_else(|| vec![String::new()]);
    let h2c = |text: &String| text == "h2c" || text == "h2" || text.starts_with("http/2");
    if !protocols.is_empty() && protocols.iter().all(h2c) {
        return Some(Upgrade::H2c);
    }
    match protocols.as_slice() {
        [] if !options.iter().any(|option| option == "upgrade") => None,
        [protocol] if protocol == "websocket" => Some(Upgrade::WebSocket),
        _ => Some(Upgrade::Other),
    }
}

fn read_expect(headers: &HeaderMap) -> Result<bool, HeadError> {
    match headers.get(header::EXPECT) {
        None => Ok(false),
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(HeadError::Expectation),
    }
}

/// Why a head is refused. After it the connection is closed: where the next message begins is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// More than [`HEAD_BYTES_MAX`].
    #[error("the head is larger than {HEAD_BYTES_MAX} bytes")]
    TooLarge,
    /// More than [`REQUEST_LINE_BYTES_MAX`].
    #[error("the request line is larger than {REQUEST_LINE_BYTES_MAX} bytes")]
    RequestLineTooLarge,
    /// More than [`HEADERS_MAX`].
    #[error("the head has more than {HEADERS_MAX} fields")]
    TooManyHeaders,
    /// A bare CR or LF.
    #[error("expected lines that end with CRLF")]
    LineEnding,
    /// NUL or another control character.
    #[error("found a control character")]
    ControlCharacter,
    /// Not `method SP target SP version`.
    #[error("expected `method target HTTP/1.1`")]
    RequestLine,
    /// A version other than 1.1 (1.0 for CONNECT).
    #[error("expected HTTP/1.1")]
    Version,
    /// A target of no form, or of one that the method doesn't take.
    #[error("expected a path, `http://host/path`, or `host:port` with CONNECT")]
    Target,
    /// The authority inside the target.
    #[error("request target: {0}")]
    TargetAuthority(AuthorityError),
    /// An absolute target of another scheme.
    #[error("expected an `http` target; use CONNECT for `https`")]
    Scheme,
    /// Another `:scheme` than that of the connection, or none.
    #[error("expected the pseudo-header fields of a request inside TLS, with `:scheme` `https`")]
    PseudoFields,
    /// No `Host`.
    #[error("expected a host header")]
    HostMissing,
    /// More than one `Host`.
    #[error("expected one host header, found more")]
    HostRepeated,
    /// A `Host` that is no authority.
    #[error("host header: {0}")]
    Host(AuthorityError),
    /// `Host` and target differ.
    #[error("the host header differs from the request target")]
    HostMismatch,
    /// A malformed field.
    #[error("{0}")]
    Field(FieldError),
    /// Both framings, one twice, or one that isn't plain; a CONNECT with a body.
    #[error("expected one `Content-Length` in decimal or `Transfer-Encoding: chunked`, not both")]
    Framing,
    /// An `Expect` other than `100-continue`.
    #[error("expected no expectation but `100-continue`")]
    Expectation,
}

impl HeadError {
    /// The status to answer with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge | Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::RequestLineTooLarge => StatusCode::URI_TOO_LONG,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::LineEnding
            | Self::ControlCharacter
            | Self::RequestLine
            | Self::Target
            | Self::TargetAuthority(_)
            | Self::Scheme
            | Self::PseudoFields
            | Self::HostMissing
            | Self::HostRepeated
            | Self::Host(_)
            | Self::HostMismatch
            | Self::Field(_)
            | Self::Framing => StatusCode::BAD_REQUEST,
        }
    }

    /// The reason in answers, metrics and records.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooLarge | Self::RequestLineTooLarge | Self::TooManyHeaders => "head-limit",
            Self::LineEnding | Self::ControlCharacter | Self::RequestLine | Self::Field(_) => {
                "head-malformed"
            }
            Self::Version => "http-version",
            Self::Target => "target-invalid",
            Self::Scheme | Self::PseudoFields => "target-scheme",
            Self::TargetAuthority(error) | Self::Host(error) => error.reason(),
            Self::HostMissing | Self::HostRepeated => "host-header",
            Self::HostMismatch => "host-mismatch",
            Self::Framing => "body-framing",
            Self::Expectation => "expectation",
        }
    }
}
