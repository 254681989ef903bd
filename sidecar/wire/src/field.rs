//! Header fields: reading one line strictly, and which names the sidecar itself answers for.
//!
//! [`http::HeaderName`] and [`http::HeaderValue`] can't hold a line break, so what is built of them can't inject one.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};

/// Reads one field line without its line ending (RFC 9112 section 5).
///
/// # Errors
/// [`FieldError`] for a folded line, a malformed name or a value with control characters.
pub fn parse_line(line: &[u8]) -> Result<(HeaderName, HeaderValue), FieldError> {
    if line.first().is_some_and(|byte| is_blank(*byte)) {
        return Err(FieldError::Folded);
    }
    let mut parts = line.splitn(2, |byte| *byte == b':');
    let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
        return Err(FieldError::NoColon);
    };
    let name = HeaderName::from_bytes(name).map_err(|_| FieldError::Name)?;
    let value = HeaderValue::from_bytes(trim(value)).map_err(|_| FieldError::Value)?;
    Ok((name, value))
}

/// Without spaces and tabs at both ends.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Why a field line is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Begins with a blank (obs-fold, RFC 9112 section 5.2).
    #[error("found a folded header line")]
    Folded,
    /// No colon.
    #[error("expected `name: value`")]
    NoColon,
    /// Not a token; a space before the colon included.
    #[error("expected a header name of token characters right before the colon")]
    Name,
    /// A control character in the value.
    #[error("found a control character in a header value")]
    Value,
}

/// Fields that belong to one connection, or that the sidecar writes itself (RFC 9110 section 7.6.1).
const OF_THE_CONNECTION: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that make some servers act on another method, path or host than the judged one, or that only a proxy may set.
const OVERRIDING: &[&str] = &[
    "forwarded",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// Families that never pass: proxy credentials, what proxies add, and Pinfold's own.
const NEVER_PASSING_PREFIXES: &[&str] = &["proxy-", "x-forwarded-", "x-pinfold-"];

/// Fields that `Connection` can't make vanish: losing them would change what the message says.
const PROTECTED: &[&str] = &[
    "authorization",
    "content-encoding",
    "content-type",
    "cookie",
    "host",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "origin",
    "traceparent",
    "tracestate",
];

/// Whether a field is left out when a message is passed on.
#[must_use]
pub fn is_stripped(name: &HeaderName) -> bool {
    let dashed = with_dashes(name);
    let stripped = OF_THE_CONNECTION.contains(&dashed.as_ref())
        || OVERRIDING.contains(&dashed.as_ref())
        || NEVER_PASSING_PREFIXES.iter().any(|prefix| dashed.starts_with(prefix));
    // CGI and WSGI servers fold `_` and `-`: a twin of a field that matters would shadow it.
    stripped || (dashed != name.as_str() && PROTECTED.contains(&dashed.as_ref()))
}

/// Whether `Connection` may name this field.
#[must_use]
pub fn is_protected(name: &HeaderName) -> bool {
    PROTECTED.contains(&name.as_str())
}

/// Whether a field may stand in a trailer; those that frame, route or authenticate may not (RFC 9110 section 6.5.1).
#[must_use]
pub fn is_trailer(name: &HeaderName) -> bool {
    !is_stripped(name) && !is_protected(name)
}

fn with_dashes(name: &HeaderName) -> Cow<'_, str> {
    if name.as_str().contains('_') {
        Cow::Owned(name.as_str().replace('_', "-"))
    } else {
        Cow::Borrowed(name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        type Case<'a> = (&'a [u8], Result<(&'a str, &'a [u8]), FieldError>);
        let cases: &[Case<'_>] = &[
            (b"Accept: a, b", Ok(("accept", b"a, b"))),
            (b"Accept:", Ok(("accept", b""))),
            (b"Accept: \t a \t", Ok(("accept", b"a"))),
            (b"X-A: b:c", Ok(("x-a", b"b:c"))),
            (b"X-A: caf\xc3\xa9", Ok(("x-a", b"caf\xc3\xa9"))),
            (b" X: folded", Err(FieldError::Folded)),
            (b"\tX: folded", Err(FieldError::Folded)),
            (b"Accept", Err(FieldError::NoColon)),
            (b": value", Err(FieldError::Name)),
            (b"Accept : a", Err(FieldError::Name)),
            (b"Ac cept: a", Err(FieldError::Name)),
            (b"Acc\xc3\xa9pt: a", Err(FieldError::Name)),
            (b"A\0: a", Err(FieldError::Name)),
            (b"A: a\0b", Err(FieldError::Value)),
            (b"A: a\rb", Err(FieldError::Value)),
            (b"A: a\nb", Err(FieldError::Value)),
            (b"A: a\x7f", Err(FieldError::Value)),
        ];
        for (line, expected) in cases {
            let found = parse_line(line);
            let found = found.as_ref().map(|(name, value)| (name.as_str(), value.as_bytes()));
            assert_eq!(found, expected.as_ref().map(|pair| *pair), "{}", line.escape_ascii());
        }
        for byte in b"\"(),/;<=>?@[\\]{}" {
            assert_eq!(parse_line(&[b'A', *byte, b':']), Err(FieldError::Name), "{byte}");
        }
    }

    #[test]
    fn rows_60_61_102_names() {
        // name, stripped, protected
        let cases = [
            ("accept", false, false),
            ("authorization", false, true),
            ("host", false, true),
            ("x-api_key", false, false),
            ("connection", true, false),
            ("te", true, false),
            ("upgrade", true, false),
            ("proxy-authorization", true, false),
            ("proxy-connection", true, false),
            ("proxy_authorization", true, false),
            ("x-pinfold-agent", true, false),
            ("x_pinfold_agent", true, false),
            ("x-forwarded-host", true, false),
            ("x-http-method-override", true, false),
            ("x_http_method_override", true, false),
            ("x-original-url", true, false),
            ("transfer_encoding", true, false),
            ("content_length", true, false),
            ("content_type", true, false),
            ("mcp_name", true, false),
        ];
        for (text, stripped, protected) in cases {
            let name = HeaderName::from_static(text);
            assert_eq!((is_stripped(&name), is_protected(&name)), (stripped, protected), "{text}");
        }
    }
}
