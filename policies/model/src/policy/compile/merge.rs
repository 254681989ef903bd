//! Field by field: how the values of several documents become one.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::CompileError;
use crate::policy::values::{ByteSize, RateText, TimeSpan};

/// How a field is joined.
#[derive(Debug, Clone, Copy)]
enum Join {
    /// Must be equal wherever it is set.
    Same,
    /// Members are joined one by one.
    Section,
    /// All items of all, each once.
    Union,
    /// Entries are joined by the member that names them.
    Named(&'static str),
    /// The smallest.
    Least(fn(&Value) -> Option<Size>),
    /// The largest.
    Most(fn(&Value) -> Option<Size>),
    /// All of all, each once; a list only if there are several.
    Every,
    /// The first of these that anybody says.
    Strictest(&'static [&'static str]),
    /// `true` if anybody says so.
    Any,
    /// Only if every document says it, and the same.
    Unanimous,
    /// Left out.
    Dropped,
}

/// What limits are compared by: a number of something in a time; a thing without a time has the time 1.
type Size = (u128, u128);

/// A document's part: its name and the value.
type Part<'p, T> = (&'p str, T);

fn join_of(path: &str) -> Join {
    match path {
        "spec.appliesTo" => Join::Dropped,
        "spec.mode" => Join::Unanimous,
        "spec.egress"
        | "spec.tls"
        | "spec.egress.dns"
        | "spec.egress.limits"
        | "spec.tools"
        | "spec.tools.results"
        | "spec.audit"
        | "spec.tools.servers[]"
        | "spec.tools.servers[].allow[]"
        | "spec.tools.servers[].allow[].arguments"
        | "spec.tools.budget"
        | "spec.tools.servers[].budget"
        | "spec.tools.servers[].allow[].budget"
        | "spec.tools.servers[].allow[].breaker"
        | "spec.killSwitch" => Join::Section,
        "spec.egress.allow"
        | "spec.tls.roots"
        | "spec.egress.loopbackPorts"
        | "spec.egress.dns.searchSuffixes"
        | "spec.audit.required"
        | "spec.tools.results.redact"
        | "spec.tools.servers[].deny"
        | "spec.tools.servers[].allow[].arguments.rules" => Join::Union,
        "spec.upstreams" | "spec.tools.servers" => Join::Named("name"),
        "spec.tools.servers[].allow" => Join::Named("tool"),
        "spec.egress.dns.maxQps"
        | "spec.egress.limits.connections"
        | "spec.tools.budget.calls"
        | "spec.tools.servers[].budget.calls"
        | "spec.tools.servers[].allow[].budget.calls"
        | "spec.tools.servers[].allow[].breaker.failures" => Join::Least(number),
        "spec.tools.servers[].allow[].breaker.window"
        | "spec.tools.servers[].allow[].breaker.open" => Join::Most(time),
        // Of `5/h` and `10/d` neither is the smaller one.
        "spec.tools.rate"
        | "spec.tools.servers[].rate"
        | "spec.tools.servers[].allow[].rate"
        | "spec.killSwitch.file" => Join::Every,
        "spec.egress.limits.connectRate" => Join::Least(rate),
        "spec.egress.limits.bytesPerDay"
        | "spec.egress.limits.bytesPerConnection"
        | "spec.tools.results.maxBytes" => Join::Least(bytes),
        "spec.egress.limits.connectionLife" | "spec.egress.limits.connectionIdle" => {
            Join::Least(time)
        }
        "spec.tools.results.injection" => Join::Strictest(&["block", "flag", "off"]),
        "spec.egress.ech" => Join::Strictest(&["refuse", "judge-outer"]),
        // What a call is recorded as.
        "spec.tools.servers[].allow[].tier" => Join::Strictest(&["admin", "write", "read"]),
        "spec.tools.servers[].allow[].arguments.closed" | "spec.killSwitch.active" => Join::Any,
        _ => Join::Same,
    }
}

/// The `spec` of all, in the order of their names.
pub(super) fn merged(
    specs: Vec<Part<'_, Map<String, Value>>>,
) -> Result<Map<String, Value>, CompileError> {
    let all = specs.len();
    let parts = specs.into_iter().map(|(name, spec)| (name, Value::Object(spec))).collect();
    match section(("spec", "spec"), parts, all)? {
        Value::Object(spec) => Ok(spec),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(CompileError::Nothing)
        }
    }
}

/// Where a value is: the path that joins are looked up by, and the one that people are told.
type At<'a> = (&'a str, &'a str);

fn joined(at: At<'_>, parts: Vec<Part<'_, Value>>, all: usize) -> Result<Value, CompileError> {
    match join_of(at.0) {
        Join::Dropped => Ok(Value::Null),
        Join::Same => same(at.1, parts),
        Join::Section => section(at, parts, all),
        Join::Union => Ok(union(parts)),
        Join::Named(key) => named(at, parts, (key, all)),
        Join::Least(size) => Ok(extreme(parts, size, Ordering::Less)),
        Join::Most(size) => Ok(extreme(parts, size, Ordering::Greater)),
        Join::Every => Ok(every(parts)),
        Join::Strictest(order) => {
            let said = |text: &&&str| parts.iter().any(|(_, value)| value == **text);
            Ok(order.iter().find(said).map_or(Value::Null, |text| (*text).into()))
        }
        Join::Any => Ok(parts.iter().any(|(_, value)| *value == Value::Bool(true)).into()),
        Join::Unanimous if parts.len() < all => Ok(Value::Null),
        Join::Unanimous => Ok(same(at.1, parts).unwrap_or(Value::Null)),
    }
}

fn same(shown: &str, parts: Vec<Part<'_, Value>>) -> Result<Value, CompileError> {
    let mut parts = parts.into_iter();
    let Some((first, value)) = parts.next() else { return Ok(Value::Null) };
    match parts.find(|(_, other)| *other != value) {
        None => Ok(value),
        Some((second, _)) => Err(CompileError::Conflict {
            field: shown.to_owned(),
            first: first.to_owned(),
            second: second.to_owned(),
        }),
    }
}

fn section(at: At<'_>, parts: Vec<Part<'_, Value>>, all: usize) -> Result<Value, CompileError> {
    let mut members: Vec<(String, Vec<Part<'_, Value>>)> = Vec::new();
    for (name, part) in parts {
        let Value::Object(part) = part else { continue };
        for (key, value) in part.into_iter().filter(|(_, value)| !value.is_null()) {
            match members.iter_mut().find(|(known, _)| *known == key) {
                Some((_, values)) => values.push((name, value)),
                None => members.push((key, vec![(name, value)])),
            }
        }
    }
    let mut result = Map::new();
    for (key, values) in members {
        let (path, shown) = (format!("{}.{key}", at.0), format!("{}.{key}", at.1));
        let value = joined((&path, &shown), values, all)?;
        if !value.is_null() {
            result.insert(key, value);
        }
    }
    Ok(Value::Object(result))
}

fn items<'p>(parts: Vec<Part<'p, Value>>) -> impl Iterator<Item = Part<'p, Value>> {
    parts.into_iter().flat_map(|(name, part)| {
        let Value::Array(items) = part else { return Vec::new() };
        items.into_iter().map(|item| (name, item)).collect()
    })
}

fn union(parts: Vec<Part<'_, Value>>) -> Value {
    let mut result: Vec<Value> = Vec::new();
    for (_, item) in items(parts) {
        if !result.contains(&item) {
            result.push(item);
        }
    }
    Value::Array(result)
}

fn named(
    at: At<'_>,
    parts: Vec<Part<'_, Value>>,
    (key, all): (&str, usize),
) -> Result<Value, CompileError> {
    let mut entries: Vec<(String, Vec<Part<'_, Value>>)> = Vec::new();
    for (policy, item) in items(parts) {
        let name = item.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        match entries.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push((policy, item)),
            None => entries.push((name, vec![(policy, item)])),
        }
    }
    let path = format!("{}[]", at.0);
    let mut result = Vec::with_capacity(entries.len());
    for (name, values) in entries {
        result.push(joined((&path, &format!("{}[{name}]", at.1)), values, all)?);
    }
    Ok(Value::Array(result))
}

fn every(parts: Vec<Part<'_, Value>>) -> Value {
    let lists = parts.into_iter().map(|(name, part)| match part {
        Value::Array(_) => (name, part),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            (name, Value::Array(vec![part]))
        }
    });
    let mut items = union(lists.collect());
    if let Some([one]) = items.as_array_mut().map(Vec::as_mut_slice) {
        return one.take();
    }
    items
}

/// The least or the most of all.
fn extreme(
    parts: Vec<Part<'_, Value>>,
    size: fn(&Value) -> Option<Size>,
    wanted: Ordering,
) -> Value {
    // Two rates are compared crosswise; what can't be read, which the loader refuses, is kept so that it refuses the result too.
    let goes_before = |one: &Value, other: &Value| match (size(one), size(other)) {
        (Some((events, per)), Some((other_events, other_per))) => {
            let (left, right) =
                (events.saturating_mul(other_per), other_events.saturating_mul(per));
            (left, events).cmp(&(right, other_events)) == wanted
        }
        (None, Some(_)) => true,
        (_, None) => false,
    };
    let values = parts.into_iter().map(|(_, value)| value);
    values
        .reduce(|found, value| if goes_before(&value, &found) { value } else { found })
        .unwrap_or(Value::Null)
}

fn number(value: &Value) -> Option<Size> {
    Some((value.as_u64()?.into(), 1))
}

fn bytes(value: &Value) -> Option<Size> {
    let ByteSize(bytes) = serde_json::from_value(value.clone()).ok()?;
    Some((bytes.into(), 1))
}

fn time(value: &Value) -> Option<Size> {
    let TimeSpan(time) = serde_json::from_value(value.clone()).ok()?;
    Some((time.as_millis(), 1))
}

fn rate(value: &Value) -> Option<Size> {
    let RateText(rate) = serde_json::from_value(value.clone()).ok()?;
    Some((rate.events.into(), rate.per.as_millis()))
}
