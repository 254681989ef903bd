//! `pinfold try`: what the sidecar would decide on one connection or tool call.

use std::io::{Read, Write};
use std::num::NonZeroU16;

use pinfold_engine::dns::{self, Question, RecordType};
use pinfold_engine::egress::{self, Asked, Attempt as EgressAttempt, Channel, Path};
use pinfold_engine::tool;
use pinfold_model::host::{DnsName, Host};
use pinfold_model::policy::PolicySet;
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::switches::CallLimits;
use pinfold_model::policy::values::Rate;
use pinfold_model::reason::Denial;
use pinfold_model::strict_json;
use pinfold_wire::authority::Authority;
use pinfold_wire::path::RequestPath;
use serde_json::{Map, Value};

use crate::arguments::{Attempt, TryArguments, TryOutput};
use crate::output::{human, json};
use crate::{CliError, Outcome, policies};

/// The answer to one attempt: the place in the policy that allows it, or the denial.
pub(crate) type Answer = Result<String, Denial>;

pub(crate) fn run(arguments: &TryArguments, out: &mut dyn Write) -> Result<Outcome, CliError> {
    let set = policies::read(&arguments.policies)?;
    let policy = agent(&set, arguments.agent.as_deref())?;
    let answer = match &arguments.attempt {
        Attempt::Egress { destination, method } => {
            Destination::parse(destination, method)?.judge(policy)
        }
        Attempt::Dns { name, kind } => query(policy, name, kind)?,
        Attempt::Tool { server, tool, arguments } => {
            call(policy, server, tool, &read_arguments(arguments)?)
        }
        Attempt::Model { .. } => {
            let text = "this version has no model gate; allow the provider's host, or an upstream, instead";
            return Err(CliError::Input(text.to_owned()));
        }
    };
    let limits = match &arguments.attempt {
        Attempt::Tool { server, tool, .. } if answer.is_ok() => limits(policy, server, tool),
        Attempt::Tool { .. }
        | Attempt::Egress { .. }
        | Attempt::Dns { .. }
        | Attempt::Model { .. } => Vec::new(),
    };
    match arguments.output {
        TryOutput::Human => human::answer(&answer, &limits, policy, out)?,
        TryOutput::Json => json::answer(&answer, &limits, policy, out)?,
    }
    Ok(if answer.is_ok() { Outcome::Passed } else { Outcome::Denied })
}

/// The AgentPolicy of a name, or the only one.
pub(crate) fn agent<'s>(
    set: &'s PolicySet,
    name: Option<&str>,
) -> Result<&'s AgentPolicy, CliError> {
    set.agent(name).ok_or_else(|| {
        let names: Vec<&str> = set.agents.iter().map(|agent| agent.name.as_str()).collect();
        CliError::Input(match (name, names.as_slice()) {
            (_, []) => "no AgentPolicy among the policies".to_owned(),
            (Some(name), names) => {
                format!("no AgentPolicy `{name}`: there is {}", names.join(", "))
            }
            (None, names) => format!("several AgentPolicies: say `--agent` {}", names.join(" or ")),
        })
    })
}

/// Judges a DNS query; addresses are checked, and new names below wildcards counted, only by a sidecar.
fn query(policy: &AgentPolicy, name: &str, kind: &str) -> Result<Answer, CliError> {
    let kind = RecordType::parse(kind).ok_or_else(|| {
        CliError::Input(format!("`{kind}`: expected a record type such as `A` or `TYPE65`"))
    })?;
    let name =
        DnsName::parse(name).map_err(|error| CliError::Input(format!("`{name}`: {error}")))?;
    let judged = dns::judge(policy, &Question { name: &name, kind, search: &[] });
    Ok(judged.map(|permit| permit.rule().to_owned()))
}

/// Judges a tool call.
pub(crate) fn call(
    policy: &AgentPolicy,
    server: &str,
    tool: &str,
    arguments: &Map<String, Value>,
) -> Answer {
    tool::call(policy, server, tool, arguments).map(|permit| permit.rule().to_owned())
}

/// A limit that a call would be charged to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Its place in the policy.
    pub(crate) rule: String,
    /// How much.
    pub(crate) most: Most,
}

/// How much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Most {
    /// Calls per time.
    Rate(Rate),
    /// Calls of a pod's life.
    Calls(u64),
}

/// What a call of a tool would be charged to: how much of it is left, only a sidecar knows.
fn limits(policy: &AgentPolicy, server: &str, tool: &str) -> Vec<Limit> {
    let server = policy.server(server);
    let tool = server.and_then(|server| server.allow.iter().find(|known| known.name == tool));
    let parties = [
        tool.map(|tool| (tool.place.as_str(), &tool.call_limits)),
        server.map(|server| (server.place.as_str(), &server.call_limits)),
        Some(("spec.tools", &policy.call_limits)),
    ];
    let of = |(place, limits): (&str, &CallLimits)| -> Vec<Limit> {
        let rate = |rate: &Rate| Limit { rule: format!("{place}.rate"), most: Most::Rate(*rate) };
        let calls = |calls| Limit { rule: format!("{place}.budget"), most: Most::Calls(calls) };
        limits.rates.iter().map(rate).chain(limits.calls_max.map(calls)).collect()
    };
    parties.into_iter().flatten().flat_map(of).collect()
}

fn read_arguments(text: &str) -> Result<Map<String, Value>, CliError> {
    let mut read = String::new();
    let text = if text == "-" {
        let bound = u64::try_from(strict_json::MCP_MESSAGE.bytes_max).unwrap_or(u64::MAX);
        let input = std::io::stdin().lock().take(bound.saturating_add(1)).read_to_string(&mut read);
        input.map_err(|error| CliError::Input(format!("can't read standard input: {error}")))?;
        read.as_str()
    } else {
        text
    };
    match strict_json::parse(text.as_bytes(), strict_json::MCP_MESSAGE) {
        Ok(Value::Object(arguments)) => Ok(arguments),
        Ok(_) => Err(CliError::Input("expected a JSON object of arguments".to_owned())),
        Err(error) => Err(CliError::Input(format!("the arguments are not strict JSON: {error}"))),
    }
}

/// Where a connection would go.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// How it is reached.
    pub(crate) spoken: Spoken,
}

/// How a destination is reached.
#[derive(Debug)]
pub(crate) enum Spoken {
    /// Nobody said: host and port alone are judged.
    Anything,
    /// Bytes that are neither TLS nor HTTP.
    Opaque,
    /// A request.
    Request {
        /// Whether it is inside TLS.
        tls: bool,
        /// Whether it asks to change to WebSocket.
        websocket: bool,
        /// Method.
        method: String,
        /// Its path.
        path: RequestPath,
    },
}

impl Spoken {
    fn channel(&self) -> Channel<'_> {
        match self {
            Self::Anything => Channel::Tunnel,
            Self::Opaque => Channel::Opaque,
            Self::Request { tls: true, websocket, method, path } => {
                Channel::Https(Asked { method, path: judged(path), websocket: *websocket })
            }
            Self::Request { tls: false, websocket: true, path, .. } => {
                Channel::WebSocket { path: judged(path) }
            }
            Self::Request { tls: false, websocket: false, method, path } => {
                Channel::Http { method, path: judged(path) }
            }
        }
    }
}

fn judged(path: &RequestPath) -> Path<'_> {
    Path { text: path.decoded(), ambiguity: path.ambiguity() }
}

impl Destination {
    /// Reads a URL or `HOST:PORT`.
    pub(crate) fn parse(text: &str, method: &str) -> Result<Self, CliError> {
        let fail = |error: &dyn std::fmt::Display| CliError::Input(format!("`{text}`: {error}"));
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let (default_port, request) = match scheme {
            "https" => (Some(443), Some((true, false))),
            "wss" => (Some(443), Some((true, true))),
            "http" => (Some(80), Some((false, false))),
            "ws" => (Some(80), Some((false, true))),
            "tcp" | "" => (None, None),
            _ => {
                let expected = "expected `https://`, `http://`, `wss://`, `ws://`, `tcp://HOST:PORT` or `HOST:PORT`";
                return Err(fail(&expected));
            }
        };
        let (authority, target) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let authority = Authority::parse(authority).map_err(|error| fail(&error))?;
        let port = authority.port.map(NonZeroU16::get).or(default_port);
        let port = port.ok_or_else(|| fail(&"expected `HOST:PORT`, found no port"))?;
        let spoken = match request {
            Some((tls, websocket)) => {
                let path = RequestPath::read(target).map_err(|error| fail(&error))?;
                let method = method.to_uppercase();
                Spoken::Request { tls, websocket, method, path }
            }
            None if scheme == "tcp" => Spoken::Opaque,
            None => Spoken::Anything,
        };
        Ok(Self { host: authority.host, port, spoken })
    }

    /// Judges it; the addresses of a name are checked only once a sidecar resolves it.
    pub(crate) fn judge(&self, policy: &AgentPolicy) -> Answer {
        let channel = self.spoken.channel();
        let permit =
            egress::judge(policy, &EgressAttempt { host: &self.host, port: self.port, channel })?;
        let rule = permit.rule().to_owned();
        if let Host::Address(address) = self.host {
            let _checked = permit.addresses(&[address], &[])?;
        }
        Ok(rule)
    }
}
