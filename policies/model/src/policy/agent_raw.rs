//! AgentPolicy as users write it. Strict: every unknown field is an error, and so is every part that this version does not enforce.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::raw::{RawMeta, RawValueRule};
use super::roots::RawTls;
use super::switches::{OneOrMany, RawBreaker, RawBudget, RawKillSwitch};
use super::values::{
    ByteSize, CidrText, HostText, NameGlob, PathGlob, RateText, ResolverText, TimeSpan, Unenforced,
};

/// What an agent may do once it runs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentPolicyDocument {
    /// `pinfold.dev/v1alpha1`.
    pub api_version: String,
    /// `AgentPolicy`.
    pub kind: String,
    /// Name.
    pub metadata: RawMeta,
    /// The policy.
    pub spec: RawAgent,
}

/// The policy.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawAgent {
    /// Which pods it is for; required in a cluster.
    pub applies_to: RawAppliesTo,
    /// Connections.
    pub egress: RawEgress,
    /// TLS to upstreams.
    pub tls: RawTls,
    /// Named services.
    pub upstreams: Vec<RawUpstream>,
    /// MCP tools.
    pub tools: RawTools,
    /// Models.
    pub models: Option<Unenforced>,
    /// Webhooks that come in.
    pub inbound: Option<Unenforced>,
    /// What ends everything.
    pub kill_switch: Option<RawKillSwitch>,
    /// What must be recorded.
    pub audit: RawAudit,
    /// `enforce` or `learn`.
    pub mode: Option<AgentMode>,
}

/// Which pods a policy is for.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawAppliesTo {
    /// Namespace globs.
    pub namespaces: Vec<NameGlob>,
    /// Stacks.
    pub agent_stacks: Vec<String>,
    /// Pod labels.
    pub selector: BTreeMap<String, BTreeMap<String, String>>,
}

/// Connections.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawEgress {
    /// `deny`; there is no other.
    pub default: Option<RawDefault>,
    /// What is allowed.
    pub allow: Vec<RawEgressRule>,
    /// The DNS gate.
    pub dns: RawDns,
    /// Limits.
    pub limits: RawLimits,
    /// What is done with Encrypted Client Hello; `judge-outer` if left out.
    pub ech: Option<Ech>,
    /// Ports of the pod's own loopback that its containers may reach each other by.
    pub loopback_ports: Vec<u16>,
    /// A proxy that everything goes through that leaves the pod: `http://host:port`.
    pub via: Option<RawVia>,
}

/// The DNS gate.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawDns {
    /// Suffixes that the pod's resolver appends; names under them are refused without being counted as an attack.
    pub search_suffixes: Vec<String>,
    /// Queries a second; 50 if left out.
    pub max_qps: Option<u32>,
    /// DNS servers that the sidecar asks, `IP:PORT`, instead of those of its `resolv.conf`.
    pub resolvers: Vec<ResolverText>,
}

/// A proxy on the way out.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawVia {
    /// `http://host:port`.
    pub url: String,
    /// What the sidecar adds as `Proxy-Authorization`.
    pub credential: Option<RawCredential>,
}

/// The only default there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawDefault {
    /// What isn't allowed is denied.
    Deny,
}

/// One allowed destination: `host` or `cidr`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawEgressRule {
    /// Name or pattern.
    pub host: Option<HostText>,
    /// Address range; also lifts the address check.
    pub cidr: Option<CidrText>,
    /// Ports.
    pub ports: Vec<u16>,
    /// `tls`, `https`, `http` or `tcp`.
    pub protocol: RawProtocol,
    /// HTTP methods; all if left out.
    pub methods: Option<Vec<String>>,
    /// HTTP path globs; all if left out.
    pub paths: Option<Vec<PathGlob>>,
    /// Whether a request may change to WebSocket; `false` if left out.
    pub websocket: Option<bool>,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawProtocol {
    /// TLS whose server name is the host.
    Tls,
    /// TLS that the sidecar ends with a certificate of the pod's own authority, so that requests inside are judged like `http`.
    Https,
    /// HTTP/1.1, judged request by request.
    Http,
    /// Anything.
    Tcp,
}

/// What is done with Encrypted Client Hello (RFC 9849). GREASE and the real thing look alike by design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ech {
    /// The outer name is judged: the DNS listener gives no ECH configuration away, so there is nothing real to encrypt with.
    #[default]
    JudgeOuter,
    /// A hello that carries one is refused.
    Refuse,
}

/// Limits of one pod.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawLimits {
    /// Connections open at once.
    pub connections: Option<u32>,
    /// New connections per time.
    pub connect_rate: Option<RateText>,
    /// Bytes per day, both ways.
    pub bytes_per_day: Option<ByteSize>,
    /// Bytes of one connection, both ways.
    pub bytes_per_connection: Option<ByteSize>,
    /// A connection is closed after this.
    pub connection_life: Option<TimeSpan>,
    /// A connection of which nothing comes for so long is closed; 10 minutes if left out.
    pub connection_idle: Option<TimeSpan>,
}

/// A named service.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawUpstream {
    /// Name.
    pub name: String,
    /// `https://host[:port][/base]`, or `http://`.
    pub url: String,
    /// Lifts the address check; implied by a loopback URL.
    pub allow_private: Option<bool>,
    /// What the sidecar adds.
    pub credential: Option<RawCredential>,
    /// HTTP methods; all if left out.
    pub methods: Option<Vec<String>>,
    /// HTTP path globs; all if left out.
    pub paths: Option<Vec<PathGlob>>,
    /// Retries.
    pub retry: Option<Unenforced>,
    /// When it is left alone for a while; of each of its tools too.
    pub breaker: Option<RawBreaker>,
}

/// A credential that the agent never sees.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawCredential {
    /// Header that carries it.
    pub header: String,
    /// `{}` stands for the value; `{}` alone if left out.
    pub format: Option<String>,
    /// Where it is read.
    pub from: RawCredentialSource,
}

/// Where a credential is read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawCredentialSource {
    /// A file, read again when it changes.
    pub file: Option<String>,
    /// A Secret of the pod's namespace, which is mounted into the sidecar alone. Needs a grant.
    pub secret: Option<RawSecretKey>,
}

/// One key of a Secret.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawSecretKey {
    /// The Secret.
    pub name: String,
    /// The key.
    pub key: String,
}

/// MCP tools.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawTools {
    /// `deny`; there is no other.
    pub default: Option<RawDefault>,
    /// Servers.
    pub servers: Vec<RawToolServer>,
    /// What is done to results.
    pub results: RawResults,
    /// Calls of all tools per time.
    pub rate: Option<OneOrMany<RateText>>,
    /// Calls of all tools.
    pub budget: Option<RawBudget>,
}

/// An MCP server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawToolServer {
    /// Name: `/mcp/{name}` at the gateway.
    pub name: String,
    /// The upstream that serves it.
    pub upstream: Option<String>,
    /// A server on stdio.
    pub stdio: Option<Unenforced>,
    /// Digest of its tool descriptions.
    pub pin: Option<Unenforced>,
    /// Tools that may be called.
    #[serde(default)]
    pub allow: Vec<RawTool>,
    /// Tools that never may, whatever else says so.
    #[serde(default)]
    pub deny: Vec<String>,
    /// Calls of its tools per time.
    pub rate: Option<OneOrMany<RateText>>,
    /// Calls of its tools in all.
    pub budget: Option<RawBudget>,
}

/// A tool that may be called.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawTool {
    /// Its name, exactly.
    pub tool: String,
    /// How risky it is; recorded.
    pub tier: Option<RawTier>,
    /// Rules on its arguments; any within size and depth if left out.
    pub arguments: Option<RawArguments>,
    /// Human approval.
    pub approval: Option<Unenforced>,
    /// Calls per time.
    pub rate: Option<OneOrMany<RateText>>,
    /// Calls in all.
    pub budget: Option<RawBudget>,
    /// When it is left alone for a while; as the upstream's if left out.
    pub breaker: Option<RawBreaker>,
}

/// How risky a tool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawTier {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Administers.
    Admin,
}

/// Rules on arguments.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawArguments {
    /// Every top-level argument must be named by some rule.
    pub closed: bool,
    /// The rules; all must hold.
    pub rules: Vec<RawValueRule>,
}

/// What is done to results.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawResults {
    /// What is taken out, beside injected credentials; `[secrets]` if left out.
    pub redact: Option<Vec<RawRedact>>,
    /// Largest result.
    pub max_bytes: Option<ByteSize>,
    /// What is done with what looks like an injection; `flag` if left out.
    pub injection: Option<Injection>,
}

/// What is taken out of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawRedact {
    /// What has the form of a credential.
    Secrets,
}

/// What is done with a result that looks like an injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Injection {
    /// Nothing: it isn't looked for.
    Off,
    /// The result says so, and so do the records.
    #[default]
    Flag,
    /// It is refused.
    Block,
}

/// What must be recorded.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawAudit {
    /// Events; all of these are recorded in any case.
    pub required: Vec<RawAuditEvent>,
    /// `deny`; there is no other.
    pub on_failure: Option<RawDefault>,
}

/// Events that a policy can require to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawAuditEvent {
    /// A tool call.
    ToolCall,
    /// An approval.
    Approval,
    /// A denied connection.
    EgressDeny,
}

/// What is done with what isn't allowed. Both deny it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AgentMode {
    /// What isn't allowed is denied.
    #[default]
    Enforce,
    /// The same, and what would be needed is recorded, for `pinfold learn`.
    Learn,
}
