//! PF-POD-007: fields that change which names and addresses a pod sees.
//!
//! The sidecar is in the pod: it reads the same `/etc/hosts` and asks the resolver that the pod is given. Who writes those chooses where an allowed
//! name leads, and whose resolver hears which names are asked for.

use pinfold_model::finding::RuleId;

use super::workload::Pod;
use crate::context::Found;
use crate::rbac::describe::{excerpt, list};

const RULE: RuleId = RuleId::POD_NETWORK;
const REMEDY: &str =
    "leave it out; if it is meant, an exception of the policy names this rule and the workload";

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
    // The kubelet writes it into `/etc/hosts`; a host name alone has no dot and is nobody's on the internet.
    if network.hostname_override.contains('.') {
        let name = excerpt(&network.hostname_override);
        let message = format!("would make `{name}` the pod itself");
        found.add(RULE, format!("{spec}.hostnameOverride"), message, REMEDY);
    }
}
