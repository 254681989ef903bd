//! PF-RBAC: nobody gives rights that they don't hold, by Role, binding or AgentRoleBinding.
//!
//! The order of gates is the API server's: `system:masters`, `escalate` or `bind`, updates that only touch what garbage collection
//! writes, then coverage. Nothing here grants, and what can't be told is denied.

mod agent_binding;
pub(crate) mod agent_binding_subjects;
mod approval;
mod binding;
mod ceiling;
pub(crate) mod deputy;
mod deputy_nobody;
mod deputy_owner;
mod gate;
mod growth;
mod own;
mod own_control_plane;
mod own_impersonation;
mod own_marks;
mod role;
pub(crate) mod role_template;
pub(crate) mod scope;
mod subject;

pub use self::ceiling::standing::{Overstep, affected, identities, matters, oversteps};

use pinfold_model::facts::AdmissionFacts;
use pinfold_model::finding::RuleId;
use pinfold_model::object::rbac::{AgentRoleBinding, Binding, Role};
use pinfold_model::object::{AGENT_GROUPS, Facts, ObjectKey};
use pinfold_model::snapshot::RBAC_GROUP;

use self::deputy::Principal;
use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;

/// Judges the family. Deletions give nothing, so only PF-RBAC-008 judges them; objects that are being deleted still give.
pub fn judge(context: &Context<'_>, found: &mut Found) {
    let principal = deputy::principal(context);
    own::judge(context, &principal, found);
    if !context.facts.operation.is_write() {
        return;
    }
    ceiling::judge(context, found);
    judge_requester(context, &principal, found);
    subject::judge(context, &principal, found);
}

/// PF-RBAC-001 to 003: what the requester holds, or whom it acts for.
fn judge_requester(context: &Context<'_>, principal: &Principal<'_>, found: &mut Found) {
    let (rule, facts) = (rule_of(&context.facts.target), context.subject_facts());
    let Some(rule) = rule else { return };
    let Some(what) = facts.and_then(gives) else {
        let kind = excerpt(&context.facts.target.kind);
        let message = format!("cannot tell what this `{kind}` gives: it could not be read");
        found.add(rule, "$", message, "send the object in the form that its API documents");
        return;
    };
    if gate::is_collection_only(context) {
        return;
    }
    match (what, principal) {
        (What::AgentBinding(binding), _) => {
            agent_binding::judge(context, principal, binding, found);
        }
        (_, Principal::Nobody) => deputy_nobody::judge(context, &rule, found),
        (_, Principal::Owner(owner)) => deputy_owner::judge(context, owner, &rule, found),
        (What::Role(role), _) => role::judge(context, principal, role, found),
        (What::Binding(binding), _) => binding::judge(context, principal, binding, found),
    }
}

/// An object that gives rights.
#[derive(Clone, Copy)]
enum What<'a> {
    Role(&'a Role),
    Binding(&'a Binding),
    AgentBinding(&'a AgentRoleBinding),
}

fn gives(facts: &Facts) -> Option<What<'_>> {
    if let Facts::Role(role) = facts {
        Some(What::Role(role))
    } else if let Facts::Binding(binding) = facts {
        Some(What::Binding(binding))
    } else if let Facts::AgentRoleBinding(binding) = facts {
        Some(What::AgentBinding(binding))
    } else {
        None
    }
}

/// The rule that objects of a kind must be read for.
fn rule_of(target: &ObjectKey) -> Option<RuleId> {
    match (target.group.as_str(), target.kind.as_str()) {
        (RBAC_GROUP, "Role" | "ClusterRole") => Some(RuleId::RBAC_ROLE),
        (RBAC_GROUP, "RoleBinding" | "ClusterRoleBinding") => Some(RuleId::RBAC_BINDING),
        (group, "AgentRoleBinding") if AGENT_GROUPS.contains(&group) => {
            Some(RuleId::RBAC_AGENT_BINDING)
        }
        _ => None,
    }
}

/// The namespace that an RBAC object gives rights in; empty for the cluster-wide kinds, whatever their metadata says.
fn place_of(facts: &AdmissionFacts) -> &str {
    match facts.target.kind.as_str() {
        "ClusterRole" | "ClusterRoleBinding" => "",
        _ => &facts.target.namespace,
    }
}

#[cfg(test)]
mod tests;
