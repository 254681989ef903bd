//! The agent identities that are bound to a role, by RoleBindings, ClusterRoleBindings and AgentRoleBindings.

use std::collections::{BTreeMap, BTreeSet};

use pinfold_model::object::ObjectKey;
use pinfold_model::object::rbac::{AgentRoleBinding, Binding};
use pinfold_model::snapshot::{RBAC_GROUP, Snapshot};

use crate::context::Context;
use crate::rbac::agents::Agents;
use crate::rules::pf_rbac::ceiling::agent_binding::agent_of;
use crate::rules::pf_rbac::ceiling::words::Who;
use crate::rules::pf_rbac::scope::expand_from;

/// How many bindings of one role are looked at; more is "cannot tell".
const MAX_BINDINGS: usize = 250_000;
/// How many different scopes of AgentRoleBindings are expanded; more is "cannot tell".
const MAX_SCOPES: usize = 256;

/// An agent identity that is bound to a role.
pub(super) struct Bound {
    /// By what.
    pub(super) binding: ObjectKey,
    /// Where it has the role's rights; empty for cluster-wide.
    pub(super) place: String,
    /// Who.
    pub(super) who: Who,
}

/// All that are bound, in the order of the bindings' keys.
pub(super) fn bound_to(
    context: &Context<'_>,
    view: &Snapshot,
    role: &ObjectKey,
) -> Result<Vec<Bound>, &'static str> {
    let context = Context { view, ..*context };
    let agents = Agents::of(&context);
    let mut all = Vec::new();
    for (position, (key, binding)) in view.bindings_to(role).enumerate() {
        if position >= MAX_BINDINGS {
            return Err("cannot tell whom this reaches: the role has too many bindings");
        }
        if let Some(who) = reached(&agents, key, binding) {
            all.push(Bound { binding: key.clone(), place: key.namespace.clone(), who });
        }
    }
    let mut scopes = Scopes { context: &context, known: BTreeMap::new() };
    for (key, binding) in view.agent_bindings_to(role) {
        let Some(who) = agent_of(&context, &key.namespace, binding) else { continue };
        for place in scopes.places(key, binding)? {
            if role.namespace.is_empty() || role.namespace == *place {
                let (place, who) = (place.clone(), who.clone());
                all.push(Bound { binding: key.clone(), place, who });
            }
        }
    }
    all.sort_by(|one, other| (&one.binding, &one.place).cmp(&(&other.binding, &other.place)));
    Ok(all)
}

fn reached(agents: &Agents<'_>, key: &ObjectKey, binding: &Binding) -> Option<Who> {
    let kind = if key.namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    let native = key.group == RBAC_GROUP && key.kind == kind;
    let mut subjects = binding.subjects.iter().filter(|_| native);
    subjects.find_map(|subject| {
        let reach = agents.reached(subject, &key.namespace)?;
        Some(Who::of_subject(agents, subject, reach))
    })
}

/// Kind, name, organization, namespace.
type Scope = [String; 4];

struct Scopes<'c> {
    context: &'c Context<'c>,
    known: BTreeMap<Scope, BTreeSet<String>>,
}

impl Scopes<'_> {
    /// Where a binding gives rights; nowhere if its scope can't be expanded, because its controller can't do it either.
    fn places(
        &mut self,
        key: &ObjectKey,
        binding: &AgentRoleBinding,
    ) -> Result<&BTreeSet<String>, &'static str> {
        let AgentRoleBinding { scope_kind, scope_name, ties, .. } = binding;
        let scope = [scope_kind, scope_name, &ties.organization, &key.namespace].map(String::clone);
        if self.known.len() >= MAX_SCOPES && !self.known.contains_key(&scope) {
            return Err("cannot tell where this reaches: too many AgentRoleBindings name the role");
        }
        let context = self.context;
        let expand = || expand_from(context, &key.namespace, binding).unwrap_or_default();
        Ok(self.known.entry(scope).or_insert_with(expand))
    }
}
