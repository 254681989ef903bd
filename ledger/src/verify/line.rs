//! One record line: parsed and made canonical again by this module's own code, so that an error of the writer shows.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::problem::ProblemKind;

/// What the chain needs of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) prev_hash: String,
    pub(crate) entry_hash: String,
    pub(crate) event: String,
    /// The signing key, in genesis records.
    pub(crate) signer: Option<String>,
}

/// Why a line is not an intact record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    NotJson(String),
    NotCanonical,
    NoMember(&'static str),
    /// The content has another hash than the line says.
    Hash {
        entry: Box<Entry>,
        actual: String,
    },
}

impl Fault {
    /// Kind, expected, found.
    pub(crate) fn explain(&self) -> (ProblemKind, String, String) {
        match self {
            Self::NotJson(error) => {
                (ProblemKind::NotJson, "one JSON object".to_owned(), error.clone())
            }
            Self::NotCanonical => (
                ProblemKind::NotCanonical,
                "canonical JSON (sorted keys, no white space, ASCII, no floats)".to_owned(),
                "another spelling".to_owned(),
            ),
            Self::NoMember(name) => (
                ProblemKind::NotCanonical,
                format!("a member `{name}`"),
                "none, or of another type".to_owned(),
            ),
            Self::Hash { entry, actual } => (
                ProblemKind::Edited,
                format!("content with SHA-256 {}", entry.entry_hash.escape_default()),
                actual.clone(),
            ),
        }
    }
}

/// Parses and checks one line, without its newline.
pub(crate) fn read(line: &[u8]) -> Result<Entry, Fault> {
    let mut members = object(line)?;
    let entry = Entry {
        seq: members.get("seq").and_then(Value::as_u64).ok_or(Fault::NoMember("seq"))?,
        prev_hash: text(&members, "prev_hash")?,
        entry_hash: text(&members, "entry_hash")?,
        event: text(&members, "event")?,
        signer: text(&members, "signer").ok(),
    };
    members.remove("entry_hash");
    let sealed = canonical(&Value::Object(members)).ok_or(Fault::NotCanonical)?;
    let actual = to_hex(&Sha256::digest(&sealed));
    if actual == entry.entry_hash {
        Ok(entry)
    } else {
        Err(Fault::Hash { entry: Box::new(entry), actual })
    }
}

/// An object whose text is exactly its canonical form.
pub(crate) fn object(line: &[u8]) -> Result<Map<String, Value>, Fault> {
    let value: Value =
        serde_json::from_slice(line).map_err(|error| Fault::NotJson(error.to_string()))?;
    if canonical(&value).as_deref() != Some(line) {
        return Err(Fault::NotCanonical);
    }
    match value {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Fault::NotJson("not an object".to_owned()))
        }
    }
}

pub(crate) fn text(members: &Map<String, Value>, name: &'static str) -> Result<String, Fault> {
    members.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(Fault::NoMember(name))
}

/// The canonical bytes; `None` for a float, which has none.
pub(crate) fn canonical(value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    append(&mut out, value)?;
    Some(out)
}

fn append(out: &mut Vec<u8>, value: &Value) -> Option<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            let integer =
                number.as_u64().map(i128::from).or_else(|| number.as_i64().map(i128::from))?;
            out.extend_from_slice(integer.to_string().as_bytes());
        }
        Value::String(text) => append_text(out, text),
        Value::Array(items) => {
            append_sequence(out, *b"[]", items.iter(), append)?;
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            append_sequence(out, *b"{}", sorted.into_iter(), |out, (name, item)| {
                append_text(out, name);
                out.push(b':');
                append(out, item)
            })?;
        }
    }
    Some(())
}

fn append_sequence<T>(
    out: &mut Vec<u8>,
    [open, close]: [u8; 2],
    items: impl Iterator<Item = T>,
    mut each: impl FnMut(&mut Vec<u8>, T) -> Option<()>,
) -> Option<()> {
    let mut separator = open;
    for item in items {
        out.push(separator);
        separator = b',';
        each(out, item)?;
    }
    if separator == open {
        out.push(open);
    }
    out.push(close);
    Some(())
}

fn append_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', byte]),
            Ok(byte @ b' '..=b'~') => out.push(byte),
            Ok(b'\x08') => out.extend_from_slice(b"\\b"),
            Ok(b'\t') => out.extend_from_slice(b"\\t"),
            Ok(b'\n') => out.extend_from_slice(b"\\n"),
            Ok(b'\x0c') => out.extend_from_slice(b"\\f"),
            Ok(b'\r') => out.extend_from_slice(b"\\r"),
            Ok(_) | Err(_) => out.extend_from_slice(format!("\\u{unit:04x}").as_bytes()),
        }
    }
    out.push(b'"');
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of an even number of lower-case hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => byte.checked_sub(b'0'),
        b'a'..=b'f' => byte.checked_sub(b'a').and_then(|value| value.checked_add(10)),
        _ => None,
    };
    text.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => digit(high)?.checked_mul(16)?.checked_add(digit(low)?),
            _ => None,
        })
        .collect()
}
