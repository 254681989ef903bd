//! Fields that the design documents (domain.md) and that no rule reads yet, and what `kubectl get` shows of each kind.

/// A documented field.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) kind: &'static str,
    /// `spec` or `status`.
    pub(super) part: &'static str,
    pub(super) name: &'static str,
    /// `string`, `boolean`, `integer`, `object`, `array`, or `any` of them.
    pub(super) shape: &'static str,
    pub(super) description: &'static str,
}

const fn field([kind, part, name, shape, description]: [&'static str; 5]) -> Field {
    Field { kind, part, name, shape, description }
}

#[rustfmt::skip]
pub(super) const FIELDS: &[Field] = &[
    field(["AgentStack", "spec", "writeBackPolicy", "object", "Whether writing back needs approval, and where to."]),
    field(["AgentStack", "spec", "approvalMode", "any", "When a person is asked."]),
    field(["AgentStack", "spec", "model", "any", "The model."]),
    field(["AgentStack", "spec", "provider", "any", "Who serves the model."]),
    field(["AgentToolProfile", "spec", "nativeTools", "object", "Which built-in tools there are: shell, filesystem, browser and others."]),
    field(["AgentToolProfile", "spec", "networkPolicy", "object", "Where it may connect to: a default and hosts."]),
    field(["AgentToolProfile", "spec", "allowedCommands", "array", "Commands that may run."]),
    field(["AgentToolProfile", "spec", "deniedCommands", "array", "Commands that may not."]),
    field(["AgentToolProfile", "spec", "approvalPolicyByTool", "object", "When a person is asked, by tool."]),
    field(["AgentToolProfile", "spec", "auditLevel", "any", "How much is recorded."]),
    field(["AgentMcpServer", "spec", "transport", "string", "`stdio`, `sse` or `streamable-http`."]),
    field(["AgentMcpServer", "spec", "url", "string", "Where it is."]),
    field(["AgentMcpServer", "spec", "command", "any", "What starts it."]),
    field(["AgentMcpServer", "spec", "args", "array", "With which arguments."]),
    field(["AgentMcpServer", "spec", "scope", "any", "Whose it is."]),
    field(["AgentMcpServer", "spec", "approvalPolicy", "any", "When a person is asked."]),
    field(["AgentMcpServer", "status", "discoveredTools", "array", "Tools that it has."]),
    field(["AgentSkill", "spec", "promptFragment", "string", "What it tells the model."]),
    field(["AgentSkill", "spec", "taskKinds", "array", "What it is for."]),
    field(["AgentSkill", "spec", "outputContract", "any", "What it answers."]),
    field(["AgentSubagent", "spec", "rolePrompt", "string", "What it tells the model."]),
    field(["AgentSubagent", "spec", "taskKinds", "array", "What it is for."]),
    field(["AgentSubagent", "spec", "workspaceScope", "any", "How much of the workspace it sees."]),
    field(["AgentContextLabel", "spec", "promptFragment", "string", "What it tells the model."]),
    field(["AgentContextLabel", "spec", "allowedSources", "array", "Where it may come from."]),
    field(["AgentContextLabel", "spec", "requiresReview", "boolean", "Whether a person has to look at it."]),
    field(["AgentTriggerRule", "spec", "match", "any", "Which events."]),
    field(["AgentTriggerRule", "spec", "approvalPolicy", "object", "What a person is asked for."]),
    field(["AgentTriggerRule", "spec", "dedupePolicy", "object", "Which events count as one."]),
    field(["AgentTriggerRule", "spec", "concurrencyPolicy", "any", "What happens while one runs."]),
    field(["AgentTriggerRule", "spec", "writeBackPolicy", "object", "Whether writing back needs approval, and where to."]),
    field(["AgentTriggerExecution", "spec", "sourceEvent", "any", "The event."]),
    field(["AgentTriggerExecution", "spec", "decision", "any", "What became of it."]),
    field(["AgentTriggerExecution", "spec", "dedupeKey", "string", "What tells it from others."]),
    field(["AgentDispatchRun", "spec", "approvalPolicy", "any", "When a person is asked."]),
    field(["AgentDispatchAttempt", "status", "agentMuxRunId", "string", "The run that it became, bound once."]),
    field(["AgentDispatchAttempt", "status", "agentMuxSessionId", "string", "The session that it became, bound once."]),
    field(["AgentDispatchAttempt", "status", "runtimeIdentity", "any", "Whom it runs as, bound once."]),
    field(["AgentDispatchAttempt", "status", "runnerIdentity", "any", "Where it runs, bound once."]),
    field(["AgentSession", "spec", "sessionId", "string", "Its id."]),
    field(["AgentContextBundle", "spec", "digest", "string", "Digest of its content."]),
    field(["AgentArtifact", "spec", "digest", "string", "Digest of its content."]),
    field(["AgentReviewArtifact", "spec", "digest", "string", "Digest of its content."]),
    field(["AgentApproval", "spec", "idempotencyKey", "string", "What tells it from others."]),
    field(["AgentApproval", "spec", "sourceEvent", "any", "What set it off."]),
    field(["RunnerPool", "spec", "warmReplicas", "integer", "Runners that wait for work."]),
    field(["RunnerPool", "spec", "maxReplicas", "integer", "Most runners."]),
    field(["AgentMemorySnapshot", "spec", "commit", "string", "The commit that it pins."]),
];

/// A column of `kubectl get`.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) kind: &'static str,
    pub(super) name: &'static str,
    pub(super) path: &'static str,
}

const fn column([kind, name, path]: [&'static str; 3]) -> Column {
    Column { kind, name, path }
}

#[rustfmt::skip]
pub(super) const COLUMNS: &[Column] = &[
    column(["Organization", "Namespace", ".spec.namespaceName"]),
    column(["OrgNamespaceBinding", "Namespace", ".spec.namespace"]),
    column(["OrgSharingPolicy", "Source", ".spec.sourceOrg"]),
    column(["OrgSharingPolicy", "Target", ".spec.targetOrg"]),
    column(["OrgSharingPolicy", "Expires", ".spec.expiresAt"]),
    column(["AgentStack", "Pool", ".spec.runnerPool"]),
    column(["AgentToolProfile", "Filesystem", ".spec.filesystemPolicy"]),
    column(["AgentMcpServer", "Transport", ".spec.transport"]),
    column(["AgentServiceAccount", "Account", ".spec.serviceAccountName"]),
    column(["AgentRoleBinding", "Subject", ".spec.subject.name"]),
    column(["AgentRoleBinding", "Role", ".spec.roleRef.name"]),
    column(["AgentRoleBinding", "Scope", ".spec.scope.kind"]),
    column(["AgentSecretGrant", "Secret", ".spec.secretRef.name"]),
    column(["AgentSecretGrant", "Subject", ".spec.subject.name"]),
    column(["AgentSecretGrant", "Expires", ".spec.expiresAt"]),
    column(["AgentConfigGrant", "ConfigMap", ".spec.configMapRef.name"]),
    column(["AgentConfigGrant", "Subject", ".spec.subject.name"]),
    column(["AgentConfigGrant", "Expires", ".spec.expiresAt"]),
    column(["AgentTriggerRule", "Stack", ".spec.agentStack"]),
    column(["AgentDispatchRun", "Repository", ".spec.repository"]),
    column(["AgentDispatchRun", "Ref", ".spec.ref"]),
    column(["AgentDispatchRun", "Stack", ".spec.agentStack"]),
    column(["AgentDispatchAttempt", "Run", ".spec.agentDispatchRun"]),
    column(["AgentApproval", "Action", ".spec.action.type"]),
    column(["AgentApproval", "Phase", ".status.phase"]),
    column(["RunnerPool", "Tier", ".spec.trustTier"]),
    column(["PullRequest", "Ref", ".spec.ref"]),
    column(["Pipeline", "Ref", ".spec.ref"]),
];
