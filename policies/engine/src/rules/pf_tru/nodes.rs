//! Whether a pod's node selector and affinity lead to the nodes of a pool, keep it off them, or leave that open.
//!
//! Of a pool's nodes only the labels of the pool are known; of a node that is in the view, all. Operators are those of
//! `NodeSelectorRequirement` (core/v1).

use std::collections::BTreeMap;

use pinfold_model::facts::Question;
use pinfold_model::object::ObjectKey;
use pinfold_model::object::pod::{NodeTerm, Placement};
use pinfold_model::object::rbac::Requirement;
use pinfold_model::object::reference::member_path;

use super::pools::Pool;
use crate::context::Context;

/// Labels that every node has and that say nothing about a pool, unless it has no others.
const EVERYWHERE: [&str; 4] =
    ["kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/arch"];

const HOSTNAME: &str = "kubernetes.io/hostname";

/// What a constraint says about a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Says {
    /// It keeps the pod off.
    Off,
    /// It leads there; where below the pod spec, and what it is.
    There(String, String),
    /// It names a node that the view doesn't know.
    UnknownNode(String, String),
    /// Neither.
    Open,
}

/// The key of a node.
pub(super) fn node_key(name: &str) -> ObjectKey {
    ObjectKey::new("", "Node", "", name)
}

/// Whether a node that is in the view belongs to a pool; `None` if it isn't in the view.
pub(super) fn is_in(context: &Context<'_>, node: &str, pool: &Pool<'_>) -> Option<bool> {
    let node = context.lookup(&node_key(node))?;
    Some(has(&node.meta.labels, pool))
}

/// Whether labels are those of a pool's nodes.
pub(super) fn has(labels: &BTreeMap<String, String>, pool: &Pool<'_>) -> bool {
    let wanted = pool.nodes();
    !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// The question about a node.
pub(super) fn question(node: &str) -> Question {
    Question::Object(node_key(node))
}

/// What the node selector and the required affinity say about a pool together: one entry for every way that leads there, `Off` alone if it is kept
/// off, `Open` alone if nothing is said.
pub(super) fn required(context: &Context<'_>, placement: &Placement, pool: &Pool<'_>) -> Vec<Says> {
    let mut said = Vec::new();
    for (key, value) in &placement.node_selector {
        let requirement = Requirement {
            key: key.clone(),
            operator: "In".to_owned(),
            values: vec![value.clone()],
        };
        let path = member_path(".nodeSelector", key);
        said.push(label(context, &requirement, pool, (&path, "nodeSelector")));
    }
    if said.contains(&Says::Off) {
        return vec![Says::Off];
    }
    if let Some(found) = &placement.node_affinity {
        let path = ".affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution";
        said.extend(terms(context, found, pool, (path, "node affinity")));
    }
    if said.contains(&Says::Off) {
        return vec![Says::Off];
    }
    said.retain(|says| *says != Says::Open);
    if said.is_empty() { vec![Says::Open] } else { said }
}

/// What the terms of the node selector at `path` say together: they are alternatives, and without one no node fits.
pub(super) fn terms(
    context: &Context<'_>,
    terms: &[NodeTerm],
    pool: &Pool<'_>,
    (path, what): (&str, &str),
) -> Vec<Says> {
    let one = |(index, found): (usize, &NodeTerm)| {
        let path = format!("{path}.nodeSelectorTerms[{index}]");
        term(context, found, pool, (&path, what))
    };
    let all: Vec<Vec<Says>> = terms.iter().enumerate().map(one).collect();
    if all.iter().all(|said| said.contains(&Says::Off)) {
        return vec![Says::Off];
    }
    all.into_iter().filter(|said| !said.contains(&Says::Off)).flatten().collect()
}

/// What the preferred affinity says: it can't keep a pod off.
pub(super) fn preferred(
    context: &Context<'_>,
    placement: &Placement,
    pool: &Pool<'_>,
) -> Vec<Says> {
    let base = ".affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution";
    let mut said = Vec::new();
    for (index, preferred) in placement.preferred.iter().enumerate() {
        let path = format!("{base}[{index}].preference");
        let terms = term(context, preferred, pool, (&path, "preferred node affinity"));
        if !terms.contains(&Says::Off) {
            said.extend(terms.into_iter().filter(|says| *says != Says::Open));
        }
    }
    said
}

/// All requirements of a term must hold; one without any selects no node.
fn term(
    context: &Context<'_>,
    term: &NodeTerm,
    pool: &Pool<'_>,
    (path, what): (&str, &str),
) -> Vec<Says> {
    if term.expressions.is_empty() && term.fields.is_empty() {
        return vec![Says::Off];
    }
    let expressions = term.expressions.iter().enumerate().map(|(index, requirement)| {
        let path = format!("{path}.matchExpressions[{index}]");
        label(context, requirement, pool, (&path, what))
    });
    let fields = term.fields.iter().enumerate().map(|(index, requirement)| {
        let path = format!("{path}.matchFields[{index}]");
        by_name(context, requirement, pool, (&path, what))
    });
    expressions.chain(fields).collect()
}

fn label(
    context: &Context<'_>,
    requirement: &Requirement,
    pool: &Pool<'_>,
    (path, what): (&str, &str),
) -> Says {
    let known = pool.nodes().iter().find(|(key, _)| *key == requirement.key);
    let Some((_, value)) = known else {
        return match requirement.key.as_str() {
            HOSTNAME => by_name(context, requirement, pool, (path, what)),
            _ => Says::Open,
        };
    };
    let listed = requirement.values.contains(value);
    let holds = match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => true,
        "Gt" => compare(value, &requirement.values).is_some_and(|(have, bound)| have > bound),
        "Lt" => compare(value, &requirement.values).is_some_and(|(have, bound)| have < bound),
        // `DoesNotExist`; an operator that doesn't exist selects no node.
        _ => false,
    };
    let telling = !EVERYWHERE.contains(&requirement.key.as_str())
        || pool.nodes().iter().all(|(key, _)| EVERYWHERE.contains(&key.as_str()));
    match (holds, telling) {
        (false, _) => Says::Off,
        (true, false) => Says::Open,
        (true, true) => Says::There(path.to_owned(), format!("{what} {}", show(requirement))),
    }
}

fn compare(have: &str, values: &[String]) -> Option<(i64, i64)> {
    Some((have.parse().ok()?, values.first()?.parse().ok()?))
}

/// A requirement on the node's name; only `In` leads anywhere.
fn by_name(
    context: &Context<'_>,
    requirement: &Requirement,
    pool: &Pool<'_>,
    (path, what): (&str, &str),
) -> Says {
    if requirement.operator != "In" {
        return Says::Open;
    }
    let mut unknown = None;
    for node in &requirement.values {
        match is_in(context, node, pool) {
            Some(true) => {
                return Says::There(path.to_owned(), format!("{what} {}", show(requirement)));
            }
            Some(false) => {}
            None => unknown = Some(Says::UnknownNode(path.to_owned(), node.clone())),
        }
    }
    unknown.unwrap_or(Says::Off)
}

/// `pool=trusted`, `pool NotIn untrusted`.
fn show(requirement: &Requirement) -> String {
    let Requirement { key, operator, values } = requirement;
    let values = values.join(", ");
    let text = match operator.as_str() {
        "In" => format!("{key}={values}"),
        operator if values.is_empty() => format!("{key} {operator}"),
        operator => format!("{key} {operator} {values}"),
    };
    format!("`{}`", crate::rbac::describe::excerpt(&text))
}
