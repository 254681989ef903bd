//! PF-RUN-005: a stack is dispatched only if its permission review passes: its parts are there, its grants cover what they need, its roles are bound.
//!
//! The attack: an agent that starts with half of what was reviewed, or with more than anybody granted, because a grant was revoked, a key or a role went away,
//! or a binding drifted after the review.

use pinfold_model::facts::{AdmissionFacts, Operation};
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
    let Some(dispatch) = dispatch_of(context, object, run) else { return };
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
        let RunRecord { agent_stack, trigger_source, run, .. } = run.clone();
        [repository, git_ref, head_repository, runner_pool, agent_stack, trigger_source, run]
    };
    asked(old) == asked(new)
}

/// What is dispatched; an attempt's run says what the attempt doesn't. `None` for records of other kinds, which start nothing.
fn dispatch_of(context: &Context<'_>, object: &Object, run: &RunRecord) -> Option<Dispatch> {
    let mut key = object.key.clone();
    key.namespace.clone_from(&context.facts.target.namespace);
    let own = Dispatch::of_run(&key, run);
    match key.kind.as_str() {
        RUN => Some(own),
        ATTEMPT => {
            let of = ObjectKey::new(&key.group, RUN, &key.namespace, &run.run);
            let Some(Facts::Run(of)) = context.lookup(&of).map(|found| &found.facts) else {
                // That the run isn't there is PF-TRU-001's to say, of the attempt's pods.
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

fn path(object: &Object) -> &'static str {
    if object.key.kind == ATTEMPT { "$.spec.agentDispatchRun" } else { "$.spec.agentStack" }
}
