//! AgentApproval.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::wire::{Block, Link, List, Named, Text, Written};
use super::Spec;
use super::links::{Instant, Links, instant};
use crate::object::agent::Approval as Ready;
use crate::object::{Facts, ObjectKey};

/// How a digest begins.
const DIGEST_PREFIX: &str = "sha256:";

/// One thing that somebody has to agree to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::object::decode) struct Approval<'a> {
    /// The organization; the namespace's if it is left out.
    #[serde(borrow)]
    organization_ref: Named<'a>,
    /// The run that asks.
    #[serde(borrow)]
    dispatch_run: Link<'a>,
    /// The attempt that asks.
    #[serde(borrow)]
    attempt: Link<'a>,
    /// Who asks.
    #[serde(borrow)]
    requested_by: Named<'a>,
    /// What is to be done.
    #[serde(borrow)]
    action: Block<Action<'a>>,
    /// Digest of what was looked at.
    #[serde(borrow)]
    artifact_digest: Text<'a>,
    /// What was looked at: names or digests, or objects with a `digest`.
    #[serde(borrow)]
    artifact_refs: List<Written<'a, Artifact<'a>>>,
    /// The approval ends at this instant (RFC 3339).
    #[serde(borrow)]
    expires_at: Instant<'a>,
}

/// What is to be done.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Action<'a> {
    /// What kind of action.
    #[serde(borrow, rename = "type")]
    action: Text<'a>,
    /// On what.
    #[serde(borrow)]
    target: Text<'a>,
}

/// An artifact that may have a digest.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
struct Artifact<'a> {
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    digest: Text<'a>,
}

/// What became of it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(in crate::object::decode) struct ApprovalStatus<'a> {
    /// `Pending`, `Approved`, `Denied`.
    #[serde(borrow)]
    phase: Text<'a>,
    /// Who decided.
    #[serde(borrow)]
    approver: Named<'a>,
}

impl Artifact<'_> {
    fn link(&self) -> Link<'_> {
        let copy = |text: &Text<'_>| Text(text.owned().into());
        let (namespace, name) = (copy(&self.namespace), copy(&self.name));
        Link::Parts(super::super::wire::LinkParts { namespace, name, ..Default::default() })
    }
}

impl<'a> Spec for Approval<'a> {
    type Status = ApprovalStatus<'a>;

    fn facts(&self, status: &ApprovalStatus<'a>, key: &ObjectKey) -> Facts {
        let none = Action::default();
        let action = self.action.get().unwrap_or(&none);
        let digests = self.artifact_refs.0.iter().filter_map(digest);
        Facts::Approval(Box::new(Ready {
            ties: self.links().ties(&self.organization_ref),
            expires_at: self.expires_at(),
            run: self.dispatch_run.placed(&key.namespace),
            phase: status.phase.owned(),
            approver: status.approver.owned(),
            requested_by: self.requested_by.owned(),
            action: action.action.owned(),
            target: action.target.owned(),
            digests: self.artifact_digest.some().into_iter().chain(digests).collect(),
        }))
    }
}

impl Approval<'_> {
    fn links(&self) -> Links {
        let mut links = Links::default()
            .one("AgentDispatchRun", "$.spec.dispatchRun", &self.dispatch_run)
            .one("AgentDispatchAttempt", "$.spec.attempt", &self.attempt);
        for (index, artifact) in self.artifact_refs.0.iter().enumerate() {
            if let Written::Parts(parts) = artifact {
                let path = format!("$.spec.artifactRefs[{index}]");
                links = links.one("AgentArtifact", &path, &parts.link());
            }
        }
        links
    }

    /// An end that can't be read has come already: nobody knows for how long it was meant.
    fn expires_at(&self) -> Option<Timestamp> {
        let mut faults = Vec::new();
        let end = instant(&self.expires_at, "$.spec.expiresAt", &mut faults);
        if faults.is_empty() { end } else { Some(Timestamp::MIN) }
    }
}

fn digest(artifact: &Written<'_, Artifact<'_>>) -> Option<String> {
    match artifact {
        Written::Text(text) => text.as_str().starts_with(DIGEST_PREFIX).then(|| text.owned()),
        Written::Parts(parts) => parts.digest.some(),
    }
}
