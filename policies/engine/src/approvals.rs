//! AgentApprovals that were given and hold now: what an AgentRoleBinding (PF-RBAC-003) and a grant (PF-SEC-004) wait for.
//!
//! Here is what holds for all of them: nobody approves what they asked for themselves, no agent approves, and an approval ends. Who may approve what, and
//! what else must fit, is each rule's own.

use pinfold_model::object::agent::Approval;
use pinfold_model::object::{AGENT_GROUPS, Facts, Object, ObjectKey};

use crate::explain::World;
use crate::rbac::agents::Agents;

/// The phase of an approval that was given.
pub(crate) const APPROVED: &str = "Approved";

/// The approvals beside an object that name it: `spec.action.target` is `KIND/NAME` or `KIND/NAMESPACE/NAME`. None for an object without a name.
pub(crate) fn given<'c>(
    world: &World<'c>,
    target: &ObjectKey,
) -> Vec<(&'c ObjectKey, &'c Approval)> {
    let ObjectKey { kind, namespace, name, .. } = target;
    if name.is_empty() {
        return Vec::new();
    }
    let mut all = Vec::new();
    for target in [format!("{kind}/{name}"), format!("{kind}/{namespace}/{name}")] {
        let listed = world.view.approvals_of(&target, namespace);
        let now = listed.filter_map(|(key, approval)| match world.answers.live(key) {
            None => Some((key, approval)),
            Some(live) => of_object(live?).filter(|(_, approval)| approval.target == target),
        });
        all.extend(now.filter(|(key, approval)| holds(world, key, approval)));
    }
    all
}

fn of_object(object: &Object) -> Option<(&ObjectKey, &Approval)> {
    let Facts::Approval(approval) = &object.facts else { return None };
    Some((&object.key, approval))
}

fn holds(world: &World<'_>, key: &ObjectKey, approval: &Approval) -> bool {
    let expired = approval.expires_at.is_some_and(|end| world.now >= end);
    let agents = Agents::new(world.view, world.policy);
    AGENT_GROUPS.contains(&key.group.as_str())
        && approval.phase == APPROVED
        && !expired
        && approval.requested_by != approval.approver
        && !agents.is_agent(&approval.approver)
}
