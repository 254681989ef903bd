//! AgentDispatchRun, AgentDispatchAttempt, and what may be behind them: Pipeline, Job, PullRequest, WebhookDelivery.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::wire::{Block, Link, Named, Text, Written};
use super::links::{Links, repository_name};
use super::{NoStatus, Spec};
use crate::object::agent::RunRecord;
use crate::object::{Facts, ObjectKey};

/// One dispatch of a stack on a repository.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct DispatchRun<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// The repository that it works on.
    #[serde(borrow)]
    repository: Link<'a>,
    /// The Git ref that it works on.
    #[serde(borrow, rename = "ref")]
    git_ref: Text<'a>,
    /// The commit.
    #[serde(borrow)]
    sha: Text<'a>,
    /// The repository that the work comes from, if it isn't the same.
    #[serde(borrow)]
    head_repository: Link<'a>,
    /// Whether it comes from a fork.
    fork: Option<bool>,
    /// How trusted it is, as far as the dispatcher knows: `trusted` or `untrusted`.
    #[serde(borrow)]
    trust_tier: Text<'a>,
    /// The kind of event that set it off, or an object with its `kind` or `type`.
    #[serde(borrow)]
    source_event: Written<'a, Event<'a>>,
    /// The records behind it.
    #[serde(borrow)]
    source_refs: Block<SourceRefs<'a>>,
    /// The stack that runs.
    #[serde(borrow)]
    agent_stack: Link<'a>,
    /// What it is to do.
    #[serde(borrow)]
    task_kind: Text<'a>,
    /// The context that it is given.
    #[serde(borrow)]
    context_bundle_ref: Link<'a>,
    /// The workspace that it works in.
    #[serde(borrow)]
    workspace_ref: Link<'a>,
    /// The pool that it is placed on.
    #[serde(borrow)]
    runner_pool: Link<'a>,
    /// Who set it off.
    #[serde(borrow)]
    actor: Named<'a>,
    /// A Pipeline's PullRequest, a Job's Pipeline.
    #[serde(borrow)]
    pull_request: Link<'a>,
    /// The Pipeline behind it.
    #[serde(borrow)]
    pipeline: Link<'a>,
    /// The Job behind it.
    #[serde(borrow)]
    job: Link<'a>,
}

/// An event as an object.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow, rename = "type")]
    type_of: Text<'a>,
}

/// The kind of an event: the text, or the object's `kind`, else its `type`.
pub(super) fn event_kind(event: &Written<'_, Event<'_>>) -> String {
    match event {
        Written::Text(text) => text.owned(),
        Written::Parts(parts) => parts.kind.some().unwrap_or_else(|| parts.type_of.owned()),
    }
}

/// The records behind a run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct SourceRefs<'a> {
    /// A PullRequest.
    #[serde(borrow)]
    pull_request: Link<'a>,
    /// A Pipeline.
    #[serde(borrow)]
    pipeline: Link<'a>,
    /// A Job of the control plane.
    #[serde(borrow)]
    job: Link<'a>,
    /// The AgentTriggerRule.
    #[serde(borrow)]
    trigger_rule: Link<'a>,
}

/// What may be behind a run: kind, JSON path, field.
type Source<'s, 'a> = (&'static str, &'static str, &'s Link<'a>);

/// Kind and name of each that is named.
fn sources(all: &[Source<'_, '_>], key: &ObjectKey) -> Vec<(String, String)> {
    let named = all.iter().map(|(kind, _, link)| ((*kind).to_owned(), link.placed(&key.namespace)));
    named.filter(|(_, name)| !name.is_empty()).collect()
}

/// Adds them to what the object names.
fn linked(links: Links, all: &[Source<'_, '_>]) -> Links {
    all.iter().fold(links, |links, (kind, path, link)| links.one(kind, path, link))
}

impl<'a> Spec for DispatchRun<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, key: &ObjectKey) -> Facts {
        let none = SourceRefs::default();
        let below = self.source_refs.get().unwrap_or(&none);
        let behind = self.behind(below);
        let links = linked(Links::default(), &behind)
            .repository("$.spec.repository", &self.repository)
            .one("AgentStack", "$.spec.agentStack", &self.agent_stack)
            .one("AgentContextBundle", "$.spec.contextBundleRef", &self.context_bundle_ref)
            .one("AgentWorkspace", "$.spec.workspaceRef", &self.workspace_ref)
            .one("RunnerPool", "$.spec.runnerPool", &self.runner_pool)
            .one("AgentTriggerRule", "$.spec.sourceRefs.triggerRule", &below.trigger_rule);
        let own = &key.namespace;
        Facts::Run(Box::new(RunRecord {
            ties: links.ties(&self.organization_ref),
            repository: repository_name(&self.repository),
            git_ref: self.git_ref.owned(),
            head_repository: repository_name(&self.head_repository),
            fork: self.fork == Some(true),
            trust_tier: self.trust_tier.owned(),
            runner_pool: self.runner_pool.placed(own),
            run: String::new(),
            sources: sources(&behind, key),
            sha: self.sha.owned(),
            agent_stack: self.agent_stack.placed(own),
            trigger_source: event_kind(&self.source_event),
            trigger_rule: below.trigger_rule.placed(own),
            workspace: self.workspace_ref.placed(own),
            task_kind: self.task_kind.owned(),
            actor: self.actor.owned(),
        }))
    }
}

impl<'a> DispatchRun<'a> {
    fn behind<'s>(&'s self, below: &'s SourceRefs<'a>) -> [Source<'s, 'a>; 6] {
        [
            ("PullRequest", "$.spec.pullRequest", &self.pull_request),
            ("Pipeline", "$.spec.pipeline", &self.pipeline),
            ("Job", "$.spec.job", &self.job),
            ("PullRequest", "$.spec.sourceRefs.pullRequest", &below.pull_request),
            ("Pipeline", "$.spec.sourceRefs.pipeline", &below.pipeline),
            ("Job", "$.spec.sourceRefs.job", &below.job),
        ]
    }
}

/// One attempt at a run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Attempt<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// The run that it belongs to.
    #[serde(borrow)]
    agent_dispatch_run: Link<'a>,
    /// The stack as it was.
    #[serde(borrow)]
    agent_stack_snapshot: Link<'a>,
    /// Digest of the context that it was given.
    #[serde(borrow)]
    context_bundle_digest: Text<'a>,
    /// Digest of what it may do.
    #[serde(borrow)]
    permission_snapshot_digest: Text<'a>,
    /// The pool that it is placed on.
    #[serde(borrow)]
    runner_pool: Link<'a>,
    /// The Git ref, if it says so itself.
    #[serde(borrow, rename = "ref")]
    git_ref: Text<'a>,
    /// The repository, if it says so itself.
    #[serde(borrow)]
    repository: Link<'a>,
    /// Whether it comes from a fork, if it says so itself.
    fork: Option<bool>,
    /// How trusted it is, if it says so itself.
    #[serde(borrow)]
    trust_tier: Text<'a>,
}

/// What an attempt is bound to, each once.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct AttemptStatus {}

impl<'a> Spec for Attempt<'a> {
    type Status = AttemptStatus;

    fn facts(&self, _status: &AttemptStatus, key: &ObjectKey) -> Facts {
        let own = &key.namespace;
        let links = Links::default()
            .one("AgentDispatchRun", "$.spec.agentDispatchRun", &self.agent_dispatch_run)
            .one("AgentStack", "$.spec.agentStackSnapshot", &self.agent_stack_snapshot)
            .one("RunnerPool", "$.spec.runnerPool", &self.runner_pool)
            .repository("$.spec.repository", &self.repository);
        Facts::Run(Box::new(RunRecord {
            ties: links.ties(&self.organization_ref),
            run: self.agent_dispatch_run.placed(own),
            agent_stack: self.agent_stack_snapshot.placed(own),
            runner_pool: self.runner_pool.placed(own),
            repository: repository_name(&self.repository),
            git_ref: self.git_ref.owned(),
            fork: self.fork == Some(true),
            trust_tier: self.trust_tier.owned(),
            ..RunRecord::default()
        }))
    }
}

/// Where work came from: a Pipeline, Job, PullRequest or WebhookDelivery.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Origin<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// The repository.
    #[serde(borrow)]
    repository: Link<'a>,
    /// The Git ref.
    #[serde(borrow, rename = "ref")]
    git_ref: Text<'a>,
    /// The commit.
    #[serde(borrow)]
    sha: Text<'a>,
    /// PullRequest: the branch that is proposed.
    #[serde(borrow)]
    head: Named<'a>,
    /// The repository that the work comes from, if it isn't the same.
    #[serde(borrow)]
    head_repository: Link<'a>,
    /// Whether it comes from a fork.
    fork: Option<bool>,
    /// `trusted` or `untrusted`.
    #[serde(borrow)]
    trust_tier: Text<'a>,
    /// The pool that it is placed on.
    #[serde(borrow)]
    runner_pool: Link<'a>,
    /// Who set it off.
    #[serde(borrow)]
    actor: Named<'a>,
    /// A Pipeline's PullRequest.
    #[serde(borrow)]
    pull_request: Link<'a>,
    /// A Job's Pipeline.
    #[serde(borrow)]
    pipeline: Link<'a>,
    /// A Pipeline's Job.
    #[serde(borrow)]
    job: Link<'a>,
    /// The records behind it.
    #[serde(borrow)]
    source_refs: Block<SourceRefs<'a>>,
}

impl<'a> Spec for Origin<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, key: &ObjectKey) -> Facts {
        let none = SourceRefs::default();
        let below = self.source_refs.get().unwrap_or(&none);
        let behind = self.behind(below);
        let links = linked(Links::default(), &behind)
            .repository("$.spec.repository", &self.repository)
            .one("RunnerPool", "$.spec.runnerPool", &self.runner_pool);
        Facts::Run(Box::new(RunRecord {
            ties: links.ties(&self.organization_ref),
            repository: repository_name(&self.repository),
            git_ref: self.git_ref.some().unwrap_or_else(|| self.head.owned()),
            head_repository: repository_name(&self.head_repository),
            fork: self.fork == Some(true),
            trust_tier: self.trust_tier.owned(),
            runner_pool: self.runner_pool.placed(&key.namespace),
            sources: sources(&behind, key),
            sha: self.sha.owned(),
            actor: self.actor.owned(),
            ..RunRecord::default()
        }))
    }
}

impl<'a> Origin<'a> {
    fn behind<'s>(&'s self, below: &'s SourceRefs<'a>) -> [Source<'s, 'a>; 6] {
        [
            ("PullRequest", "$.spec.pullRequest", &self.pull_request),
            ("Pipeline", "$.spec.pipeline", &self.pipeline),
            ("Job", "$.spec.job", &self.job),
            ("PullRequest", "$.spec.sourceRefs.pullRequest", &below.pull_request),
            ("Pipeline", "$.spec.sourceRefs.pipeline", &below.pipeline),
            ("Job", "$.spec.sourceRefs.job", &below.job),
        ]
    }
}
