//! Takes from the egress rules what the tool profiles of an agent's stack don't allow. Never adds a host, port or request.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::host::HostPattern;
use crate::policy::inject::POLICY_BYTES_MAX;

/// One of `allowHosts`.
enum Allowed {
    Hosts(HostPattern),
    Addresses(IpNet),
}

impl Allowed {
    /// What is neither a name nor an address allows nothing.
    fn parse(text: &str) -> Option<Self> {
        if let Ok(network) = text.parse::<IpNet>() {
            return Some(Self::Addresses(network));
        }
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Some(Self::Addresses(address.into()));
        }
        HostPattern::parse(text).ok().map(Self::Hosts)
    }
}

/// Most bytes of rules after one of several lists: a wildcard becomes a rule for each host, and a further list may leave few of them.
const NARROWED_BYTES_MAX: usize = 8 * POLICY_BYTES_MAX;

/// Leaves of the rules what every list allows.
///
/// # Errors
/// The bytes of the rules, where they are too many.
pub(super) fn narrow(spec: &mut Map<String, Value>, lists: &[&[String]]) -> Result<(), usize> {
    let Some(rules) = spec.get_mut("egress").and_then(|egress| egress.get_mut("allow")) else {
        return Ok(());
    };
    let Value::Array(rules) = rules else { return Ok(()) };
    for list in lists {
        let mut list: Vec<&String> = list.iter().collect();
        list.sort_unstable();
        list.dedup();
        let allowed: Vec<Allowed> =
            list.into_iter().filter_map(|text| Allowed::parse(text)).collect();
        let (mut known, mut bytes) = (HashSet::new(), 0_usize);
        let mut kept: Vec<Value> = Vec::with_capacity(rules.len());
        for rule in rules.iter().flat_map(|rule| common(rule, &allowed)) {
            let text = rule.to_string();
            let size = text.len();
            if known.insert(text) {
                bytes = bytes.saturating_add(size);
                kept.push(rule);
            }
            if bytes > NARROWED_BYTES_MAX {
                return Err(bytes);
            }
        }
        *rules = kept;
    }
    Ok(())
}

/// What a rule and a list both allow: the rule, or one for each allowed host that it has more than.
fn common(rule: &Value, allowed: &[Allowed]) -> Vec<Value> {
    let text = |member: &str| rule.get(member).and_then(Value::as_str);
    let narrowed = |member: &str, to: String| {
        let mut rule = rule.clone();
        if let Value::Object(members) = &mut rule {
            members.insert(member.to_owned(), Value::String(to));
        }
        rule
    };
    if let Some(pattern) = text("host").and_then(|text| HostPattern::parse(text).ok()) {
        let hosts = allowed.iter().filter_map(|one| match one {
            Allowed::Hosts(hosts) => Some(hosts),
            Allowed::Addresses(_) => None,
        });
        let hosts: Vec<&HostPattern> = hosts.collect();
        if hosts.iter().any(|hosts| is_within(&pattern, hosts)) {
            return vec![rule.clone()];
        }
        let within = hosts.into_iter().filter(|hosts| is_within(hosts, &pattern));
        return within.map(|hosts| narrowed("host", hosts.to_string())).collect();
    }
    let Some(network) = text("cidr").and_then(|text| text.parse::<IpNet>().ok()) else {
        return Vec::new();
    };
    let networks = allowed.iter().filter_map(|one| match one {
        Allowed::Addresses(network) => Some(network.trunc()),
        Allowed::Hosts(_) => None,
    });
    let networks: Vec<IpNet> = networks.collect();
    if networks.iter().any(|allowed| allowed.contains(&network)) {
        return vec![rule.clone()];
    }
    let within = networks.into_iter().filter(|allowed| network.contains(allowed));
    within.map(|allowed| narrowed("cidr", allowed.to_string())).collect()
}

/// Whether every name of one pattern is one of the other.
fn is_within(one: &HostPattern, other: &HostPattern) -> bool {
    match (one, other) {
        (HostPattern::Exact(name), other) => other.covers(name),
        (HostPattern::OneLabel(suffix), HostPattern::OneLabel(wider)) => suffix == wider,
        (
            HostPattern::OneLabel(suffix) | HostPattern::AnyDepth(suffix),
            HostPattern::AnyDepth(wider),
        ) => suffix == wider || other.covers(suffix),
        (HostPattern::OneLabel(_) | HostPattern::AnyDepth(_), HostPattern::Exact(_))
        | (HostPattern::AnyDepth(_), HostPattern::OneLabel(_)) => false,
    }
}
