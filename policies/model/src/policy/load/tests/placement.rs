//! What `trust` says of schedulers, sandboxes, nodes, and of what pools share and take.

use super::{admission, files};
use crate::facts::Requester;
use crate::policy::admission::Trust;
use crate::policy::load::load;

fn trust(specs: &[&str]) -> Result<Trust, Vec<String>> {
    let documents: Vec<String> = specs.iter().map(|spec| admission(spec)).collect();
    let texts: Vec<&str> = documents.iter().map(String::as_str).collect();
    match load(&files(&texts)) {
        Ok(set) => Ok(set.admission.expect("a policy").trust),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
    }
}

fn somebody(name: &str, group: &str) -> Requester {
    let groups = vec![group.to_owned()];
    Requester { name: name.to_owned(), groups, ..Requester::default() }
}

#[test]
fn what_is_left_out_is_kubernetes_own() {
    let trust = trust(&["  {}\n"]).expect("a policy");
    assert_eq!(trust.schedulers, ["default-scheduler"]);
    assert!(trust.untrusted_runtime_classes.is_empty());
    let managers = [
        ("system:serviceaccount:kube-system:node-controller", "system:serviceaccounts:kube-system"),
        ("system:kube-controller-manager", ""),
        ("system:cloud-controller-manager", ""),
    ];
    for (name, group) in managers {
        assert!(trust.node_managers.include(&somebody(name, group)), "{name}");
    }
    assert!(!trust.node_managers.include(&somebody("system:node:n", "system:nodes")));
}

#[test]
fn lists_join_and_replace_the_defaults() {
    let one = "  trust: {schedulers: [volcano], untrustedRuntimeClasses: [gvisor], nodeManagers: {groups: [system:nodes]}}\n";
    let two = "  trust: {schedulers: [default-scheduler], untrustedRuntimeClasses: [kata], nodeManagers: {users: [karpenter]}}\n";
    let trust = trust(&[one, two]).expect("a policy");
    assert_eq!(trust.schedulers, ["volcano", "default-scheduler"]);
    assert_eq!(trust.untrusted_runtime_classes, ["gvisor", "kata"]);
    assert!(trust.node_managers.include(&somebody("system:node:n", "system:nodes")));
    assert!(trust.node_managers.include(&somebody("karpenter", "")));
    let own = somebody("x", "system:serviceaccounts:kube-system");
    assert!(!trust.node_managers.include(&own), "the default is replaced");
}

#[test]
fn pools_say_what_they_share_and_take() {
    let pool = |more: &str| {
        format!(
            "  trust: {{pools: [{{name: a, tier: trusted, nodeSelector: {{a: b}}, {more}}}]}}\n"
        )
    };
    let trust =
        trust(&[&pool("caches: [g/c], filesystemPolicies: [read-only]")]).expect("a policy");
    assert_eq!(trust.pools[0].caches, [("g".to_owned(), "c".to_owned())]);
    assert_eq!(trust.pools[0].filesystem_policies, ["read-only"]);
    let errors = self::trust(&[&pool("caches: [c]")]).expect_err("no namespace");
    assert!(
        errors[0].contains("spec.trust.pools[0].caches[0]: expected `namespace/name`, found `c`"),
        "{errors:?}"
    );
}
