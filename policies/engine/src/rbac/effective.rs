//! What a ServiceAccount holds in all places together, each right with the chain that leads to it: spelling, binding, role, and for an
//! aggregated role the roles that it takes in. Asked per identity, over indexes that are kept as objects change.

use pinfold_model::facts::Answers;
use pinfold_model::object::ObjectKey;
use pinfold_model::object::rbac::{PolicyRule, RoleRef};
use pinfold_model::snapshot::{RBAC_GROUP, Snapshot, SubjectKey};

use super::agents::{Account, spellings};
use super::resolver::{Resolver, Unresolved};

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
    let mut grants = Vec::new();
    for spelling in spellings(account) {
        let native = |key: &ObjectKey| {
            let kind = if key.namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
            key.group == RBAC_GROUP && key.kind == kind
        };
        let mut bindings: Vec<_> =
            view.bindings_of(&spelling).filter(|(key, _)| native(key)).collect();
        bindings.sort_by_key(|(key, _)| *key);
        grants.extend(bindings.into_iter().map(|(key, binding)| Grant {
            binding: key,
            spelling: spelling.clone(),
            role: &binding.role_ref,
            rules: resolver.granted(&binding.role_ref, &key.namespace),
        }));
    }
    grants
}
