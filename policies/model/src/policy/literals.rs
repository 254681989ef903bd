//! `literals` of an AdmissionPolicy: what looks like a credential, beside the patterns that ship.

use schemars::JsonSchema;
use serde::Deserialize;

/// What looks like a credential, and what doesn't.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawLiterals {}

/// What looks like a credential, ready.
#[derive(Debug, Clone, Default)]
pub struct Literals {}

impl Literals {
    pub(super) fn add(&mut self, _raw: &RawLiterals) {}
}
