//! The AgentApproval that `escalationPolicy: require-admin-approval` waits for.

use pinfold_model::digest::Digest;
use pinfold_model::object::agent::Approval;

use super::deputy::Principal;
use crate::approvals;
use crate::context::Context;
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
    let given = approvals::given(&context.world(), &context.facts.target);
    let valid = given
        .into_iter()
        .map(|(_, approval)| approval)
        .filter(|approval| is_independent_administrator(context, principal, approval));
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

fn is_independent_administrator(
    context: &Context<'_>,
    principal: &Principal<'_>,
    approval: &Approval,
) -> bool {
    let approver = &approval.approver;
    let applies = context.facts.requester.as_ref().map(|requester| &requester.name);
    let behind = principal.requester().map(|requester| &requester.name);
    context.policy.organizations.admin_users.contains(approver)
        && applies != Some(approver)
        && behind != Some(approver)
}
