//! AgentSecretGrant and AgentConfigGrant: who may use a Secret or ConfigMap, for what, and how.

use jiff::Timestamp;

use super::Ties;
use crate::object::reference::ReferenceKind;
use crate::pattern::Pattern;

/// A grant, or an explicit denial (`spec.effect: deny`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Grant {
    /// Organization and references.
    pub ties: Ties,
    /// Whether it denies what it names instead of granting it.
    pub denies: bool,
    /// Who may.
    pub subject: GrantSubject,
    /// What: `spec.secretRef` or `spec.configMapRef`.
    pub object: GrantObject,
    /// `spec.purpose`, empty if left out.
    pub purpose: String,
    /// `spec.allowedRepositories`; none means any repository of the organization.
    pub repositories: Vec<String>,
    /// `spec.allowedRefs.include`; none means any ref.
    pub refs_included: Vec<GrantPattern>,
    /// `spec.allowedRefs.exclude`.
    pub refs_excluded: Vec<GrantPattern>,
    /// `spec.allowedTriggerSources`; none means any.
    pub trigger_sources: Vec<String>,
    /// `spec.mountPolicy`; none means any but by reference.
    pub mounts: Vec<MountPolicy>,
    /// `spec.requiredApproval`.
    pub approval: RequiredApproval,
    /// `spec.rotationPolicy.maxAgeDays`.
    pub max_age_days: Option<u32>,
    /// `spec.allowUntrustedRefs`: untrusted work may use it too.
    pub untrusted: bool,
    /// `spec.notBefore`.
    pub not_before: Option<Timestamp>,
    /// `spec.expiresAt`; the grant ends at this instant.
    pub expires_at: Option<Timestamp>,
    /// `spec.revoked`, or `status.phase: Revoked`, or a `status.revokedAt`.
    pub revoked: bool,
    /// When the Secret was last rotated as far as the grant knows (`status.lastRotatedAt`).
    pub rotated_at: Option<Timestamp>,
    /// Fields whose value can't be read as what they should be: a grant that has any grants nothing.
    pub faults: Vec<String>,
}

/// A pattern of a grant: as written, and ready; `None` if it can't be read.
#[derive(Debug, Clone)]
pub struct GrantPattern {
    /// As written.
    pub text: String,
    /// To match with.
    pub pattern: Option<Pattern>,
}

/// Who may use it: `spec.subject`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrantSubject {
    /// `kind` as written: `agent-stack`, `service-account`, `runner-pool`, `user`, `group`, `team`, `tool-profile`, `mcp-server`, `skill`,
    /// `subagent`, `repository`, `organization`; Kubernetes' own spellings (`AgentStack`, `ServiceAccount`) mean the same.
    pub kind: String,
    /// `name`.
    pub name: String,
    /// `namespace`, empty for the grant's own.
    pub namespace: String,
    /// `serviceAccountRef`: `name` or `namespace/name`; empty if left out.
    pub service_account: String,
    /// `stackRef`, empty if left out.
    pub stack: String,
}

/// What is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantObject {
    /// Secret or ConfigMap.
    pub kind: ReferenceKind,
    /// Namespace as written; empty for the grant's own.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Keys; none means all.
    pub keys: Vec<String>,
}

impl Default for GrantObject {
    fn default() -> Self {
        let none = String::new;
        Self { kind: ReferenceKind::Secret, namespace: none(), name: none(), keys: Vec::new() }
    }
}

/// How a granted object may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MountPolicy {
    /// `env`.
    Env,
    /// `file`.
    File,
    /// `projected-volume`.
    ProjectedVolume,
    /// `never-mount-pass-by-reference`: a controller may name it, no pod may mount it.
    ByReference,
    /// `api-read` of a ConfigMap: read through the API, not mounted.
    ApiRead,
}

/// When a grant needs an approved AgentApproval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequiredApproval {
    /// `never`.
    #[default]
    Never,
    /// `on-untrusted-ref`.
    OnUntrustedRef,
    /// `always`.
    Always,
}

/// Compared as written: a compiled pattern is made from its text.
impl PartialEq for GrantPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
