//! Whether a string of a structured result may become another one, by the tool's output schema.
//!
//! Only what is sure counts: a schema that is put together of others (`$ref`, `anyOf`) says nothing that could be relied on here.

use serde_json::{Map, Value};

/// What speaks of a string's content.
const OF_STRINGS: &[&str] = &[
    "const",
    "contentEncoding",
    "contentMediaType",
    "enum",
    "format",
    "maxLength",
    "minLength",
    "pattern",
];
/// What puts a schema together of others, or looks at several values at once.
const COMPOSED: &[&str] = &[
    "$dynamicRef",
    "$ref",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "enum",
    "if",
    "not",
    "oneOf",
    "patternProperties",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
];
/// What speaks of an object's keys.
const OF_KEYS: &[&str] = &["additionalProperties", "properties", "required"];

/// What is known of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Schema<'s> {
    /// Any value will do.
    Any,
    /// This has to hold.
    Known(&'s Map<String, Value>),
    /// Something has to hold, and it can't be told what.
    Unclear,
}

impl<'s> Schema<'s> {
    /// What a schema says; none says nothing.
    pub(crate) fn of(schema: Option<&'s Value>) -> Self {
        match schema {
            None | Some(Value::Bool(true)) => Self::Any,
            Some(Value::Object(members)) => Self::Known(members),
            Some(_) => Self::Unclear,
        }
    }

    /// Of a member of an object.
    pub(crate) fn member(self, name: &str) -> Self {
        self.part(|schema| match schema.get("properties").and_then(|all| all.get(name)) {
            Some(found) => Some(found),
            None => schema.get("additionalProperties"),
        })
    }

    /// Of an item of an array.
    pub(crate) fn item(self, index: usize) -> Self {
        self.part(|schema| match schema.get("prefixItems").and_then(|all| all.get(index)) {
            Some(found) => Some(found),
            None => schema.get("items"),
        })
    }

    fn part(self, find: impl FnOnce(&'s Map<String, Value>) -> Option<&'s Value>) -> Self {
        match self {
            Self::Known(schema) if has(schema, COMPOSED) => Self::Unclear,
            Self::Known(schema) => Self::of(find(schema)),
            Self::Any | Self::Unclear => self,
        }
    }

    /// Whether another string will do as well.
    pub(crate) fn takes_any_string(self) -> bool {
        match self {
            Self::Any => true,
            Self::Known(schema) => !has(schema, COMPOSED) && !has(schema, OF_STRINGS),
            Self::Unclear => false,
        }
    }

    /// Whether another key will do as well.
    pub(crate) fn takes_any_key(self) -> bool {
        match self {
            Self::Any => true,
            Self::Known(schema) => !has(schema, COMPOSED) && !has(schema, OF_KEYS),
            Self::Unclear => false,
        }
    }
}

fn has(schema: &Map<String, Value>, words: &[&str]) -> bool {
    words.iter().any(|word| schema.contains_key(*word))
}

#[cfg(test)]
mod tests {
    use super::Schema;
    use serde_json::{Value, json};

    fn at<'s>(schema: &'s Value, path: &[Value]) -> Schema<'s> {
        path.iter().fold(Schema::of(Some(schema)), |schema, step| match step.as_str() {
            Some(name) => schema.member(name),
            None => schema.item(usize::try_from(step.as_u64().expect("an index")).expect("small")),
        })
    }

    #[test]
    fn only_free_strings_may_become_others() {
        let schema = json!({"type": "object", "properties": {
            "free": {"type": "string", "description": "d"},
            "short": {"type": "string", "maxLength": 5},
            "kind": {"enum": ["a"]},
            "by": {"$ref": "#/$defs/x"},
            "list": {"items": {"type": "string"}, "prefixItems": [{"format": "uuid"}]},
            "set": {"items": {"type": "string"}, "uniqueItems": true},
            "one": {"anyOf": [{"properties": {"a": {"type": "string"}}}]},
        }, "additionalProperties": {"pattern": "^a"}});
        let cases = [
            (vec![json!("free")], true),
            (vec![json!("short")], false),
            (vec![json!("kind")], false),
            (vec![json!("by")], false),
            (vec![json!("by"), json!("deeper")], false),
            (vec![json!("list"), json!(1)], true),
            (vec![json!("list"), json!(0)], false),
            (vec![json!("set"), json!(0)], false),
            (vec![json!("one"), json!("a")], false),
            (vec![json!("other")], false),
            (vec![json!("free"), json!("deeper")], true),
        ];
        for (path, expected) in cases {
            assert_eq!(at(&schema, &path).takes_any_string(), expected, "{path:?}");
        }
        assert!(!at(&schema, &[]).takes_any_key());
        assert!(at(&json!({"type": "object"}), &[]).takes_any_key());
        assert!(Schema::of(None).takes_any_string() && Schema::of(None).takes_any_key());
        assert!(!Schema::of(Some(&json!(false))).takes_any_string());
    }
}
