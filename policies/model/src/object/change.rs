//! How much an update changes, told from the JSON of the object before and after.

use serde_json::{Map, Value};

/// How much an update changes. What isn't known counts as content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Change {
    /// Nothing but finalizers, owner references and managed fields: what the garbage collector writes to get rid of an object.
    Garbage,
    /// Nothing but metadata.
    Metadata,
    /// Anything else.
    #[default]
    Content,
}

/// Metadata that neither rules nor workloads read (apiserver `IsOnlyMutatingGCFields`, and the counters of the store).
const GARBAGE_FIELDS: [&str; 6] =
    ["finalizers", "ownerReferences", "managedFields", "resourceVersion", "generation", "selfLink"];

/// How much changes from `old` to `new`. Of the members that are compared, `null`, absent and an empty list are the same, as they are to
/// the API server, which writes a Role without rules either way.
#[must_use]
pub fn change(old: &Value, new: &Value) -> Change {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return Change::Content };
    if !same_but(old, new, &["metadata"]) {
        return Change::Content;
    }
    let none = Map::new();
    let metadata = |object: &Map<String, Value>| match object.get("metadata") {
        Some(Value::Object(metadata)) => metadata.clone(),
        _ => none.clone(),
    };
    if same_but(&metadata(old), &metadata(new), &GARBAGE_FIELDS) {
        Change::Garbage
    } else {
        Change::Metadata
    }
}

/// Whether two objects are the same but for some members.
fn same_but(old: &Map<String, Value>, new: &Map<String, Value>, except: &[&str]) -> bool {
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let covered = |left: &Map<String, Value>, right: &Map<String, Value>| {
        left.iter().all(|(name, value)| {
            let other = right.get(name).unwrap_or(&Value::Null);
            except.contains(&name.as_str())
                || value == other
                || (is_empty(value) && is_empty(other))
        })
    };
    covered(old, new) && covered(new, old)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Change, change};

    #[test]
    fn only_what_the_garbage_collector_writes_is_garbage() {
        let old = json!({"metadata": {"name": "a", "finalizers": ["x"], "labels": {"k": "v"}},
            "spec": {"a": 1}, "status": null});
        let cases = [
            (
                json!({"metadata": {"name": "a", "labels": {"k": "v"}}, "spec": {"a": 1}}),
                Change::Garbage,
            ),
            (
                json!({"metadata": {"name": "a", "labels": {"k": "v"}, "resourceVersion": "7",
                    "ownerReferences": [{"uid": "u"}]}, "spec": {"a": 1}}),
                Change::Garbage,
            ),
            (
                json!({"metadata": {"name": "a", "labels": {"k": "w"}}, "spec": {"a": 1}}),
                Change::Metadata,
            ),
            (
                json!({"metadata": {"name": "a", "annotations": {"k": "v"}, "labels": {"k": "v"}}, "spec": {"a": 1}}),
                Change::Metadata,
            ),
            (
                json!({"metadata": {"name": "a", "labels": {"k": "v"}}, "spec": {"a": 2}}),
                Change::Content,
            ),
            (
                json!({"metadata": {"name": "a", "labels": {"k": "v"}}, "spec": {"a": 1}, "data": {}}),
                Change::Content,
            ),
            (
                json!({"metadata": {"name": "a", "labels": {"k": "v"}}, "spec": {"a": 1}, "rules": []}),
                Change::Garbage,
            ),
            (
                json!({"metadata": {"name": "a", "labels": {"k": "v"}}, "spec": {"a": 1}, "rules": [{}]}),
                Change::Content,
            ),
            (json!({"metadata": {"name": "a", "labels": {"k": "v"}}}), Change::Content),
            (json!([]), Change::Content),
        ];
        for (new, expected) in cases {
            assert_eq!(change(&old, &new), expected, "{new}");
        }
    }
}
