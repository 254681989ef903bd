//! The AgentApproval that `escalationPolicy: require-admin-approval` waits for.

use pinfold_model::digest::Digest;
use pinfold_model::object::agent::Approval;
use pinfold_model::object::{AGENT_GROUPS, Facts, ObjectKey};

use super::deputy::Principal;
use crate::context::Context;
use crate::rbac::agents::{Agents, account_of_user};
use crate::vouch::digest_of_member;

/// Whether there is an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is.
    Approved,
    /// Only of another content under this name.
    OtherContent,
    /// There is none.
    None,
}

/// Whether a platform administrator, who is neither whom this is for nor whoever asked for the approval, approved this binding.
///
/// The approval stands beside the binding and its `spec.action.target` is `AgentRoleBinding/NAME` or `AgentRoleBinding/NAMESPACE/NAME`. If it
/// says what was looked at, that must be the `spec` as it is now. A record has no groups, so the approver must be one of the policy's
/// administrators by name.
pub(super) fn standing(context: &Context<'_>, principal: &Principal<'_>) -> Standing {
    let target = &context.facts.target;
    let approvals = context.view.of_kind_in("AgentApproval", &target.namespace);
    let valid = approvals
        .filter(|object| AGENT_GROUPS.contains(&object.key.group.as_str()))
        .filter_map(|object| {
            if let Facts::Approval(approval) = &object.facts { Some(approval) } else { None }
        })
        .filter(|approval| {
            approval.phase == "Approved"
                && names(approval, target)
                && is_independent_administrator(context, principal, approval)
        });
    let digest = digest(context).map(|digest| digest.to_string());
    let mut standing = Standing::None;
    for approval in valid {
        let fits = |said: &String| Some(said) == digest.as_ref();
        if approval.digests.is_empty() || approval.digests.iter().any(fits) {
            return Standing::Approved;
        }
        standing = Standing::OtherContent;
    }
    standing
}

/// The digest of the binding's `spec`, as an approval names it.
pub(super) fn digest(context: &Context<'_>) -> Option<Digest> {
    digest_of_member(context.facts.document.as_ref()?, "spec")
}

fn names(approval: &Approval, target: &ObjectKey) -> bool {
    let ObjectKey { namespace, name, .. } = target;
    !name.is_empty()
        && approval.target.strip_prefix("AgentRoleBinding/").is_some_and(|named| {
            named == name || named.split_once('/') == Some((namespace.as_str(), name.as_str()))
        })
}

fn is_independent_administrator(
    context: &Context<'_>,
    principal: &Principal<'_>,
    approval: &Approval,
) -> bool {
    let approver = &approval.approver;
    let applies = context.facts.requester.as_ref().map(|requester| &requester.name);
    let behind = principal.requester().map(|requester| &requester.name);
    let agent = account_of_user(approver)
        .is_some_and(|(namespace, name)| Agents::of(context).naming(namespace, name).is_some());
    context.policy.organizations.admin_users.contains(approver)
        && !agent
        && applies != Some(approver)
        && behind != Some(approver)
        && approval.requested_by != *approver
}
