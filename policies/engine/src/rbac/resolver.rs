//! What a requester holds in a namespace or cluster-wide, and what a role reference means, from the snapshot.
//!
//! A role that is missing does not end the search (as upstream): what was found counts, and what was not is noted for the denial text.
//! Live answers of the edge win over the view.

use std::collections::{BTreeMap, BTreeSet};

use pinfold_model::facts::{AccessQuestion, Answers, Requester};
use pinfold_model::object::rbac::{Binding, LabelSelector, PolicyRule, RoleRef, Rules};
use pinfold_model::object::{Facts, Object, ObjectKey};
use pinfold_model::snapshot::{RBAC_GROUP, Snapshot, SubjectKey, role_key};

/// The group whose members hold everything; the API server asks no authorizer about them.
pub const MASTERS: &str = "system:masters";
/// How many ClusterRoles one aggregation takes in at most where no controller has done it; more is "cannot tell".
pub const MAX_AGGREGATED: usize = 256;

/// Why a role reference has no rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// Not a Role or ClusterRole of the RBAC group, or a Role where there is no namespace.
    Kind,
    /// There is no such role.
    Absent(ObjectKey),
    /// It aggregates more than [`MAX_AGGREGATED`] roles.
    TooLarge(ObjectKey),
}

/// What a requester holds somewhere.
#[derive(Debug, Clone, Default)]
pub struct Held<'a> {
    /// The rules of all roles that the requester is bound to there, each role once.
    pub rules: Vec<&'a PolicyRule>,
    /// Roles that the requester is bound to and that can't be resolved, as `kind/name`.
    pub unresolved: BTreeSet<String>,
}

impl Held<'_> {
    /// Whether these rules allow something (the RBAC authorizer's check, for requests about resources).
    #[must_use]
    pub fn allow(&self, question: &AccessQuestion) -> bool {
        let AccessQuestion { verb, group, resource, name, .. } = question;
        let attributes = Attributes { verb, group, resource, name };
        self.rules.iter().any(|rule| attributes.allowed_by(rule))
    }
}

/// What a request about a resource is judged by, the place aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes<'q> {
    pub(crate) verb: &'q str,
    pub(crate) group: &'q str,
    /// Plural, `resource/subresource` for a subresource.
    pub(crate) resource: &'q str,
    /// Empty for all.
    pub(crate) name: &'q str,
}

/// Reads roles and bindings.
#[derive(Debug, Clone, Copy)]
pub struct Resolver<'a> {
    view: &'a Snapshot,
    answers: &'a Answers,
}

impl<'a> Resolver<'a> {
    /// Reads this view, and live answers before it.
    #[must_use]
    pub fn new(view: &'a Snapshot, answers: &'a Answers) -> Self {
        Self { view, answers }
    }

    /// What the requester holds in a namespace, or cluster-wide if that is empty.
    #[must_use]
    pub fn held(&self, requester: &Requester, namespace: &str) -> Held<'a> {
        let mut held = Held::default();
        for ((kind, name, place), reference) in self.roles_of(requester, namespace) {
            match self.find(reference, place).and_then(|role| self.held_rules(role)) {
                Ok(rules) => held.rules.extend(rules),
                Err(_) => {
                    held.unresolved.insert(format!("{kind}/{name}"));
                }
            }
        }
        held
    }

    /// Whether RBAC in the snapshot allows the requester something; members of [`MASTERS`] everything.
    #[must_use]
    pub fn authorize(&self, requester: &Requester, question: &AccessQuestion) -> bool {
        requester.in_group(MASTERS) || self.held(requester, &question.namespace).allow(question)
    }

    /// The rules that a binding in `namespace` (empty for a cluster binding) to this role would give.
    ///
    /// # Errors
    /// [`Unresolved`]: nobody can tell what would be given.
    pub fn granted(
        &self,
        reference: &RoleRef,
        namespace: &str,
    ) -> Result<Vec<&'a PolicyRule>, Unresolved> {
        if !reference.api_group.is_empty() && reference.api_group != RBAC_GROUP {
            return Err(Unresolved::Kind);
        }
        let (object, rules, selectors) = self.find(reference, namespace)?;
        if rules.is_empty() && !selectors.is_empty() {
            return self.aggregated(object);
        }
        Ok(rules.iter().collect())
    }

    /// The rules that whoever is bound to this role in `namespace` holds by it, as [`Resolver::held`] counts them.
    ///
    /// # Errors
    /// [`Unresolved`]: it counts for nothing.
    pub fn held_by(
        &self,
        reference: &RoleRef,
        namespace: &str,
    ) -> Result<Vec<&'a PolicyRule>, Unresolved> {
        self.find(reference, namespace).and_then(|role| self.held_rules(role))
    }

    /// Every role that the requester is bound to cluster-wide and in a namespace, once, by kind, name and place.
    fn roles_of<'n>(
        &self,
        requester: &Requester,
        namespace: &'n str,
    ) -> BTreeMap<(&'a str, &'a str, &'n str), &'a RoleRef> {
        let mut roles = BTreeMap::<_, &RoleRef>::new();
        for subject in subjects_of(requester) {
            for (key, Binding { role_ref, .. }) in self.view.bindings_reaching(&subject, namespace)
            {
                let place = if key.namespace.is_empty() { "" } else { namespace };
                let kind = if place.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
                if key.group != RBAC_GROUP || key.kind != kind {
                    continue;
                }
                let place = if role_ref.kind == "Role" { place } else { "" };
                roles.insert((role_ref.kind.as_str(), role_ref.name.as_str(), place), role_ref);
            }
        }
        roles
    }

    fn find(&self, reference: &RoleRef, namespace: &str) -> Result<Found<'a>, Unresolved> {
        let key = role_key(reference, namespace).ok_or(Unresolved::Kind)?;
        let object = match self.answers.live(&key) {
            Some(live) => live,
            None => self.view.get(&key),
        };
        let found = object.and_then(|object| {
            let Facts::Role(role) = &object.facts else { return None };
            let selectors = role.aggregation.as_deref().unwrap_or_default();
            Some((object, &role.rules, selectors))
        });
        found.ok_or(Unresolved::Absent(key))
    }

    /// The rules that a role gives to somebody who is bound to it: the stored ones. Only a role that no API server has stored yet (it
    /// has no uid, offline) and that aggregates stands for what the controller would put there.
    fn held_rules(
        &self,
        (object, rules, selectors): Found<'a>,
    ) -> Result<Vec<&'a PolicyRule>, Unresolved> {
        if rules.is_empty() && !selectors.is_empty() && object.meta.uid.is_empty() {
            return self.aggregated(object);
        }
        Ok(rules.iter().collect())
    }

    /// What the aggregation controller would put into a role; roles that aggregate themselves and are still empty are followed.
    fn aggregated(&self, object: &'a Object) -> Result<Vec<&'a PolicyRule>, Unresolved> {
        let mut rules = Vec::new();
        let mut seen = BTreeSet::from([object.key.name.as_str()]);
        let mut open = vec![object];
        while let Some(next) = open.pop() {
            let Facts::Role(role) = &next.facts else { continue };
            rules.extend(role.rules.iter());
            let selectors = role.aggregation.as_deref().unwrap_or_default();
            if !role.rules.is_empty() || selectors.is_empty() {
                continue;
            }
            let selected = selectors.iter().flat_map(|one| self.view.cluster_roles(one));
            // In one order, whatever the order of changes was.
            let selected: BTreeMap<&ObjectKey, &Object> =
                selected.map(|other| (&other.key, other)).collect();
            for other in selected.into_values() {
                if seen.insert(other.key.name.as_str()) {
                    open.push(other);
                }
                if seen.len() > MAX_AGGREGATED {
                    return Err(Unresolved::TooLarge(object.key.clone()));
                }
            }
        }
        Ok(rules)
    }
}

/// A role, its stored rules, its aggregation's selectors.
type Found<'a> = (&'a Object, &'a Rules, &'a [LabelSelector]);

/// Under which names bindings can mean the requester.
pub(crate) fn subjects_of(requester: &Requester) -> impl Iterator<Item = SubjectKey> {
    let user = SubjectKey::User(requester.name.clone());
    let account = requester
        .service_account()
        .map(|(namespace, name)| SubjectKey::ServiceAccount(namespace.to_owned(), name.to_owned()));
    let groups = requester.groups.iter().cloned().map(SubjectKey::Group);
    std::iter::once(user).chain(account).chain(groups)
}

impl Attributes<'_> {
    /// The RBAC authorizer's check of one rule.
    pub(crate) fn allowed_by(self, rule: &PolicyRule) -> bool {
        let lists = |list: &[String], text: &str| list.iter().any(|own| own == "*" || own == text);
        let below = self.resource.split_once('/').map(|(_, below)| below);
        let below_any = |own: &String| own.strip_prefix("*/").is_some_and(|own| Some(own) == below);
        let names = &rule.resource_names;
        lists(&rule.verbs, self.verb)
            && lists(&rule.api_groups, self.group)
            && (lists(&rule.resources, self.resource) || rule.resources.iter().any(below_any))
            && (names.is_empty() || names.iter().any(|name| name == self.name))
    }
}

#[cfg(test)]
mod tests;
