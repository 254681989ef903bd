//! What the sidecar is started with: flags, each also an environment variable, and the bounds of its work.
//!
//! Nothing here opens a file or a socket.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::resolve::Sources;

pub use crate::guard::command::{CheckFlags, GuardFlags, Routes};
pub use crate::kill::command::{ScopeFlags, SocketFlags};

/// Arguments of `pinfold-sidecar`.
#[derive(Debug, Parser)]
#[command(
    name = "pinfold-sidecar",
    version,
    about = "The gate out of an agent's pod: egress proxy, MCP tool gate, credentials that the agent never sees"
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy and the gateway until SIGTERM
    Run(Box<Flags>),
    /// Load the pod's firewall rules and routes, and end; needs NET_ADMIN
    Guard(GuardFlags),
    /// Ask the running sidecar whether rules and routes work: 0 if they do, else 1
    CheckGuard(CheckFlags),
    /// Set the kill switch of the running sidecar, for everything if nothing else is said
    Kill(ScopeFlags),
    /// Take the kill switch off, of everything if nothing else is said
    Release(ScopeFlags),
    /// Say what the kill switch is set for
    Switches(SocketFlags),
}

/// Flags of `pinfold-sidecar run`.
#[derive(Debug, Args)]
pub struct Flags {
    /// Files and directories with AgentPolicy documents; reloaded when they change
    #[arg(long, env = "PINFOLD_POLICY", value_name = "PATH", num_args = 1.., value_delimiter = ',', required = true)]
    policy: Vec<PathBuf>,
    /// Name of the AgentPolicy; not needed when there is one
    #[arg(long, env = "PINFOLD_AGENT", value_name = "NAME")]
    agent: Option<String>,
    /// Address of the proxy (CONNECT, absolute-form HTTP, SOCKS5), or `off`; may be repeated
    #[arg(long, env = "PINFOLD_PROXY", value_name = "ADDRESS", value_parser = Listen::parse, value_delimiter = ',', default_value = "127.0.0.1:15002")]
    proxy: Vec<Listen>,
    /// Address of the gateway (/mcp/SERVER, /upstreams/NAME/...), or `off`; may be repeated
    #[arg(long, env = "PINFOLD_GATEWAY", value_name = "ADDRESS", value_parser = Listen::parse, value_delimiter = ',', default_value = "127.0.0.1:15080")]
    gateway: Vec<Listen>,
    /// Address of /metrics, /healthz and /readyz, or `off`; may be repeated
    #[arg(long, env = "PINFOLD_ADMIN", value_name = "ADDRESS", value_parser = Listen::parse, value_delimiter = ',', default_value = "127.0.0.1:15090")]
    admin: Vec<Listen>,
    /// Address of the listener for connections that the guard redirects, or `off`; may be repeated
    #[arg(long, env = "PINFOLD_TRANSPARENT", value_name = "ADDRESS", value_parser = Listen::parse, value_delimiter = ',', default_value = "off")]
    transparent: Vec<Listen>,
    /// Address of DNS (UDP and TCP), or `off`; may be repeated
    #[arg(long, env = "PINFOLD_DNS", value_name = "ADDRESS", value_parser = Listen::parse, value_delimiter = ',', default_value = "off")]
    dns: Vec<Listen>,
    /// Whether the pod's firewall rules must work
    #[arg(long, env = "PINFOLD_GUARD", value_enum, default_value = "off")]
    guard: GuardMode,
    /// Whether the guard's routes must work too, as the guard was told
    #[arg(long, env = "PINFOLD_GUARD_ROUTES", value_enum, default_value = "required")]
    guard_routes: Routes,
    /// File with the digest that the policy must have, as the downward API writes it
    #[arg(long, env = "PINFOLD_POLICY_DIGEST", value_name = "FILE")]
    policy_digest: Option<PathBuf>,
    /// Directory that the certificate of the pod's own authority is written to, for `https` rules
    #[arg(long, env = "PINFOLD_TRUST", value_name = "DIR")]
    trust: Option<PathBuf>,
    /// DNS server to resolve with, instead of the system's configuration and hosts file; may be repeated
    #[arg(long, env = "PINFOLD_RESOLVER", value_name = "IP:PORT", value_delimiter = ',')]
    resolver: Vec<SocketAddr>,
    /// Certificates (PEM) that upstreams may also be signed by
    #[arg(long, env = "PINFOLD_UPSTREAM_CA", value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    /// Directory of the audit ledger; without it nothing is recorded
    #[arg(long, env = "PINFOLD_AUDIT", value_name = "DIR")]
    audit: Option<PathBuf>,
    /// Socket for `kill`, `release` and `switches`; `admin.sock` in the directory of `--state` if it isn't said
    #[arg(long, env = "PINFOLD_ADMIN_SOCKET", value_name = "FILE")]
    admin_socket: Option<PathBuf>,
    /// Directory for what limits have counted and what the kill switch is set for, so that a restart of the sidecar doesn't forget it
    #[arg(long, env = "PINFOLD_STATE", value_name = "DIR")]
    state: Option<PathBuf>,
    /// Written with the chosen addresses, as JSON, once they are bound
    #[arg(long, env = "PINFOLD_READY_FILE", value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Form of the log lines on stderr
    #[arg(long, env = "PINFOLD_LOG", value_enum, default_value = "json")]
    log: LogFormat,
    /// Seconds that open connections get after SIGTERM
    #[arg(long, env = "PINFOLD_DRAIN", value_name = "SECONDS", default_value_t = 5)]
    drain: u16,
}

/// One value of an address flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listen {
    Off,
    At(SocketAddr),
}

impl Listen {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let address = text.parse().map_err(|_| "expected IP:PORT or `off`".to_owned())?;
        Ok(Self::At(address))
    }

    fn addresses(list: &[Self]) -> Vec<SocketAddr> {
        let address = |listen: &Self| match listen {
            Self::Off => None,
            Self::At(address) => Some(*address),
        };
        list.iter().filter_map(address).collect()
    }
}

/// Whether the pod's firewall rules must work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GuardMode {
    /// Nothing is served while they don't.
    Required,
    /// There are none: on a laptop.
    Off,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Where the original destination of a redirected connection is found.
#[derive(Debug, Clone, Copy)]
pub enum Original {
    /// In the kernel's connection tracking.
    Kernel,
    /// Told by the agent's end of the connection: for tests, which can't redirect anything. No flag leads here.
    Told(fn(SocketAddr) -> Option<SocketAddr>),
}

/// Everything that a sidecar is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Policy files and directories.
    pub policy: Vec<PathBuf>,
    /// Name of the AgentPolicy; `None` takes the only one.
    pub agent: Option<String>,
    /// Addresses for redirected connections.
    pub transparent: Vec<SocketAddr>,
    /// Where their original destination is found.
    pub original: Original,
    /// Addresses of the proxy.
    pub proxy: Vec<SocketAddr>,
    /// Addresses of DNS.
    pub dns: Vec<SocketAddr>,
    /// Addresses of the gateway.
    pub gateway: Vec<SocketAddr>,
    /// Addresses of metrics and health.
    pub admin: Vec<SocketAddr>,
    /// Whether the pod's firewall rules must work.
    pub guard: GuardMode,
    /// Whether its routes must work too.
    pub guard_routes: Routes,
    /// File with the digest that the policy must have.
    pub policy_digest: Option<PathBuf>,
    /// Directory for the certificate of the pod's own authority.
    pub trust: Option<PathBuf>,
    /// DNS servers; without any, the system's configuration with its hosts file.
    pub resolver: Vec<SocketAddr>,
    /// Another file than `/etc/hosts`; also used beside `resolver`.
    pub hosts: Option<PathBuf>,
    /// Another file than `/etc/resolv.conf`.
    pub resolv_conf: Option<PathBuf>,
    /// Further authorities of upstreams, PEM.
    pub upstream_ca: Option<PathBuf>,
    /// Audit directory.
    pub audit: Option<PathBuf>,
    /// Socket of the kill switch; where `None`, in `state`.
    pub admin_socket: Option<PathBuf>,
    /// Directory for what limits have counted, and for the kill switch.
    pub state: Option<PathBuf>,
    /// File for the chosen addresses.
    pub ready_file: Option<PathBuf>,
    /// How long open connections get when a stop is asked for.
    pub drain: Duration,
    /// Bounds.
    pub limits: Limits,
}

impl Config {
    /// A sidecar on loopback with every port chosen by the system, for tests and demonstrations.
    #[must_use]
    pub fn on_loopback(policy: Vec<PathBuf>) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            policy,
            agent: None,
            transparent: Vec::new(),
            original: Original::Kernel,
            proxy: vec![any],
            dns: Vec::new(),
            gateway: vec![any],
            admin: vec![any],
            guard: GuardMode::Off,
            guard_routes: Routes::Required,
            policy_digest: None,
            trust: None,
            resolver: Vec::new(),
            hosts: None,
            resolv_conf: None,
            upstream_ca: None,
            audit: None,
            admin_socket: None,
            state: None,
            ready_file: None,
            drain: Duration::from_secs(1),
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Where the kill switch is asked for.
    pub(crate) fn admin_socket(&self) -> Option<PathBuf> {
        let in_state = || self.state.as_ref().map(|state| state.join("admin.sock"));
        self.admin_socket.clone().or_else(in_state)
    }

    /// Where names are looked up.
    pub(crate) fn sources(&self) -> Sources {
        Sources {
            servers: self.resolver.clone(),
            hosts: self.hosts.clone(),
            resolv_conf: self.resolv_conf.clone(),
        }
    }
}

/// Bounds of the sidecar's work. The defaults are the documented ones.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Policy files that are gone, or lack the agent's policy, for so long end the policy: everything is denied until they are back.
    pub policy_gone_max: Duration,
    /// A policy and its announced digest may differ for so long, because a mount is being swapped.
    pub policy_digest_max: Duration,
    /// Open connections of the gateway and of the admin port, each; the proxy's come from the policy.
    pub service_connections_max: u32,
    /// From the first byte of a request to the end of its head.
    pub head_max: Duration,
    /// A connection that asks nothing is closed after this.
    pub unused_max: Duration,
    /// From CONNECT's answer to the end of the ClientHello or of the first head.
    pub peek_max: Duration,
    /// One name, all its addresses.
    pub resolve_max: Duration,
    /// One address.
    pub connect_max: Duration,
    /// From the first byte of a TLS handshake with an upstream to its end.
    pub handshake_max: Duration,
    /// A body of which nothing comes for so long is given up.
    pub body_idle_max: Duration,
    /// From a forwarded request to the head of its reply.
    pub reply_max: Duration,
    /// A tunnel, or a stream of events, of which nothing comes for so long is closed.
    pub idle_max: Duration,
    /// A client that takes nothing for so long is given up.
    pub write_max: Duration,
    /// How long an audit record may take.
    pub audit_max: Duration,
    /// How often policy files are looked at.
    pub policy_poll: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            service_connections_max: 256,
            head_max: Duration::from_secs(10),
            unused_max: Duration::from_secs(60),
            peek_max: Duration::from_secs(10),
            resolve_max: Duration::from_secs(5),
            connect_max: Duration::from_secs(5),
            handshake_max: Duration::from_secs(10),
            body_idle_max: Duration::from_secs(60),
            reply_max: Duration::from_secs(300),
            idle_max: Duration::from_secs(600),
            write_max: Duration::from_secs(60),
            audit_max: Duration::from_secs(3),
            policy_poll: Duration::from_millis(100),
            policy_gone_max: Duration::from_secs(10),
            policy_digest_max: Duration::from_secs(5),
        }
    }
}

impl Flags {
    /// Form of the log.
    #[must_use]
    pub fn log(&self) -> LogFormat {
        self.log
    }

    /// The configuration that the flags ask for.
    #[must_use]
    pub fn into_config(self) -> Config {
        Config {
            policy: self.policy,
            agent: self.agent,
            transparent: Listen::addresses(&self.transparent),
            original: Original::Kernel,
            proxy: Listen::addresses(&self.proxy),
            dns: Listen::addresses(&self.dns),
            gateway: Listen::addresses(&self.gateway),
            admin: Listen::addresses(&self.admin),
            guard: self.guard,
            guard_routes: self.guard_routes,
            policy_digest: self.policy_digest,
            trust: self.trust,
            resolver: self.resolver,
            hosts: None,
            resolv_conf: None,
            upstream_ca: self.upstream_ca,
            audit: self.audit,
            admin_socket: self.admin_socket,
            state: self.state,
            ready_file: self.ready_file,
            drain: Duration::from_secs(self.drain.into()),
            limits: Limits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Config, String> {
        let line = ["pinfold-sidecar", "run", "--policy", "p.yaml"].iter().chain(arguments);
        match Arguments::try_parse_from(line) {
            Ok(Arguments { command: Command::Run(flags) }) => Ok(flags.into_config()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(format!("{} {error}", error.exit_code())),
        }
    }

    #[test]
    fn addresses_may_be_off_or_repeat() {
        let config = parse(&["--proxy", "off", "--gateway", "127.0.0.1:0", "--gateway", "[::1]:0"])
            .expect("flags");
        assert!(config.proxy.is_empty());
        assert_eq!(config.gateway.len(), 2);
        assert_eq!(config.admin, ["127.0.0.1:15090".parse().expect("an address")]);
        assert!(parse(&["--transparent", "off", "--dns", "off", "--guard", "off"]).is_ok());
    }

    #[test]
    fn what_is_not_a_flag_is_refused_with_exit_code_2() {
        let cases: &[(&[&str], &str)] = &[
            (&["--transparent", "15001"], "expected IP:PORT or `off`"),
            (&["--guard", "on"], "possible values: required, off"),
            (&["--proxy", "localhost"], "expected IP:PORT or `off`"),
            (&["--socks", "127.0.0.1:1080"], "unexpected argument"),
        ];
        for (arguments, expected) in cases {
            let error = parse(arguments).expect_err("refused");
            assert!(error.starts_with("2 ") && error.contains(expected), "{arguments:?}: {error}");
        }
    }
}
