//! May this agent call this tool with these arguments, and which MCP methods and tools does it see at all?
//!
//! An `Err` is not a failure here, it is the answer "denied". What forwards a call must hold a [`ToolPermit`] or an [`RpcPermit`].

use pinfold_model::host::Host;
use pinfold_model::json_path::push_member;
use pinfold_model::policy::agent::{AgentPolicy, Tool, ToolServer, ValueRule};
use pinfold_model::policy::values::ValueTest;
use pinfold_model::reason::{Denial, Reason};
use serde_json::{Map, Value};

use crate::egress::{self, Attempt, Channel};

/// MCP requests and notifications that carry no right of their own and are passed on, client to server.
pub const PASSED_METHODS: &[&str] = &[
    "initialize",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "ping",
    "server/discover",
    "tools/list",
];

/// The right to forward one tool call. Made here alone:
///
/// ```compile_fail
/// let permit = pinfold_engine::tool::ToolPermit { rule: String::new() };
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct ToolPermit {
    rule: String,
}

impl ToolPermit {
    /// The place in the policy that allows it.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

/// The right to forward one MCP message that is no tool call. Made here alone.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct RpcPermit(());

/// Judges a tool call.
///
/// # Errors
/// The denial, which is an answer.
pub fn call(
    policy: &AgentPolicy,
    server: &str,
    tool: &str,
    arguments: &Map<String, Value>,
) -> Result<ToolPermit, Denial> {
    let server = find_server(policy, server)?;
    let tool = find_tool(server, tool)?;
    check_twins(tool, arguments)?;
    if tool.closed {
        check_closed(tool, arguments)?;
    }
    let document = Value::Object(arguments.clone());
    for (index, rule) in tool.rules.iter().enumerate() {
        let place = format!("{}.arguments.rules[{index}]", tool.place);
        check_rule(policy, rule, &place, &document)?;
    }
    Ok(ToolPermit { rule: tool.place.clone() })
}

/// Judges an MCP method other than `tools/call`.
///
/// # Errors
/// The denial, which is an answer.
pub fn rpc(policy: &AgentPolicy, server: &str, method: &str) -> Result<RpcPermit, Denial> {
    let server = find_server(policy, server)?;
    if PASSED_METHODS.contains(&method) {
        return Ok(RpcPermit(()));
    }
    let message = format!("MCP method `{}` is not passed on", shorten(method));
    let remedy = "use `tools/list` and `tools/call`; resources, prompts and server requests have no rules yet";
    Err(Denial::new(Reason::RpcMethod, server.place.clone(), message, remedy))
}

/// Whether the agent sees a tool in `tools/list`.
#[must_use]
pub fn sees(policy: &AgentPolicy, server: &str, tool: &str) -> bool {
    find_server(policy, server).and_then(|server| find_tool(server, tool)).is_ok()
}

fn find_server<'p>(policy: &'p AgentPolicy, name: &str) -> Result<&'p ToolServer, Denial> {
    policy.server(name).ok_or_else(|| {
        let names: Vec<&str> = policy.servers.iter().map(|server| server.name.as_str()).collect();
        let message = format!("policy `{}` has no MCP server `{}`", policy.name, shorten(name));
        let remedy = match names.as_slice() {
            [] => "add it to `spec.tools.servers`".to_owned(),
            names => format!("use `{}`, or add it to `spec.tools.servers`", names.join("` or `")),
        };
        Denial::new(Reason::Server, "spec.tools.servers", message, remedy)
    })
}

fn find_tool<'p>(server: &'p ToolServer, name: &str) -> Result<&'p Tool, Denial> {
    if server.deny.iter().any(|denied| denied == name) {
        let place = format!("{}.deny", server.place);
        let message = format!("tool `{}` of `{}` is denied by name", shorten(name), server.name);
        return Err(Denial::new(Reason::Tool, place, message, "use another tool"));
    }
    let seen = || server.allow.iter().filter(|tool| !server.deny.contains(&tool.name));
    seen().find(|tool| tool.name == name).ok_or_else(|| {
        let names: Vec<String> =
            seen().take(TOOLS_SHOWN_MAX).map(|tool| format!("`{}`", tool.name)).collect();
        let place = format!("{}.allow", server.place);
        let message = format!("tool `{}` of `{}` is not allowed", shorten(name), server.name);
        let remedy = match names.as_slice() {
            [] => format!("ask for it in `{place}`"),
            names => format!("use {}, or ask for it in `{place}`", names.join(" or ")),
        };
        Denial::new(Reason::Tool, place, message, remedy)
    })
}

const TOOLS_SHOWN_MAX: usize = 8;

/// Refuses an argument that differs from a judged one only in case: a server in Go would read `Path` as `path`, unjudged
/// (CVE-2026-27896).
fn check_twins(tool: &Tool, arguments: &Map<String, Value>) -> Result<(), Denial> {
    let judged = || tool.rules.iter().filter_map(|rule| rule.path.first_member());
    let twin =
        |name: &&String| judged().any(|known| known.eq_ignore_ascii_case(name) && known != *name);
    match arguments.keys().find(twin) {
        None => Ok(()),
        Some(name) => {
            let mut path = "$".to_owned();
            push_member(&mut path, &shorten(name));
            let message =
                format!("argument `{}` differs from a judged one only in case", shorten(name));
            let place = format!("{}.arguments", tool.place);
            let remedy = "write the argument as the tool names it";
            Err(Denial::new(Reason::Argument, place, message, remedy).at(path))
        }
    }
}

fn check_closed(tool: &Tool, arguments: &Map<String, Value>) -> Result<(), Denial> {
    let named = |name: &str| tool.rules.iter().any(|rule| rule.path.first_member() == Some(name));
    match arguments.keys().find(|name| !named(name)) {
        None => Ok(()),
        Some(name) => {
            let mut path = "$".to_owned();
            push_member(&mut path, &shorten(name));
            let message =
                format!("argument `{}` of `{}` is named by no rule", shorten(name), tool.name);
            let place = format!("{}.arguments", tool.place);
            Err(Denial::new(Reason::Argument, place, message, "leave the argument out").at(path))
        }
    }
}

fn check_rule(
    policy: &AgentPolicy,
    rule: &ValueRule,
    place: &str,
    document: &Value,
) -> Result<(), Denial> {
    let selected = rule.path.select(document).map_err(|error| {
        Denial::new(Reason::Argument, place, error.to_string(), "send smaller arguments")
            .at(rule.path.as_str())
    })?;
    let wants_none = rule.tests.contains(&ValueTest::Exists(false));
    if selected.is_empty() {
        if rule.optional || wants_none {
            return Ok(());
        }
        let message = "there is no such argument".to_owned();
        let remedy = format!("give {}", describe(rule));
        return Err(Denial::new(Reason::Argument, place, message, remedy).at(rule.path.as_str()));
    }
    for hit in selected {
        let failed = rule.tests.iter().find(|test| !holds(policy, test, hit.value));
        if let Some(test) = failed {
            let (message, remedy) = if *test == ValueTest::Exists(false) {
                let message = "the argument is given, and must not be".to_owned();
                (message, "leave the argument out".to_owned())
            } else {
                let message = format!("{} is not {}", show(hit.value), test.describe());
                (message, format!("give {}", describe(rule)))
            };
            return Err(Denial::new(Reason::Argument, place, message, remedy).at(&hit.path));
        }
    }
    Ok(())
}

fn describe(rule: &ValueRule) -> String {
    let tests: Vec<String> = rule.tests.iter().map(ValueTest::describe).collect();
    tests.join(" and ")
}

fn holds(policy: &AgentPolicy, test: &ValueTest, value: &Value) -> bool {
    match test {
        ValueTest::Host => value.as_str().is_some_and(|text| is_allowed_host(policy, text)),
        ValueTest::Equals(_)
        | ValueTest::In(_)
        | ValueTest::NotIn(_)
        | ValueTest::Matches(_)
        | ValueTest::Glob(_)
        | ValueTest::StartsWith(_)
        | ValueTest::EndsWith(_)
        | ValueTest::Min(_)
        | ValueTest::Max(_)
        | ValueTest::MaxLength(_)
        | ValueTest::Type(_)
        | ValueTest::Exists(_)
        | ValueTest::PathSafe => test.holds(value),
    }
}

/// Whether a URL, `host:port` or host (then port 443) is one that the egress rules allow (rows 30 and 95 of the attack table).
fn is_allowed_host(policy: &AgentPolicy, text: &str) -> bool {
    let (rest, port) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, 443),
        (None, Some(rest)) => (rest, 80),
        (None, None) => (text, 443),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest.get(..end).unwrap_or_default();
    let odd = |byte: u8| byte.is_ascii_whitespace() || byte.is_ascii_control() || byte == b'\\';
    if text.bytes().any(odd) || authority.contains('@') {
        return false;
    }
    let colon = authority
        .rfind(':')
        .filter(|at| !authority.get(*at..).is_some_and(|tail| tail.contains(']')));
    let (host, port) = match colon.and_then(|at| authority.split_at_checked(at)) {
        Some((host, digits)) => match digits.trim_start_matches(':').parse() {
            Ok(port) => (host, port),
            Err(_) => return false,
        },
        None => (authority, port),
    };
    let Ok(host) = Host::parse(host) else { return false };
    let judged = egress::judge(policy, &Attempt { host: &host, port, channel: Channel::Tunnel });
    judged.is_ok_and(|permit| match host {
        Host::Address(address) => permit.addresses(&[address], &[]).is_ok(),
        Host::Name(_) => true,
    })
}

/// A value for a message; arguments may hold secrets, so a text is shown only as far as it must be.
fn show(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{}`", shorten(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn shorten(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    let mut shown: String =
        text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().count() > SHOWN_CHARS_MAX {
        shown.push('\u{2026}');
    }
    shown
}

#[cfg(test)]
mod tests;
