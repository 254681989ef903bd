//! Stacks, trigger rules, runs and attempts: whether what each of them names is what the others allow.

use pinfold_model::facts::Question;
use pinfold_model::object::agent::{AgentStack, RunRecord, TriggerRule};
use pinfold_model::object::{Facts, Object, ObjectKey};

use super::{RULE, accounts, filesystem};
use crate::context::{Context, Found};
use crate::rbac::describe::excerpt;
use crate::trust::record::{ATTEMPT, RUN};

const POOL: &str = "$.spec.runnerPool";
const STACK: &str = "$.spec.agentStack";
const REPOSITORY: &str = "$.spec.repository";
const POOL_REMEDY: &str = "name a runner pool that is allowed, or have the list extended";

/// A stack and where it is.
pub(super) type Stack<'c> = (&'c ObjectKey, &'c AgentStack);

/// A run with the records that it rests on, as far as they are there.
pub(super) struct Chain<'c> {
    pub(super) run: &'c RunRecord,
    pub(super) rule: Option<&'c TriggerRule>,
    pub(super) stack: Option<Stack<'c>>,
}

impl<'c> Chain<'c> {
    /// The pool that work of the run belongs on: the run's own, else its trigger rule's, else its stack's; empty if none is named.
    pub(super) fn pool(&self) -> &'c str {
        let names = [
            Some(self.run.runner_pool.as_str()),
            self.rule.map(|rule| rule.runner_pool.as_str()),
            self.stack.map(|(_, stack)| stack.runner_pool.as_str()),
        ];
        names.into_iter().flatten().find(|name| !name.is_empty()).unwrap_or_default()
    }

    /// The stack that work of the run belongs to; empty if none is named.
    pub(super) fn stack_name(&self) -> &'c str {
        let of_rule = self.rule.map(|rule| rule.agent_stack.as_str());
        let own = self.run.agent_stack.as_str();
        if own.is_empty() { of_rule.unwrap_or_default() } else { own }
    }
}

/// The records behind a run at `key`, or behind the run of an attempt; what isn't in the view is read live.
pub(super) fn chain<'c>(
    context: &Context<'c>,
    key: &ObjectKey,
    run: &'c RunRecord,
    found: &mut Found,
) -> Chain<'c> {
    let mut near = |kind: &str, name: &str| near(context, key, (kind, name), found);
    let of_attempt = if key.kind == ATTEMPT { near(RUN, &run.run) } else { None };
    let run = match of_attempt.map(|run| &run.facts) {
        Some(Facts::Run(whole)) => whole,
        _ => run,
    };
    let rule = match near("AgentTriggerRule", &run.trigger_rule).map(|rule| &rule.facts) {
        Some(Facts::TriggerRule(rule)) => Some(rule.as_ref()),
        _ => None,
    };
    let mut chain = Chain { run, rule, stack: None };
    chain.stack = near("AgentStack", chain.stack_name()).and_then(stack);
    chain
}

fn stack(object: &Object) -> Option<Stack<'_>> {
    let Facts::AgentStack(stack) = &object.facts else { return None };
    Some((&object.key, stack))
}

/// An object that another names, `name` beside it or `namespace/name`, of its group.
fn near<'c>(
    context: &Context<'c>,
    beside: &ObjectKey,
    (kind, name): (&str, &str),
    found: &mut Found,
) -> Option<&'c Object> {
    if name.is_empty() {
        return None;
    }
    let (namespace, name) = name.split_once('/').unwrap_or((&beside.namespace, name));
    let key = ObjectKey::new(&beside.group, kind, namespace, name);
    let object = context.lookup(&key);
    if object.is_none() {
        found.confirm(Question::Object(key));
    }
    object
}

/// Judges an agent resource.
pub(super) fn judge<'c>(context: &Context<'c>, object: &'c Object, found: &mut Found) {
    if let Some(stack) = stack(object) {
        judge_pool(context, &object.key, (stack, &stack.1.runner_pool), found);
        for repository in &stack.1.repositories {
            judge_repository(context, stack, (repository, "$.spec.repositories"), found);
        }
    } else if let Facts::TriggerRule(rule) = &object.facts {
        let named = near(context, &object.key, ("AgentStack", &rule.agent_stack), found);
        if let Some(stack) = named.and_then(stack) {
            judge_pool(context, &object.key, (stack, &rule.runner_pool), found);
        }
    } else if let Facts::Run(run) = &object.facts {
        match object.key.kind.as_str() {
            RUN => judge_run(context, &object.key, run, found),
            ATTEMPT => judge_attempt(context, &object.key, run, found),
            _ => {}
        }
    }
}

/// A stack's work on a pool: its AgentServiceAccounts must list it, and it must allow the stack's filesystem policy.
fn judge_pool(
    context: &Context<'_>,
    key: &ObjectKey,
    ((home, stack), pool): (Stack<'_>, &str),
    found: &mut Found,
) {
    if pool.is_empty() {
        return;
    }
    let at = (key.group.as_str(), key.namespace.as_str());
    for account in accounts::of_reference(context, &home.namespace, &stack.service_account) {
        if let Some(fault) = accounts::pool_fault(context, account, (at.0, at.1, pool)) {
            found.add(RULE, POOL, fault, POOL_REMEDY);
        }
    }
    if let Some(fault) = filesystem::fault(context, at, ((home, &stack.ties), pool)) {
        let remedy =
            "name a tool profile whose `filesystemPolicy` the pool allows, or another pool";
        found.add(RULE, POOL, fault, remedy);
    }
}

fn judge_repository(
    context: &Context<'_>,
    (home, stack): Stack<'_>,
    (repository, path): (&str, &str),
    found: &mut Found,
) {
    for account in accounts::of_reference(context, &home.namespace, &stack.service_account) {
        if let Some(fault) = accounts::repository_fault(account, repository) {
            let remedy = "choose a stack whose AgentServiceAccount allows the repository, or have the list extended";
            found.add(RULE, path, fault, remedy);
        }
    }
}

fn judge_run<'c>(context: &Context<'c>, key: &ObjectKey, run: &'c RunRecord, found: &mut Found) {
    let chain = chain(context, key, run, found);
    if let Some(rule) = chain.rule {
        let by = format!("trigger rule `{}`", excerpt(&run.trigger_rule));
        differs((POOL, "runner pool"), (&run.runner_pool, &rule.runner_pool), &by, found);
        differs((STACK, "stack"), (&run.agent_stack, &rule.agent_stack), &by, found);
    }
    let Some(stack) = chain.stack else { return };
    judge_pool(context, key, (stack, chain.pool()), found);
    judge_repository(context, stack, (&run.repository, REPOSITORY), found);
}

fn judge_attempt<'c>(
    context: &Context<'c>,
    key: &ObjectKey,
    attempt: &'c RunRecord,
    found: &mut Found,
) {
    let chain = chain(context, key, attempt, found);
    let by = format!("run `{}`", excerpt(&attempt.run));
    differs((POOL, "runner pool"), (&attempt.runner_pool, chain.pool()), &by, found);
    let stack = ("$.spec.agentStackSnapshot", "stack");
    differs(stack, (&attempt.agent_stack, chain.stack_name()), &by, found);
    if let Some(stack) = chain.stack {
        judge_pool(context, key, (stack, &attempt.runner_pool), found);
    }
}

/// Two names that are both there and not the same.
fn differs((path, what): (&str, &str), (own, theirs): (&str, &str), by: &str, found: &mut Found) {
    if own.is_empty() || theirs.is_empty() || own == theirs {
        return;
    }
    let message =
        format!("{what} `{}` is named, and {by} names `{}`", excerpt(own), excerpt(theirs));
    found.add(RULE, path, message, format!("name `{}`, or leave it out", excerpt(theirs)));
}
