//! The one place where answers are written: "allowed" needs the engine's permit, mutation the engine's mutation.

use pinfold_engine::decision::{AdmissionPermit, Decision, Mutation};
use pinfold_model::finding::{Finding, Mode};
use pinfold_review::respond::{self, Reasons};

/// The answer of validation.
pub(crate) fn validated(uid: &str, decision: &Decision, reasons: &Reasons<'_>) -> Vec<u8> {
    match &decision.permit {
        Some(permit) if permit.uid() == uid => allowed(permit, reasons),
        Some(_) | None => respond::denied(uid, reasons),
    }
}

fn allowed(permit: &AdmissionPermit, reasons: &Reasons<'_>) -> Vec<u8> {
    respond::allowed(permit.uid(), reasons)
}

/// The answer of mutation: the request goes on to validation, which needs a permit.
pub(crate) fn mutated(uid: &str, mutation: &Mutation, reasons: &Reasons<'_>) -> Vec<u8> {
    if mutation.patch.is_empty() {
        return respond::patched(uid, reasons, None);
    }
    match serde_json::to_vec(&mutation.patch) {
        Ok(patch) => respond::patched(uid, reasons, Some(&patch)),
        Err(error) => {
            tracing::error!(%error, "a patch can't be written");
            respond::denied(uid, reasons)
        }
    }
}

/// The findings of a decision as people are told them: also the rules that nobody could judge.
pub(crate) fn told(decision: &Decision) -> Vec<Finding> {
    let undecided = decision.undecided.iter().map(|rule| Finding {
        rule: rule.clone(),
        mode: Mode::Enforce,
        path: "$.request.userInfo".to_owned(),
        message: "the rule can't be judged without the requester".to_owned(),
        remedy: "let the API server authenticate the request".to_owned(),
    });
    decision.findings.iter().cloned().chain(undecided).collect()
}
