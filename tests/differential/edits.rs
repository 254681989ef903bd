//! How an object is changed, and how a change is written as a patch.

use serde_json::{Map, Value, json};

use crate::kinds::{RbacKind, set};
use crate::random::Random;
use crate::rules::{Rule, wanted};

/// An aggregationRule; without selectors validation refuses it, after the check.
pub(crate) fn aggregation(random: &mut Random) -> Value {
    random
        .pick(&[
            json!({"clusterRoleSelectors": [{"matchLabels": {"nobody": "has"}}]}),
            json!({"clusterRoleSelectors": [{}]}),
            json!({"clusterRoleSelectors": [{"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}]}),
            json!({"clusterRoleSelectors": []}),
            json!({}),
        ])
        .clone()
}

/// Perhaps an edit of nothing but metadata, and what it is.
pub(crate) fn metadata(new: &mut Value, random: &mut Random) -> Option<&'static str> {
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "5b9f2f0e-4d1c-4f8e-9a53-0f8f4f2a9c11"}]);
    let tag = match random.below(20) {
        0 => "nothing changed",
        1 | 2 => {
            set(new, "/metadata", "finalizers", json!(["pinfold.test/wait"]));
            "garbage fields"
        }
        3 => {
            set(new, "/metadata", "ownerReferences", owner);
            "garbage fields"
        }
        4 => {
            set(new, "/metadata", "finalizers", json!(["pinfold.test/wait"]));
            set(new, "/metadata/labels", "also", json!("changed"));
            "metadata"
        }
        5 => {
            set(new, "/metadata/labels", "team", json!("a"));
            "metadata"
        }
        6 => {
            set(new, "/metadata", "annotations", json!({"note": "b"}));
            "metadata"
        }
        _ => return None,
    };
    Some(tag)
}

/// An edit of a role's rules or aggregation.
pub(crate) fn role(
    new: &mut Value,
    kind: RbacKind,
    held: &[Rule],
    random: &mut Random,
) -> &'static str {
    let mut rules = new.get("rules").and_then(Value::as_array).cloned().unwrap_or_default();
    let further = wanted(random, held, kind.is_namespaced());
    let further = further.iter().map(Rule::json);
    match random.below(8) {
        0 | 1 => rules = further.collect(),
        2 | 3 => rules.extend(further.take(1)),
        4 => _ = rules.pop(),
        5 => shorten(&mut rules, random),
        _ if kind == RbacKind::ClusterRole => {
            let aggregates = new.get("aggregationRule").is_some();
            let to =
                if aggregates && random.percent(70) { Value::Null } else { aggregation(random) };
            set(new, "", "aggregationRule", to);
            return "aggregation";
        }
        _ => rules.extend(further),
    }
    set(new, "", "rules", rules.into());
    "rules"
}

/// Takes one text out of one list of one rule.
fn shorten(rules: &mut [Value], random: &mut Random) {
    let number = random.below(rules.len());
    let Some(rule) = rules.get_mut(number).and_then(Value::as_object_mut) else { return };
    let mut lists: Vec<&mut Vec<Value>> =
        rule.values_mut().filter_map(Value::as_array_mut).collect();
    let number = random.below(lists.len());
    if let Some(list) = lists.get_mut(number)
        && list.len() > 1
    {
        list.pop();
    }
}

/// What leads from one to the other by RFC 7386.
pub(crate) fn merge_patch(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return new.clone() };
    let mut patch = Map::new();
    for (name, value) in new {
        match old.get(name) {
            Some(same) if same == value => {}
            Some(other) => _ = patch.insert(name.clone(), merge_patch(other, value)),
            None => _ = patch.insert(name.clone(), value.clone()),
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    patch.into()
}

/// The same by RFC 6902: each member, or member of the metadata, as a whole.
pub(crate) fn json_patch(old: &Value, new: &Value) -> Value {
    let mut steps = Vec::new();
    for at in ["/metadata", ""] {
        let empty = Map::new();
        let members = |value: &Value| {
            value.pointer(at).and_then(Value::as_object).cloned().unwrap_or_else(|| empty.clone())
        };
        let (old, new) = (members(old), members(new));
        for (name, value) in
            new.iter().filter(|(name, value)| *name != "metadata" && old.get(*name) != Some(*value))
        {
            steps.push(json!({"op": "add", "path": format!("{at}/{name}"), "value": value}));
        }
    }
    steps.into()
}
