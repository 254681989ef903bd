//! JSON Schemas of the policy documents, made from the very types that read them.

use schemars::{Schema, schema_for};

use super::agent_raw::AgentPolicyDocument;
use super::raw::AdmissionPolicyDocument;
use super::test_case::PolicyTestDocument;

/// The kinds of documents, as in `kind`.
pub const KINDS: [&str; 3] = ["AdmissionPolicy", "AgentPolicy", "PolicyTest"];

/// The JSON Schema of a kind; `None` if there is no such kind.
#[must_use]
pub fn schema(kind: &str) -> Option<Schema> {
    match kind {
        "AdmissionPolicy" => Some(schema_for!(AdmissionPolicyDocument)),
        "AgentPolicy" => Some(schema_for!(AgentPolicyDocument)),
        "PolicyTest" => Some(schema_for!(PolicyTestDocument)),
        _ => None,
    }
}
