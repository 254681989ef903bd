//! What a refused attempt would have needed, read from its record by the types that the gate itself uses; or why nothing is to be proposed for it.

use std::net::IpAddr;

use pinfold_engine::egress::{Asked, Attempt, Channel, Hello, judge};
use pinfold_engine::tool;
use pinfold_model::host::{DnsName, Host};
use pinfold_model::pattern::PATTERN_BYTES_MAX;
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::reason::Reason;
use pinfold_wire::path::RequestPath;
use serde_json::Map;

use super::read::Record;

/// Longest HTTP method that is taken for one.
const METHOD_BYTES_MAX: usize = 32;
/// Longest name of a tool.
const TOOL_BYTES_MAX: usize = 128;
/// An address that nobody refuses, for judging what depends on the name alone.
const PUBLIC: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(1, 1, 1, 1));

/// What is spoken to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Spoken {
    /// TLS with its server name.
    Tls,
    /// Requests inside TLS that the sidecar ended.
    Https,
    /// Requests in the clear.
    Http,
    /// Neither TLS nor HTTP.
    Tcp,
}

impl Spoken {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Https => "https",
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Request {
    pub(super) method: String,
    /// Normalized, no pattern.
    pub(super) path: String,
}

/// What would be needed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Want {
    /// A connection, and what is asked for in it where that is judged.
    Egress {
        host: DnsName,
        port: u16,
        spoken: Spoken,
        request: Option<Request>,
        /// Nothing was seen of what is spoken: a tunnel that was refused before it was open.
        assumed: bool,
    },
    /// A call.
    Tool { server: String, tool: String },
}

/// Why nothing is proposed. The order is that of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Never {
    Address,
    Literal,
    Name,
    LookedUp,
    RecordType,
    Upstream,
    NoPath,
    Pattern,
    Server,
    Denied,
    Argument,
    Limit,
    Malformed,
    Broken,
    Unreadable,
}

impl Never {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Address => {
                "leads to a private, loopback, link-local or metadata address: no name should; a `cidr` rule is for a person to write"
            }
            Self::Literal => {
                "an address instead of a name: have the agent use the name, or write a `cidr` rule"
            }
            Self::Name => "another name inside than was asked for, or none",
            Self::LookedUp => "looked up, never connected to: nothing is known but the name",
            Self::RecordType => "a DNS question of a kind that is never answered",
            Self::Upstream => {
                "a request to a named upstream: its `methods` and `paths` are for a person to widen"
            }
            Self::NoPath => {
                "an HTTP request of which the path was not recorded: only `mode: learn` does"
            }
            Self::Pattern => {
                "a path that no pattern can mean alone: too long, or with `*`, `?`, blanks or letters beyond ASCII"
            }
            Self::Server => {
                "a call of an MCP server that the policy doesn't have: nobody knows its URL"
            }
            Self::Denied => "a tool that the policy denies by name",
            Self::Argument => "a tool's argument, or an MCP method, against a rule",
            Self::Limit => "a limit was reached",
            Self::Malformed => "not readable in one way only",
            Self::Broken => {
                "not a matter of the policy: unreachable, unresolved, unrecorded, no guard, no policy"
            }
            Self::Unreadable => "a record that names nothing readable",
        }
    }
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Wants(Want),
    /// Nothing to propose; the name, where there is one that can be told.
    Never(Never, Option<String>),
}

/// Reads a record.
pub(super) fn of(record: &Record) -> Said {
    let reason = Reason::ALL.iter().find(|reason| reason.as_str() == record.reason);
    let Some(reason) = reason else { return Said::Never(Never::Unreadable, None) };
    if record.event == "tool-call" || !record.server.is_empty() {
        return tool(record, *reason);
    }
    let Ok(host) = Host::parse(&record.host) else { return hostless(*reason) };
    let told = Some(host.to_string());
    // A literal address is told as one, whatever else is wrong with it.
    let literal = matches!(host, Host::Address(_));
    if let Some(never) = never(*reason) {
        let never = if literal && never == Never::Address { Never::Literal } else { never };
        return Said::Never(never, told);
    }
    let Host::Name(name) = host else { return Said::Never(Never::Literal, told) };
    if record.event == "dns" || record.protocol == "dns" {
        return Said::Never(Never::LookedUp, told);
    }
    if !record.place().starts_with("spec.egress") {
        return Said::Never(Never::Upstream, told);
    }
    egress(record, *reason, name)
}

/// A refusal of something without a host that can be read.
fn hostless(reason: Reason) -> Said {
    let named = |never: &Never| matches!(never, Never::Address | Never::Name);
    let never = never(reason).filter(|never| !named(never)).unwrap_or(Never::Unreadable);
    Said::Never(never, None)
}

/// Why a refusal for that reason leads to no rule; nothing if it may.
fn never(reason: Reason) -> Option<Never> {
    Some(match reason {
        Reason::Host | Reason::Port | Reason::Protocol | Reason::Method | Reason::Path => {
            return None;
        }
        Reason::Address => Never::Address,
        Reason::Name => Never::Name,
        Reason::RecordType | Reason::SearchSuffix => Never::RecordType,
        Reason::Limit | Reason::Budget | Reason::Rate => Never::Limit,
        Reason::Malformed => Never::Malformed,
        Reason::Argument | Reason::RpcMethod => Never::Argument,
        Reason::Server | Reason::Tool => Never::Unreadable,
        Reason::Resolve
        | Reason::Upstream
        | Reason::Reply
        | Reason::Audit
        | Reason::Guard
        | Reason::Breaker
        | Reason::KillSwitch
        | Reason::NoPolicy => Never::Broken,
    })
}

fn egress(record: &Record, reason: Reason, host: DnsName) -> Said {
    let port = record.port;
    let told = Some(host.to_string());
    if port == 0 {
        return Said::Never(Never::Unreadable, told);
    }
    let want = |spoken, request, assumed| {
        Said::Wants(Want::Egress { host, port, spoken, request, assumed })
    };
    match (record.protocol.as_str(), reason) {
        ("tls", _) => want(Spoken::Tls, None, false),
        ("http", _) => match request(record) {
            Ok(request) => want(Spoken::Http, Some(request), false),
            Err(never) => Said::Never(never, told),
        },
        // Requests inside; before there are any, only that it is TLS.
        ("https", Reason::Method | Reason::Path) => match request(record) {
            Ok(request) => want(Spoken::Https, Some(request), false),
            Err(never) => Said::Never(never, told),
        },
        ("https", _) => want(Spoken::Tls, None, false),
        // The tunnel was open, and what came was neither.
        ("connect" | "socks", Reason::Protocol) | ("transparent" | "tcp", _) => {
            want(Spoken::Tcp, None, false)
        }
        ("connect" | "socks", _) => want(Spoken::Tls, None, true),
        _ => Said::Never(Never::Unreadable, told),
    }
}

fn request(record: &Record) -> Result<Request, Never> {
    let Record { method, path, .. } = record;
    let upper = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
    let letter = method.starts_with(|first: char| first.is_ascii_uppercase());
    if !letter || method.len() > METHOD_BYTES_MAX || !method.bytes().all(upper) {
        return Err(Never::Unreadable);
    }
    if path.is_empty() {
        return Err(Never::NoPath);
    }
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*' && byte != b'?');
    if !plain || path.len() > PATTERN_BYTES_MAX {
        return Err(Never::Pattern);
    }
    // Recorded as judged: reading it again, with what it says escaped, must change nothing.
    let again = RequestPath::parse(&escaped(path)).map_err(|_| Never::Malformed)?;
    if again.decoded() != path {
        return Err(Never::Malformed);
    }
    Ok(Request { method: method.clone(), path: path.clone() })
}

fn escaped(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    path.bytes().fold(String::new(), |mut text, byte| {
        if plain(byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

fn tool(record: &Record, reason: Reason) -> Said {
    let Record { server, tool, .. } = record;
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if server.is_empty() || server.len() > 63 || !server.bytes().all(lower) {
        return Said::Never(Never::Unreadable, None);
    }
    let told = Some(server.clone());
    if reason == Reason::Server {
        return Said::Never(Never::Server, told);
    }
    if reason != Reason::Tool {
        return Said::Never(never(reason).unwrap_or(Never::Unreadable), told);
    }
    if tool.is_empty() || tool.len() > TOOL_BYTES_MAX || !tool.bytes().all(plain) {
        return Said::Never(Never::Unreadable, told);
    }
    Said::Wants(Want::Tool { server: server.clone(), tool: tool.clone() })
}

impl Want {
    /// Whether a policy allows it, by the engine that the sidecar asks.
    pub(super) fn is_allowed(&self, policy: &AgentPolicy) -> bool {
        match self {
            Self::Egress { host, port, spoken, request, .. } => {
                egress_allowed(policy, (host, *port), *spoken, request.as_ref())
            }
            Self::Tool { server, tool } => {
                tool::call(policy, server, tool, &Map::new()).is_ok()
                    || policy.server(server).is_some_and(|server| {
                        server.allow.iter().any(|allowed| allowed.name == *tool)
                            && !server.deny.contains(tool)
                    })
            }
        }
    }
}

fn egress_allowed(
    policy: &AgentPolicy,
    (name, port): (&DnsName, u16),
    spoken: Spoken,
    request: Option<&Request>,
) -> bool {
    let host = Host::Name(name.clone());
    let request = request.map(|request| (request.method.as_str(), request.path.as_str()));
    let channel = match (spoken, request) {
        (Spoken::Http, Some((method, path))) => Channel::Http { method, path: path.into() },
        (Spoken::Http | Spoken::Https | Spoken::Tls | Spoken::Tcp, _) => Channel::Tunnel,
    };
    let permit = judge(policy, &Attempt { host: &host, port, channel });
    let Ok(permit) = permit.and_then(|permit| permit.addresses(&[PUBLIC], &[])) else {
        return false;
    };
    let hello = Hello { server_name: Some(name), has_ech: false };
    match (spoken, request) {
        (Spoken::Tls, _) if permit.is_terminated() => permit.end_tls(hello).is_ok(),
        (Spoken::Tls, _) => permit.tls(hello).is_ok(),
        (Spoken::Https, Some((method, path))) => {
            permit.https(Asked { method, path: path.into(), websocket: false }).is_ok()
        }
        (Spoken::Http, Some((method, path))) => permit.http(method, path).is_ok(),
        (Spoken::Tcp, _) => permit.opaque().is_ok(),
        (Spoken::Https | Spoken::Http, None) => false,
    }
}
