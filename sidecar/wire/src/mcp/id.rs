//! The id that ties a reply to its request.

use serde_json::{Number, Value};

/// Bytes of an id that is a string.
pub const ID_BYTES_MAX: usize = 256;

/// A request id: a string or an integer, never null. Integers keep their digits: those past 64 bits are refused, not rounded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RequestId {
    /// An integer.
    Integer(Number),
    /// A string.
    Text(String),
}

impl RequestId {
    /// Reads an id; none for anything else: `1.0`, `-0`, `1e3`, null, objects.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) if number.is_i64() || number.is_u64() => {
                Some(Self::Integer(number.clone()))
            }
            Value::String(text) if text.len() <= ID_BYTES_MAX => Some(Self::Text(text.clone())),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        }
    }

    /// The id as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Integer(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.clone()),
        }
    }
}
