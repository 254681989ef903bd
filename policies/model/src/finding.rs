//! What a decision consists of: findings, each with its rule, place, reason and remedy.
//!
//! Findings are values. Nothing here decides, formats for a terminal or logs.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The stable id of a rule: `PF-RBAC-001`, or the id of a `custom` rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RuleId(Cow<'static, str>);

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $id:literal;)*) => {
        impl RuleId {
            $($(#[$doc])* pub const $name: RuleId = RuleId(Cow::Borrowed($id));)*
            /// Every built-in rule of this version.
            pub const BUILT_IN: &'static [RuleId] = &[$(RuleId::$name),*];
        }
    };
}

rules! {
    /// The review itself is malformed: not JSON, not an AdmissionReview, duplicates, missing parts.
    REQ_MALFORMED = "PF-REQ-001";
    /// Too large, too deep, or too many values.
    REQ_LIMIT = "PF-REQ-002";
    /// No `userInfo.username`: nobody to judge.
    REQ_NO_USER = "PF-REQ-003";
    /// An object of a kind that a rule reads, in a shape or version that can't be read.
    REQ_OBJECT = "PF-REQ-004";
    /// The view of the cluster or the policy is not there or too old to decide by.
    REQ_NOT_READY = "PF-REQ-005";
    /// A Role or ClusterRole beyond what the requester holds.
    RBAC_ROLE = "PF-RBAC-001";
    /// A RoleBinding or ClusterRoleBinding to a role that the requester doesn't hold.
    RBAC_BINDING = "PF-RBAC-002";
    /// An AgentRoleBinding to what the requester doesn't hold.
    RBAC_AGENT_BINDING = "PF-RBAC-003";
    /// An agent identity would hold more than its ceiling.
    RBAC_CEILING = "PF-RBAC-004";
    /// A role that an agent identity is bound to grows beyond the ceiling, or beyond what its editor holds.
    RBAC_GROWTH = "PF-RBAC-005";
    /// A subject of another organization, or of the platform.
    RBAC_SUBJECT = "PF-RBAC-006";
    /// A role for agents with rights that end in escalation.
    RBAC_DANGER = "PF-RBAC-007";
    /// An edit of what is Pinfold's own by somebody who doesn't administer it, or an agent identity that could impersonate.
    RBAC_OWN = "PF-RBAC-008";
    /// A reference to a Secret or ConfigMap of another organization.
    SEC_CROSS_ORGANIZATION = "PF-SEC-001";
    /// An agent workload that uses a Secret without a grant.
    SEC_SECRET_GRANT = "PF-SEC-002";
    /// An agent workload that uses a ConfigMap without a grant.
    SEC_CONFIG_GRANT = "PF-SEC-003";
    /// Untrusted work that uses a Secret, or a grant that waits for an approval.
    SEC_UNTRUSTED = "PF-SEC-004";
    /// A Secret or ConfigMap used in another way than its grant allows: whole instead of by key, in the environment instead of a file.
    SEC_MOUNT = "PF-SEC-005";
    /// A grant across organizations, or of what its author could not have read or bound.
    SEC_GRANT_AUTHOR = "PF-SEC-006";
    /// A credential in the clear: in an environment variable, an argument, an annotation, a ConfigMap, a field of an agent resource.
    SEC_LITERAL = "PF-SEC-007";
    /// A token of a ServiceAccount beyond what its AgentServiceAccount allows.
    SEC_TOKEN = "PF-SEC-008";
    /// Untrusted work on a trusted pool.
    TRU_PLACEMENT = "PF-TRU-001";
    /// Untrusted work with a privileged ServiceAccount or a mounted API token.
    TRU_IDENTITY = "PF-TRU-002";
    /// A claim of trust that its record contradicts, or that has no record.
    TRU_CLAIM = "PF-TRU-003";
    /// A pool whose tier is raised, or a node that moves between pools, by somebody who doesn't administer it.
    TRU_POOL = "PF-TRU-004";
    /// Work on a pool, for a repository or with a filesystem policy that its AgentServiceAccount or pool doesn't allow.
    TRU_ALLOWED = "PF-TRU-005";
    /// A workspace, volume or cache that untrusted and trusted work share, or two runs.
    TRU_SHARED = "PF-TRU-006";
    /// A reference between agent resources that crosses organizations.
    ORG_REFERENCE = "PF-ORG-001";
    /// An agent resource or agent workload that belongs to no organization.
    ORG_NONE = "PF-ORG-002";
    /// A change of which organization a namespace belongs to, or of what says so, by somebody who doesn't administer the platform.
    ORG_MOVE = "PF-ORG-003";
    /// A memory source, query or import of another organization, or beyond its path and kind grants.
    ORG_MEMORY = "PF-ORG-004";
    /// An agent's pod without the sidecar, its guard or its policy, or with something of theirs changed.
    POD_CONFINED = "PF-POD-001";
    /// A container of an agent's pod beyond the restricted Pod Security Standard.
    POD_STANDARD = "PF-POD-002";
    /// A container that runs as the sidecar's user or group, as root, or as nobody says whom.
    POD_IDENTITY = "PF-POD-003";
    /// A way into the sidecar from beside it: a shared process namespace, its volumes.
    POD_SHARED = "PF-POD-004";
    /// A container, volume, port or annotation by a name or number that is Pinfold's.
    POD_RESERVED = "PF-POD-005";
    /// A way into a running agent's pod: exec, attach, port-forward, ephemeral containers.
    POD_ENTRY = "PF-POD-006";
    /// A field that changes which names and addresses an agent's pod sees.
    POD_NETWORK = "PF-POD-007";
    /// A Service or EndpointSlice that leads to the sidecar's ports.
    POD_EXPOSED = "PF-POD-008";
    /// An AgentApproval that somebody else than its approver decides, or that changes after it was decided.
    RUN_APPROVAL = "PF-RUN-003";
    /// The dispatch of a stack that its permission review refuses.
    RUN_DISPATCH = "PF-RUN-005";
}

impl RuleId {
    /// The id of a rule that a policy defines itself.
    #[must_use]
    pub fn custom(id: &str) -> Self {
        Self(Cow::Owned(id.to_owned()))
    }

    /// The built-in rule of that id.
    #[must_use]
    pub fn built_in(id: &str) -> Option<Self> {
        Self::BUILT_IN.iter().find(|rule| rule.as_str() == id).cloned()
    }

    /// The id as users write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a finding does.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    Default,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Denies.
    #[default]
    Enforce,
    /// Allows, and warns the user.
    Warn,
    /// Allows, and records.
    Audit,
}

impl Mode {
    /// The name in policies, metrics and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Warn => "warn",
            Self::Audit => "audit",
        }
    }
}

/// One reason, complete enough to act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule that speaks.
    pub rule: RuleId,
    /// What it does.
    pub mode: Mode,
    /// JSON path of the field at fault, such as `$.roleRef.name`.
    pub path: String,
    /// What was found and why it is refused.
    pub message: String,
    /// What would be accepted.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, path, message, remedy, .. } = self;
        write!(formatter, "{rule} at {path}: {message}; fix: {remedy}")
    }
}
