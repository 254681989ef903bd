//! Lists of objects taken apart: `List`, and typed ones such as `RoleList`, whose items the API server sends without `apiVersion` and `kind`.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// How deep lists in lists are taken apart; a deeper one stays, and is then refused as an object.
pub const NESTED_LISTS_MAX: usize = 4;

/// The objects of a list, in order, each with an `apiVersion` and a `kind`; `None` if the value isn't a list.
#[must_use]
pub fn items(value: &Value) -> Option<Vec<Cow<'_, Value>>> {
    is_list(value).then(|| {
        let mut found = Vec::new();
        collect(value, NESTED_LISTS_MAX, &mut found);
        found
    })
}

/// Whether a value is a list of objects: `kind` ends in `List`, `items` is one (or `null`), and it has no name of its own.
pub(super) fn is_list(value: &Value) -> bool {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    let named = value.get("metadata").and_then(|metadata| metadata.get("name")).is_some();
    let items = value.get("items");
    kind == "List"
        || kind.ends_with("List")
            && !named
            && items.is_some_and(|items| items.is_array() || items.is_null())
}

fn collect<'v>(list: &'v Value, depth_left: usize, found: &mut Vec<Cow<'v, Value>>) {
    let depth_left = depth_left.saturating_sub(1);
    for item in list.get("items").and_then(Value::as_array).into_iter().flatten() {
        if is_list(item) && depth_left > 0 {
            collect(item, depth_left, found);
        } else {
            found.push(with_kind(list, item));
        }
    }
}

/// An item of a typed list says neither version nor kind; they follow from the list's.
fn with_kind<'v>(list: &Value, item: &'v Value) -> Cow<'v, Value> {
    let kind = list.get("kind").and_then(Value::as_str).and_then(|kind| kind.strip_suffix("List"));
    let Some(kind) = kind.filter(|kind| !kind.is_empty()) else { return Cow::Borrowed(item) };
    let Value::Object(members) = item else { return Cow::Borrowed(item) };
    if members.contains_key("kind") && members.contains_key("apiVersion") {
        return Cow::Borrowed(item);
    }
    let mut filled: Map<String, Value> = members.clone();
    let version = list.get("apiVersion").cloned().unwrap_or_default();
    filled.entry("apiVersion").or_insert(version);
    filled.entry("kind").or_insert_with(|| Value::String(kind.to_owned()));
    Cow::Owned(Value::Object(filled))
}
