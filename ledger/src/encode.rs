//! Event to canonical line: bounds first, then the bytes that are hashed. Shares no code with `verify`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::clock::Reading;
use crate::error::LedgerError;
use crate::event::Event;
use crate::format::{
    GENESIS_PREV_HASH, MAX_ITEM_BYTES, MAX_LIST_ITEMS, MAX_MESSAGE_BYTES, MAX_STRING_BYTES,
};

/// The members of a record, each already canonical JSON.
#[derive(Debug)]
pub(crate) struct Fields(BTreeMap<String, String>);

/// The last record of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) hash: String,
}

impl Head {
    /// Before the first record.
    pub(crate) fn empty() -> Self {
        Self { seq: 0, hash: GENESIS_PREV_HASH.to_owned() }
    }
}

/// A finished line with its newline, and where it leaves the chain.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) line: String,
    pub(crate) time: String,
    pub(crate) head: Head,
}

impl Fields {
    /// Cuts what is too long, drops what is absent.
    pub(crate) fn of(event: &Event) -> Result<Self, LedgerError> {
        let value =
            serde_json::to_value(event).map_err(|error| LedgerError::Encode(error.to_string()))?;
        let Value::Object(members) = value else {
            return Err(LedgerError::Encode("an event is not an object".to_owned()));
        };
        let mut fields = BTreeMap::new();
        for (key, value) in members {
            let limit = if key == "message" { MAX_MESSAGE_BYTES } else { MAX_STRING_BYTES };
            if let Some(value) = bounded(value, limit) {
                fields.insert(key, canonical(&value)?);
            }
        }
        Ok(Self(fields))
    }

    /// Adds a member that only the ledger writes.
    pub(crate) fn put(&mut self, key: &str, value: &Value) -> Result<(), LedgerError> {
        self.0.insert(key.to_owned(), canonical(value)?);
        Ok(())
    }

    /// Roughly how much memory and disk the record takes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|(key, value)| key.len().saturating_add(value.len())).sum()
    }

    /// Chains the record to `head`.
    pub(crate) fn seal(mut self, head: &Head, now: Reading) -> Sealed {
        let seq = head.seq.saturating_add(1);
        let time = rfc3339(now);
        self.0.insert("seq".to_owned(), seq.to_string());
        self.0.insert("time".to_owned(), quoted(&time));
        let monotonic = u64::try_from(now.monotonic.as_nanos()).unwrap_or(u64::MAX);
        self.0.insert("monotonic_ns".to_owned(), monotonic.to_string());
        self.0.insert("prev_hash".to_owned(), quoted(&head.hash));
        let hash = sha256_hex(self.render().as_bytes());
        self.0.insert("entry_hash".to_owned(), quoted(&hash));
        let mut line = self.render();
        line.push('\n');
        Sealed { line, time, head: Head { seq, hash } }
    }

    fn render(&self) -> String {
        let mut out = String::with_capacity(self.bytes().saturating_add(256));
        out.push('{');
        for (index, (key, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            push_quoted(&mut out, key);
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
        out
    }
}

/// RFC 3339, UTC, microseconds.
pub(crate) fn rfc3339(now: Reading) -> String {
    format!("{:.6}", now.wall)
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Canonical JSON of any value without floats.
pub(crate) fn canonical(value: &Value) -> Result<String, LedgerError> {
    let mut out = String::new();
    push_value(&mut out, value)?;
    Ok(out)
}

fn push_value(out: &mut String, value: &Value) -> Result<(), LedgerError> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) if number.is_f64() => {
            return Err(LedgerError::Encode(format!("a float (`{number}`)")));
        }
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => push_quoted(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                push_comma(out, index);
                push_value(out, item)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            // Sorted here: the map keeps insertion order when some crate of the build asks serde_json for it.
            let sorted: BTreeMap<_, _> = members.iter().collect();
            out.push('{');
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                push_comma(out, index);
                push_quoted(out, key);
                out.push(':');
                push_value(out, item)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn push_comma(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    push_quoted(&mut out, text);
    out
}

/// ASCII only, so that a record can neither break a line nor move a reader's cursor or writing direction.
fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            _ => push_escaped(out, character),
        }
    }
    out.push('"');
}

fn push_escaped(out: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// The value with its strings and lists cut; `None` when nothing is left to say.
fn bounded(value: Value, limit: usize) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Bool(_) | Value::Number(_) => Some(value),
        Value::String(text) => Some(Value::String(cut(text, limit))),
        Value::Array(items) => bounded_list(items),
        Value::Object(members) => {
            let kept: serde_json::Map<_, _> = members
                .into_iter()
                .filter_map(|(key, item)| bounded(item, limit).map(|item| (key, item)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
    }
}

fn bounded_list(items: Vec<Value>) -> Option<Value> {
    let over = items.len().saturating_sub(MAX_LIST_ITEMS);
    let mut kept: Vec<Value> = items
        .into_iter()
        .take(MAX_LIST_ITEMS)
        .filter_map(|item| bounded(item, MAX_ITEM_BYTES))
        .collect();
    if over > 0 {
        kept.push(Value::String(format!("...[cut {over} items]")));
    }
    (!kept.is_empty()).then_some(Value::Array(kept))
}

fn cut(mut text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let keep = (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let over = text.len().saturating_sub(keep);
    text.truncate(keep);
    let _ = write!(text, "...[cut {over} bytes]");
    text
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
