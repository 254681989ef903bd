//! What the gates record. Names, digests and decisions only: a field for a value of a Secret does not exist.

use serde::Serialize;

/// Which gate decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// The admission webhook.
    Webhook,
    /// The sidecar in the pod.
    Sidecar,
}

/// What was decided, or happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The first record of a ledger; written by the ledger itself.
    Genesis,
    /// A half-written last line was cut off at start; written by the ledger itself.
    TailRepaired,
    /// Records were refused because they could not be written, and now can be again; written by the ledger itself.
    WritesResumed,
    /// A validating admission review.
    Admission,
    /// A mutating admission review.
    Mutation,
    /// A connection out of the pod.
    Egress,
    /// A name looked up by the pod.
    Dns,
    /// A call of a tool on an MCP server.
    ToolCall,
    /// Something was taken out of what a tool answered, or looks like an injection.
    ToolResult,
    /// A call of a model.
    ModelCall,
    /// A request into the pod.
    Inbound,
    /// A person's answer to a held tool call.
    Approval,
    /// The kill switch was set or lifted.
    KillSwitch,
    /// The guard was set up, checked or found broken.
    Guard,
    /// A policy or certificate was loaded again.
    Reload,
    /// The gate started.
    Start,
    /// The gate stopped.
    Stop,
}

/// The answer that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Let through.
    Allow,
    /// Refused.
    Deny,
}

/// Who asked, as the API server saw them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// User name.
    pub user: Option<String>,
    /// UID of the user, if it has one.
    pub uid: Option<String>,
    /// How many groups the user is in.
    pub groups: Option<u32>,
}

/// The Kubernetes object that the decision is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Object {
    /// API group; empty for the core group.
    pub group: Option<String>,
    /// API version.
    pub version: Option<String>,
    /// Kind.
    pub kind: Option<String>,
    /// Namespace; none for cluster-scoped objects.
    pub namespace: Option<String>,
    /// Name; none while it is generated.
    pub name: Option<String>,
    /// Subresource, `status` for example.
    pub subresource: Option<String>,
}

/// One record, as a gate writes it; the ledger adds sequence, times and hashes.
///
/// Too long strings and lists are cut, with a marker that says how much (see [`crate::format`]); absent fields and
/// empty lists are left out of the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Which gate decided.
    pub gate: Gate,
    /// What was decided.
    pub event: EventKind,
    /// The answer.
    pub decision: Decision,
    /// Rule ids that led to the answer.
    pub rules: Vec<String>,
    /// The reason, from the documented enumeration.
    pub reason: Option<String>,
    /// The text that the client got.
    pub message: Option<String>,
    /// Who asked.
    pub actor: Option<Actor>,
    /// The ServiceAccount that the decision concerns, `NAMESPACE/NAME`.
    pub service_account: Option<String>,
    /// The organization that owns the namespace.
    pub organization: Option<String>,
    /// Admission operation: `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: Option<String>,
    /// Whether the request was a dry run.
    pub dry_run: Option<bool>,
    /// The object.
    pub object: Option<Object>,
    /// UID of the admission request.
    pub request_uid: Option<String>,
    /// What triggered the run: kind and name of the source event.
    pub source_event: Option<String>,
    /// The trigger rule that matched.
    pub trigger_rule: Option<String>,
    /// `metadata.generation` of the agent stack.
    pub stack_generation: Option<i64>,
    /// Digest of the permission snapshot that the run was dispatched with.
    pub permission_snapshot_digest: Option<String>,
    /// ServiceAccounts of runtime and runner.
    pub service_accounts: Vec<String>,
    /// Names of the grants used.
    pub grants: Vec<String>,
    /// Names of the keys used; never what is in them.
    pub keys: Vec<String>,
    /// The AgentPolicy's name.
    pub agent: Option<String>,
    /// MCP server.
    pub server: Option<String>,
    /// Tool.
    pub tool: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Digest of the arguments; never the arguments.
    pub arguments_digest: Option<String>,
    /// What was found in a result: kinds and how often, `github-token=2`; never what it was.
    pub findings: Vec<String>,
    /// Host asked for.
    pub host: Option<String>,
    /// Port asked for.
    pub port: Option<u16>,
    /// Protocol as recognised.
    pub protocol: Option<String>,
    /// HTTP or MCP method.
    pub method: Option<String>,
    /// HTTP path as judged, without the query. Only of refused requests, and only where somebody asked to learn: paths can be long, and
    /// can hold what isn't for everybody.
    pub path: Option<String>,
    /// IP address that was connected to.
    pub address: Option<String>,
    /// Session id.
    pub session_id: Option<String>,
    /// Run id.
    pub run_id: Option<String>,
    /// Approvals that the decision relied on.
    pub approvals: Vec<String>,
    /// Artifacts with their digests.
    pub artifacts: Vec<String>,
    /// Digest of the policy that decided.
    pub policy_digest: Option<String>,
    /// Correlation id, joins the records of both gates.
    pub correlation_id: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// How long the decision or call took, in microseconds.
    pub duration_us: Option<u64>,
    /// How many decisions the record stands for, where they are recorded together; absent: one.
    pub count: Option<u64>,
}

impl Event {
    /// An event with nothing but what every record has; fill the rest with `Event { tool, ..Event::new(..) }`.
    #[must_use]
    pub fn new(gate: Gate, event: EventKind, decision: Decision) -> Self {
        Self {
            gate,
            event,
            decision,
            rules: Vec::new(),
            reason: None,
            message: None,
            actor: None,
            service_account: None,
            organization: None,
            operation: None,
            dry_run: None,
            object: None,
            request_uid: None,
            source_event: None,
            trigger_rule: None,
            stack_generation: None,
            permission_snapshot_digest: None,
            service_accounts: Vec::new(),
            grants: Vec::new(),
            keys: Vec::new(),
            agent: None,
            server: None,
            tool: None,
            model: None,
            arguments_digest: None,
            findings: Vec::new(),
            host: None,
            port: None,
            protocol: None,
            method: None,
            path: None,
            address: None,
            session_id: None,
            run_id: None,
            approvals: Vec::new(),
            artifacts: Vec::new(),
            policy_digest: None,
            correlation_id: None,
            traceparent: None,
            duration_us: None,
            count: None,
        }
    }
}
