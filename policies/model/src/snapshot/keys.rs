//! Under what an object is found: what the indexes of a snapshot are keyed by. Nothing here looks anything up.

use super::{RBAC_GROUP, SubjectKey};
use crate::object::agent::OrganizationRecord;
use crate::object::rbac::{Binding, LabelSelector, RoleRef, Subject};
use crate::object::{Facts, Object, ObjectKey};

/// The key of the role that a reference means; `None` if its kind isn't a role's.
#[must_use]
pub fn role_key(reference: &RoleRef, namespace: &str) -> Option<ObjectKey> {
    match reference.kind.as_str() {
        "Role" if !namespace.is_empty() => {
            Some(ObjectKey::new(RBAC_GROUP, "Role", namespace, &reference.name))
        }
        "ClusterRole" => Some(ObjectKey::new(RBAC_GROUP, "ClusterRole", "", &reference.name)),
        _ => None,
    }
}

pub(super) fn binding(object: &Object) -> Option<(&ObjectKey, &Binding)> {
    let Facts::Binding(binding) = &object.facts else { return None };
    Some((&object.key, binding))
}

pub(super) fn organization(object: &Object) -> Option<(&ObjectKey, &OrganizationRecord)> {
    let Facts::Organization(record) = &object.facts else { return None };
    Some((&object.key, record.as_ref()))
}

/// What a grant grants: `Secret/namespace/name`.
pub(super) fn granted(object: &Object) -> Option<String> {
    let Facts::Grant(grant) = &object.facts else { return None };
    let of = &grant.object;
    let namespace = if of.namespace.is_empty() { &object.key.namespace } else { &of.namespace };
    Some(format!("{}/{namespace}/{}", of.kind, of.name))
}

/// Namespace and name of the ServiceAccount that an object names an agent identity.
#[must_use]
pub fn names_agent(object: &Object) -> Option<(String, String)> {
    agent_of(object).map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
}

pub(super) fn agent_of(object: &Object) -> Option<(&str, &str)> {
    let own = object.key.namespace.as_str();
    let facts = &object.facts;
    let (namespace, name) = if let Facts::AgentServiceAccount(account) = facts {
        (account.namespace.as_str(), account.service_account.as_str())
    } else if let Facts::AgentStack(stack) = facts {
        let named = stack.service_account.as_str();
        named.split_once('/').unwrap_or((own, named))
    } else if let Facts::RunnerPool(pool) = facts
        && !pool.trusted
    {
        let named = pool.service_account.as_str();
        named.split_once('/').unwrap_or((own, named))
    } else {
        return None;
    };
    (!namespace.is_empty() && !name.is_empty()).then_some((namespace, name))
}

/// The namespace of the ServiceAccount of a trusted RunnerPool, where that is another than its own.
pub(super) fn trusted_account_elsewhere(object: &Object) -> Option<&str> {
    let Facts::RunnerPool(pool) = &object.facts else { return None };
    let (place, name) = pool.service_account.split_once('/')?;
    (pool.trusted && !name.is_empty() && place != object.key.namespace).then_some(place)
}

/// Whether a ClusterRole takes in others.
pub(super) fn aggregates(object: &Object) -> bool {
    let Facts::Role(role) = &object.facts else { return false };
    role.aggregation.as_ref().is_some_and(|selectors| !selectors.is_empty())
}

/// The keys of the labels of a ClusterRole.
pub(super) fn cluster_role_labels(object: &Object) -> impl Iterator<Item = &String> {
    let is_cluster_role = object.key.kind == "ClusterRole";
    object.meta.labels.keys().filter(move |_| is_cluster_role)
}

pub(super) fn subject_keys(object: &Object) -> Vec<SubjectKey> {
    let Facts::Binding(binding) = &object.facts else { return Vec::new() };
    let key = |subject: &Subject| subject_key(subject, &object.key.namespace);
    binding.subjects.iter().filter_map(key).collect()
}

/// The index key of a subject of a binding in `namespace`; `None` for kinds that RBAC ignores and for a ServiceAccount without a
/// namespace in a ClusterRoleBinding (it matches nobody).
#[must_use]
pub fn subject_key(subject: &Subject, namespace: &str) -> Option<SubjectKey> {
    match subject.kind.as_str() {
        "User" => Some(SubjectKey::User(subject.name.clone())),
        "Group" => Some(SubjectKey::Group(subject.name.clone())),
        "ServiceAccount" => {
            let own = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
            (!own.is_empty())
                .then(|| SubjectKey::ServiceAccount(own.to_owned(), subject.name.clone()))
        }
        _ => None,
    }
}

/// Whether a selector selects some labels (meta/v1 `LabelSelectorAsSelector`; an unknown operator selects nothing).
#[must_use]
pub fn selects(selector: &LabelSelector, label: impl Fn(&str) -> Option<String>) -> bool {
    let labels_hold =
        selector.match_labels.iter().all(|(key, value)| label(key).as_ref() == Some(value));
    labels_hold
        && selector.match_expressions.iter().all(|requirement| {
            let found = label(&requirement.key);
            let listed = found.as_ref().is_some_and(|value| requirement.values.contains(value));
            match requirement.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}
