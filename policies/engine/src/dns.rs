//! May this DNS question leave the pod, and which of its answers may come back?
//!
//! A question carries data out (whoever serves the zone reads its names), an answer leads connections: both are judged, the question
//! before any packet goes upstream. Plain functions of question, policy and answer; nothing here resolves, keeps time or counts.

mod shape;

use std::fmt;
use std::net::IpAddr;

use pinfold_model::host::{DnsName, Host, HostPattern};
use pinfold_model::policy::agent::{AgentPolicy, EgressRule, Target};
use pinfold_model::reason::{Denial, Reason};

use crate::egress::{self, Attempt, Channel};

pub use shape::{
    BELOW_BYTES_MAX, DENSE_BITS_MIN, DENSE_BYTES_MAX, DENSE_PIECE_BYTES_MIN, LABEL_BYTES_MAX,
    NEW_NAMES_PER_MINUTE_MAX,
};

/// A record type by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordType(pub u16);

impl RecordType {
    /// IPv4 address.
    pub const A: Self = Self(1);
    /// IPv6 address.
    pub const AAAA: Self = Self(28);
    /// Service binding (RFC 9460).
    pub const SVCB: Self = Self(64);
    /// Service binding of HTTP (RFC 9460).
    pub const HTTPS: Self = Self(65);

    const NAMES: &'static [(u16, &'static str)] = &[
        (1, "A"),
        (2, "NS"),
        (5, "CNAME"),
        (6, "SOA"),
        (10, "NULL"),
        (12, "PTR"),
        (13, "HINFO"),
        (15, "MX"),
        (16, "TXT"),
        (28, "AAAA"),
        (29, "LOC"),
        (33, "SRV"),
        (35, "NAPTR"),
        (43, "DS"),
        (44, "SSHFP"),
        (48, "DNSKEY"),
        (52, "TLSA"),
        (64, "SVCB"),
        (65, "HTTPS"),
        (249, "TKEY"),
        (250, "TSIG"),
        (251, "IXFR"),
        (252, "AXFR"),
        (255, "ANY"),
        (256, "URI"),
        (257, "CAA"),
    ];

    /// Reads a name such as `AAAA`, or `TYPE28` (RFC 3597 section 5).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        let known = Self::NAMES.iter().find(|(_, name)| *name == upper);
        let number = || upper.strip_prefix("TYPE")?.parse().ok();
        known.map(|(number, _)| *number).or_else(number).map(Self)
    }

    /// Whether it leads to hosts. All others carry data of any kind, and are never asked upstream.
    #[must_use]
    pub fn is_answered(self) -> bool {
        [Self::A, Self::AAAA, Self::SVCB, Self::HTTPS].contains(&self)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => formatter.write_str(name),
            None => write!(formatter, "TYPE{}", self.0),
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// The name.
    pub name: &'q DnsName,
    /// The record type.
    pub kind: RecordType,
    /// The pod's search list.
    pub search: &'q [DnsName],
}

/// The right to ask one question upstream. Made here alone:
///
/// ```compile_fail
/// let permit = pinfold_engine::dns::QuestionPermit { name: todo!(), host: todo!(), kind: todo!(), rule: todo!(), wildcard: None };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct QuestionPermit {
    name: DnsName,
    host: Host,
    kind: RecordType,
    rule: String,
    wildcard: bool,
}

/// The right to tell the agent some addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct AnswerPermit {
    addresses: Vec<IpAddr>,
}

impl AnswerPermit {
    /// The addresses that may be told, and bound to the name.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }
}

/// The suffix that clusters use if nothing else is said.
const CLUSTER_SUFFIX: &str = "cluster.local";

/// Judges a question.
///
/// # Errors
/// The denial, which is an answer. One of reason `search-suffix` is nobody's attack: a resolver tried its search list.
pub fn judge(policy: &AgentPolicy, question: &Question<'_>) -> Result<QuestionPermit, Denial> {
    let Question { name, kind, search } = *question;
    let host = if kind.is_answered() { service_host(name, kind) } else { None };
    let host = host.unwrap_or_else(|| name.clone());
    let Some(rule) = listing(policy, &host) else {
        let suffixes = search.iter().chain(&policy.dns.search_suffixes).map(DnsName::as_str);
        return match suffixes.chain([CLUSTER_SUFFIX]).find(|suffix| is_below(name, suffix)) {
            Some(suffix) => Err(search_noise(name, suffix)),
            None => Err(unlisted(policy, name, kind)),
        };
    };
    if !kind.is_answered() {
        return Err(record_type(name, kind));
    }
    let below = match &rule.target {
        Target::Host(HostPattern::OneLabel(suffix) | HostPattern::AnyDepth(suffix)) => {
            name.as_str().strip_suffix(suffix.as_str())
        }
        Target::Host(HostPattern::Exact(_)) | Target::Network(_) => None,
    };
    if let Some(below) = below {
        shape::judge(below.trim_end_matches('.')).map_err(|excess| excess.denial(name, rule))?;
    }
    Ok(QuestionPermit {
        name: name.clone(),
        host: Host::Name(host),
        kind,
        rule: rule.place.clone(),
        wildcard: below.is_some(),
    })
}

/// The denial of a name that no host can have, as text that can be logged.
#[must_use]
pub fn refuse_text(name: &str, kind: RecordType) -> Denial {
    if kind.is_answered() {
        let message = format!("`{name}` is not the name of a host");
        let remedy = "ask for a name of letters, digits, hyphens and dots";
        return Denial::new(Reason::Host, "spec.egress.allow", message, remedy);
    }
    let message = format!("records of type {kind} are never looked up");
    Denial::new(Reason::RecordType, "spec.egress.dns", message, RECORD_TYPE_REMEDY)
}

/// The rule that allows a name: an exact one before a wildcard, because only names under wildcards have a budget. A `cidr` rule
/// never allows a look-up.
fn listing<'p>(policy: &'p AgentPolicy, host: &DnsName) -> Option<&'p EgressRule> {
    let mut wildcard = None;
    for rule in &policy.egress {
        match &rule.target {
            Target::Host(pattern @ HostPattern::Exact(_)) if pattern.covers(host) => {
                return Some(rule);
            }
            Target::Host(pattern) if wildcard.is_none() && pattern.covers(host) => {
                wildcard = Some(rule);
            }
            Target::Host(_) | Target::Network(_) => {}
        }
    }
    wildcard
}

/// `_8443._https.HOST` asks how HOST is reached on that port (RFC 9460 section 2.3): HOST is what is judged.
fn service_host(name: &DnsName, kind: RecordType) -> Option<DnsName> {
    if ![RecordType::HTTPS, RecordType::SVCB].contains(&kind) {
        return None;
    }
    let (port, rest) = name.as_str().strip_prefix('_')?.split_once('.')?;
    let host = rest.strip_prefix("_https.")?;
    port.parse::<u16>().ok().filter(|number| number.to_string() == port)?;
    DnsName::parse(host).ok()
}

fn is_below(name: &DnsName, suffix: &str) -> bool {
    let before = name.as_str().strip_suffix(suffix);
    before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

impl QuestionPermit {
    /// The name to look up.
    #[must_use]
    pub fn name(&self) -> &DnsName {
        &self.name
    }

    /// The record type.
    #[must_use]
    pub fn kind(&self) -> RecordType {
        self.kind
    }

    /// The place in the policy that allows it.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// Whether only a wildcard allows it, so that [`Self::novelty`] must be asked.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// Judges how many names under this rule were asked for in the last minute for the first time, this one included: every new name
    /// is data for whoever serves the zone (row 6).
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub fn novelty(&self, new_names: u32) -> Result<(), Denial> {
        if !self.wildcard || new_names <= NEW_NAMES_PER_MINUTE_MAX {
            return Ok(());
        }
        let message = format!(
            "`{}` would be more than {NEW_NAMES_PER_MINUTE_MAX} new names within a minute under one wildcard",
            self.name
        );
        let remedy = "wait a minute, or list the names one by one in `spec.egress.allow`";
        Err(Denial::new(Reason::Limit, &self.rule, message, remedy))
    }

    /// Judges the final addresses of the name, as if a connection to each port of its rules were: they are told only if some connection
    /// could be. One refused address refuses all (rows 1 and 3). No addresses are no fault.
    ///
    /// # Errors
    /// The denial, which is an answer.
    pub fn addresses(
        &self,
        policy: &AgentPolicy,
        found: &[IpAddr],
    ) -> Result<AnswerPermit, Denial> {
        let permit = AnswerPermit { addresses: found.to_vec() };
        let plain = |address: &IpAddr| {
            egress::special(*address).is_none() && !egress::is_metadata(*address)
        };
        if found.iter().all(plain) {
            return Ok(permit);
        }
        let mut refused = None;
        for port in ports(policy, &self.host) {
            let attempt = Attempt { host: &self.host, port, channel: Channel::Tunnel };
            let judged =
                egress::judge(policy, &attempt).and_then(|name| name.addresses(found, &[]));
            match judged {
                Ok(_) => return Ok(permit),
                Err(denial) => refused = refused.or(Some(denial)),
            }
        }
        let Host::Name(name) = &self.host else {
            return Err(unlisted(policy, &self.name, self.kind));
        };
        Err(refused.unwrap_or_else(|| unlisted(policy, name, self.kind)))
    }

    /// Whether an HTTPS or SVCB record may lead to another name: a policy that lists that name too.
    #[must_use]
    pub fn may_lead_to(&self, policy: &AgentPolicy, target: &DnsName) -> bool {
        *target == self.name || listing(policy, target).is_some()
    }
}

/// The ports of the rules for a host, each once.
fn ports(policy: &AgentPolicy, host: &Host) -> Vec<u16> {
    let Host::Name(name) = host else { return Vec::new() };
    let rules = policy.egress.iter().filter(|rule| match &rule.target {
        Target::Host(pattern) => pattern.covers(name),
        Target::Network(_) => false,
    });
    let mut ports: Vec<u16> = rules.flat_map(|rule| rule.ports.iter().copied()).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

const RECORD_TYPE_REMEDY: &str =
    "ask for A, AAAA, HTTPS or SVCB; other types carry data, not destinations";

fn record_type(name: &DnsName, kind: RecordType) -> Denial {
    let message = format!("records of type {kind} of `{name}` are never looked up");
    Denial::new(Reason::RecordType, "spec.egress.dns", message, RECORD_TYPE_REMEDY)
}

fn search_noise(name: &DnsName, suffix: &str) -> Denial {
    let message = format!("`{name}` is not listed, and `{suffix}` is a search suffix");
    let remedy = "list the name in `spec.egress.allow` if it is a service to reach";
    Denial::new(Reason::SearchSuffix, "spec.egress.dns.searchSuffixes", message, remedy)
}

fn unlisted(policy: &AgentPolicy, name: &DnsName, kind: RecordType) -> Denial {
    if !kind.is_answered() {
        return record_type(name, kind);
    }
    let message = format!("`{name}` is not in the egress rules of policy `{}`", policy.name);
    let remedy = format!(
        "ask for `{{host: \"{name}\", ports: [443], protocol: tls}}` in `spec.egress.allow`"
    );
    Denial::new(Reason::Host, "spec.egress.allow", message, remedy)
}

#[cfg(test)]
mod tests;
