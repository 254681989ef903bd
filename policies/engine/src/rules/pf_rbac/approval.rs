//! The AgentApproval that `escalationPolicy: require-admin-approval` waits for.

use pinfold_model::object::agent::Approval;
use pinfold_model::object::{AGENT_GROUPS, Facts, ObjectKey};

use crate::context::Context;

/// Whether a platform administrator, who is neither the requester nor whoever asked for the approval, approved this binding.
///
/// The approval stands beside the binding and its `spec.action.target` is `AgentRoleBinding/NAME` or `AgentRoleBinding/NAMESPACE/NAME`.
/// A record has no groups, so the approver must be one of the policy's administrators by name.
pub(super) fn is_approved(context: &Context<'_>) -> bool {
    let target = &context.facts.target;
    let approvals = context.view.of_kind_in("AgentApproval", &target.namespace);
    approvals.filter(|object| AGENT_GROUPS.contains(&object.key.group.as_str())).any(|object| {
        let Facts::Approval(approval) = &object.facts else { return false };
        approval.phase == "Approved"
            && names(approval, target)
            && is_independent_administrator(context, approval)
    })
}

fn names(approval: &Approval, target: &ObjectKey) -> bool {
    let ObjectKey { namespace, name, .. } = target;
    !name.is_empty()
        && approval.target.strip_prefix("AgentRoleBinding/").is_some_and(|named| {
            named == name || named.split_once('/') == Some((namespace.as_str(), name.as_str()))
        })
}

fn is_independent_administrator(context: &Context<'_>, approval: &Approval) -> bool {
    let approver = &approval.approver;
    let requester = context.facts.requester.as_ref().map(|requester| &requester.name);
    context.policy.organizations.admin_users.contains(approver)
        && requester != Some(approver)
        && approval.requested_by != *approver
}
