//! The AgentPolicy that the engine judges by.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::roots::Root;
use super::switches::{BreakerLimit, CallLimits, KillSwitch};
use super::values::{Rate, ValueTest};
use crate::digest::Digest;
use crate::host::{DnsName, Host, HostPattern};
use crate::json_path::JsonPath;
use crate::pattern::Pattern;

pub use super::agent_raw::{AgentMode, Ech, Injection};

/// Connections that a pod may have open at once if its policy says nothing.
pub const CONNECTIONS_DEFAULT: u32 = 256;
/// DNS queries a second if the policy says nothing.
pub const QUERIES_PER_SECOND_DEFAULT: u32 = 50;
/// Most resolvers of a policy.
pub const RESOLVERS_MAX: usize = 8;
/// Nothing may come of a connection for so long if the policy says nothing.
pub const IDLE_DEFAULT: Duration = Duration::from_secs(600);
/// Bytes of one MCP result if the policy says nothing.
pub const RESULT_BYTES_DEFAULT: u64 = 4 * 1024 * 1024;

/// One AgentPolicy, ready.
#[derive(Debug, Clone)]
pub struct AgentPolicy {
    /// Its name.
    pub name: String,
    /// Digest over its canonical JSON.
    pub digest: Digest,
    /// Its document as canonical JSON.
    pub source: Arc<str>,
    /// Which pods it is for.
    pub applies_to: AppliesTo,
    /// Allowed destinations, in the order of the document.
    pub egress: Vec<EgressRule>,
    /// Connections open at once.
    pub connections_max: u32,
    /// Further limits of connections.
    pub limits: EgressLimits,
    /// The DNS gate.
    pub dns: DnsLimits,
    /// What is done with Encrypted Client Hello.
    pub ech: Ech,
    /// Ports of the pod's own loopback that its containers may reach each other by.
    pub loopback_ports: Vec<u16>,
    /// The proxy on the way out.
    pub via: Option<Via>,
    /// Authorities that upstreams may also be signed by.
    pub roots: Vec<Root>,
    /// Whether what would be needed is recorded.
    pub mode: AgentMode,
    /// Named services.
    pub upstreams: Vec<Upstream>,
    /// MCP servers.
    pub servers: Vec<ToolServer>,
    /// How much the agent may call, all tools together.
    pub call_limits: CallLimits,
    /// What ends everything.
    pub kill_switch: KillSwitch,
    /// Bytes of one MCP result.
    pub result_bytes_max: u64,
    /// Whether what has the form of a credential is taken out of results.
    pub redacts_secrets: bool,
    /// What is done with results that look like an injection.
    pub injection: Injection,
}

/// Limits of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EgressLimits {
    /// New connections per time.
    pub connect_rate: Option<Rate>,
    /// Bytes per day, both ways.
    pub bytes_per_day: Option<u64>,
    /// Bytes of one connection, both ways.
    pub bytes_per_connection: Option<u64>,
    /// A connection is closed after this.
    pub life_max: Option<Duration>,
    /// A connection of which nothing comes for so long is closed.
    pub idle_max: Duration,
}

impl Default for EgressLimits {
    fn default() -> Self {
        Self {
            connect_rate: None,
            bytes_per_day: None,
            bytes_per_connection: None,
            life_max: None,
            idle_max: IDLE_DEFAULT,
        }
    }
}

/// Limits of the DNS gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsLimits {
    /// Suffixes that the pod's resolver appends.
    pub search_suffixes: Vec<DnsName>,
    /// Queries a second.
    pub queries_per_second_max: u32,
    /// DNS servers that are asked instead of those of `resolv.conf`; empty means those.
    pub resolvers: Vec<SocketAddr>,
}

impl Default for DnsLimits {
    fn default() -> Self {
        Self {
            search_suffixes: Vec::new(),
            queries_per_second_max: QUERIES_PER_SECOND_DEFAULT,
            resolvers: Vec::new(),
        }
    }
}

/// A proxy that everything goes through that leaves the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// Its place in the document.
    pub place: String,
    /// Host.
    pub host: Host,
    /// Port.
    pub port: u16,
    /// What the sidecar adds as `Proxy-Authorization`.
    pub credential: Option<Credential>,
}

/// Which pods a policy is for.
#[derive(Debug, Clone, Default)]
pub struct AppliesTo {
    /// Namespace globs; none means any.
    pub namespaces: Vec<Pattern>,
    /// Stacks; none means any.
    pub agent_stacks: Vec<String>,
    /// Pod labels that must have exactly this value.
    pub labels: Vec<(String, String)>,
}

/// One allowed destination.
#[derive(Debug, Clone, PartialEq)]
pub struct EgressRule {
    /// Its place in the document: `spec.egress.allow[0]`.
    pub place: String,
    /// Where to.
    pub target: Target,
    /// Ports.
    pub ports: Vec<u16>,
    /// What is spoken.
    pub protocol: Protocol,
}

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// By name.
    Host(HostPattern),
    /// By address.
    Network(IpNet),
}

/// What is spoken.
#[derive(Debug, Clone, PartialEq)]
pub enum Protocol {
    /// TLS whose server name is the host.
    Tls,
    /// TLS that the sidecar ends, so that the requests inside are judged.
    Https(HttpRule),
    /// HTTP/1.1, judged request by request.
    Http(HttpRule),
    /// Anything.
    Tcp,
}

impl Protocol {
    /// The name in policies.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Https(_) => "https",
            Self::Http(_) => "http",
            Self::Tcp => "tcp",
        }
    }
}

/// Which HTTP requests.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HttpRule {
    /// Methods; `None` means any.
    pub methods: Option<Vec<String>>,
    /// Path globs; `None` means any.
    pub paths: Option<Vec<Pattern>>,
    /// Whether a request may change to WebSocket.
    pub websocket: bool,
}

/// A named service.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Its place in the document: `spec.upstreams[0]`.
    pub place: String,
    /// Name.
    pub name: String,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Host.
    pub host: Host,
    /// Port.
    pub port: u16,
    /// Path that stands before the request's; empty or without a final slash.
    pub base_path: String,
    /// Whether private addresses are allowed.
    pub allow_private: bool,
    /// What the sidecar adds.
    pub credential: Option<Credential>,
    /// Which requests.
    pub http: HttpRule,
    /// When it is left alone.
    pub breaker: Option<BreakerLimit>,
}

/// A credential that the agent never sees. Holds where it is read, never its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Header, lower case.
    pub header: String,
    /// Text before the value.
    pub prefix: String,
    /// Text after the value.
    pub suffix: String,
    /// The file. For a Secret, where its key is mounted into the sidecar.
    pub file: String,
    /// The Secret and its key, if that is where it comes from.
    pub secret: Option<(String, String)>,
}

/// An MCP server.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolServer {
    /// Its place in the document: `spec.tools.servers[0]`.
    pub place: String,
    /// Name.
    pub name: String,
    /// Name of its upstream; the loader makes sure that it is there.
    pub upstream: String,
    /// Tools that may be called.
    pub allow: Vec<Tool>,
    /// Tools that never may.
    pub deny: Vec<String>,
    /// How much its tools may be called, all together.
    pub call_limits: CallLimits,
}

/// A tool that may be called.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its place in the document: `spec.tools.servers[0].allow[0]`.
    pub place: String,
    /// Its name.
    pub name: String,
    /// Every top-level argument must be named by some rule.
    pub closed: bool,
    /// Rules on arguments; all must hold.
    pub rules: Vec<ValueRule>,
    /// How much it may be called.
    pub call_limits: CallLimits,
    /// When it is left alone; as its upstream's if the document says nothing.
    pub breaker: Option<BreakerLimit>,
}

/// A rule on selected values.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueRule {
    /// Selects the values.
    pub path: JsonPath,
    /// Every selected value must pass all of these.
    pub tests: Vec<ValueTest>,
    /// Passes when nothing is selected.
    pub optional: bool,
}

impl AgentPolicy {
    /// Whether what would be needed is recorded.
    #[must_use]
    pub fn learns(&self) -> bool {
        self.mode == AgentMode::Learn
    }

    /// The upstream of that name.
    #[must_use]
    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.name == name)
    }

    /// The MCP server of that name.
    #[must_use]
    pub fn server(&self, name: &str) -> Option<&ToolServer> {
        self.servers.iter().find(|server| server.name == name)
    }
}
