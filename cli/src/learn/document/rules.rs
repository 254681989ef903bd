//! Wants to rules: as few as say exactly the same. Nothing is widened to be shorter.

use std::collections::{BTreeMap, BTreeSet};

use pinfold_model::host::{DnsName, HostPattern};
use serde_json::json;

use crate::learn::gather::{Gathered, Seen};
use crate::learn::want::{Request, Spoken, Want};

/// Most paths of one rule; more are split.
const PATHS_MAX: usize = 64;
/// So many names with one parent are worth a remark that a wildcard would cover them.
const SIBLINGS_MIN: usize = 5;

/// One rule of `egress.allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) host: DnsName,
    pub(super) ports: BTreeSet<u16>,
    pub(super) spoken: Spoken,
    /// Methods and paths, each method with each path; nothing where requests aren't judged.
    pub(super) requests: Option<Product>,
    pub(super) assumed: bool,
    pub(super) seen: Seen,
}

impl Rule {
    /// As it is written in a policy: a JSON object is a YAML one.
    pub(super) fn text(&self) -> String {
        let (host, ports) = (self.host.as_str(), &self.ports);
        let quoted = |text: &str| json!(text).to_string();
        let mut text = format!(
            "{{host: {}, ports: {}, protocol: {}",
            quoted(host),
            json!(ports),
            self.spoken.as_str()
        );
        if let Some((methods, paths)) = &self.requests {
            text.push_str(&format!(", methods: {}, paths: {}", json!(methods), json!(paths)));
        }
        text.push('}');
        text
    }
}

/// What rules are told apart by, but for the ports.
type Same = (DnsName, Spoken, bool, Option<Product>);
/// Methods and paths, each with each.
type Product = (BTreeSet<String>, BTreeSet<String>);
/// Where requests go.
type Place = (DnsName, u16, Spoken);

/// The rules, sorted by host.
pub(super) fn rules(gathered: &Gathered) -> Vec<Rule> {
    let mut merged: BTreeMap<Same, (BTreeSet<u16>, Seen)> = BTreeMap::new();
    let mut requests: BTreeMap<Place, BTreeMap<String, (BTreeSet<String>, Seen)>> = BTreeMap::new();
    for (want, seen) in &gathered.wants {
        let Want::Egress { host, port, spoken, request, assumed } = want else { continue };
        if let Some(Request { method, path }) = request {
            let place = requests.entry((host.clone(), *port, *spoken)).or_default();
            let (paths, all) = place.entry(method.clone()).or_default();
            paths.insert(path.clone());
            all.add(*seen);
        } else {
            let (ports, all) = merged.entry((host.clone(), *spoken, *assumed, None)).or_default();
            ports.insert(*port);
            all.add(*seen);
        }
    }
    for ((host, port, spoken), methods) in requests {
        for (asked, seen) in products(methods) {
            let same = (host.clone(), spoken, false, Some(asked));
            let (ports, all) = merged.entry(same).or_default();
            ports.insert(port);
            all.add(seen);
        }
    }
    let rule = |((host, spoken, assumed, requests), (ports, seen))| Rule {
        host,
        ports,
        spoken,
        requests,
        assumed,
        seen,
    };
    merged.into_iter().map(rule).collect()
}

/// Methods with the same paths are one rule, because a rule allows each of its methods with each of its paths.
fn products(methods: BTreeMap<String, (BTreeSet<String>, Seen)>) -> Vec<(Product, Seen)> {
    let mut by_paths: BTreeMap<BTreeSet<String>, (BTreeSet<String>, Seen)> = BTreeMap::new();
    for (method, (paths, seen)) in methods {
        let (methods, all) = by_paths.entry(paths).or_default();
        methods.insert(method);
        all.add(seen);
    }
    let mut products = Vec::new();
    for (paths, (methods, seen)) in by_paths {
        let paths: Vec<String> = paths.into_iter().collect();
        for part in paths.chunks(PATHS_MAX) {
            products.push(((methods.clone(), part.iter().cloned().collect()), seen));
        }
    }
    products
}

/// Patterns that would cover many of the names, and how many. A remark only: what else they cover nobody has asked for.
pub(super) fn wildcards(rules: &[Rule]) -> Vec<(String, usize)> {
    let mut parents: BTreeMap<String, BTreeSet<&DnsName>> = BTreeMap::new();
    for rule in rules {
        if let Some((_, parent)) = rule.host.as_str().split_once('.') {
            parents.entry(format!("*.{parent}")).or_default().insert(&rule.host);
        }
    }
    parents.retain(|pattern, names| {
        names.len() >= SIBLINGS_MIN && HostPattern::parse(pattern).is_ok()
    });
    parents.into_iter().map(|(pattern, names)| (pattern, names.len())).collect()
}
