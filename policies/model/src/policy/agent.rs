//! The AgentPolicy that the engine judges by.

use ipnet::IpNet;

use super::values::ValueTest;
use crate::digest::Digest;
use crate::host::{Host, HostPattern};
use crate::json_path::JsonPath;
use crate::pattern::Pattern;

/// Connections that a pod may have open at once if its policy says nothing.
pub const CONNECTIONS_DEFAULT: u32 = 256;
/// Bytes of one MCP result if the policy says nothing.
pub const RESULT_BYTES_DEFAULT: u64 = 4 * 1024 * 1024;

/// One AgentPolicy, ready.
#[derive(Debug, Clone)]
pub struct AgentPolicy {
    /// Its name.
    pub name: String,
    /// Digest over its canonical JSON.
    pub digest: Digest,
    /// Which pods it is for.
    pub applies_to: AppliesTo,
    /// Allowed destinations, in the order of the document.
    pub egress: Vec<EgressRule>,
    /// Connections open at once.
    pub connections_max: u32,
    /// Named services.
    pub upstreams: Vec<Upstream>,
    /// MCP servers.
    pub servers: Vec<ToolServer>,
    /// Bytes of one MCP result.
    pub result_bytes_max: u64,
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
    /// The file.
    pub file: String,
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
