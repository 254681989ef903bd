//! The kinds of memory: where it is kept, who may read which part, and what is taken into it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::wire::{Link, List, Named, Text};
use super::links::Links;
use super::{NoStatus, Spec};
use crate::object::agent::Memory as Ready;
use crate::object::{Facts, ObjectKey};

/// Memory that agents share: a repository of it, or a source, an ontology, an association, a snapshot, a query or an update of one.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Memory<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// Path globs that are asked for, or granted.
    #[serde(borrow)]
    paths: List<Text<'a>>,
    /// Path globs that are granted.
    #[serde(borrow)]
    allowed_paths: List<Text<'a>>,
    /// Kinds of records that are asked for, or granted.
    #[serde(borrow)]
    kinds: List<Text<'a>>,
    /// Kinds of records that are granted.
    #[serde(borrow)]
    allowed_kinds: List<Text<'a>>,
    /// The AgentMemoryRepository.
    #[serde(borrow)]
    memory_repository: Link<'a>,
    /// The AgentMemoryRepository, in the other spelling.
    #[serde(borrow)]
    memory_repository_ref: Link<'a>,
    /// The AgentMemorySource.
    #[serde(borrow)]
    source_ref: Link<'a>,
    /// The AgentMemorySources.
    #[serde(borrow)]
    source_refs: List<Link<'a>>,
    /// The AgentMemoryOntology.
    #[serde(borrow)]
    ontology_ref: Link<'a>,
    /// The AgentMemorySnapshot, and with it the commit.
    #[serde(borrow)]
    snapshot_ref: Link<'a>,
    /// The stack that asks, or that it is for.
    #[serde(borrow)]
    agent_stack: Link<'a>,
    /// The run that asks, or that it is for.
    #[serde(borrow)]
    dispatch_run: Link<'a>,
    /// The run that it was learned in.
    #[serde(borrow)]
    source_run: Link<'a>,
    /// The repository that holds it.
    #[serde(borrow)]
    repository: Link<'a>,
}

impl<'a> Spec for Memory<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, key: &ObjectKey) -> Facts {
        let both = |one: &List<Text<'_>>, other: &List<Text<'_>>| {
            one.0.iter().chain(&other.0).map(Text::owned).collect()
        };
        Facts::Memory(Box::new(Ready {
            ties: self.links().ties(&self.organization_ref),
            paths: both(&self.paths, &self.allowed_paths),
            kinds: both(&self.kinds, &self.allowed_kinds),
            source_organization: String::new(),
            source_run: self.source_run.placed(&key.namespace),
        }))
    }
}

impl Memory<'_> {
    fn links(&self) -> Links {
        let repository = "AgentMemoryRepository";
        Links::default()
            .one(repository, "$.spec.memoryRepository", &self.memory_repository)
            .one(repository, "$.spec.memoryRepositoryRef", &self.memory_repository_ref)
            .one("AgentMemorySource", "$.spec.sourceRef", &self.source_ref)
            .all("AgentMemorySource", "$.spec.sourceRefs", &self.source_refs)
            .one("AgentMemoryOntology", "$.spec.ontologyRef", &self.ontology_ref)
            .one("AgentMemorySnapshot", "$.spec.snapshotRef", &self.snapshot_ref)
            .one("AgentStack", "$.spec.agentStack", &self.agent_stack)
            .one("AgentDispatchRun", "$.spec.dispatchRun", &self.dispatch_run)
            .one("AgentDispatchRun", "$.spec.sourceRun", &self.source_run)
            .repository("$.spec.repository", &self.repository)
    }
}

/// What a run has learned, taken into memory.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Import<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// The organization of the run.
    #[serde(borrow)]
    source_org: Named<'a>,
    /// The run.
    #[serde(borrow)]
    source_run: Link<'a>,
    /// The session of the run.
    #[serde(borrow)]
    source_session: Link<'a>,
    /// The repository that the run worked on.
    #[serde(borrow)]
    source_repository: Link<'a>,
    /// The AgentMemoryRepository that it is taken into.
    #[serde(borrow)]
    memory_repository: Link<'a>,
    /// The AgentMemoryRepository, in the other spelling.
    #[serde(borrow)]
    memory_repository_ref: Link<'a>,
    /// The AgentMemorySource that allows it.
    #[serde(borrow)]
    source_ref: Link<'a>,
    /// Path globs that are taken.
    #[serde(borrow)]
    paths: List<Text<'a>>,
    /// Kinds of records that are taken.
    #[serde(borrow)]
    kinds: List<Text<'a>>,
}

impl<'a> Spec for Import<'a> {
    type Status = NoStatus;

    fn facts(&self, _status: &NoStatus, key: &ObjectKey) -> Facts {
        let repository = "AgentMemoryRepository";
        let links = Links::default()
            .one("AgentDispatchRun", "$.spec.sourceRun", &self.source_run)
            .one("AgentSession", "$.spec.sourceSession", &self.source_session)
            .repository("$.spec.sourceRepository", &self.source_repository)
            .one(repository, "$.spec.memoryRepository", &self.memory_repository)
            .one(repository, "$.spec.memoryRepositoryRef", &self.memory_repository_ref)
            .one("AgentMemorySource", "$.spec.sourceRef", &self.source_ref);
        Facts::Memory(Box::new(Ready {
            ties: links.ties(&self.organization_ref),
            paths: self.paths.owned(),
            kinds: self.kinds.owned(),
            source_organization: self.source_org.owned(),
            source_run: self.source_run.placed(&key.namespace),
        }))
    }
}
