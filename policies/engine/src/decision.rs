//! Decisions and permits: the values that the gates act on.

use pinfold_model::facts::Question;
use pinfold_model::finding::{Finding, Mode};
use serde_json::Value;

/// The right to answer "allowed" to one request. Only the engine makes one, so an edge that forgot to ask can't allow:
///
/// ```compile_fail
/// let permit = pinfold_engine::decision::AdmissionPermit { uid: "u".to_owned() };
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct AdmissionPermit {
    uid: String,
}

impl AdmissionPermit {
    /// Made by [`crate::admit`] alone.
    pub(crate) fn new(uid: &str) -> Self {
        Self { uid: uid.to_owned() }
    }

    /// The request that it is for.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }
}

/// The answer to one admission request.
#[derive(Debug, PartialEq)]
pub struct Decision {
    /// There if nothing denies.
    pub permit: Option<AdmissionPermit>,
    /// Every reason, denials first.
    pub findings: Vec<Finding>,
    /// What a live answer could still change; the edge may ask and decide again.
    pub questions: Vec<Question>,
    /// Rules that could not be judged because the requester isn't known (offline only). They deny.
    pub undecided: Vec<pinfold_model::finding::RuleId>,
}

impl Decision {
    /// Whether the request may pass.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.permit.is_some()
    }

    /// The findings that deny.
    pub fn denials(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.mode == Mode::Enforce)
    }
}

/// One step of a JSON Patch (RFC 6902).
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum PatchStep {
    /// Adds a value, or replaces a member.
    Add {
        /// JSON Pointer.
        path: String,
        /// Value.
        value: Value,
    },
    /// Replaces a value.
    Replace {
        /// JSON Pointer.
        path: String,
        /// Value.
        value: Value,
    },
    /// Removes a value.
    Remove {
        /// JSON Pointer.
        path: String,
    },
}

/// What mutation does to an object.
#[derive(Debug, Default, PartialEq)]
pub struct Mutation {
    /// In order; empty changes nothing.
    pub patch: Vec<PatchStep>,
    /// Told to the user as warnings: what was changed and why.
    pub notes: Vec<Finding>,
    /// What a live answer could still change; the edge may ask and mutate again.
    pub questions: Vec<Question>,
}
