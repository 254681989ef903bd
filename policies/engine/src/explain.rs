//! Why somebody may do something: the chain of records, spellings, bindings and roles behind a right, and what a proposed binding would add.
//!
//! Answers are data over a snapshot, never text for a terminal. Nothing here decides: rights are those of [`crate::rbac::resolver`], and
//! whether a binding may pass is asked of [`crate::admit`] alone.

mod agent_binding;
mod asked;
mod ceiling;
mod chain;
pub(crate) mod identity;
mod narrow;
mod native;
mod proposal;
mod what_can;
mod who_can;

use jiff::Timestamp;
use pinfold_model::facts::Answers;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;

pub use asked::{Asked, Scope};
pub use chain::{Chain, Right};
pub use identity::{Fault, Hop, Identity, requester_of};
pub use narrow::Passing;
pub use native::{Content, Native, NotNative, natives};
pub use proposal::{Grant, Lacks, News, Proposal, Receiver, Shortage, Source, proposal};
pub use what_can::{WhatCan, what_can};
pub use who_can::{Able, AgentIdentity, WhoCan, who_can};

/// What is asked about: a cluster, and the policy that says who the agents are and what they may never hold.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// The cluster.
    pub view: &'a Snapshot,
    /// The policy.
    pub policy: &'a AdmissionPolicy,
    /// What was read live, if anything was.
    pub answers: &'a Answers,
    /// Today in UTC.
    pub now: Timestamp,
}

#[cfg(test)]
mod tests;
