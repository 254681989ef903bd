//! Entries of a webhook configuration as values: the API server's defaults, and where two of them differ.

use serde_json::{Map, Value, json};

use super::desired::Configuration;

/// An entry as the API server stores it, so that what is only left out doesn't look different. `caBundle` stays as it is.
pub(crate) fn defaulted(entry: &Value, configuration: Configuration) -> Value {
    let mut entry = entry.clone();
    let Some(fields) = entry.as_object_mut() else { return entry };
    fields.retain(|_, value| !value.is_null());
    for (field, value) in [
        ("failurePolicy", json!("Fail")),
        ("matchPolicy", json!("Equivalent")),
        ("timeoutSeconds", json!(10)),
        ("namespaceSelector", json!({})),
        ("objectSelector", json!({})),
        ("rules", json!([])),
        ("matchConditions", json!([])),
    ] {
        fields.entry(field).or_insert(value);
    }
    if configuration == Configuration::Mutating {
        fields.entry("reinvocationPolicy").or_insert(json!("Never"));
    }
    for rule in fields.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
        default_of(rule, "scope", json!("*"));
    }
    if let Some(service) = entry.pointer_mut("/clientConfig/service") {
        default_of(service, "port", json!(443));
    }
    entry
}

fn default_of(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.entry(field).or_insert(value);
    }
}

/// The path of the first difference between two values, `None` if there is none.
pub(crate) fn first_difference(left: &Value, right: &Value) -> Option<String> {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => difference_of_objects(left, right),
        (Value::Array(left), Value::Array(right)) => {
            let longest = left.len().max(right.len());
            (0..longest).find_map(|at| {
                let path = match (left.get(at), right.get(at)) {
                    (Some(left), Some(right)) => first_difference(left, right)?,
                    (None, _) | (_, None) => String::new(),
                };
                Some(format!("[{at}]{path}"))
            })
        }
        (left, right) => (left != right).then(String::new),
    }
}

fn difference_of_objects(left: &Map<String, Value>, right: &Map<String, Value>) -> Option<String> {
    let names = left.keys().chain(right.keys().filter(|name| !left.contains_key(*name)));
    names.into_iter().find_map(|name| {
        let path = match (left.get(name), right.get(name)) {
            (Some(left), Some(right)) => first_difference(left, right)?,
            (None, _) | (_, None) => String::new(),
        };
        Some(format!(".{name}{path}"))
    })
}

/// The name of an entry.
pub(crate) fn name_of(entry: &Value) -> &str {
    entry.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// The `caBundle` of an entry, if there is something in it.
pub(crate) fn bundle_of(entry: &Value) -> Option<&str> {
    let bundle = entry.pointer("/clientConfig/caBundle").and_then(Value::as_str);
    bundle.filter(|bundle| !bundle.is_empty())
}
