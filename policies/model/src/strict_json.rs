//! The strict JSON profile that both gates judge: UTF-8, no duplicate members, bounded depth, nodes and size.
//!
//! Two parsers that disagree about one message are the main way around a gate, so whatever could be read in two ways
//! (RFC 8259 section 4, "names within an object SHOULD be unique") is refused here. Depth and duplicates are
//! checked before any typed struct sees the bytes. This module must never repair input.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// How much of a document is read before it is refused.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of text.
    pub bytes_max: usize,
    /// Levels of nesting; the JSON crate itself stops at 127.
    pub depth_max: usize,
    /// Scalars, arrays, objects and members together.
    pub nodes_max: usize,
}

/// Limits for an object inside an AdmissionReview: the API server takes 3 MiB an object (KEP none; apiserver
/// `MaxRequestBodyBytes`).
pub const ADMISSION_OBJECT: Limits =
    Limits { bytes_max: 7 * 1024 * 1024, depth_max: 120, nodes_max: 400_000 };

/// Limits for one MCP message.
pub const MCP_MESSAGE: Limits =
    Limits { bytes_max: 4 * 1024 * 1024, depth_max: 64, nodes_max: 100_000 };

/// Why a text is not strict JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrictJsonError {
    /// More bytes than [`Limits::bytes_max`].
    #[error("the text has {found} bytes, at most {max} are read")]
    TooLarge {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not UTF-8, or it begins with a byte order mark.
    #[error("expected UTF-8 without a byte order mark")]
    Encoding,
    /// Not JSON, nested too deep, too many nodes, or a member named twice; the text says which and where.
    #[error("{0}")]
    Syntax(String),
}

const TOO_MANY: &str = "too many values";
const TOO_DEEP: &str = "nested too deep";

impl StrictJsonError {
    /// Whether the text is refused for its size, depth or number of values, not for what it says.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        match self {
            Self::TooLarge { .. } => true,
            Self::Encoding => false,
            Self::Syntax(text) => text.starts_with(TOO_MANY) || text.starts_with(TOO_DEEP),
        }
    }
}

/// Checks that `bytes` hold exactly one JSON value of the strict profile.
///
/// # Errors
/// [`StrictJsonError`] with line and column of the first offence.
pub fn check(bytes: &[u8], limits: Limits) -> Result<(), StrictJsonError> {
    let text = as_text(bytes, limits)?;
    let mut budget = Budget { nodes_left: limits.nodes_max };
    run(text, Check { budget: &mut budget, depth_left: limits.depth_max })
}

/// Reads one value of the strict profile.
///
/// # Errors
/// As [`check`].
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Value, StrictJsonError> {
    let text = as_text(bytes, limits)?;
    let mut budget = Budget { nodes_left: limits.nodes_max };
    run(text, Build { budget: &mut budget, depth_left: limits.depth_max })
}

fn as_text(bytes: &[u8], limits: Limits) -> Result<&str, StrictJsonError> {
    if bytes.len() > limits.bytes_max {
        return Err(StrictJsonError::TooLarge { found: bytes.len(), max: limits.bytes_max });
    }
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(StrictJsonError::Encoding);
    }
    std::str::from_utf8(bytes).map_err(|_| StrictJsonError::Encoding)
}

fn run<'de, S: DeserializeSeed<'de>>(text: &'de str, seed: S) -> Result<S::Value, StrictJsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = seed
        .deserialize(&mut deserializer)
        .map_err(|error| StrictJsonError::Syntax(error.to_string()))?;
    deserializer.end().map_err(|error| StrictJsonError::Syntax(error.to_string()))?;
    Ok(value)
}

struct Budget {
    nodes_left: usize,
}

impl Budget {
    fn spend<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or_else(|| E::custom(TOO_MANY))?;
        Ok(())
    }
}

fn descend<E: serde::de::Error>(depth_left: usize) -> Result<usize, E> {
    depth_left.checked_sub(1).ok_or_else(|| E::custom(TOO_DEEP))
}

/// Members already seen in one object: a list while it is short, a set once it grows.
#[derive(Default)]
struct Members {
    few: Vec<String>,
    many: HashSet<String>,
}

const FEW_MEMBERS: usize = 16;

impl Members {
    fn add<E: serde::de::Error>(&mut self, name: &str) -> Result<(), E> {
        if self.few.iter().any(|seen| seen == name) || self.many.contains(name) {
            return Err(E::custom(format_args!("member `{}` appears twice", shorten(name))));
        }
        if self.few.len() < FEW_MEMBERS {
            self.few.push(name.to_owned());
        } else {
            self.many.insert(name.to_owned());
        }
        Ok(())
    }
}

fn shorten(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

/// Walks a value without keeping it.
struct Check<'b> {
    budget: &'b mut Budget,
    depth_left: usize,
}

impl<'de> DeserializeSeed<'de> for Check<'_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.budget.spend()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check<'_> {
    type Value = ();
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let depth_left = descend(self.depth_left)?;
        while seq.next_element_seed(Check { budget: self.budget, depth_left })?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let depth_left = descend(self.depth_left)?;
        let mut members = Members::default();
        while map.next_key_seed(Member(&mut members))?.is_some() {
            self.budget.spend()?;
            map.next_value_seed(Check { budget: self.budget, depth_left })?;
        }
        Ok(())
    }
}

/// Reads a member name, refusing one that was seen before.
struct Member<'m>(&'m mut Members);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = String;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Member<'_> {
    type Value = String;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member name")
    }
    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<String, E> {
        self.0.add(name)?;
        Ok(name.to_owned())
    }
}

/// Builds a [`Value`].
struct Build<'b> {
    budget: &'b mut Budget,
    depth_left: usize,
}

impl<'de> DeserializeSeed<'de> for Build<'_> {
    type Value = Value;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.budget.spend()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Build<'_> {
    type Value = Value;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let depth_left = descend(self.depth_left)?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Build { budget: self.budget, depth_left })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let depth_left = descend(self.depth_left)?;
        let mut object = serde_json::Map::new();
        while let Some(name) = map.next_key::<String>()? {
            self.budget.spend()?;
            if object.contains_key(&name) {
                let text = format!("member `{}` appears twice", shorten(&name));
                return Err(A::Error::custom(text));
            }
            let value = map.next_value_seed(Build { budget: self.budget, depth_left })?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Limits = Limits { bytes_max: 4096, depth_max: 4, nodes_max: 40 };

    #[test]
    fn accepts_and_refuses() {
        let deep = "[".repeat(100_000);
        let many = format!("[{}1]", "1,".repeat(100));
        let big = format!("\"{}\"", "x".repeat(5000));
        // text, part of the error or none
        let cases: &[(&[u8], Option<&str>)] = &[
            (br#"{"a": [1, 2.5, null, true, "x"]}"#, None),
            (br#"{"a": {"b": {"c": 1}}}"#, None),
            (br#"{"a": 1, "a": 2}"#, Some("`a` appears twice")),
            (br#"{"a": 1, "\u0061": 2}"#, Some("`a` appears twice")),
            (br#"{"x": {"k": 1, "k": 1}}"#, Some("`k` appears twice")),
            (b"[[[[[1]]]]]", Some("nested too deep")),
            (deep.as_bytes(), Some("at most 4096")),
            (many.as_bytes(), Some("too many values")),
            (big.as_bytes(), Some("at most 4096")),
            (b"\xEF\xBB\xBF{}", Some("byte order mark")),
            (b"\"\xff\"", Some("UTF-8")),
            (br#""\ud800""#, Some("hex escape")),
            (b"{} {}", Some("trailing")),
            (b"{\"a\": 1", Some("EOF")),
            (b"1e999", Some("out of range")),
            (b"", Some("EOF")),
        ];
        for (text, expected) in cases {
            for found in [check(text, SMALL), parse(text, SMALL).map(|_| ())] {
                let shown = String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned();
                match (expected, found) {
                    (None, found) => assert_eq!(found, Ok(()), "{shown}"),
                    (Some(part), Err(error)) => {
                        assert!(error.to_string().contains(part), "{shown}: {error}");
                    }
                    (Some(part), Ok(())) => panic!("{shown}: expected `{part}`, was accepted"),
                }
            }
        }
    }

    #[test]
    fn duplicates_are_found_among_many_members() {
        let members: Vec<String> = (0..30).map(|n| format!("\"k{n}\":0")).collect();
        let text = format!("{{{},\"k29\":0}}", members.join(","));
        let limits = Limits { nodes_max: 1000, ..SMALL };
        let error = check(text.as_bytes(), limits).expect_err("k29 is there twice");
        assert!(error.to_string().contains("`k29`"), "{error}");
    }

    #[test]
    fn ten_thousand_levels_are_refused_without_overflowing_the_stack() {
        let text = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        let limits = Limits { bytes_max: 1 << 20, depth_max: 120, nodes_max: 1 << 20 };
        assert!(check(text.as_bytes(), limits).is_err());
        assert!(parse(text.as_bytes(), limits).is_err());
    }
}
