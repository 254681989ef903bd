//! Member names that another parser could read as one that was judged.
//!
//! Go's encoding/json matches names without regard to case (CVE-2026-27896), and one of its replacements stopped at NUL
//! (GHSA-q382-vc8q-7jhj), so such twins are refused rather than passed by.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::error::McpErrorKind;

/// Characters of a name that an error repeats.
const SHOWN_CHARS_MAX: usize = 64;

/// Checks all objects in `value`: no control characters in names; with `twins`, no two names that differ in case only.
/// Recursion is bounded by the depth limit that the text was parsed with.
pub(super) fn check_deep(value: &Value, twins: bool) -> Result<(), McpErrorKind> {
    match value {
        Value::Object(members) => {
            check_names(members, twins)?;
            members.values().try_for_each(|member| check_deep(member, twins))
        }
        Value::Array(items) => items.iter().try_for_each(|item| check_deep(item, twins)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn check_names(members: &Map<String, Value>, twins: bool) -> Result<(), McpErrorKind> {
    let mut seen = HashSet::new();
    for name in members.keys() {
        if name.chars().any(char::is_control) {
            return Err(McpErrorKind::MemberName(shorten(name)));
        }
        if twins && !seen.insert(fold(name)) {
            return Err(McpErrorKind::CaseTwin(shorten(name)));
        }
    }
    Ok(())
}

/// Checks that no member is one of `known` but for its case.
pub(super) fn check_known(
    members: &Map<String, Value>,
    known: &[&str],
) -> Result<(), McpErrorKind> {
    let twin = |name: &&String| {
        !known.contains(&name.as_str()) && known.iter().any(|known| fold(known) == fold(name))
    };
    match members.keys().find(twin) {
        Some(name) => Err(McpErrorKind::CaseTwin(shorten(name))),
        None => Ok(()),
    }
}

/// Checks that every member is one of `known`.
pub(super) fn check_only(members: &Map<String, Value>, known: &[&str]) -> Result<(), McpErrorKind> {
    check_known(members, known)?;
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(McpErrorKind::UnknownMember(shorten(name))),
        None => Ok(()),
    }
}

/// Simple case folding, wide enough for `ſ` and the Kelvin sign.
fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.to_uppercase().to_lowercase()
}

/// A name fit for an error text.
pub(super) fn shorten(name: &str) -> String {
    name.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect()
}
