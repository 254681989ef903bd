//! Objects of the agent control plane (`krate.a5c.ai`, `kradle.a5c.ai`): organizations, pools, runs, identities, stacks, grants, approvals.

mod capability;
mod grant;
mod ties;

use jiff::Timestamp;

pub use capability::{
    ALLOWED_HOST_BYTES_MAX, ALLOWED_HOSTS_MAX, Capability, RequiredObject, Requirement,
};
pub use grant::{Grant, GrantObject, GrantPattern, GrantSubject, MountPolicy, RequiredApproval};
pub use ties::{AgentReference, Ties};

/// What says which organization owns a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrganizationRecord {
    /// `Organization.spec.namespaceName`.
    Organization {
        /// The namespace that it owns, empty if it names none.
        namespace: String,
    },
    /// `OrgNamespaceBinding.spec{organizationRef, namespace}`.
    NamespaceBinding {
        /// The organization.
        organization: String,
        /// The namespace.
        namespace: String,
    },
    /// `OrgSharingPolicy.spec{sourceOrg, targetOrg, allowedRefs}`.
    Sharing {
        /// Who shares.
        source: String,
        /// With whom.
        target: String,
        /// Exactly what: `Kind/namespace/name`.
        allowed: Vec<String>,
        /// `spec.expiresAt`: nothing is shared from this instant on.
        expires_at: Option<Timestamp>,
        /// Fields that can't be read: such a policy shares nothing.
        faults: Vec<String>,
    },
}

/// A RunnerPool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunnerPool {
    /// Organization and references.
    pub ties: Ties,
    /// `spec.trustTier == trusted`; anything but `untrusted` counts as trusted, because guarding too much is the safe side.
    pub trusted: bool,
    /// `spec.serviceAccountRef`, empty if left out.
    pub service_account: String,
    /// `spec.nodeSelector`.
    pub node_selector: Vec<(String, String)>,
    /// `spec.cache`: PersistentVolumeClaims that its work shares.
    pub caches: Vec<String>,
    /// `spec.allowedFilesystemPolicies`; none means any that the tier allows.
    pub filesystem_policies: Vec<String>,
}

/// Where a piece of work came from, from AgentDispatchRun, AgentDispatchAttempt, Pipeline, Job or PullRequest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunRecord {
    /// Organization and references.
    pub ties: Ties,
    /// `spec.repository`.
    pub repository: String,
    /// `spec.ref`.
    pub git_ref: String,
    /// `spec.headRepository`, empty if left out.
    pub head_repository: String,
    /// `spec.fork`.
    pub fork: bool,
    /// `spec.trustTier`, empty if left out.
    pub trust_tier: String,
    /// `spec.runnerPool`, empty if left out.
    pub runner_pool: String,
    /// AgentDispatchAttempt: the run that it belongs to.
    pub run: String,
    /// `spec.sourceRefs`: kind and name of the Pipeline, Job or PullRequest behind it.
    pub sources: Vec<(String, String)>,
    /// `spec.sha`, empty if left out.
    pub sha: String,
    /// `spec.agentStack`, or the name in `spec.agentStackSnapshot`; empty if left out.
    pub agent_stack: String,
    /// `spec.sourceEvent`: the kind of what set it off (`manual`, `pull-request`, `comment`, ...); of an object, its `kind` or `type`. Empty if left out.
    pub trigger_source: String,
    /// `spec.sourceRefs.triggerRule`, empty if left out.
    pub trigger_rule: String,
    /// `spec.workspaceRef`, empty if left out.
    pub workspace: String,
    /// `spec.taskKind`, empty if left out.
    pub task_kind: String,
    /// `spec.actor`, empty if left out.
    pub actor: String,
}

/// An AgentServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentServiceAccount {
    /// Organization and references.
    pub ties: Ties,
    /// `spec.namespace`, or the object's own.
    pub namespace: String,
    /// `spec.serviceAccountName`.
    pub service_account: String,
    /// `spec.allowedRepositories`; none means any of the organization.
    pub repositories: Vec<String>,
    /// `spec.allowedRunnerPools`; none means any untrusted pool.
    pub runner_pools: Vec<String>,
    /// `spec.tokenAudience`, empty if left out: the API server's own.
    pub token_audience: String,
    /// `spec.tokenExpirationSeconds`: the longest life of a token.
    pub token_expiration_seconds: Option<i64>,
    /// `spec.imagePullSecretRefs` that are beside the ServiceAccount: their names.
    pub image_pull_secrets: Vec<String>,
    /// `spec.imagePullSecretRefs`, all; a bare name is beside the ServiceAccount.
    pub image_pulls: Vec<RequiredObject>,
    /// `spec.automountServiceAccountToken`; `false` if left out.
    pub automount: bool,
}

/// An AgentStack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentStack {
    /// Organization and references: tool profile, MCP servers, skills, subagents, context labels, workspace policy, runner pool, role bindings and
    /// grants, each under the kind that it names.
    pub ties: Ties,
    /// `spec.runtimeIdentity.serviceAccountRef`: the name of an AgentServiceAccount or of a ServiceAccount beside the stack; empty if left out.
    pub service_account: String,
    /// `spec.runnerPool`, empty if left out.
    pub runner_pool: String,
    /// `spec.repository`, `spec.repositories`: those that it works on; none means any of the organization.
    pub repositories: Vec<String>,
    /// `spec.secretPolicy.allowOnForks`.
    pub secrets_on_forks: bool,
    /// `spec.secretPolicy.allowedSecretRefs`; `None` if left out.
    pub allowed_secrets: Option<Vec<String>>,
    /// `spec.team`, empty if left out.
    pub team: String,
}

/// An AgentTriggerRule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TriggerRule {
    /// Organization and references.
    pub ties: Ties,
    /// `spec.agentStack`, empty if left out.
    pub agent_stack: String,
    /// `spec.runnerPool`, empty if left out.
    pub runner_pool: String,
    /// `spec.sources`: the kinds of events that set it off.
    pub sources: Vec<String>,
}

/// A memory kind: AgentMemoryRepository, AgentMemorySource, AgentMemoryQuery, AgentRunMemoryImport and the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// Organization and references.
    pub ties: Ties,
    /// `spec.paths`, `spec.allowedPaths`: path globs that a source grants, or a query asks for.
    pub paths: Vec<String>,
    /// `spec.kinds`, `spec.allowedKinds`: kinds of records that a source grants, or a query asks for.
    pub kinds: Vec<String>,
    /// AgentRunMemoryImport: `spec.sourceOrg`, empty if left out.
    pub source_organization: String,
    /// AgentRunMemoryImport: `spec.sourceRun`, `spec.sourceRepository`: `name` or `namespace/name`; empty if left out.
    pub source_run: String,
}

/// An AgentApproval.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Approval {
    /// Organization and references.
    pub ties: Ties,
    /// `spec.expiresAt`: the approval ends at this instant.
    pub expires_at: Option<Timestamp>,
    /// `spec.dispatchRun`, empty if left out.
    pub run: String,
    /// `status.phase`.
    pub phase: String,
    /// `status.approver`, empty before a decision.
    pub approver: String,
    /// `spec.requestedBy`.
    pub requested_by: String,
    /// `spec.action.type`.
    pub action: String,
    /// `spec.action.target`.
    pub target: String,
    /// `spec.artifactDigest` and the digests of `spec.artifactRefs`: what was looked at; none if the record doesn't say.
    pub digests: Vec<String>,
}
