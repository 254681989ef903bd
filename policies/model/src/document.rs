//! YAML and JSON documents with the place of every value: what policies and manifests are read from.
//!
//! Bytes become a tree of located nodes; a typed struct is then read from the tree, and every error says file, line, column,
//! field path, what was expected and, for a misspelt name, what was probably meant. Duplicate keys are errors.

mod deserialize;
mod suggest;
mod yaml;

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Number, Value};

pub use suggest::nearest;
pub use yaml::{DEPTH_MAX, DOCUMENT_BYTES_MAX, Dialect, NODES_MAX, read};

/// A place in a file, both numbers counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub content: Content,
}

/// The values that YAML and JSON share.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// `null`, `~` or nothing.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(String),
    /// A list.
    Sequence(Vec<Node>),
    /// Members in the order in which they were written.
    Mapping(Vec<Member>),
}

/// One member of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Where the key stands.
    pub at: Position,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Node,
}

/// One step of a field path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member.
    Member(String),
    /// A list item, counted from 0.
    Item(usize),
}

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError {
    /// File, as the user named it.
    pub file: String,
    /// Place in the file.
    pub at: Position,
    /// Field path: `spec.egress.allow[0].host`; empty for the whole document.
    pub path: String,
    /// What was expected and found.
    pub message: String,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at: Position { line, column }, path, message } = self;
        write!(formatter, "{file}:{line}:{column}: ")?;
        if !path.is_empty() {
            write!(formatter, "{path}: ")?;
        }
        formatter.write_str(message)
    }
}

impl std::error::Error for DocumentError {}

impl Node {
    /// Reads a typed value from the tree; `file` names it in errors.
    ///
    /// # Errors
    /// [`DocumentError`] for the first unknown field, bad value or missing field.
    pub fn read<T: DeserializeOwned>(&self, file: &str) -> Result<T, DocumentError> {
        T::deserialize(deserialize::NodeDeserializer::new(self))
            .map_err(|fault| fault.into_error(file, self.at))
    }

    /// The member of that name, if this is a mapping that has one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.content {
            Content::Mapping(members) => {
                members.iter().find(|member| member.key == key).map(|member| &member.value)
            }
            Content::Null
            | Content::Bool(_)
            | Content::Number(_)
            | Content::Text(_)
            | Content::Sequence(_) => None,
        }
    }

    /// The text, if this is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Null
            | Content::Bool(_)
            | Content::Number(_)
            | Content::Sequence(_)
            | Content::Mapping(_) => None,
        }
    }

    /// The items, if this is a list.
    #[must_use]
    pub fn items(&self) -> Option<&[Self]> {
        match &self.content {
            Content::Sequence(items) => Some(items),
            Content::Null
            | Content::Bool(_)
            | Content::Number(_)
            | Content::Text(_)
            | Content::Mapping(_) => None,
        }
    }

    /// An error about the field at `steps` below this node; its place is the deepest node that exists.
    #[must_use]
    pub fn error(&self, file: &str, steps: &[Step], message: impl Into<String>) -> DocumentError {
        let mut node = self;
        for step in steps {
            let below = match step {
                Step::Member(key) => node.get(key),
                Step::Item(index) => node.items().and_then(|items| items.get(*index)),
            };
            match below {
                Some(found) => node = found,
                None => break,
            }
        }
        let path = show_path(steps);
        DocumentError { file: file.to_owned(), at: node.at, path, message: message.into() }
    }

    /// The same value without places.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::Sequence(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Content::Mapping(members) => {
                let member = |member: &Member| (member.key.clone(), member.value.to_json());
                Value::Object(members.iter().map(member).collect())
            }
        }
    }

    /// What kind of value this is, in words for errors.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.content {
            Content::Null => "nothing".to_owned(),
            Content::Bool(value) => format!("`{value}`"),
            Content::Number(number) => format!("`{number}`"),
            Content::Text(text) => {
                let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
                format!("`{shown}`")
            }
            Content::Sequence(_) => "a list".to_owned(),
            Content::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// Writes a field path: `spec.rules[0].id`.
#[must_use]
pub fn show_path(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Member(key) if path.is_empty() => path.push_str(key),
            Step::Member(key) => {
                path.push('.');
                path.push_str(key);
            }
            Step::Item(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

#[cfg(test)]
mod tests;
