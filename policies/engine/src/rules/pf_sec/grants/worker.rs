//! Whose work a workload is, from the records of its run: what grants ask about.

use pinfold_model::object::agent::RunRecord;
use pinfold_model::object::pod::Workload;
use pinfold_model::object::{AGENT_GROUPS, Facts, Object, ObjectKey};

use crate::agent_workload::{labels, service_account};
use crate::context::Context;
use crate::grants::{Bearer, stacks_of};
use crate::organization::ownership;
use crate::trust::Work;
use crate::trust::record::{ATTEMPT, RUN};
use crate::trust::standing::Standing;

/// The label by which a workload names its stack, after the agent group and a slash.
const STACK_LABEL: &str = "agent-stack";

/// Whose work it is, for one of its runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Worker<'c> {
    namespace: &'c str,
    organization: Option<String>,
    service_account: String,
    stack: Option<String>,
    /// It is only the one of the ServiceAccount.
    stack_by_account: bool,
    /// A stack that another record of the same run names.
    other_stack: Option<String>,
    pool: Option<String>,
    team: Option<String>,
    user: Option<String>,
    repository: Option<String>,
    git_ref: Option<String>,
    trigger_source: Option<String>,
    run: Option<ObjectKey>,
    trusted: bool,
    because: String,
}

impl<'c> Worker<'c> {
    /// One for each run that the work is for; one without if there is none.
    pub(super) fn all(context: &Context<'c>, workload: &Workload, work: &Work<'c>) -> Vec<Self> {
        let namespace = context.facts.target.namespace.as_str();
        let mut plain = Self {
            namespace,
            organization: ownership(context, namespace).organization().map(str::to_owned),
            service_account: service_account(workload).to_owned(),
            ..Self::default()
        };
        match &work.standing {
            Standing::Trusted => plain.trusted = true,
            Standing::Untrusted { reason, .. } => reason.clone_into(&mut plain.because),
        }
        let mut runs: Vec<Self> =
            work.runs.iter().filter_map(|run| plain.of_run(context, run)).collect();
        runs.extend(work.origins.iter().map(|origin| plain.of_origin(context, origin)));
        if runs.is_empty() {
            plain.take_stack_of_account(context);
            return vec![plain];
        }
        runs
    }

    /// What the record of a run adds; an attempt's fields come from its run, where that has them.
    fn of_run(&self, context: &Context<'c>, object: &Object) -> Option<Self> {
        let own = record(object)?;
        let key = match object.key.kind.as_str() {
            ATTEMPT => ObjectKey::new(&object.key.group, RUN, &object.key.namespace, &own.run),
            _ => object.key.clone(),
        };
        let run = context.lookup(&key).and_then(record).unwrap_or(own);
        let near = |text: &String| self.near(&key.namespace, text);
        let first = |field: fn(&RunRecord) -> &String| {
            [run, own].into_iter().map(field).find(|text| !text.is_empty())
        };
        let stack = first(|record| &record.agent_stack).map(near);
        let other_stack = Some(&own.agent_stack).filter(|text| !text.is_empty()).map(near);
        let mut worker = Self {
            other_stack: other_stack.filter(|other| Some(other) != stack.as_ref()),
            stack,
            pool: first(|record| &record.runner_pool).map(near),
            user: first(|record| &record.actor).cloned(),
            repository: first(|record| &record.repository).cloned(),
            git_ref: first(|record| &record.git_ref).cloned(),
            trigger_source: first(|record| &record.trigger_source).cloned(),
            run: Some(key.clone()),
            ..self.clone()
        };
        worker.team = worker.team_of_stack(context);
        Some(worker)
    }

    /// What another runner's object adds. Its actor is an account of the forge, and nobody that a grant names.
    fn of_origin(&self, context: &Context<'c>, origin: &RunRecord) -> Self {
        let told = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let mut worker = Self {
            repository: told(&origin.repository),
            git_ref: told(&origin.git_ref),
            trigger_source: told(&origin.trigger_source),
            ..self.clone()
        };
        worker.take_stack_of_account(context);
        worker
    }

    /// Without a record the stack is the one that surely runs as the ServiceAccount. It has no team: whoever writes a stack says any.
    fn take_stack_of_account(&mut self, context: &Context<'c>) {
        let world = context.world();
        let account = (self.namespace, self.service_account.as_str());
        let stack = stacks_of(&world, account).only(&world, account).map(str::to_owned);
        self.stack = stack;
        self.stack_by_account = true;
    }

    /// A name that a record in `place` means, as the work would say it.
    fn near(&self, place: &str, name: &str) -> String {
        if place == self.namespace || name.contains('/') {
            return name.to_owned();
        }
        format!("{place}/{name}")
    }

    fn team_of_stack(&self, context: &Context<'c>) -> Option<String> {
        let stack = self.stack.as_deref()?;
        let (namespace, name) = stack.split_once('/').unwrap_or((self.namespace, stack));
        let team = |group: &str| {
            let found = context.lookup(&ObjectKey::new(group, "AgentStack", namespace, name))?;
            let Facts::AgentStack(stack) = &found.facts else { return None };
            Some(stack.team.clone()).filter(|team| !team.is_empty())
        };
        AGENT_GROUPS.into_iter().find_map(team)
    }

    /// A stack that an attempt says and its run doesn't: like a label, it can only take away.
    pub(super) fn other_stack(&self) -> Option<&str> {
        self.other_stack.as_deref()
    }

    /// For the resolver, with the stacks that the work's labels name.
    pub(super) fn bearer<'b>(&'b self, labels: &'b [&'b str]) -> Bearer<'b> {
        Bearer {
            namespace: self.namespace,
            organization: self.organization.as_deref(),
            service_account: Some(&self.service_account),
            stack: self.stack.as_deref(),
            stack_by_account: self.stack_by_account,
            stack_labels: labels,
            pool: self.pool.as_deref(),
            capability: None,
            team: self.team.as_deref(),
            user: self.user.as_deref(),
            repository: self.repository.as_deref(),
            git_ref: self.git_ref.as_deref(),
            trigger_source: self.trigger_source.as_deref(),
            run: self.run.as_ref(),
            trusted: self.trusted,
            untrusted_because: &self.because,
        }
    }
}

fn record(object: &Object) -> Option<&RunRecord> {
    if let Facts::Run(record) = &object.facts { Some(record) } else { None }
}

/// The stacks that a workload's labels name.
pub(super) fn stack_labels<'o>(object: &'o Object, workload: &'o Workload) -> Vec<&'o str> {
    let named = labels(object, workload).filter(|(key, _)| {
        key.rsplit_once('/')
            .is_some_and(|(group, name)| AGENT_GROUPS.contains(&group) && name == STACK_LABEL)
    });
    let mut names: Vec<&str> = named.map(|(_, value)| value).collect();
    names.sort_unstable();
    names.dedup();
    names
}
