//! `pinfold try`: what the sidecar would decide on one connection or tool call.

use std::io::{Read, Write};
use std::num::NonZeroU16;

use pinfold_engine::egress::{self, Attempt as EgressAttempt, Channel};
use pinfold_engine::tool;
use pinfold_model::host::Host;
use pinfold_model::policy::PolicySet;
use pinfold_model::policy::agent::AgentPolicy;
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
        Attempt::Tool { server, tool, arguments } => {
            call(policy, server, tool, &read_arguments(arguments)?)
        }
        Attempt::Model { .. } => {
            let text = "this version has no model gate; allow the provider's host, or an upstream, instead";
            return Err(CliError::Input(text.to_owned()));
        }
    };
    match arguments.output {
        TryOutput::Human => human::answer(&answer, policy, out)?,
        TryOutput::Json => json::answer(&answer, policy, out)?,
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

/// Judges a tool call.
pub(crate) fn call(
    policy: &AgentPolicy,
    server: &str,
    tool: &str,
    arguments: &Map<String, Value>,
) -> Answer {
    tool::call(policy, server, tool, arguments).map(|permit| permit.rule().to_owned())
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
    /// Method and normalized path of a request in the clear.
    pub(crate) request: Option<(String, String)>,
}

impl Destination {
    /// Reads a URL or `HOST:PORT`.
    pub(crate) fn parse(text: &str, method: &str) -> Result<Self, CliError> {
        let fail = |error: &dyn std::fmt::Display| CliError::Input(format!("`{text}`: {error}"));
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let (default_port, clear) = match scheme {
            "https" => (Some(443), false),
            "http" => (Some(80), true),
            "" => (None, false),
            _ => return Err(fail(&"expected `https://`, `http://` or `HOST:PORT`")),
        };
        let (authority, target) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let authority = Authority::parse(authority).map_err(|error| fail(&error))?;
        let port = authority.port.map(NonZeroU16::get).or(default_port);
        let port = port.ok_or_else(|| fail(&"expected `HOST:PORT`, found no port"))?;
        let request = if clear {
            let path = RequestPath::parse(target).map_err(|error| fail(&error))?;
            Some((method.to_uppercase(), path.decoded().to_owned()))
        } else {
            None
        };
        Ok(Self { host: authority.host, port, request })
    }

    /// Judges it; the addresses of a name are checked only once a sidecar resolves it.
    pub(crate) fn judge(&self, policy: &AgentPolicy) -> Answer {
        let channel = match &self.request {
            Some((method, path)) => Channel::Http { method, path },
            None => Channel::Tunnel,
        };
        let permit =
            egress::judge(policy, &EgressAttempt { host: &self.host, port: self.port, channel })?;
        let rule = permit.rule().to_owned();
        if let Host::Address(address) = self.host {
            let _checked = permit.addresses(&[address], &[])?;
        }
        Ok(rule)
    }
}
