//! One chain: a spelling of somebody, the binding that names it, the role, and for each rule where it came from.

use std::collections::BTreeSet;

use pinfold_model::facts::Requester;
use pinfold_model::object::rbac::{PolicyRule, RoleRef};
use pinfold_model::object::{AGENT_GROUPS, Facts, Object, ObjectKey};
use pinfold_model::snapshot::{RBAC_GROUP, Snapshot, SubjectKey, role_key, selects};

use super::World;
use crate::rbac::resolver::{MAX_AGGREGATED, Resolver, Unresolved, subjects_of};

/// One rule of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right<'a> {
    /// The rule.
    pub rule: &'a PolicyRule,
    /// The ClusterRoles that it was aggregated from; none: it is the role's own.
    pub from: Vec<&'a ObjectKey>,
    /// The ceiling that it meets, if it is given to an agent identity.
    pub ceiling: Option<String>,
}

/// By which way somebody has some rights.
#[derive(Debug, Clone)]
pub struct Chain<'a> {
    /// Under which name the binding means them.
    pub spelling: SubjectKey,
    /// The AgentRoleBinding that the binding was written for.
    pub source: Option<ObjectKey>,
    /// The RoleBinding or ClusterRoleBinding.
    pub binding: &'a ObjectKey,
    /// The role that it names.
    pub role: &'a RoleRef,
    /// What the role gives, or why that can't be told.
    pub rights: Result<Vec<Right<'a>>, Unresolved>,
}

impl Chain<'_> {
    /// The namespace that the rights are in; empty for all.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.binding.namespace
    }

    /// The key of the role, if it is of a kind that can be bound there.
    #[must_use]
    pub fn role_key(&self) -> Option<ObjectKey> {
        role_key(self.role, self.place())
    }
}

/// Every chain that leads to rights of somebody, in all namespaces, by spelling and then by binding.
pub(super) fn chains_of<'a>(world: &World<'a>, requester: &Requester) -> Vec<Chain<'a>> {
    let mut seen = BTreeSet::new();
    let mut chains = Vec::new();
    for spelling in subjects_of(requester).filter(|spelling| !is_nameless(spelling)) {
        let mut bindings: Vec<_> =
            world.view.bindings_of(&spelling).filter(|(key, _)| is_native(key)).collect();
        bindings.sort_by_key(|(key, _)| *key);
        for (key, binding) in bindings {
            if seen.insert((key, order(&spelling))) {
                chains.push(chain(world, key, &binding.role_ref, spelling.clone()));
            }
        }
    }
    chains
}

/// A spelling that stands for nobody: the members of groups have no name of their own.
fn is_nameless(spelling: &SubjectKey) -> bool {
    matches!(spelling, SubjectKey::User(name) if name.is_empty())
}

/// A total order of spellings: kind, namespace, name.
pub(super) fn order(spelling: &SubjectKey) -> (u8, String, String) {
    match spelling {
        SubjectKey::ServiceAccount(namespace, name) => (0, namespace.clone(), name.clone()),
        SubjectKey::User(name) => (1, String::new(), name.clone()),
        SubjectKey::Group(name) => (2, String::new(), name.clone()),
    }
}

/// Whether the RBAC authorizer reads it.
pub(super) fn is_native(key: &ObjectKey) -> bool {
    let kind = if key.namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    key.group == RBAC_GROUP && key.kind == kind
}

/// The chain of one binding.
pub(super) fn chain<'a>(
    world: &World<'a>,
    binding: &'a ObjectKey,
    role: &'a RoleRef,
    spelling: SubjectKey,
) -> Chain<'a> {
    let resolver = Resolver::new(world.view, world.answers);
    let rules = resolver.held_by(role, &binding.namespace);
    let rights = rules.map(|rules| rights(world, role, &binding.namespace, rules));
    Chain { spelling, source: source(world.view, binding), binding, role, rights }
}

/// The rights that some rules of a role give in a place: all of them, but no URLs in a namespace, where no request for one is.
pub(super) fn rights<'a>(
    world: &World<'a>,
    role: &RoleRef,
    place: &str,
    rules: Vec<&'a PolicyRule>,
) -> Vec<Right<'a>> {
    let parts = role_key(role, place)
        .and_then(|key| world.view.get(&key))
        .map(|role| parts(world.view, role))
        .unwrap_or_default();
    let of = |rule: &'a PolicyRule| {
        let holds = |part: &&&'a Object| matches!(&part.facts, Facts::Role(role) if role.rules.contains(rule));
        parts.iter().filter(holds).map(|part| &part.key).collect()
    };
    let counts = |rule: &&PolicyRule| place.is_empty() || !rule.resources.is_empty();
    let right = |rule| Right { rule, from: of(rule), ceiling: None };
    rules.into_iter().filter(counts).map(right).collect()
}

/// The ClusterRoles that a role takes in by its labels, and those that they take in.
fn parts<'a>(view: &'a Snapshot, role: &'a Object) -> Vec<&'a Object> {
    let mut seen = BTreeSet::from([&role.key]);
    let mut open = vec![role];
    let mut parts = Vec::new();
    while let Some(next) = open.pop() {
        let Facts::Role(facts) = &next.facts else { continue };
        let selectors = facts.aggregation.as_deref().unwrap_or_default();
        if selectors.is_empty() {
            continue;
        }
        let selected = |other: &&Object| {
            let label = |name: &str| other.meta.labels.get(name).cloned();
            other.key.group == RBAC_GROUP
                && selectors.iter().any(|selector| selects(selector, label))
        };
        for other in view.of_kind("ClusterRole").filter(selected) {
            if parts.len() < MAX_AGGREGATED && seen.insert(&other.key) {
                open.push(other);
                parts.push(other);
            }
        }
    }
    parts.sort_by_key(|part| &part.key);
    parts
}

/// The AgentRoleBinding that owns a binding.
pub(super) fn source(view: &Snapshot, binding: &ObjectKey) -> Option<ObjectKey> {
    let owners = &view.get(binding)?.meta.owners;
    let owner = owners.iter().find(|owner| {
        owner.kind == "AgentRoleBinding" && AGENT_GROUPS.contains(&owner.group.as_str())
    })?;
    let key = ObjectKey::new(&owner.group, &owner.kind, &binding.namespace, &owner.name);
    Some(view.by_uid(&owner.uid).map_or(key, |object| object.key.clone()))
}
