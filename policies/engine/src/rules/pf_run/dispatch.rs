//! PF-RUN-005: a stack is dispatched only if its permission review passes: its parts are there, its grants cover what they need, its roles are bound.
//!
//! The attack: an agent that starts with half of what was reviewed, or with more than anybody granted, because a grant was revoked, a key or a role went away,
//! or a binding drifted after the review.

use pinfold_model::facts::{AdmissionFacts, Operation, Question};
use pinfold_model::finding::RuleId;
use pinfold_model::object::agent::RunRecord;
use pinfold_model::object::{Change, Facts, Object, ObjectKey};

use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;
use crate::review::{Dispatch, Problem, Severity, assess};
use crate::trust::record::{ATTEMPT, RUN};

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(object) = facts.object.as_ref() else { return };
    let Facts::Run(run) = &object.facts else { return };
    if !is_dispatched(facts, run) {
        return;
    }
    let Some(dispatch) = dispatch_of(context, (object, run), found) else { return };
    let Some(dispatch) = by_trigger_rule(context, dispatch, found) else { return };
    if dispatch.stack.is_empty() {
        return;
    }
    let assessment = assess(context, &dispatch);
    let denying = assessment.problems.iter().filter(|one| one.severity == Severity::Error);
    for Problem { about, message, remedy, questions, .. } in denying {
        questions.iter().for_each(|question| found.ask(question.clone()));
        let stack = excerpt(&dispatch.stack);
        let message = format!("stack `{stack}` can't be dispatched: {about}: {message}");
        found.add(RuleId::RUN_DISPATCH, path(object), message, remedy.clone());
    }
}

/// Whether the request dispatches: a new run or attempt, or one that is changed in what the review is about.
fn is_dispatched(facts: &AdmissionFacts, run: &RunRecord) -> bool {
    if !facts.subresource.is_empty() {
        return false;
    }
    match facts.operation {
        Operation::Create => true,
        Operation::Update => {
            let old = facts.old_object.as_ref().map(|old| &old.facts);
            let same = matches!(old, Some(Facts::Run(old)) if is_same(old, run));
            facts.change == Change::Content && !same
        }
        Operation::Delete | Operation::Connect => false,
    }
}

fn is_same(old: &RunRecord, new: &RunRecord) -> bool {
    let asked = |run: &RunRecord| {
        let RunRecord { repository, git_ref, head_repository, runner_pool, .. } = run.clone();
        let RunRecord { agent_stack, trigger_source, trigger_rule, run, .. } = run.clone();
        let asked = [repository, git_ref, head_repository, runner_pool, agent_stack];
        (asked, [trigger_source, trigger_rule, run])
    };
    asked(old) == asked(new)
}

/// What is dispatched; an attempt's run says what the attempt doesn't. `None` for records of other kinds, which start nothing, and for an
/// attempt of which nobody knows the run, which is refused.
fn dispatch_of(
    context: &Context<'_>,
    (object, run): (&Object, &RunRecord),
    found: &mut Found,
) -> Option<Dispatch> {
    let mut key = object.key.clone();
    key.namespace.clone_from(&context.facts.target.namespace);
    let own = Dispatch::of_run(&key, run);
    match key.kind.as_str() {
        RUN => Some(own),
        ATTEMPT => {
            let of = ObjectKey::new(&key.group, RUN, &key.namespace, &run.run);
            let Some(Facts::Run(of)) = context.lookup(&of).map(|found| &found.facts) else {
                if own.stack.is_empty() {
                    let message = format!(
                        "cannot tell which stack is dispatched: AgentDispatchRun `{}` isn't in the view of the cluster",
                        excerpt(&run.run)
                    );
                    let remedy = "make the run first, and name it in `spec.agentDispatchRun`";
                    found.add(RuleId::RUN_DISPATCH, path(object), message, remedy);
                    found.ask(Question::Object(of));
                }
                return Some(own);
            };
            let whole = Dispatch::of_run(&key, of);
            let or = |own: String, run: String| if own.is_empty() { run } else { own };
            Some(Dispatch {
                stack: or(own.stack, whole.stack),
                pool: or(own.pool, whole.pool),
                ..whole
            })
        }
        _ => None,
    }
}

/// The same with what its trigger rule says, where the run names no stack itself. `None` if the rule isn't there, which refuses.
fn by_trigger_rule(
    context: &Context<'_>,
    mut dispatch: Dispatch,
    found: &mut Found,
) -> Option<Dispatch> {
    let (run, record) = (dispatch.run.as_ref()?, dispatch.record.as_ref()?);
    let named = record.trigger_rule.as_str();
    if !dispatch.stack.is_empty() || named.is_empty() {
        return Some(dispatch);
    }
    let (namespace, name) = named.split_once('/').unwrap_or((&run.namespace, named));
    let key = ObjectKey::new(&run.group, "AgentTriggerRule", namespace, name);
    let Some(Facts::TriggerRule(rule)) = context.lookup(&key).map(|object| &object.facts) else {
        let message = format!(
            "cannot tell which stack is dispatched: AgentTriggerRule `{}` isn't in the view of the cluster",
            excerpt(named)
        );
        let remedy = "name a trigger rule that exists, or the stack itself in `spec.agentStack`";
        found.add(RuleId::RUN_DISPATCH, "$.spec.sourceRefs.triggerRule", message, remedy);
        found.ask(Question::Object(key));
        return None;
    };
    dispatch.stack.clone_from(&rule.agent_stack);
    if dispatch.pool.is_empty() {
        dispatch.pool.clone_from(&rule.runner_pool);
    }
    Some(dispatch)
}

fn path(object: &Object) -> &'static str {
    if object.key.kind == ATTEMPT { "$.spec.agentDispatchRun" } else { "$.spec.agentStack" }
}
