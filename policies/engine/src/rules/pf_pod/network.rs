//! PF-POD-007: fields that change which names and addresses a pod sees.
//!
//! The sidecar is in the pod: it reads the same `/etc/hosts` and asks the resolver that the pod is given. Who writes those chooses where an allowed
//! name leads, and whose resolver hears which names are asked for.

use pinfold_model::finding::RuleId;
use pinfold_model::host::{DnsName, Host, HostPattern};
use pinfold_model::policy::agent::{AgentPolicy, Target};

use super::workload::Pod;
use crate::context::Found;
use crate::rbac::describe::{excerpt, list};

const RULE: RuleId = RuleId::POD_NETWORK;
const REMEDY: &str =
    "leave it out; if it is meant, an exception of the policy names this rule and the workload";

/// Most bytes of a host name (RFC 1035).
const LABEL_BYTES_MAX: usize = 63;

/// Judges names and resolvers.
pub(super) fn judge(pod: &Pod<'_>, found: &mut Found) {
    let (spec, network) = (pod.spec(), &pod.security.network);
    if !network.host_aliases.is_empty() {
        let names = list(network.host_aliases.iter().map(String::as_str));
        let message = format!("would say itself where {names} is, to the sidecar too");
        found.add(RULE, format!("{spec}.hostAliases"), message, REMEDY);
    }
    let known = ["", "ClusterFirst", "ClusterFirstWithHostNet", "Default"];
    if !known.contains(&network.dns_policy.as_str()) {
        let message =
            format!("`{}` takes the cluster's resolver away", excerpt(&network.dns_policy));
        found.add(RULE, format!("{spec}.dnsPolicy"), message, REMEDY);
    }
    let lists = [
        ("nameservers", &network.nameservers, "would be asked, by the sidecar too"),
        ("searches", &network.searches, "would be tried behind every short name"),
    ];
    for (field, values, does) in lists.into_iter().filter(|(_, values, _)| !values.is_empty()) {
        let message = format!("{} {does}", list(values.iter().map(String::as_str)));
        found.add(RULE, format!("{spec}.dnsConfig.{field}"), message, REMEDY);
    }
    judge_own_names(pod, found);
}

/// The kubelet writes a pod's own names into the `/etc/hosts` of all its containers, in front of every resolver: who has the name of an allowed host or
/// of the proxy is sent there by the sidecar, which adds its credentials (KEP-4762; `managedHostsFileContent` in kubernetes pkg/kubelet/kubelet_pods.go).
fn judge_own_names(pod: &Pod<'_>, found: &mut Found) {
    let Own { path, name, below, remedy } = Own::of(pod);
    if name.contains('.') {
        let message = format!("would make `{}` the pod itself, to the sidecar too", excerpt(name));
        return found.add(RULE, path, message, remedy);
    }
    let is_own = |host: &DnsName| {
        let host = host.as_str();
        let rest = below.as_ref().and_then(|below| host.strip_prefix(below.as_str()));
        host == name || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    for policy in pod.agent_policies() {
        if let Some(host) = hosts(policy).find(|host| is_own(host)) {
            let message = format!(
                "would make `{host}`, a host of AgentPolicy `{}`, the pod itself, to the sidecar too",
                excerpt(&policy.name)
            );
            return found.add(RULE, path, message, remedy);
        }
    }
}

/// What the kubelet calls a pod.
struct Own<'p> {
    /// JSON path of the field that says it.
    path: String,
    /// The host name; empty where nobody knows it yet.
    name: &'p str,
    /// With a subdomain, the full name but for the cluster's domain, which nobody here knows.
    below: Option<String>,
    remedy: &'static str,
}

impl<'p> Own<'p> {
    fn of(pod: &Pod<'p>) -> Self {
        let (network, spec) = (&pod.security.network, pod.spec());
        if !network.hostname_override.is_empty() {
            let (path, name) =
                (format!("{spec}.hostnameOverride"), network.hostname_override.as_str());
            return Self { path, name, below: None, remedy: REMEDY };
        }
        let (path, name) = if network.hostname.is_empty() {
            let (field, name) = pod.name();
            (format!("{}.{field}", pod.metadata()), name)
        } else {
            (format!("{spec}.hostname"), network.hostname.as_str())
        };
        // The kubelet cuts off what is no label for its length.
        let cut = name.get(..LABEL_BYTES_MAX).map(|cut| cut.trim_end_matches('-'));
        let name = cut.filter(|_| !name.contains('.')).unwrap_or(name);
        let subdomain = &network.subdomain;
        let full = || format!("{name}.{subdomain}.{}.svc", pod.namespace());
        let below = (!name.is_empty() && !subdomain.is_empty()).then(full);
        let remedy = "set `spec.hostname` to a name without dots that no AgentPolicy names";
        Self { path, name, below, remedy }
    }
}

/// The hosts that a policy names; what a pattern allows is only what the DNS of the cluster makes of it.
fn hosts(policy: &AgentPolicy) -> impl Iterator<Item = &DnsName> {
    let allowed = policy.egress.iter().filter_map(|rule| match &rule.target {
        Target::Host(HostPattern::Exact(name)) => Some(name),
        Target::Host(HostPattern::OneLabel(_) | HostPattern::AnyDepth(_)) | Target::Network(_) => {
            None
        }
    });
    let named = policy.via.iter().map(|via| &via.host);
    let named = named.chain(policy.upstreams.iter().map(|upstream| &upstream.host));
    allowed.chain(named.filter_map(|host| match host {
        Host::Name(name) => Some(name),
        Host::Address(_) => None,
    }))
}
