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
mod gate;
mod role;
pub(crate) mod scope;
mod subject;

use pinfold_model::facts::{AdmissionFacts, Operation};
use pinfold_model::finding::RuleId;
use pinfold_model::object::{AGENT_GROUPS, Facts, ObjectKey};
use pinfold_model::snapshot::RBAC_GROUP;

use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;

/// Judges PF-RBAC-001, 002 and 003. Deletions give nothing and are not judged; objects that are being deleted still give.
pub fn judge(context: &Context<'_>, found: &mut Found) {
    if !matches!(context.facts.operation, Operation::Create | Operation::Update) {
        return;
    }
    ceiling::judge(context, found);
    let principal = deputy::principal(context);
    judge_requester(context, found);
    subject::judge(context, &principal, found);
}

/// PF-RBAC-001 to 003: what the requester holds.
fn judge_requester(context: &Context<'_>, found: &mut Found) {
    match (rule_of(&context.facts.target), context.subject_facts()) {
        (_, Some(Facts::Role(role))) => role::judge(context, role, found),
        (_, Some(Facts::Binding(binding))) => binding::judge(context, binding, found),
        (_, Some(Facts::AgentRoleBinding(binding))) => {
            agent_binding::judge(context, binding, found);
        }
        (Some(rule), _) => {
            let kind = excerpt(&context.facts.target.kind);
            let message = format!("cannot tell what this `{kind}` gives: it could not be read");
            found.add(rule, "$", message, "send the object in the form that its API documents");
        }
        (None, _) => {}
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
