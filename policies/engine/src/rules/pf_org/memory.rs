//! PF-ORG-004: memory stays in its organization, and what is asked of it, or taken into it, is within the paths and kinds that its source grants.
//!
//! What a query selects is known only when it runs; so what it may select must be within the grant as it is written. A query that leaves paths or
//! kinds out selects all of them.

use pinfold_model::facts::Question;
use pinfold_model::finding::RuleId;
use pinfold_model::object::agent::{AgentReference, Memory};
use pinfold_model::object::{Facts, Object};

use super::home::home;
use super::part::content_comes;
use super::reach::{MAX_TOLD, Reach, target};
use super::scope::Scope;
use crate::context::{Context, Found};
use crate::organization::{is_name, ownership};
use crate::rbac::describe::excerpt;

const RULE: RuleId = RuleId::ORG_MEMORY;
const SOURCE: &str = "AgentMemorySource";
const SNAPSHOT: &str = "AgentMemorySnapshot";
const QUERY: &str = "AgentMemoryQuery";
const IMPORT: &str = "AgentRunMemoryImport";
/// Most sources of one object that are compared with it.
const SOURCES_MAX: usize = 32;

/// Judges the rule.
pub(super) fn judge(context: &Context<'_>, found: &mut Found) {
    let facts = context.facts;
    let Some(Facts::Memory(memory)) = context.subject_facts().filter(|_| content_comes(facts))
    else {
        return;
    };
    let home = home(context, &memory.ties);
    let Some(organization) = home.organization() else { return };
    let before = found.raw.len();
    let mut reach = Reach { context, rule: RULE, home: organization, found };
    for reference in &memory.ties.references {
        if reach.found.raw.len().saturating_sub(before) < MAX_TOLD {
            reach.judge(reference);
        }
    }
    if facts.target.kind == IMPORT {
        judge_import(context, organization, memory, found);
    }
    // What is of another organization is refused; its grants are no matter.
    if found.raw.len() == before {
        judge_sources(context, memory, found);
    }
}

/// The run that memory is imported from: whose it is follows from where it is, and what the import says of it must be the same.
fn judge_import(context: &Context<'_>, organization: &str, memory: &Memory, found: &mut Found) {
    let run = |reference: &&AgentReference| {
        matches!(reference.kind.as_str(), "AgentDispatchRun" | "AgentSession" | "Repository")
    };
    let mut runs = memory.ties.references.iter().filter(run).peekable();
    if runs.peek().is_none() {
        let message = "this names no run, session or repository that it imports from, so nobody can tell whose memory it is";
        found.add(RULE, "$.spec.sourceRun", message, "name the run in `sourceRun`");
    }
    let says = memory.source_organization.as_str();
    if says.is_empty() {
        return;
    }
    for reference in runs {
        let owner = owner_of(context, organization, reference);
        if owner.as_deref() != Some(says) || !is_name(says) {
            let whose = match &owner {
                Some(owner) => format!("is of organization `{}`", excerpt(owner)),
                None => "isn't known to be of any".to_owned(),
            };
            let message = format!(
                "`sourceOrg` says `{}`, and what `{}` names {whose}",
                excerpt(says),
                reference.path
            );
            let remedy = "leave `sourceOrg` out; where the run is says whose it is";
            return found.add(RULE, "$.spec.sourceOrg", message, remedy);
        }
    }
}

/// The organization of what a reference names.
fn owner_of(context: &Context<'_>, own: &str, reference: &AgentReference) -> Option<String> {
    let (key, _) = target(context, reference);
    if reference.kind == "Repository" && reference.namespace.is_empty() {
        return Some(reference.name.split_once('/').map_or(own, |(owner, _)| owner).to_owned());
    }
    if key.namespace == context.facts.target.namespace {
        return Some(own.to_owned());
    }
    ownership(context, &key.namespace).organization().map(str::to_owned)
}

/// What is asked or taken must be within what every source grants that is named.
fn judge_sources(context: &Context<'_>, memory: &Memory, found: &mut Found) {
    let kind = context.facts.target.kind.as_str();
    if kind == SOURCE {
        return;
    }
    let asks_all = kind == QUERY || kind == IMPORT;
    let mut sources: Vec<&AgentReference> = named(memory, SOURCE).collect();
    let Some(pinned) = pinned(context, memory, found) else { return };
    sources.extend(&pinned);
    if sources.is_empty() && kind == QUERY {
        let message = "this names no source, and only a source says which memory may be read";
        let remedy = "name an AgentMemorySource of the organization in `sourceRef`";
        return found.add(RULE, "$.spec.sourceRef", message, remedy);
    }
    if sources.len() > SOURCES_MAX {
        let message =
            format!("this names {} sources, at most {SOURCES_MAX} are compared", sources.len());
        return found.add(RULE, "$.spec.sourceRefs", message, "ask fewer sources at once");
    }
    for reference in sources {
        let Some(source) = known(context, reference, found) else { continue };
        let Facts::Memory(grants) = &source.facts else { continue };
        Scope { asked: memory, asks_all, grants, source: &source.key }.judge(found);
    }
}

fn named<'m>(memory: &'m Memory, kind: &str) -> impl Iterator<Item = &'m AgentReference> {
    memory.ties.references.iter().filter(move |reference| reference.kind == kind)
}

/// The sources of the snapshots that are named, each by the field that names the snapshot. `None` if one isn't known, which is then found.
fn pinned(
    context: &Context<'_>,
    memory: &Memory,
    found: &mut Found,
) -> Option<Vec<AgentReference>> {
    let mut sources = Vec::new();
    for reference in named(memory, SNAPSHOT) {
        let snapshot = known(context, reference, found)?;
        let Facts::Memory(snapshot_of) = &snapshot.facts else { continue };
        for source in named(snapshot_of, SOURCE).take(SOURCES_MAX.saturating_add(1)) {
            let mut source = source.clone();
            if source.namespace.is_empty() && !source.name.contains('/') {
                source.namespace.clone_from(&snapshot.key.namespace);
            }
            source.path.clone_from(&reference.path);
            sources.push(source);
        }
    }
    Some(sources)
}

/// What a reference names, or the finding that nobody knows it.
fn known<'c>(
    context: &Context<'c>,
    reference: &AgentReference,
    found: &mut Found,
) -> Option<&'c Object> {
    let (key, object) = target(context, reference);
    let object = object.filter(|object| matches!(object.facts, Facts::Memory(_)));
    if object.is_none() {
        let message = format!(
            "cannot tell what {} grants: it isn't in the view of the cluster",
            excerpt(&key.to_string())
        );
        let remedy = "name one that exists; offline, add it to the cluster files";
        found.add(RULE, reference.path.as_str(), message, remedy);
        if context.facts.answers.live(&key).is_none() {
            found.ask(Question::Object(key));
        }
    }
    object
}
