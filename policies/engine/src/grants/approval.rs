//! Whether a grant's `requiredApproval` is there: an AgentApproval beside the grant, for this run, by somebody whom the policy lists and who didn't set
//! the work off.

use pinfold_model::object::ObjectKey;
use pinfold_model::object::agent::Approval;

use super::Case;
use crate::approvals;

/// Whether somebody approved that this work uses what a grant gives.
pub(super) fn is_given(case: &Case<'_, '_>, grant: &ObjectKey) -> bool {
    let mut given = approvals::given(case.world, grant).into_iter();
    given.any(|(key, approval)| is_for_run(case, key, approval) && is_by(case, approval))
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
    listed && case.bearer.user != Some(approver)
}
