//! The path of a request, normalized once: what is judged is its decoded form, what is forwarded is the encoding of that form.
//!
//! A path that two servers could read differently (encoded slashes, double encoding, parameters, empty segments) is never repaired: it is
//! refused, or passed on as it was written where nothing is judged by it. Else only dot segments are resolved and escapes of unreserved
//! characters undone (RFC 3986 section 6.2.2).

#[cfg(test)]
mod tests;

/// A normalized path with its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPath {
    decoded: String,
    encoded: String,
    query: Option<String>,
    ambiguity: Option<PathError>,
}

impl RequestPath {
    /// Reads `raw`, an absolute path and an optional query, as it stood in a request target.
    ///
    /// # Errors
    /// [`PathError`] for whatever is ambiguous or malformed.
    pub fn parse(raw: &str) -> Result<Self, PathError> {
        let (path, query) = match raw.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (raw, None),
        };
        if let Some(query) = query {
            check_query(query)?;
        }
        let mut decoded = String::with_capacity(path.len());
        let mut encoded = String::with_capacity(path.len());
        for segment in resolve(path)? {
            decoded.push('/');
            decoded.push_str(&segment.decoded);
            encoded.push('/');
            encoded.push_str(&segment.encoded);
        }
        Ok(Self { decoded, encoded, query: query.map(str::to_owned), ambiguity: None })
    }

    /// The same, but a path that is only ambiguous, and a valid request target, comes back as it was written, with what is ambiguous in it.
    ///
    /// # Errors
    /// [`PathError`] for what no server should take.
    pub fn read(raw: &str) -> Result<Self, PathError> {
        let error = match Self::parse(raw) {
            Ok(path) => return Ok(path),
            Err(error) if error.ambiguity().is_none() => return Err(error),
            Err(error) => error,
        };
        let (path, query) = match raw.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (raw, None),
        };
        check_target(path)?;
        let text = path.to_owned();
        let query = query.map(str::to_owned);
        Ok(Self { decoded: text.clone(), encoded: text, query, ambiguity: Some(error) })
    }

    /// Why rules about paths can't be matched against it, if they can't.
    #[must_use]
    pub fn ambiguity(&self) -> Option<&'static str> {
        self.ambiguity.and_then(PathError::ambiguity)
    }

    /// The path that rules are matched against: percent-decoded, without dot segments. As it was written if it is ambiguous.
    #[must_use]
    pub fn decoded(&self) -> &str {
        &self.decoded
    }

    /// The query, without the question mark, as the client wrote it.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Path and query as they are forwarded; decodes to what was judged.
    #[must_use]
    pub fn to_wire(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.encoded),
            None => self.encoded.clone(),
        }
    }
}

struct Segment {
    decoded: String,
    encoded: String,
}

const EMPTY: fn() -> Segment = || Segment { decoded: String::new(), encoded: String::new() };

/// Splits into segments and resolves `.` and `..` (RFC 3986 section 5.2.4).
fn resolve(path: &str) -> Result<Vec<Segment>, PathError> {
    let mut rest = path.strip_prefix('/').ok_or(PathError::NotAbsolute)?.split('/').peekable();
    let mut segments = Vec::new();
    while let Some(raw) = rest.next() {
        let last = rest.peek().is_none();
        let segment = read_segment(raw)?;
        match segment.decoded.as_str() {
            "" if !last => return Err(PathError::EmptySegment),
            "." | ".." => {
                if segment.decoded == ".." {
                    segments.pop().ok_or(PathError::EscapesRoot)?;
                }
                if last {
                    segments.push(EMPTY());
                }
            }
            _ => segments.push(segment),
        }
    }
    Ok(segments)
}

fn read_segment(raw: &str) -> Result<Segment, PathError> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut encoded = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        let escaped = byte == b'%';
        let byte = if escaped { read_escape(&mut bytes)? } else { byte };
        check_byte(byte, escaped)?;
        decoded.push(byte);
        if escaped && !is_unreserved(byte) {
            encoded.push_str(&format!("%{byte:02X}"));
        } else {
            encoded.push(char::from(byte));
        }
    }
    let decoded = String::from_utf8(decoded).map_err(|_| PathError::Utf8)?;
    if decoded.chars().any(char::is_control) {
        return Err(PathError::Control);
    }
    Ok(Segment { decoded, encoded })
}

fn read_escape(bytes: &mut std::str::Bytes<'_>) -> Result<u8, PathError> {
    let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
    let (high, low) = (digit().ok_or(PathError::Escape)?, digit().ok_or(PathError::Escape)?);
    u8::try_from(high << 4 | low).map_err(|_| PathError::Escape)
}

fn check_byte(byte: u8, escaped: bool) -> Result<(), PathError> {
    match byte {
        b'/' => Err(PathError::EncodedSlash),
        b'\\' => Err(PathError::Backslash),
        b'%' => Err(PathError::DoubleEncoding),
        b';' => Err(PathError::Parameter),
        0..0x20 | 0x7f => Err(PathError::Control),
        _ if escaped || is_path_character(byte) => Ok(()),
        _ => Err(PathError::Character),
    }
}

/// An absolute path of RFC 3986 section 3.3 without control characters, whatever it means.
fn check_target(path: &str) -> Result<(), PathError> {
    let mut bytes = path.strip_prefix('/').ok_or(PathError::NotAbsolute)?.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match read_escape(&mut bytes)? {
                0..0x20 | 0x7f => return Err(PathError::Control),
                _ => {}
            },
            b'/' | b';' => {}
            _ if is_path_character(byte) => {}
            _ => return Err(PathError::Character),
        }
    }
    Ok(())
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// `pchar` of RFC 3986 section 3.3.
fn is_path_character(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,=:@".contains(&byte)
}

/// The query is passed on as it is, so it needs only to be one: visible ASCII, whole escapes, nothing that ends it.
fn check_query(query: &str) -> Result<(), PathError> {
    let mut bytes = query.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => drop(read_escape(&mut bytes)?),
            b'#' | b'"' | b'<' | b'>' => return Err(PathError::Character),
            0x21..0x7f => {}
            _ => return Err(PathError::Control),
        }
    }
    Ok(())
}

/// Why a path is refused, with 400, or can't be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Doesn't begin with a slash.
    #[error("expected a path that begins with `/`")]
    NotAbsolute,
    /// `%2F`.
    #[error("found an encoded slash, which servers read in two ways")]
    EncodedSlash,
    /// A backslash, plain or encoded.
    #[error("found a backslash, which servers read in two ways")]
    Backslash,
    /// `%25`.
    #[error("found an encoded percent sign, which a second decoding would change")]
    DoubleEncoding,
    /// A semicolon, plain or encoded.
    #[error("found a path parameter, which servers read in two ways")]
    Parameter,
    /// Two slashes in a row, which some servers merge.
    #[error("found an empty segment, which servers read in two ways")]
    EmptySegment,
    /// `..` above the root.
    #[error("the path leads above the root")]
    EscapesRoot,
    /// A control character, plain or encoded.
    #[error("found a control character")]
    Control,
    /// A character that must be escaped.
    #[error("found a character that must be percent-encoded")]
    Character,
    /// `%` without two hexadecimal digits.
    #[error("expected two hexadecimal digits after `%`")]
    Escape,
    /// Escapes that aren't UTF-8, overlong forms included.
    #[error("expected UTF-8")]
    Utf8,
}

impl PathError {
    /// The reason in answers, metrics and records.
    #[must_use]
    pub fn reason(self) -> &'static str {
        "path-ambiguous"
    }

    /// What servers read in several ways; none for what isn't a path at all.
    #[must_use]
    pub fn ambiguity(self) -> Option<&'static str> {
        match self {
            Self::EncodedSlash => Some("an encoded slash"),
            Self::Backslash => Some("a backslash"),
            Self::DoubleEncoding => Some("an encoded percent sign"),
            Self::Parameter => Some("a semicolon"),
            Self::EmptySegment => Some("an empty segment"),
            Self::EscapesRoot => Some("`..` above the root"),
            Self::Utf8 => Some("escapes that aren't UTF-8"),
            Self::NotAbsolute | Self::Control | Self::Character | Self::Escape => None,
        }
    }
}
