//! What a stack is put together from: tool profiles, MCP servers, skills, subagents, and what they require.

use super::{AgentReference, Ties};
use crate::object::reference::ReferenceKind;

/// Most hosts that one AgentToolProfile may allow; a decoded one has at most one more, by which it shows that it is too large.
pub const ALLOWED_HOSTS_MAX: usize = 1_000;
/// Longest name, pattern or network in bytes (RFC 1035: 253, a pattern's stars, brackets); what is longer names nothing, and allows nothing.
pub const ALLOWED_HOST_BYTES_MAX: usize = 300;

/// An AgentToolProfile, AgentMcpServer, AgentSkill or AgentSubagent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capability {
    /// Organization and references.
    pub ties: Ties,
    /// Secrets and ConfigMaps that it needs.
    pub requires: Vec<RequiredObject>,
    /// Names of the roles that it needs (`requiredRoles`).
    pub roles: Vec<String>,
    /// AgentMcpServer: `allowedAgentStacks`; `None` if left out.
    pub allowed_stacks: Option<Vec<String>>,
    /// AgentToolProfile: `filesystemPolicy`, empty if left out.
    pub filesystem_policy: String,
    /// AgentToolProfile: `networkPolicy.allowHosts`, where other hosts are denied; `None` where nothing is said, or all are allowed. See
    /// [`ALLOWED_HOSTS_MAX`].
    pub allowed_hosts: Option<Vec<String>>,
    /// AgentSkill, AgentSubagent: the tools that it needs or may use.
    pub tools: Vec<String>,
}

/// An AgentCapabilityRequirement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requirement {
    /// Organization and references.
    pub ties: Ties,
    /// `spec.ownerRef`: whose requirement it is.
    pub owner: AgentReference,
    /// Secrets and ConfigMaps.
    pub requires: Vec<RequiredObject>,
    /// `spec.requiredRoles`.
    pub roles: Vec<String>,
    /// `status.missingGrants`.
    pub missing: Vec<String>,
}

/// A Secret or ConfigMap that a capability needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredObject {
    /// Secret or ConfigMap.
    pub kind: ReferenceKind,
    /// Namespace as written; empty for the requiring object's own.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Keys; none means all.
    pub keys: Vec<String>,
    /// What for, empty if it isn't said.
    pub purpose: String,
    /// JSON path of the field.
    pub path: String,
}
