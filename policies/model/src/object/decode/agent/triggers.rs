//! AgentTriggerRule and AgentTriggerExecution: what sets a stack off.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::wire::{Link, List, Named, Written};
use super::links::Links;
use super::runs::{Event, event_kind};
use super::{NoStatus, Spec};
use crate::object::agent::TriggerRule;
use crate::object::{Facts, ObjectKey};

/// Which events dispatch which stack.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Rule<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// Kinds of events, as text or as objects with their `kind` or `type`.
    #[serde(borrow)]
    sources: List<Written<'a, Event<'a>>>,
    /// The stack that they dispatch.
    #[serde(borrow)]
    agent_stack: Link<'a>,
    /// The RunnerPool that it runs on.
    #[serde(borrow)]
    runner_pool: Link<'a>,
    /// The repository whose events are meant.
    #[serde(borrow)]
    repository: Link<'a>,
}

impl<'a> Spec for Rule<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, key: &ObjectKey) -> Facts {
        let links = Links::default()
            .one("AgentStack", "$.spec.agentStack", &self.agent_stack)
            .one("RunnerPool", "$.spec.runnerPool", &self.runner_pool)
            .repository("$.spec.repository", &self.repository);
        Facts::TriggerRule(Box::new(TriggerRule {
            ties: links.ties(&self.organization_ref),
            agent_stack: self.agent_stack.placed(&key.namespace),
            runner_pool: self.runner_pool.placed(&key.namespace),
            sources: self.sources.0.iter().map(event_kind).collect(),
        }))
    }
}

/// One event that met a rule, and what became of it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Execution<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// The rule.
    #[serde(borrow)]
    trigger_rule: Link<'a>,
}

impl<'a> Spec for Execution<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, _key: &ObjectKey) -> Facts {
        let links =
            Links::default().one("AgentTriggerRule", "$.spec.triggerRule", &self.trigger_rule);
        Facts::AgentResource(Box::new(links.ties(&self.organization_ref)))
    }
}
