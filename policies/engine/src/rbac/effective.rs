//! What a ServiceAccount holds in all places together, each right with the chain that leads to it: spelling, binding, role, and for an
//! aggregated role the roles that it takes in. Asked per identity, over indexes that are kept as objects change.

use std::collections::BTreeSet;

use pinfold_model::facts::Answers;
use pinfold_model::object::rbac::{Binding, LabelSelector, PolicyRule, RoleRef};
use pinfold_model::object::{Facts, Object, ObjectKey};
use pinfold_model::snapshot::{RBAC_GROUP, Snapshot, SubjectKey, role_key, selects};

use super::agents::{Account, spellings};
use super::resolver::{Resolver, Unresolved};

/// How many ClusterRoles an aggregated role may take in; more is "cannot tell". Clusters with many operators have some hundreds.
pub const MAX_TAKEN_IN: usize = 2_048;

/// One binding that gives somebody a role.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    /// The RoleBinding or ClusterRoleBinding.
    pub binding: &'a ObjectKey,
    /// Under which name it means the ServiceAccount.
    pub spelling: SubjectKey,
    /// The role that it names.
    pub role: &'a RoleRef,
    /// What the role gives, or why that can't be told.
    pub rules: Result<Vec<&'a PolicyRule>, Unresolved>,
}

impl Grant<'_> {
    /// The namespace that the rights are in; empty for all.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.binding.namespace
    }
}

/// Every binding that gives a ServiceAccount something, in all namespaces, in the order of [`spellings`] and then of the bindings' keys.
#[must_use]
pub fn grants_of<'a>(
    view: &'a Snapshot,
    answers: &'a Answers,
    account: &Account,
) -> Vec<Grant<'a>> {
    let resolver = Resolver::new(view, answers);
    let grant = |(spelling, key, binding): HeldBy<'a>| Grant {
        binding: key,
        spelling,
        role: &binding.role_ref,
        rules: resolver.granted(&binding.role_ref, &key.namespace),
    };
    bindings_of(view, account).into_iter().map(grant).collect()
}

/// Under which name a binding means a ServiceAccount, and the binding.
pub(crate) type HeldBy<'a> = (SubjectKey, &'a ObjectKey, &'a Binding);

/// The RoleBindings and ClusterRoleBindings that mean a ServiceAccount, in the order of [`spellings`] and then of their keys.
pub(crate) fn bindings_of<'a>(view: &'a Snapshot, account: &Account) -> Vec<HeldBy<'a>> {
    let mut all = Vec::new();
    for spelling in spellings(account) {
        let native = |key: &ObjectKey| {
            let kind = if key.namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
            key.group == RBAC_GROUP && key.kind == kind
        };
        let mut bindings: Vec<_> =
            view.bindings_of(&spelling).filter(|(key, _)| native(key)).collect();
        bindings.sort_by_key(|(key, _)| *key);
        all.extend(bindings.into_iter().map(|(key, binding)| (spelling.clone(), key, binding)));
    }
    all
}

/// What a role gives, now or as soon as the aggregation controller has looked: its own rules and those of every role that it takes in.
///
/// [`Resolver::granted`] is what the API server goes by; this is never less.
#[derive(Debug, Clone)]
pub struct Gives<'a> {
    /// The rules, those of roles that are taken in first, so that a right is told with the role that it comes from.
    pub rules: Vec<Given<'a>>,
    /// The role, then those that it takes in, those nearest first.
    pub roles: Vec<&'a ObjectKey>,
}

/// One rule of a role.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The rule.
    pub rule: &'a PolicyRule,
    /// Its place in that role.
    pub position: usize,
    /// The role that is taken in; `None` for the role's own rules.
    pub from: Option<&'a ObjectKey>,
}

/// What a role gives to whoever is bound to it in `namespace` (empty for cluster-wide).
///
/// # Errors
/// [`Unresolved`]: nobody can tell.
pub fn gives<'a>(
    view: &'a Snapshot,
    answers: &'a Answers,
    role: &RoleRef,
    namespace: &str,
) -> Result<Gives<'a>, Unresolved> {
    if !role.api_group.is_empty() && role.api_group != RBAC_GROUP {
        return Err(Unresolved::Kind);
    }
    let key = role_key(role, namespace).ok_or(Unresolved::Kind)?;
    Roles { view, answers }.gives(&key)
}

/// Roles of a view, live answers before it.
#[derive(Clone, Copy)]
pub(crate) struct Roles<'a> {
    pub(crate) view: &'a Snapshot,
    pub(crate) answers: &'a Answers,
}

impl<'a> Roles<'a> {
    /// What the role of a key gives.
    pub(crate) fn gives(self, key: &ObjectKey) -> Result<Gives<'a>, Unresolved> {
        let role = match self.answers.live(key) {
            Some(live) => live,
            None => self.view.get(key),
        };
        let role = role.filter(|object| matches!(object.facts, Facts::Role(_)));
        let Some(role) = role else { return Err(Unresolved::Absent(key.clone())) };
        let mut all = vec![role];
        let mut seen = BTreeSet::from([role.key.name.as_str()]);
        let mut next = 0;
        while let Some(&open) = all.get(next) {
            next = next.saturating_add(1);
            for other in self.taken_in(open) {
                if seen.insert(other.key.name.as_str()) {
                    all.push(other);
                }
            }
            if all.len() > MAX_TAKEN_IN {
                return Err(Unresolved::TooLarge(key.clone()));
            }
        }
        let own = |object: &'a Object| {
            let from = (!std::ptr::eq(object, role)).then_some(&object.key);
            rules_of(object).enumerate().map(move |(position, rule)| Given { rule, position, from })
        };
        let rules = all.iter().rev().copied().flat_map(own).collect();
        Ok(Gives { rules, roles: all.iter().map(|object| &object.key).collect() })
    }

    /// The roles that a role's own selectors select.
    fn taken_in(self, role: &'a Object) -> Vec<&'a Object> {
        let Some(selectors) = selectors_of(role) else { return Vec::new() };
        let current = |object: &'a Object| match self.answers.live(&object.key) {
            Some(live) => live,
            None => Some(object),
        };
        let stored = selectors.iter().flat_map(|one| self.view.cluster_roles(one));
        let live = self.answers.objects.iter().filter_map(|(_, found)| found.as_ref());
        let live = live.filter(|object| is_cluster_role(object));
        let all = stored.filter_map(current).chain(live);
        let mut all: Vec<&Object> = all.filter(|object| selected(selectors, object)).collect();
        all.sort_by_key(|object| &object.key);
        all
    }
}

fn is_cluster_role(object: &Object) -> bool {
    object.key.group == RBAC_GROUP && object.key.kind == "ClusterRole"
}

fn rules_of(object: &Object) -> impl Iterator<Item = &PolicyRule> {
    let role = if let Facts::Role(role) = &object.facts { Some(role) } else { None };
    role.into_iter().flat_map(|role| role.rules.iter())
}

/// The selectors of a ClusterRole that aggregates.
fn selectors_of(object: &Object) -> Option<&[LabelSelector]> {
    let Facts::Role(role) = &object.facts else { return None };
    is_cluster_role(object).then_some(role.aggregation.as_deref()).flatten()
}

/// Whether one of the selectors selects a role.
pub(crate) fn selected(selectors: &[LabelSelector], role: &Object) -> bool {
    let labels = &role.meta.labels;
    selectors.iter().any(|selector| selects(selector, |label| labels.get(label).cloned()))
}

/// The aggregating ClusterRoles that take in a role, by themselves or through others, the role itself left out.
///
/// # Errors
/// [`Unresolved::TooLarge`] past [`MAX_TAKEN_IN`].
pub(crate) fn takers<'a>(
    view: &'a Snapshot,
    role: &Object,
) -> Result<Vec<&'a ObjectKey>, Unresolved> {
    let mut open: Vec<&Object> = vec![role];
    let mut found: BTreeSet<&'a ObjectKey> = BTreeSet::new();
    while let Some(next) = open.pop() {
        for taker in view.aggregating() {
            let takes = selectors_of(taker).is_some_and(|selectors| selected(selectors, next));
            if takes && taker.key != role.key && found.insert(&taker.key) {
                open.push(taker);
            }
        }
        if found.len() > MAX_TAKEN_IN {
            return Err(Unresolved::TooLarge(role.key.clone()));
        }
    }
    Ok(found.into_iter().collect())
}
