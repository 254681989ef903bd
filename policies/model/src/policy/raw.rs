//! AdmissionPolicy as users write it. Strict: every unknown field is an error.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::admission::{OnUntrusted, Tier};
use super::grants::RawGrants;
use super::inject::RawInject;
use super::literals::RawLiterals;
use super::provenance::RawProvenance;
use super::rbac::RawRbac;
use super::references::RawReference;
use super::values::{DateText, Expression, JsonPathText, JsonType, NameGlob, PathGlob, Unenforced};
use crate::finding::Mode;
use crate::object::reference::ReferenceKind;

/// `metadata` of every document.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawMeta {
    /// Name.
    pub name: String,
    /// Namespace, if the document is a custom resource.
    pub namespace: Option<String>,
    /// Labels; not read.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations; not read.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// What may enter the cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdmissionPolicyDocument {
    /// `pinfold.dev/v1alpha1`.
    pub api_version: String,
    /// `AdmissionPolicy`.
    pub kind: String,
    /// Name.
    pub metadata: RawMeta,
    /// The policy.
    pub spec: RawAdmission,
}

/// The policy.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawAdmission {
    /// Mode of rules that have none of their own; `enforce` if left out.
    pub mode: Option<Mode>,
    /// Who owns what.
    pub organizations: RawOrganizations,
    /// What counts as an agent workload, beside the records.
    pub agents: RawAgents,
    /// Trust and placement.
    pub trust: RawTrust,
    /// Ceilings of agent identities.
    pub rbac: RawRbac,
    /// Where further kinds name Secrets and ConfigMaps.
    pub references: Vec<RawReference>,
    /// What agent workloads need a grant for.
    pub grants: RawGrants,
    /// What looks like a credential.
    pub literals: RawLiterals,
    /// Image rules.
    pub images: Option<Unenforced>,
    /// Sidecar injection.
    pub inject: RawInject,
    /// Overrides by rule id.
    pub rules: Vec<RawRule>,
    /// Further denials.
    pub custom: Vec<RawCustom>,
    /// Exemptions.
    pub exceptions: Vec<RawException>,
}

/// Who owns what.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawOrganizations {
    /// Namespace label that names the organization; `krate.a5c.ai/org` if left out.
    pub namespace_label: Option<String>,
    /// Who administers the platform; the group `system:masters` if left out.
    pub platform_admins: Option<RawAdmins>,
    /// Namespaces of the platform; kube-system, kube-public, kube-node-lease and pinfold-system if left out.
    pub platform_namespaces: Option<Vec<String>>,
}

/// Users and groups.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawAdmins {
    /// Groups.
    pub groups: Vec<String>,
    /// Users.
    pub users: Vec<String>,
}

/// What counts as an agent workload.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawAgents {
    /// Labels that guard a namespace; `pinfold.dev/agents: "true"` if left out.
    pub namespace_selector: Option<RawSelector>,
    /// `namespace/name` globs of agent ServiceAccounts.
    pub service_accounts: Vec<NameGlob>,
}

/// A label selector of equalities.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawSelector {
    /// Labels that must have exactly this value.
    pub match_labels: BTreeMap<String, String>,
}

/// Trust and placement.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawTrust {
    /// Who may claim a run.
    pub controllers: Vec<RawController>,
    /// Refs that are trusted.
    pub trusted_refs: Vec<PathGlob>,
    /// Refs that never are.
    pub untrusted_refs: Option<Vec<PathGlob>>,
    /// Pools, for clusters without RunnerPool resources.
    pub pools: Vec<RawPool>,
    /// `deny` (default) or `force`.
    pub on_untrusted: Option<OnUntrusted>,
    /// Where other runners say what their work is.
    pub provenance: Vec<RawProvenance>,
    /// Repositories whose work provenance may be trusted; none until some are listed.
    pub trusted_repositories: Vec<NameGlob>,
    /// Controllers that make objects only from what an owner of theirs says: what they make has the owner's trust, followed by uid.
    pub relays: Vec<RawController>,
    /// Schedulers that untrusted work may ask for; `default-scheduler` if left out.
    pub schedulers: Option<Vec<String>>,
    /// Runtime classes, one of which untrusted work must name (a sandbox such as gVisor); none if left out.
    pub untrusted_runtime_classes: Vec<String>,
    /// Who may move nodes into trusted pools and out of them beside the platform's administrators; the controllers of the control plane if left out.
    pub node_managers: Option<RawAdmins>,
}

/// An identity that may claim a run: `user`, or `serviceAccount` with an optional `uid`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawController {
    /// User name.
    pub user: Option<String>,
    /// `namespace/name`.
    pub service_account: Option<String>,
    /// Uid of the ServiceAccount.
    pub uid: Option<String>,
}

/// A pool of nodes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawPool {
    /// Name.
    pub name: String,
    /// Tier.
    pub tier: Tier,
    /// Labels of its nodes.
    #[serde(default)]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of its nodes.
    #[serde(default)]
    pub taints: Vec<RawTaint>,
    /// ServiceAccounts, `namespace/name`.
    #[serde(default)]
    pub service_accounts: Vec<String>,
    /// Runtime classes that lead to it.
    #[serde(default)]
    pub runtime_classes: Vec<String>,
    /// Priority classes that belong to it.
    #[serde(default)]
    pub priority_classes: Vec<String>,
    /// PersistentVolumeClaims that its work shares, `namespace/name`.
    #[serde(default)]
    pub caches: Vec<String>,
    /// Filesystem policies of tool profiles that may run on it; what its tier allows if left out.
    #[serde(default)]
    pub filesystem_policies: Vec<String>,
}

/// A node taint.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawTaint {
    /// Key.
    pub key: String,
    /// Value.
    #[serde(default)]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: TaintEffect,
}

/// Effects of a taint (core/v1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// New pods stay away.
    NoSchedule,
    /// New pods rather stay away.
    PreferNoSchedule,
    /// All pods leave.
    NoExecute,
}

/// Which objects something applies to; what is left out matches anything.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawMatch {
    /// API groups; `""` is the core group.
    pub api_groups: Vec<String>,
    /// Kinds.
    pub kinds: Vec<String>,
    /// Namespace globs.
    pub namespaces: Vec<NameGlob>,
    /// Name globs.
    pub names: Vec<NameGlob>,
}

/// What a reference names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum RawReferenceKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

impl RawReferenceKind {
    pub(super) fn ready(self) -> ReferenceKind {
        match self {
            Self::Secret => ReferenceKind::Secret,
            Self::ConfigMap => ReferenceKind::ConfigMap,
        }
    }
}

/// What the policy says about one rule.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawRule {
    /// Rule id.
    pub id: String,
    /// Mode.
    pub mode: RawRuleMode,
}

/// Mode of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawRuleMode {
    /// Denies.
    Enforce,
    /// Warns.
    Warn,
    /// Records.
    Audit,
    /// Is not judged.
    Off,
}

/// A denial that the policy defines itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawCustom {
    /// Its id; must not begin with `PF-`.
    pub id: String,
    /// Kinds.
    #[serde(rename = "match")]
    pub applies: RawMatch,
    /// What is denied.
    pub deny: RawValueRule,
}

/// A path, and tests that a selected value must pass; at least one. `custom.deny` needs a `message`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawValueRule {
    /// Selects the values.
    pub path: JsonPathText,
    /// Equal to this.
    #[serde(default, deserialize_with = "present")]
    pub equals: Option<Value>,
    /// One of these.
    #[serde(rename = "in")]
    pub any_of: Option<Vec<Value>>,
    /// None of these.
    pub not_in: Option<Vec<Value>>,
    /// An anchored regular expression.
    pub matches: Option<Expression>,
    /// A glob.
    pub glob: Option<PathGlob>,
    /// A beginning.
    pub starts_with: Option<String>,
    /// An end.
    pub ends_with: Option<String>,
    /// Smallest number.
    pub min: Option<f64>,
    /// Largest number.
    pub max: Option<f64>,
    /// Longest text or list.
    pub max_length: Option<usize>,
    /// JSON type.
    #[serde(rename = "type")]
    pub json_type: Option<JsonType>,
    /// Whether there must be a value.
    pub exists: Option<bool>,
    /// `true`: a URL or host that the egress rules allow.
    pub host: Option<bool>,
    /// `true`: a relative path that stays below its root.
    pub path_safe: Option<bool>,
    /// Passes when the path selects nothing.
    pub optional: Option<bool>,
    /// Told to the user.
    pub message: Option<String>,
}

/// Keeps `equals: null` apart from a missing `equals`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// An exemption.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawException {
    /// Rule ids.
    pub rules: Vec<String>,
    /// Objects.
    #[serde(rename = "match")]
    pub applies: RawMatch,
    /// Last day on which it holds.
    pub until: Option<DateText>,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
}
