//! How trusted a piece of work is, and for which run it is: from records that are looked up, never from what the work says about itself.
//!
//! Shared by every family of rules that asks. Decides nothing by itself; no record is untrusted.

pub(crate) mod provenance;
pub(crate) mod record;
pub(crate) mod stamp;
pub(crate) mod standing;

use pinfold_model::facts::Requester;
use pinfold_model::object::Object;
use pinfold_model::object::agent::RunRecord;

use self::standing::Standing;
use crate::context::Context;
use crate::organization::namespace_key;

/// A piece of work, as its records describe it.
#[derive(Debug, Clone)]
pub(crate) struct Work<'c> {
    /// How trusted it is.
    pub(crate) standing: Standing,
    /// The AgentDispatchRuns and AgentDispatchAttempts that it is for, as far as somebody who may claims so and they are found; none without a record.
    pub(crate) runs: Vec<&'c Object>,
    /// What another runner's object says about the work, made by somebody who may say so; none without one.
    pub(crate) origins: Vec<RunRecord>,
}

/// The work of the object of a request.
pub(crate) fn work_of<'c>(
    context: &Context<'c>,
    object: &Object,
    requester: &Requester,
) -> Work<'c> {
    Work {
        standing: standing::of_request(context, object, requester),
        runs: standing::runs_of(context, object, requester),
        origins: standing::origins_of(context, object, requester),
    }
}

/// Where the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// In a guarded namespace: the webhook sees all workloads there, and nothing else may run.
    Guarded,
    /// In a namespace that nobody can tell anything about: kept off like guarded work, trusted like none.
    Unknown,
    /// Elsewhere: only what names a trusted pool matters.
    Elsewhere,
    /// In a namespace of the platform, whose own work no rule of trust is about.
    Platform,
}

pub(crate) fn scope(context: &Context<'_>, namespace: &str) -> Scope {
    let platform = context.policy.organizations.platform_namespaces.contains(namespace);
    match context.lookup(&namespace_key(namespace)) {
        Some(found) if context.policy.agents.guards(&found.meta.labels) => Scope::Guarded,
        _ if platform => Scope::Platform,
        Some(_) => Scope::Elsewhere,
        None => Scope::Unknown,
    }
}
