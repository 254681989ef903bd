//! JSON as the tests take it apart.

use serde_json::{Map, Value};

/// A text field, empty if it isn't there.
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The items of a list, none if it isn't there.
pub(crate) fn items<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The merge patch (RFC 7386) that makes `new` of `old`.
pub(crate) fn merge_patch(old: &Value, new: &Value) -> Value {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return new.clone() };
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let mut patch: Map<String, Value> = gone.map(|key| (key.clone(), Value::Null)).collect();
    for (key, value) in new {
        match old.get(key) {
            Some(before) if before == value => {}
            Some(before) => {
                patch.insert(key.clone(), merge_patch(before, value));
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    patch.into()
}

/// Applies a merge patch.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Map::new().into();
    }
    let Some(target) = target.as_object_mut() else { return };
    for (key, value) in fields {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[test]
fn a_patch_makes_the_new_of_the_old() {
    let old = serde_json::json!({"a": 1, "b": {"c": [1], "d": 2}, "e": 3});
    let new = serde_json::json!({"a": 1, "b": {"c": [1, 2]}, "f": {"g": 4}});
    let patch = merge_patch(&old, &new);
    assert_eq!(patch, serde_json::json!({"b": {"c": [1, 2], "d": null}, "e": null, "f": {"g": 4}}));
    let mut made = old;
    merge(&mut made, &patch);
    assert_eq!(made, new);
}
