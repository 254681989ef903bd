//! The proposal as YAML: sorted, the same for the same records whatever their order, every text quoted.

mod rules;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pinfold_model::policy::agent::AgentPolicy;
use serde_json::{Value, json};

use super::gather::{Gathered, Seen};
use super::want::{Never, Want};
use crate::CliError;
use rules::{Rule, rules, wildcards};

/// Longest name of a policy.
const NAME_BYTES_MAX: usize = 63;

/// Writes the document.
///
/// # Errors
/// Only if an existing policy isn't what it was when it was read.
pub(super) fn write(
    gathered: &Gathered,
    existing: Option<&AgentPolicy>,
) -> Result<String, CliError> {
    let rules = rules(gathered);
    let mut out = String::new();
    head(&mut out, gathered, &rules);
    let name = existing.map(|policy| format!("{}-learned", policy.name));
    let name = name.filter(|name| name.len() <= NAME_BYTES_MAX);
    let name = name.unwrap_or_else(|| "learned".to_owned());
    line(&mut out, "apiVersion: pinfold.dev/v1alpha1");
    line(&mut out, "kind: AgentPolicy");
    line(&mut out, &format!("metadata: {{name: {}}}", quoted(&name)));
    let source = existing.map(|policy| serde_json::from_str::<Value>(&policy.source));
    let source = source.transpose().map_err(|error| CliError::Input(error.to_string()))?;
    let spec = spec(gathered, &rules, source.as_ref().and_then(|source| source.get("spec")));
    if spec.is_empty() {
        line(&mut out, "spec: {}");
    } else {
        line(&mut out, "spec:");
        out.push_str(&spec);
    }
    nevers(&mut out, gathered);
    Ok(out)
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// A JSON string is a YAML string, whatever is in it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn when(seen: &Seen) -> String {
    match (seen.first, seen.last) {
        (Some(first), Some(last)) if first != last => format!(", {first} to {last}"),
        (Some(at), _) | (None, Some(at)) => format!(", {at}"),
        (None, None) => String::new(),
    }
}

fn times(seen: &Seen) -> String {
    format!("{}{}", plural(seen.times, "time", "times"), when(seen))
}

/// What is needed, at the top.
fn head(out: &mut String, gathered: &Gathered, rules: &[Rule]) {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    line(
        out,
        "# A proposal of `pinfold learn`, for a person to review: it allows what was recorded as refused, and nothing else.",
    );
    let read = plural(gathered.all.times, "refusal", "refusals");
    line(out, &format!("# Read: {read}{}.", when(&gathered.all)));
    let tools = gathered.wants.keys().filter(|want| matches!(want, Want::Tool { .. })).count();
    let needed = plural(number(rules.len()), "rule for connections", "rules for connections");
    line(out, &format!("# Needed: {needed}, {}.", plural(number(tools), "tool", "tools")));
    let also = [
        (
            gathered.allowed,
            "refusal of what the policy allows by now",
            "refusals of what the policy allows by now",
        ),
        (gathered.unreadable, "line that can't be read", "lines that can't be read"),
        (
            gathered.beyond,
            "refusal beyond the bounds of this command",
            "refusals beyond the bounds of this command",
        ),
        (
            gathered.damaged,
            "damaged audit ledger: see `pinfold audit verify`",
            "damaged audit ledgers: see `pinfold audit verify`",
        ),
    ];
    for (count, one, many) in also {
        if count > 0 {
            line(out, &format!("# Left out: {}.", plural(count, one, many)));
        }
    }
    if !gathered.nevers.is_empty() {
        line(out, "# Not proposed: see the end.");
    }
}

fn spec(gathered: &Gathered, rules: &[Rule], existing: Option<&Value>) -> String {
    let mut out = String::new();
    if let Some(applies) = existing.and_then(|spec| spec.get("appliesTo")) {
        line(&mut out, &format!("  appliesTo: {applies}"));
    }
    if !rules.is_empty() {
        line(&mut out, "  egress:\n    allow:");
        for rule in rules {
            if rule.assumed {
                line(
                    &mut out,
                    "    # A tunnel that was refused before anything was seen in it: TLS is a guess.",
                );
            }
            line(&mut out, &format!("    # {}", times(&rule.seen)));
            line(&mut out, &format!("    - {}", rule.text()));
        }
        for (pattern, count) in wildcards(rules) {
            let text = format!(
                "    # Wider, if that is meant: host {} would cover {count} of these names.",
                quoted(&pattern)
            );
            line(&mut out, &text);
        }
    }
    tools(&mut out, gathered, existing);
    out
}

/// The tools, below their servers; a server needs its upstream, which is as it was.
fn tools(out: &mut String, gathered: &Gathered, existing: Option<&Value>) {
    let mut servers: BTreeMap<&str, Vec<(&str, &Seen)>> = BTreeMap::new();
    for (want, seen) in &gathered.wants {
        if let Want::Tool { server, tool } = want {
            servers.entry(server).or_default().push((tool, seen));
        }
    }
    let listed = |list: &str, name: &str| {
        let items = existing?.pointer(list)?.as_array()?;
        items.iter().find(|item| item.get("name").and_then(Value::as_str) == Some(name))
    };
    let upstream_of = |server: &str| listed("/tools/servers", server)?.get("upstream")?.as_str();
    let mut upstreams: Vec<&str> = servers.keys().filter_map(|name| upstream_of(name)).collect();
    upstreams.sort_unstable();
    upstreams.dedup();
    let upstreams: Vec<&Value> =
        upstreams.into_iter().filter_map(|name| listed("/upstreams", name)).collect();
    if upstreams.is_empty() {
        return;
    }
    line(out, "  upstreams:");
    upstreams.iter().for_each(|upstream| line(out, &format!("  - {upstream}")));
    line(out, "  tools:\n    servers:");
    for (server, tools) in servers {
        let Some(upstream) = upstream_of(server) else { continue };
        let head = format!(
            "    - name: {}\n      upstream: {}\n      allow:",
            quoted(server),
            quoted(upstream)
        );
        line(out, &head);
        for (tool, seen) in tools {
            let known = gathered.arguments.get(&(server.to_owned(), tool.to_owned()));
            let names: Vec<&str> = known.into_iter().flatten().map(String::as_str).collect();
            let names = if names.is_empty() {
                String::new()
            } else {
                format!("; arguments: {}", names.join(", "))
            };
            line(out, &format!("      # {}{names}", times(seen)));
            line(out, &format!("      - {}", json!({"tool": tool})));
        }
    }
}

/// What no rule is proposed for, by reason.
fn nevers(out: &mut String, gathered: &Gathered) {
    if gathered.nevers.is_empty() {
        return;
    }
    line(out, "# Not proposed:");
    let mut last: Option<Never> = None;
    for ((never, name), seen) in &gathered.nevers {
        if last.replace(*never) != Some(*never) {
            line(out, &format!("# - {}:", never.as_str()));
        }
        let name = name.as_deref().unwrap_or("(no name)");
        let mut text = String::new();
        // Names are of the model's types: nothing in them ends a comment.
        let _ = write!(text, "#     {name}: {}", times(seen));
        line(out, &text);
    }
}
