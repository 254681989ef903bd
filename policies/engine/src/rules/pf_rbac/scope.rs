//! Where the controller writes what an AgentRoleBinding asks for.

use std::collections::BTreeSet;

use pinfold_model::object::agent::OrganizationRecord;
use pinfold_model::object::rbac::AgentRoleBinding;
use pinfold_model::object::{AGENT_GROUPS, Facts};

use crate::context::Context;
use crate::rbac::describe::excerpt;

/// How many namespaces a scope may have; more is "cannot tell".
pub(crate) const MAX_NAMESPACES: usize = 1_024;

/// The namespaces that a binding gives rights in; the empty one stands for a cluster binding. The error says why that can't be told.
pub(crate) fn expand(
    context: &Context<'_>,
    binding: &AgentRoleBinding,
) -> Result<BTreeSet<String>, String> {
    expand_from(context, &context.facts.target.namespace, binding)
}

/// The same for a binding that stands in the namespace `own`.
pub(crate) fn expand_from(
    context: &Context<'_>,
    own: &str,
    binding: &AgentRoleBinding,
) -> Result<BTreeSet<String>, String> {
    let name = binding.scope_name.as_str();
    let places = match binding.scope_kind.as_str() {
        "cluster" => return Ok(BTreeSet::from([String::new()])),
        "namespace" if name.is_empty() => BTreeSet::from([own.to_owned()]),
        "namespace" => BTreeSet::from([name.to_owned()]),
        "repository" if name.is_empty() => return Err("the scope names no repository".to_owned()),
        "repository" => of_repository(context, name, own),
        "organization" => of_organization(context, binding)?,
        kind => return Err(format!("`{}` is no kind of scope", excerpt(kind))),
    };
    if places.contains("") {
        return Err("neither the scope nor the object names a namespace".to_owned());
    }
    if places.len() > MAX_NAMESPACES {
        return Err(format!("the scope has more than {MAX_NAMESPACES} namespaces"));
    }
    Ok(places)
}

/// The namespace of a Repository. The binding's own comes first, so that a stranger's repository of the same name changes nothing; of
/// several others any may be meant, so all count.
fn of_repository(context: &Context<'_>, name: &str, own: &str) -> BTreeSet<String> {
    let known = context.view.repositories(name);
    let known = known.filter(|repository| AGENT_GROUPS.contains(&repository.key.group.as_str()));
    let places: BTreeSet<String> =
        known.map(|repository| repository.key.namespace.clone()).collect();
    if places.is_empty() || places.contains(own) {
        return BTreeSet::from([own.to_owned()]);
    }
    places
}

fn of_organization(
    context: &Context<'_>,
    binding: &AgentRoleBinding,
) -> Result<BTreeSet<String>, String> {
    let AgentRoleBinding { scope_name, ties, .. } = binding;
    let name = if scope_name.is_empty() { &ties.organization } else { scope_name };
    if name.is_empty() {
        return Err("the scope names no organization".to_owned());
    }
    let places = owned(context, name);
    if places.is_empty() {
        return Err(format!("organization `{}` owns no known namespace", excerpt(name)));
    }
    Ok(places)
}

/// Every namespace that any record or label says the organization owns; where they disagree, more must be held.
fn owned(context: &Context<'_>, organization: &str) -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    for kind in ["Organization", "OrgNamespaceBinding"] {
        for object in context.view.of_kind(kind) {
            let Facts::Organization(record) = &object.facts else { continue };
            let place = match record.as_ref() {
                OrganizationRecord::Organization { namespace }
                    if object.key.name == organization =>
                {
                    namespace
                }
                OrganizationRecord::NamespaceBinding { organization: owner, namespace }
                    if owner == organization =>
                {
                    namespace
                }
                OrganizationRecord::Organization { .. }
                | OrganizationRecord::NamespaceBinding { .. }
                | OrganizationRecord::Sharing { .. } => continue,
            };
            if !place.is_empty() {
                places.insert(place.clone());
            }
        }
    }
    let labels = &context.policy.organizations.namespace_labels;
    for namespace in context.view.of_kind("Namespace") {
        let says = |label| namespace.meta.labels.get(label).is_some_and(|own| own == organization);
        if labels.iter().any(says) {
            places.insert(namespace.key.name.clone());
        }
    }
    places
}
