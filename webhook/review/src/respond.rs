//! Answers as bytes of an AdmissionReview.
//!
//! Nothing here knows whether a request may pass: who calls [`allowed`] must hold the engine's permit.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinfold_model::finding::{Finding, Mode};
use serde::Serialize;

use crate::message::{explain, warnings};
use crate::review::{API_VERSION, KIND};

/// What every answer says beside yes or no.
#[derive(Debug, Clone, Copy)]
pub struct Reasons<'a> {
    /// Every finding; denials become the message, warnings the warnings.
    pub findings: &'a [Finding],
    /// Joins the answer with its audit record.
    pub decision_id: &'a str,
    /// Digest of the policy that decided; empty if there is none.
    pub policy_digest: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: &'a Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
}

#[derive(Serialize)]
struct Status {
    code: u16,
    reason: &'static str,
    message: String,
}

/// The answer "no", with every reason.
#[must_use]
pub fn denied(uid: &str, reasons: &Reasons<'_>) -> Vec<u8> {
    let denials = reasons.findings.iter().filter(|finding| finding.mode == Mode::Enforce);
    let message = explain(denials);
    let status = Status { code: 403, reason: "Forbidden", message };
    write(&Response { status: Some(status), ..response(uid, false, reasons) })
}

/// The answer "yes" without a change. Call it with the engine's permit in hand.
#[must_use]
pub fn allowed(uid: &str, reasons: &Reasons<'_>) -> Vec<u8> {
    write(&response(uid, true, reasons))
}

/// The answer of mutation: the request goes on, changed by an RFC 6902 patch (a JSON array, as bytes); without one, unchanged.
#[must_use]
pub fn patched(uid: &str, reasons: &Reasons<'_>, patch: Option<&[u8]>) -> Vec<u8> {
    let encoded = patch.map(|patch| STANDARD.encode(patch));
    let patch_type = encoded.is_some().then_some("JSONPatch");
    write(&Response { patch: encoded, patch_type, ..response(uid, true, reasons) })
}

fn response<'a>(uid: &'a str, allowed: bool, reasons: &Reasons<'_>) -> Response<'a> {
    let warned = reasons.findings.iter().filter(|finding| finding.mode == Mode::Warn);
    Response {
        uid,
        allowed,
        status: None,
        warnings: warnings(warned),
        audit_annotations: annotations(reasons),
        patch: None,
        patch_type: None,
    }
}

/// Most bytes of the list of rules in an audit annotation.
const RULES_BYTES_MAX: usize = 1024;

fn annotations(reasons: &Reasons<'_>) -> BTreeMap<&'static str, String> {
    let mut rules: Vec<&str> =
        reasons.findings.iter().map(|finding| finding.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    let mut listed = String::new();
    for rule in rules {
        if listed.len().saturating_add(rule.len()) > RULES_BYTES_MAX {
            break;
        }
        if !listed.is_empty() {
            listed.push(',');
        }
        listed.push_str(rule);
    }
    let parts = [
        ("decision-id", reasons.decision_id.to_owned()),
        ("policy-digest", reasons.policy_digest.to_owned()),
        ("rules", listed),
    ];
    parts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn write(response: &Response<'_>) -> Vec<u8> {
    let answer = Answer { api_version: API_VERSION, kind: KIND, response };
    // Strings and maps with string keys always serialize; an empty body would be a failed call, which denies.
    serde_json::to_vec(&answer).unwrap_or_default()
}

#[cfg(test)]
#[path = "respond_tests.rs"]
mod tests;
