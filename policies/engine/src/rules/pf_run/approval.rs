//! PF-RUN-003: an AgentApproval is decided once, by the approver themself, who isn't whoever asked for it and no agent.
//!
//! The attack: whoever may write the record writes `phase: Approved` with an administrator's name, or turns an approval that was given into one of
//! something else.

use pinfold_model::facts::Operation;
use pinfold_model::finding::RuleId;
use pinfold_model::object::agent::Approval;
use pinfold_model::object::{AGENT_GROUPS, Facts, Object};

use crate::approvals::APPROVED;
use crate::context::{Context, Found};
use crate::rbac::agents::Agents;
use crate::rbac::describe::excerpt;
use crate::rules::pf_rbac::deputy::{Principal, principal};

const RULE: RuleId = RuleId::RUN_APPROVAL;
const PHASE: &str = "$.status.phase";
const APPROVER: &str = "$.status.approver";
/// Phases that say that somebody decided.
const DECISIONS: [&str; 2] = [APPROVED, "Denied"];
/// The phase of an approval that waits; so does one that has none.
const PENDING: &str = "Pending";

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    if !facts.operation.is_write() || !AGENT_GROUPS.contains(&facts.target.group.as_str()) {
        return;
    }
    let Some(new) = approval_of(facts.object.as_ref()) else { return };
    // Without its old form it is as good as new: whatever it says is decided now.
    let old =
        approval_of(facts.old_object.as_ref()).filter(|_| facts.operation == Operation::Update);
    match old {
        Some(old) if is_closed(old) => judge_closed(context, old, new, found),
        Some(old) if !decides(Some(old), new) => {}
        None if !decides(None, new) => {}
        Some(_) | None => judge_decision(context, new, found),
    }
}

fn approval_of(object: Option<&Object>) -> Option<&Approval> {
    let Facts::Approval(approval) = &object?.facts else { return None };
    Some(approval)
}

/// Whether there is nothing left to decide: approved, denied, or in a phase that somebody gave up in.
fn is_closed(approval: &Approval) -> bool {
    !approval.phase.is_empty() && approval.phase != PENDING
}

/// Whether a change of an open approval says what was decided, or by whom.
fn decides(old: Option<&Approval>, new: &Approval) -> bool {
    let same = |of: fn(&Approval) -> &String| old.is_some_and(|old| of(old) == of(new));
    let phase = DECISIONS.contains(&new.phase.as_str()) && !same(|one| &one.phase);
    let approver = !new.approver.is_empty() && !same(|one| &one.approver);
    phase || approver
}

/// Who decides signs with their own name.
fn judge_decision(context: &Context<'_>, new: &Approval, found: &mut Found) {
    let Some(requester) = context.requester(RULE, found) else { return };
    let who = excerpt(&requester.name);
    let ask = "have the approver write the decision with their own credentials, or a controller impersonate them";
    if new.approver.is_empty() {
        return found.add(RULE, APPROVER, "a decision names nobody who decided", ask);
    }
    if requester.name != new.approver {
        let approver = excerpt(&new.approver);
        let message = format!(
            "`{who}` writes what `{approver}` decided; approvers write their decisions themselves"
        );
        found.add(RULE, APPROVER, message, ask);
    }
    if requester.name == new.requested_by {
        let message = format!("`{who}` decides on what they asked for themselves");
        found.add(RULE, APPROVER, message, "have somebody else decide");
    }
    if Agents::of(context).is_agent(&requester.name) {
        let message = format!("`{who}` is an agent identity, and agents decide no approvals");
        found.add(RULE, APPROVER, message, "have a person decide");
    }
}

/// What was decided stays, and so does what it was about.
fn judge_closed(context: &Context<'_>, old: &Approval, new: &Approval, found: &mut Found) {
    let phase = excerpt(&old.phase);
    if asked(old) != asked(new) {
        let message = format!("it is `{phase}`, and what was decided on doesn't change any more");
        found.add(RULE, "$.spec", message, "make another AgentApproval");
    }
    if (&old.phase, &old.approver) == (&new.phase, &new.approver) {
        return;
    }
    let principal = principal(context);
    if principal == Principal::Unknown {
        return found.undecided(RULE);
    }
    let signs = principal.requester().is_some_and(|requester| requester.name == new.approver);
    let honest = new.approver.is_empty() || new.approver == old.approver || signs;
    if new.phase == APPROVED || !honest || !principal.administers(context) {
        let message = format!(
            "it is `{phase}`, and what was decided stays; only a platform administrator takes it back"
        );
        let remedy = "make another AgentApproval, or have an administrator set another phase than `Approved`";
        let path = if old.phase == new.phase { APPROVER } else { PHASE };
        found.add(RULE, path, message, remedy);
    }
}

/// All that an approval is about.
fn asked(approval: &Approval) -> Approval {
    Approval { phase: String::new(), approver: String::new(), ..approval.clone() }
}

#[cfg(test)]
mod tests;
