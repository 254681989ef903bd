//! PF-RBAC-004 for a namespace that joins an organization: the AgentRoleBindings of the organization would be written there too, and what is
//! bound there already comes along.

use std::collections::BTreeSet;

use pinfold_model::object::agent::OrganizationRecord;
use pinfold_model::object::{Facts, Object};
use pinfold_model::snapshot::RBAC_GROUP;

use super::agent_binding::{Part, agent_of};
use super::identity::Identity;
use super::words::{self, object_name};
use super::{CEILING, current, is_exempt, settle};
use crate::context::{Context, Found};
use crate::organization::labels;
use crate::rbac::agents::{Account, Agents, spellings};

/// How many AgentRoleBindings are told.
const MAX_TOLD: usize = 4;
const SCOPE: &str = "organization";

pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let Some(object) = &context.facts.object else { return };
    for Joins { organization, namespace, path } in joins(context, object) {
        judge_join(context, &organization, &namespace, &path, found);
        judge_standing(context, &namespace, &path, found);
    }
}

/// A namespace that joins an organization.
struct Joins {
    organization: String,
    namespace: String,
    path: String,
}

/// What an object newly says about who owns which namespace.
fn joins(context: &Context<'_>, object: &Object) -> Vec<Joins> {
    let old = context.facts.old_object.as_ref();
    if object.key.group.is_empty() && object.key.kind == "Namespace" {
        let old: Vec<String> = old
            .into_iter()
            .flat_map(|old| labels(context.policy, old))
            .map(|source| source.organization)
            .collect();
        let policy = context.policy;
        let keys = policy.organizations.namespace_labels.iter();
        let says = keys.filter_map(|key| Some((key, object.meta.labels.get(key)?)));
        let new = says.filter(|(_, organization)| !old.contains(organization));
        return new
            .map(|(key, organization)| Joins {
                organization: organization.clone(),
                namespace: object.key.name.clone(),
                path: format!("$.metadata.labels['{key}']"),
            })
            .collect();
    }
    let new = owned(object);
    let (organization, namespace) = match new {
        Some(new) if old.and_then(owned) != Some(new) => new,
        Some(_) | None => return Vec::new(),
    };
    let field = if object.key.kind == "Organization" { "namespaceName" } else { "namespace" };
    let path = format!("$.spec.{field}");
    vec![Joins { organization: organization.to_owned(), namespace: namespace.to_owned(), path }]
}

/// Organization and namespace of a record.
fn owned(object: &Object) -> Option<(&str, &str)> {
    let Facts::Organization(record) = &object.facts else { return None };
    let (organization, namespace) = match record.as_ref() {
        OrganizationRecord::Organization { namespace } => (&object.key.name, namespace),
        OrganizationRecord::NamespaceBinding { organization, namespace } => {
            (organization, namespace)
        }
        OrganizationRecord::Sharing { .. } => return None,
    };
    (!organization.is_empty() && !namespace.is_empty()).then_some((organization, namespace))
}

fn judge_join(
    context: &Context<'_>,
    organization: &str,
    namespace: &str,
    path: &str,
    found: &mut Found,
) {
    let mut roles = Vec::new();
    let mut told: usize = 0;
    let mut dangers: usize = 0;
    for object in context.view.of_kind("AgentRoleBinding") {
        let Facts::AgentRoleBinding(binding) = &object.facts else { continue };
        let name = if binding.scope_name.is_empty() {
            &binding.ties.organization
        } else {
            &binding.scope_name
        };
        let meant = binding.scope_kind == SCOPE && name == organization;
        if told >= MAX_TOLD || !meant || is_exempt(context, &object.key) {
            continue;
        }
        let Some(who) = agent_of(context, &object.key.namespace, binding) else { continue };
        let via = Some((path, object_name(&object.key)));
        let part = Part { context, who: &who, place: namespace, via, given: None };
        let before = found.raw.len();
        let over = part.judge_binding(binding, &mut roles, found);
        let refused = found.raw.iter().skip(before).any(|raw| raw.rule == CEILING);
        // What only PF-RBAC-007 is about has its own number: a policy may have switched it off.
        let counted = if refused { &mut told } else { &mut dangers };
        if over && !refused && *counted >= MAX_TOLD {
            found.raw.truncate(before);
        }
        *counted = counted.saturating_add(usize::from(over));
    }
    let over = told > 0 || dangers > 0;
    settle(context, &roles.iter().collect::<Vec<_>>(), over, found);
}

/// The RoleBindings that are there and reach an agent identity which some object names.
fn judge_standing(context: &Context<'_>, namespace: &str, path: &str, found: &mut Found) {
    let view = current(context);
    let agents = Agents::of(context);
    let mut seen = BTreeSet::new();
    let accounts: BTreeSet<(&str, &str)> = view.agents().collect();
    for (home, name) in accounts {
        let account = Account { namespace: home.to_owned(), name: name.to_owned() };
        let mut held = Vec::new();
        for spelling in spellings(&account) {
            for (key, binding) in view.bindings_in(&spelling, namespace) {
                let native = key.group == RBAC_GROUP && key.kind == "RoleBinding";
                if native && seen.insert(key) {
                    held.push((spelling.clone(), key, binding));
                }
            }
        }
        // Most have nothing there.
        if held.is_empty() {
            continue;
        }
        let mut identity = Identity::new(context, words::identity(&agents, &account), path);
        held.into_iter().for_each(|held| identity.judge(&view, held, found));
    }
}
