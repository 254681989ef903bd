//! Whether a grant's `requiredApproval` is there: an AgentApproval beside the grant, by somebody else than whoever asked, and no agent.

use pinfold_model::object::agent::Approval;
use pinfold_model::object::{AGENT_GROUPS, ObjectKey};

use super::Case;
use crate::rbac::agents::{Agents, account_of_user};

/// The phase of an approval that was given.
const APPROVED: &str = "Approved";

/// Whether somebody approved that this work uses what a grant gives.
pub(super) fn is_given(case: &Case<'_, '_>, grant: &ObjectKey) -> bool {
    let ObjectKey { kind, namespace, name, .. } = grant;
    let targets = [format!("{kind}/{name}"), format!("{kind}/{namespace}/{name}")];
    targets.iter().any(|target| {
        let approvals = case.world.view.approvals_of(target, namespace);
        let approvals = approvals.filter(|(key, _)| AGENT_GROUPS.contains(&key.group.as_str()));
        approvals.into_iter().any(|(key, approval)| match case.world.answers.live(key) {
            None => holds(case, key, approval),
            Some(live) => live.is_some_and(|live| {
                let pinfold_model::object::Facts::Approval(approval) = &live.facts else {
                    return false;
                };
                approval.target == *target && holds(case, key, approval)
            }),
        })
    })
}

fn holds(case: &Case<'_, '_>, key: &ObjectKey, approval: &Approval) -> bool {
    let expired = approval.expires_at.is_some_and(|end| case.now() >= end);
    let for_run = is_for_run(case, key, approval);
    approval.phase == APPROVED && !expired && for_run && is_by(case, approval)
}

/// An approval that names a run is for that run alone, and a bare name is one beside it: every namespace may have a run of that name.
fn is_for_run(case: &Case<'_, '_>, key: &ObjectKey, approval: &Approval) -> bool {
    let named = approval.run.split_once('/').unwrap_or((&key.namespace, &approval.run));
    let of_run = |run: &ObjectKey| (run.namespace.as_str(), run.name.as_str()) == named;
    approval.run.is_empty() || case.bearer.run.is_some_and(of_run)
}

/// Whether the approver may: an administrator or a listed approver, by name because a record has no groups.
fn is_by(case: &Case<'_, '_>, approval: &Approval) -> bool {
    let approver = &approval.approver;
    let policy = case.world.policy;
    let listed = policy.organizations.admin_users.contains(approver)
        || policy.grants.approvers.contains(approver);
    let agents = Agents::new(case.world.view, policy);
    let agent = account_of_user(approver)
        .is_some_and(|(namespace, name)| agents.naming(namespace, name).is_some());
    let asked = approval.requested_by == *approver || case.bearer.user == Some(approver);
    listed && !agent && !asked
}
