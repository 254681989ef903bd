//! The HTTP headers that MCP gives a meaning to. They are compared with the body and then written anew, never trusted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Map, Value};

use super::error::{McpError, McpErrorKind};

#[cfg(test)]
mod tests;

/// The header of the revision.
pub(super) const VERSION: &str = "mcp-protocol-version";
/// The header that mirrors `method`.
pub(super) const METHOD: &str = "mcp-method";
/// The header that mirrors `params.name` or `params.uri`.
pub(super) const NAME: &str = "mcp-name";
const SESSION: &str = "mcp-session-id";
const PARAMETER_PREFIX: &str = "mcp-param-";
/// The schema keyword that asks for a mirrored argument.
const PARAMETER_KEYWORD: &str = "x-mcp-header";

/// Bytes of a session id.
const SESSION_BYTES_MAX: usize = 512;
/// Levels of `properties` that are searched for mirrored arguments.
const SCHEMA_DEPTH_MAX: usize = 16;

const SENTINEL_START: &str = "=?base64?";
const SENTINEL_END: &str = "?=";

/// The headers of one POST.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct McpHeaders {
    /// `MCP-Protocol-Version`.
    pub protocol_version: Option<String>,
    /// `Mcp-Method`.
    pub method: Option<String>,
    /// `Mcp-Name`, decoded.
    pub name: Option<String>,
    pub(super) session_id: Option<String>,
}

impl McpHeaders {
    /// Reads the headers of a POST.
    ///
    /// # Errors
    /// A content type that isn't `application/json`, an encoded body, an `Accept` without both forms of a reply, a header there
    /// twice or malformed.
    pub fn read(headers: &HeaderMap) -> Result<Self, McpError> {
        Self::read_kind(headers).map_err(|kind| kind.with_id(None))
    }

    fn read_kind(headers: &HeaderMap) -> Result<Self, McpErrorKind> {
        check_content_type(headers)?;
        check_accept(headers)?;
        let name = match single(headers, NAME)? {
            Some(text) => Some(decode(&text).ok_or(McpErrorKind::Header(NAME))?),
            None => None,
        };
        Ok(Self {
            protocol_version: single(headers, VERSION)?,
            method: single(headers, METHOD)?,
            name,
            session_id: session_id(headers)?,
        })
    }

    /// `Mcp-Session-Id`. It authenticates in the revisions with sessions, so it is kept out of debug output.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }
}

impl std::fmt::Debug for McpHeaders {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("McpHeaders")
            .field("protocol_version", &self.protocol_version)
            .field("method", &self.method)
            .field("name", &self.name)
            .field("session_id", &self.session_id.as_ref().map(|_| "(hidden)"))
            .finish()
    }
}

fn session_id(headers: &HeaderMap) -> Result<Option<String>, McpErrorKind> {
    let fits = |text: &String| {
        (1..=SESSION_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match single(headers, SESSION)? {
        Some(text) if !fits(&text) => Err(McpErrorKind::Header(SESSION)),
        text => Ok(text),
    }
}

/// The only value of a header, of visible ASCII.
fn single(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, McpErrorKind> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(McpErrorKind::Header(name)),
        },
        (Some(_), Some(_)) => Err(McpErrorKind::Header(name)),
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), McpErrorKind> {
    let refused = |_| McpErrorKind::ContentType;
    let text = single(headers, "content-type").map_err(refused)?.unwrap_or_default();
    let (essence, parameter) = match text.split_once(';') {
        Some((essence, parameter)) => (essence, Some(parameter.trim())),
        None => (text.as_str(), None),
    };
    let utf_8 = parameter.is_none_or(|parameter| {
        ["charset=utf-8", "charset=\"utf-8\""]
            .iter()
            .any(|text| parameter.eq_ignore_ascii_case(text))
    });
    let encoding = single(headers, "content-encoding").map_err(refused)?;
    let plain = encoding.is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"));
    if essence.trim().eq_ignore_ascii_case("application/json") && utf_8 && plain {
        Ok(())
    } else {
        Err(McpErrorKind::ContentType)
    }
}

/// Both forms of a reply must be acceptable: which one comes is the server's choice.
fn check_accept(headers: &HeaderMap) -> Result<(), McpErrorKind> {
    let mut ranges = Vec::new();
    for value in headers.get_all(header::ACCEPT) {
        let text = value.to_str().map_err(|_| McpErrorKind::NotAcceptable)?;
        ranges.extend(text.split(',').filter(|range| !is_excluded(range)).map(essence));
    }
    let accepts = |wanted: &[&str]| ranges.iter().any(|range| wanted.contains(&range.as_str()));
    let json = accepts(&["application/json", "application/*", "*/*"]);
    let stream = accepts(&["text/event-stream", "text/*", "*/*"]);
    if json && stream { Ok(()) } else { Err(McpErrorKind::NotAcceptable) }
}

fn essence(range: &str) -> String {
    range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a media range has the weight 0.
fn is_excluded(range: &str) -> bool {
    range.split(';').skip(1).any(|parameter| {
        let parameter = parameter.trim().to_ascii_lowercase();
        parameter
            .strip_prefix("q=")
            .is_some_and(|weight| weight.bytes().all(|byte| matches!(byte, b'0' | b'.')))
    })
}

/// Decodes a mirrored value (2026-07-28, "Value Encoding").
fn decode(text: &str) -> Option<String> {
    let inner =
        text.strip_prefix(SENTINEL_START).and_then(|inner| inner.strip_suffix(SENTINEL_END));
    match inner {
        Some(inner) => String::from_utf8(BASE64.decode(inner).ok()?).ok(),
        None => Some(text.to_owned()),
    }
}

/// Encodes a value to be mirrored: as it is where that is safe, else in Base64 between sentinels.
pub(super) fn encode(text: &str) -> Option<HeaderValue> {
    let plain = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let padded = text.starts_with(' ') || text.ends_with(' ');
    let like_sentinel = text.starts_with(SENTINEL_START) && text.ends_with(SENTINEL_END);
    if plain && !padded && !like_sentinel && !text.is_empty() {
        return HeaderValue::from_str(text).ok();
    }
    let encoded = format!("{SENTINEL_START}{}{SENTINEL_END}", BASE64.encode(text));
    HeaderValue::from_str(&encoded).ok()
}

/// The `Mcp-Param-*` headers of a call, from the tool's input schema and the judged arguments (2026-07-28, "Custom Headers from
/// Tool Parameters"); none when the schema's annotations are invalid, in which case the tool must be hidden.
#[must_use]
pub fn mirrored_arguments(
    input_schema: &Value,
    arguments: &Map<String, Value>,
) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let mut headers = Vec::new();
    let mut names = Vec::new();
    let arguments = Value::Object(arguments.clone());
    let found = Mirror { headers: &mut headers, names: &mut names };
    found.walk(input_schema, Some(&arguments), SCHEMA_DEPTH_MAX)?;
    (count_keyword(input_schema) == names.len()).then_some(headers)
}

struct Mirror<'m> {
    headers: &'m mut Vec<(HeaderName, HeaderValue)>,
    names: &'m mut Vec<HeaderName>,
}

impl Mirror<'_> {
    /// Follows `properties` alone: an annotation anywhere else is invalid.
    fn walk(self, schema: &Value, value: Option<&Value>, depth_left: usize) -> Option<()> {
        let Self { headers, names } = self;
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return Some(());
        };
        let depth_left = depth_left.checked_sub(1)?;
        for (name, property) in properties {
            let value = value.and_then(|value| value.get(name));
            if let Some(keyword) = property.get(PARAMETER_KEYWORD) {
                let header = parameter_header(keyword, property)?;
                if names.contains(&header) {
                    return None;
                }
                names.push(header.clone());
                if let Some(text) = value.and_then(parameter_text) {
                    headers.push((header, encode(&text)?));
                }
            }
            Mirror { headers, names }.walk(property, value, depth_left)?;
        }
        Some(())
    }
}

fn parameter_header(keyword: &Value, property: &Value) -> Option<HeaderName> {
    let primitive = matches!(property.get("type")?.as_str()?, "integer" | "string" | "boolean");
    let name = keyword.as_str().filter(|name| primitive && !name.is_empty())?;
    HeaderName::from_bytes(format!("{PARAMETER_PREFIX}{name}").as_bytes()).ok()
}

fn parameter_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// How often the keyword occurs anywhere. A property that happens to have the keyword's name counts too, and hides the tool.
fn count_keyword(schema: &Value) -> usize {
    match schema {
        Value::Object(members) => members.iter().fold(0, |count: usize, (name, member)| {
            let here = usize::from(name == PARAMETER_KEYWORD);
            count.saturating_add(here).saturating_add(count_keyword(member))
        }),
        Value::Array(items) => {
            items.iter().fold(0, |count: usize, item| count.saturating_add(count_keyword(item)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
