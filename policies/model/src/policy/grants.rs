//! `grants` of an AdmissionPolicy: what agent workloads need a grant for.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::raw::RawReferenceKind;
use super::values::NameGlob;
use crate::object::reference::ReferenceKind;
use crate::pattern::Pattern;

/// What needs a grant.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawGrants {
    /// Kinds that need one; Secret and ConfigMap if left out.
    pub required: Option<Vec<RawReferenceKind>>,
    /// Name globs of Secrets and ConfigMaps that need none; `kube-root-ca.crt` is always one.
    pub exempt_names: Vec<NameGlob>,
    /// Whether a granted object must exist, by a live read of its metadata; `false` if left out.
    pub check_existence: Option<bool>,
    /// Users whose AgentApproval counts where a grant asks for one, beside the platform administrators; agent identities never.
    pub approvers: Vec<String>,
}

/// What needs a grant, ready.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// Kinds that need one; `None` until [`Grants::finish`] has filled in the default.
    pub required: Option<BTreeSet<ReferenceKind>>,
    /// Names of objects that need none.
    pub exempt_names: Vec<Pattern>,
    /// Whether a granted object must exist.
    pub check_existence: bool,
    /// Users who approve, beside the platform administrators.
    pub approvers: BTreeSet<String>,
}

/// Every namespace has it; it holds the API server's CA certificates.
const ROOT_CA: &str = "kube-root-ca.crt";

impl Grants {
    pub(super) fn add(&mut self, raw: &RawGrants) {
        if let Some(kinds) = &raw.required {
            self.required.get_or_insert_default().extend(kinds.iter().map(|kind| kind.ready()));
        }
        self.exempt_names.extend(raw.exempt_names.iter().map(|glob| glob.0.clone()));
        self.check_existence |= raw.check_existence == Some(true);
        self.approvers.extend(raw.approvers.iter().cloned());
    }

    pub(super) fn finish(&mut self) {
        let both = [ReferenceKind::Secret, ReferenceKind::ConfigMap];
        self.required.get_or_insert_with(|| both.into());
    }

    /// Whether the use of an object needs a grant.
    #[must_use]
    pub fn needs(&self, kind: ReferenceKind, name: &str) -> bool {
        let required = self.required.as_ref().is_none_or(|kinds| kinds.contains(&kind));
        let root_ca = kind == ReferenceKind::ConfigMap && name == ROOT_CA;
        required && !root_ca && !self.exempt_names.iter().any(|pattern| pattern.matches(name))
    }
}
