//! May this connection leave the pod? By name and port, then by resolved address, then by what is spoken inside.
//!
//! The three steps are three permits, and the last one, [`DialPermit`], is the only thing that a dialler takes: no step can be left
//! out. An `Err` is not a failure here, it is the answer "denied". Nothing here resolves or connects.

mod address;
mod path;
mod redirected;
mod terminate;

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use pinfold_model::host::{DnsName, Host};
use pinfold_model::policy::agent::{
    AgentPolicy, Ech, EgressRule, HttpRule, Protocol, Target, Upstream, Via,
};
use pinfold_model::reason::{Denial, Reason};

pub use address::{Special, is_metadata, special};
pub use path::Path;
pub use redirected::Redirected;
pub use terminate::{Asked, EndPermit};

/// What only a `tcp` rule allows.
const OPAQUE: &str = "a protocol that is neither TLS nor HTTP";

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The host, as it was named.
    pub host: &'a Host,
    /// The port.
    pub port: u16,
    /// How it is reached.
    pub channel: Channel<'a>,
}

/// How a host is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel<'a> {
    /// A tunnel whose inside is judged once it is seen.
    Tunnel,
    /// One HTTP request in the clear.
    Http {
        /// Method.
        method: &'a str,
        /// Its path.
        path: Path<'a>,
    },
    /// One request in the clear that asks to change to WebSocket.
    WebSocket {
        /// Its path.
        path: Path<'a>,
    },
    /// One request inside TLS, which nobody sees unless the sidecar ends the TLS.
    Https(Asked<'a>),
    /// Bytes of any protocol.
    Opaque,
}

/// The name and port are allowed; its addresses are still to be checked.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct NamePermit {
    host: Host,
    port: u16,
    rules: Vec<EgressRule>,
    lifted: Lifted,
    ech: Ech,
    via: Option<Via>,
}

/// Which special addresses may be dialled all the same.
#[derive(Debug, Clone, PartialEq)]
enum Lifted {
    Networks(Vec<IpNet>),
    All,
}

/// The addresses are allowed too; what is spoken is still to be checked.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct AddressPermit {
    host: Host,
    port: u16,
    rules: Vec<EgressRule>,
    addresses: Vec<SocketAddr>,
    ech: Ech,
    via: Option<Via>,
}

/// The right to dial some addresses. Made here alone:
///
/// ```compile_fail
/// let host = pinfold_model::host::Host::parse("a.example").unwrap();
/// let rule = String::new();
/// let permit =
///     pinfold_engine::egress::DialPermit { rule, host, port: 1, addresses: Vec::new(), via: None };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct DialPermit {
    rule: String,
    host: Host,
    port: u16,
    addresses: Vec<SocketAddr>,
    via: Option<Via>,
}

impl DialPermit {
    /// The host that was asked for.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port that was asked for.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The proxy that must be asked for the connection, instead of dialling the addresses.
    #[must_use]
    pub fn via(&self) -> Option<&Via> {
        self.via.as_ref()
    }

    /// The checked addresses, in the resolver's order. None only under [`DialPermit::via`], for a name that the proxy alone can resolve.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The place in the policy that allows it.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

/// Judges host and port, and for a request in the clear its method and path.
///
/// # Errors
/// The denial, which is an answer.
pub fn judge(policy: &AgentPolicy, attempt: &Attempt<'_>) -> Result<NamePermit, Denial> {
    let Attempt { host, port, channel } = *attempt;
    let here: Vec<&EgressRule> =
        policy.egress.iter().filter(|rule| covers_host(&rule.target, host)).collect();
    if here.is_empty() {
        return Err(unlisted_host(policy, host, port));
    }
    let rules: Vec<EgressRule> =
        here.iter().filter(|rule| rule.ports.contains(&port)).map(|rule| (*rule).clone()).collect();
    if rules.is_empty() {
        return Err(unlisted_port(&here, host, port));
    }
    judge_channel(&rules, host, channel)?;
    let networks = policy.egress.iter().filter(|rule| rule.ports.contains(&port));
    let networks = networks.filter_map(|rule| match &rule.target {
        Target::Network(network) => Some(*network),
        Target::Host(_) => None,
    });
    let lifted = Lifted::Networks(networks.collect());
    Ok(NamePermit {
        host: host.clone(),
        port,
        rules,
        lifted,
        ech: policy.ech,
        via: policy.via.clone(),
    })
}

fn judge_channel(rules: &[EgressRule], host: &Host, channel: Channel<'_>) -> Result<(), Denial> {
    let judged = match channel {
        Channel::Tunnel => return Ok(()),
        Channel::Http { method, path } => judge_http(rules, host, method, path),
        Channel::WebSocket { path } => {
            terminate::judge_clear(rules, host, Asked { method: "GET", path, websocket: true })
        }
        Channel::Https(asked) => terminate::judge_https(rules, host, asked),
        Channel::Opaque => {
            let opaque = rules.iter().find(|rule| rule.protocol == Protocol::Tcp);
            opaque.ok_or_else(|| wrong_protocol(rules, host, OPAQUE))
        }
    };
    judged.map(|_rule| ())
}

/// Judges a request to a named upstream of the policy.
///
/// # Errors
/// The denial, which is an answer.
pub fn judge_upstream<'a>(
    upstream: &Upstream,
    method: &str,
    path: impl Into<Path<'a>>,
) -> Result<NamePermit, Denial> {
    check_http(&upstream.http, &upstream.place, method, path.into())?;
    let lifted = if upstream.allow_private { Lifted::All } else { Lifted::Networks(Vec::new()) };
    Ok(named((&upstream.host, upstream.port), &upstream.place, lifted))
}

/// Refuses plain requests of the agent to an upstream that serves an MCP server: with its credential and past the tool gate, any tool could be
/// called with any arguments.
///
/// # Errors
/// The denial, which is an answer.
pub fn check_plain(policy: &AgentPolicy, upstream: &Upstream) -> Result<(), Denial> {
    let Some(server) = policy.servers.iter().find(|server| server.upstream == upstream.name) else {
        return Ok(());
    };
    let (name, server) = (&upstream.name, &server.name);
    let message = format!(
        "upstream `{name}` is that of MCP server `{server}`, whose calls are judged one by one"
    );
    let remedy = format!("use `/mcp/{server}`; for plain requests add an upstream of another name");
    Err(Denial::new(Reason::Protocol, upstream.place.clone(), message, remedy))
}

/// Judges the connection to the proxy of `egress.via`: it may be private, but nothing worse.
pub fn judge_via(via: &Via) -> NamePermit {
    named((&via.host, via.port), &via.place, Lifted::All)
}

/// A permit for what the policy names with its address.
fn named((host, port): (&Host, u16), place: &str, lifted: Lifted) -> NamePermit {
    let rule = EgressRule {
        place: place.to_owned(),
        target: Target::Network(IpNet::from(IpAddr::from([0, 0, 0, 0]))),
        ports: vec![port],
        protocol: Protocol::Tcp,
    };
    let (host, rules, ech) = (host.clone(), vec![rule], Ech::default());
    NamePermit { host, port, rules, lifted, ech, via: None }
}

fn covers_host(target: &Target, host: &Host) -> bool {
    match (target, host) {
        (Target::Host(pattern), Host::Name(name)) => pattern.covers(name),
        (Target::Network(network), Host::Address(address)) => network.contains(address),
        (Target::Host(_), Host::Address(_)) | (Target::Network(_), Host::Name(_)) => false,
    }
}

impl NamePermit {
    /// The host to resolve.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The place in the policy that allows it: the first of the rules that may apply.
    #[must_use]
    pub fn rule(&self) -> &str {
        self.rules.first().map_or("spec.egress.allow", |rule| rule.place.as_str())
    }

    /// Sends what leaves the pod through the policy's proxy. A named upstream that may be private is inside, and dialled directly.
    pub fn through(self, policy: &AgentPolicy) -> Self {
        let inside = self.lifted == Lifted::All;
        Self { via: policy.via.clone().filter(|_| !inside), ..self }
    }

    /// Judges every address that the name resolved to; one refused address refuses all, because an attacker who can add an answer
    /// would otherwise choose which one is dialled (DNS rebinding). `own` are the sidecar's own listeners.
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub fn addresses(self, found: &[IpAddr], own: &[SocketAddr]) -> Result<AddressPermit, Denial> {
        let place = self.rule();
        // What only the proxy on the way can resolve, it resolves and judges.
        if found.is_empty() && self.via.is_none() {
            let message = format!("`{}` has no address", self.host);
            let remedy = "check the name, and that the sidecar's resolver knows it";
            return Err(Denial::new(Reason::Resolve, place, message, remedy));
        }
        for address in found {
            self.address(*address, own, place)?;
        }
        let addresses = found.iter().map(|address| SocketAddr::new(*address, self.port)).collect();
        let Self { host, port, rules, ech, via, .. } = self;
        Ok(AddressPermit { host, port, rules, addresses, ech, via })
    }

    fn address(&self, address: IpAddr, own: &[SocketAddr], place: &str) -> Result<(), Denial> {
        if address::is_own(SocketAddr::new(address, self.port), own) {
            let message = format!("`{}` is the sidecar itself ({address})", self.host);
            return Err(Denial::new(Reason::Address, place, message, "use another destination"));
        }
        if is_metadata(address) {
            return Err(metadata_denial(place, &self.host, address));
        }
        let lifted = match &self.lifted {
            Lifted::All => true,
            Lifted::Networks(networks) => networks.iter().any(|network| network.contains(&address)),
        };
        match special(address) {
            Some(special) if !lifted => {
                let Special { what, source, .. } = special;
                let message =
                    format!("`{}` leads to {address}, which is {what} ({source})", self.host);
                let remedy = format!(
                    "if this is meant, allow the range: `{{cidr: {}, ports: [{}], protocol: ...}}`",
                    IpNet::from(address),
                    self.port
                );
                Err(Denial::new(Reason::Address, place, message, remedy))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What a TLS client says of itself before anything is encrypted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hello<'a> {
    /// Server name, if the client sent one.
    pub server_name: Option<&'a DnsName>,
    /// Whether it carries an encrypted hello, or GREASE for one.
    pub has_ech: bool,
}

impl AddressPermit {
    /// Whether a rule allows any protocol, so that nothing needs to be seen before dialling.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        self.rules.iter().any(|rule| rule.protocol == Protocol::Tcp)
    }

    /// Judges bytes of any protocol.
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub fn opaque(&self) -> Result<DialPermit, Denial> {
        self.dial(|rule| rule.protocol == Protocol::Tcp, OPAQUE)
    }

    /// Whether TLS is to be ended by the sidecar, so that the requests inside are judged: an `https` rule applies, and none that is wider.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        let wider = |rule: &EgressRule| matches!(rule.protocol, Protocol::Tcp | Protocol::Tls);
        let https = |rule: &EgressRule| matches!(rule.protocol, Protocol::Https(_));
        self.rules.iter().any(https) && !self.rules.iter().any(wider)
    }

    /// Judges a ClientHello that is passed on: its server name must be the name that was asked for (domain fronting by SNI otherwise).
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub fn tls(&self, hello: Hello<'_>) -> Result<DialPermit, Denial> {
        if self.is_opaque() {
            return self.opaque();
        }
        let permit = self.dial(|rule| rule.protocol == Protocol::Tls, "TLS")?;
        self.hello(hello)?;
        Ok(permit)
    }

    /// Judges what a ClientHello says, whoever ends the TLS.
    ///
    /// # Errors
    /// A denial of reason `name`.
    pub fn hello(&self, hello: Hello<'_>) -> Result<(), Denial> {
        let place = self.rules.first().map_or("spec.egress.allow", |rule| rule.place.as_str());
        let agrees = match (&self.host, hello.server_name) {
            (Host::Name(asked), Some(named)) => asked == named,
            (Host::Address(_), None) => true,
            (Host::Name(_), None) | (Host::Address(_), Some(_)) => false,
        };
        if !agrees {
            let named =
                hello.server_name.map_or_else(|| "no name".to_owned(), |name| format!("`{name}`"));
            let message =
                format!("the TLS server name is {named}, but `{}` was asked for", self.host);
            let remedy = "connect to the name that the TLS handshake is for";
            return Err(Denial::new(Reason::Name, place, message, remedy));
        }
        if hello.has_ech && self.ech == Ech::Refuse {
            let message = format!(
                "the TLS hello for `{}` carries an encrypted one, which may name another server",
                self.host
            );
            let remedy = "switch Encrypted Client Hello (and its GREASE) off in the client, or have `spec.egress.ech` be `judge-outer`";
            return Err(Denial::new(Reason::Name, "spec.egress.ech", message, remedy));
        }
        Ok(())
    }

    /// Judges one HTTP request inside.
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub fn http<'a>(&self, method: &str, path: impl Into<Path<'a>>) -> Result<DialPermit, Denial> {
        if self.is_opaque() {
            return self.opaque();
        }
        Ok(self.permit(judge_http(&self.rules, &self.host, method, path.into())?))
    }

    fn permit(&self, rule: &EgressRule) -> DialPermit {
        DialPermit {
            rule: rule.place.clone(),
            host: self.host.clone(),
            port: self.port,
            addresses: self.addresses.clone(),
            via: self.via.clone(),
        }
    }

    fn dial(
        &self,
        wanted: impl Fn(&EgressRule) -> bool,
        spoken: &str,
    ) -> Result<DialPermit, Denial> {
        match self.rules.iter().find(|rule| wanted(rule)) {
            Some(rule) => Ok(self.permit(rule)),
            None => Err(wrong_protocol(&self.rules, &self.host, spoken)),
        }
    }
}

fn judge_http<'r>(
    rules: &'r [EgressRule],
    host: &Host,
    method: &str,
    path: Path<'_>,
) -> Result<&'r EgressRule, Denial> {
    let mut nearest = None;
    for rule in rules {
        match &rule.protocol {
            Protocol::Http(http) => match check_http(http, &rule.place, method, path) {
                Ok(()) => return Ok(rule),
                Err(denial) => nearest = nearest.or(Some(denial)),
            },
            Protocol::Tcp => return Ok(rule),
            Protocol::Tls | Protocol::Https(_) => {}
        }
    }
    Err(nearest.unwrap_or_else(|| wrong_protocol(rules, host, "HTTP in the clear")))
}

fn check_http(rule: &HttpRule, place: &str, method: &str, path: Path<'_>) -> Result<(), Denial> {
    if let Some(methods) = &rule.methods
        && !methods.iter().any(|allowed| allowed == method)
    {
        let message = format!("method `{method}` is not allowed here");
        let remedy = format!("use {}, or add `{method}` to `{place}.methods`", quote(methods));
        return Err(Denial::new(Reason::Method, place, message, remedy));
    }
    path::check(rule, place, path)
}

fn unlisted_host(policy: &AgentPolicy, host: &Host, port: u16) -> Denial {
    if let Host::Address(address) = host
        && is_metadata(*address)
    {
        return metadata_denial("spec.egress.allow", host, *address);
    }
    let kind = match host {
        Host::Name(_) => "host",
        Host::Address(_) => "cidr",
    };
    let reason = match host {
        Host::Name(_) => Reason::Host,
        Host::Address(_) => Reason::Address,
    };
    let protocol = if port == 80 { "http" } else { "tls" };
    let value = match host {
        Host::Name(name) => name.to_string(),
        Host::Address(address) => IpNet::from(*address).to_string(),
    };
    let message = format!("`{host}` is not in the egress rules of policy `{}`", policy.name);
    let remedy = format!(
        "ask for `{{{kind}: \"{value}\", ports: [{port}], protocol: {protocol}}}` in `spec.egress.allow`"
    );
    Denial::new(reason, "spec.egress.allow", message, remedy)
}

fn metadata_denial(place: &str, host: &Host, address: IpAddr) -> Denial {
    let message = format!("`{host}` leads to {address}, a cloud metadata service");
    let remedy = "no rule allows this; give the agent a credential of its own instead";
    Denial::new(Reason::Address, place, message, remedy)
}

fn unlisted_port(rules: &[&EgressRule], host: &Host, port: u16) -> Denial {
    let ports: Vec<String> =
        rules.iter().flat_map(|rule| &rule.ports).map(ToString::to_string).collect();
    let place = rules.first().map_or("spec.egress.allow", |rule| rule.place.as_str());
    let message = format!("port {port} of `{host}` is not allowed");
    let remedy = format!("use port {}, or add {port} to `{place}.ports`", quote(&ports));
    Denial::new(Reason::Port, place, message, remedy)
}

fn wrong_protocol(rules: &[EgressRule], host: &Host, spoken: &str) -> Denial {
    let allowed: Vec<String> = rules.iter().map(|rule| rule.protocol.as_str().to_owned()).collect();
    let place = rules.first().map_or("spec.egress.allow", |rule| rule.place.as_str());
    let message = format!("`{host}` may not be spoken to in {spoken}");
    let remedy = format!("speak {}, or change `{place}.protocol`", quote(&allowed));
    Denial::new(Reason::Protocol, place, message, remedy)
}

/// Lists some values, a bounded number of them.
fn quote(values: &[String]) -> String {
    const SHOWN_MAX: usize = 6;
    let mut shown: Vec<String> = Vec::new();
    for value in values.iter().map(|value| format!("`{value}`")) {
        if !shown.contains(&value) && shown.len() < SHOWN_MAX {
            shown.push(value);
        }
    }
    shown.join(" or ")
}

#[cfg(test)]
mod tests;
