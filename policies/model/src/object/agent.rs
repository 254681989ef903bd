//! Objects of the agent control plane (`krate.a5c.ai`, `kradle.a5c.ai`): organizations, pools, runs, identities, approvals.

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
        /// Exactly what: `Secret/namespace/name`.
        allowed: Vec<String>,
    },
}

/// A RunnerPool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunnerPool {
    /// `spec.organizationRef`, empty if left out.
    pub organization: String,
    /// `spec.trustTier == trusted`; anything but `untrusted` counts as trusted, because guarding too much is the safe side.
    pub trusted: bool,
    /// `spec.serviceAccountRef`, empty if left out.
    pub service_account: String,
    /// `spec.nodeSelector`.
    pub node_selector: Vec<(String, String)>,
}

/// Where a piece of work came from, from AgentDispatchRun, AgentDispatchAttempt, Pipeline, Job or PullRequest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunRecord {
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
}

/// An AgentServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentServiceAccount {
    /// `spec.namespace`, or the object's own.
    pub namespace: String,
    /// `spec.serviceAccountName`.
    pub service_account: String,
}

/// An AgentStack, as far as its identity goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentStack {
    /// `spec.organizationRef`, empty if left out.
    pub organization: String,
    /// `spec.runtimeIdentity.serviceAccountRef`: the name of an AgentServiceAccount or of a ServiceAccount beside the stack; empty if left out.
    pub service_account: String,
}

/// An AgentApproval, as far as role bindings need it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Approval {
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
