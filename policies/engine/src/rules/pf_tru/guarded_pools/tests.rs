//! Who may make, raise, change and delete trusted pools, and move nodes; and what nobody is kept from.

use pinfold_model::facts::{AdmissionFacts, Operation};
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;
use serde_json::Value;

use crate::organization::fixture::{self, found, request, spoken, value};

const POLICY: &str = "
organizations: {platformAdmins: {users: [admin], groups: [admins]}}
trust:
  pools:
  - {name: linux, tier: trusted, nodeSelector: {pool: trusted, os: linux}, taints: [{key: pool, value: trusted, effect: NoSchedule}]}
  - {name: cheap, tier: untrusted, nodeSelector: {price: low}}
";

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: g, labels: {pinfold.dev/agents: 'true'}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: gpu, namespace: g}, spec: {trustTier: trusted, nodeSelector: {gpu: big}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: free, namespace: g}, spec: {trustTier: untrusted, nodeSelector: {gpu: small}}}
";

fn judged(policy: &str, facts: &AdmissionFacts) -> Vec<String> {
    judged_in(&fixture::view(CLUSTER), &fixture::policy(policy), facts)
}

fn judged_in(view: &Snapshot, policy: &AdmissionPolicy, facts: &AdmissionFacts) -> Vec<String> {
    spoken(&found(super::judge, facts, view, policy))
}

fn pool(spec: &str) -> Value {
    value(&format!(
        "{{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {{name: p, namespace: g}}, spec: {{{spec}}}}}"
    ))
}

fn delete(user: &str, old: &Value) -> AdmissionFacts {
    let mut facts = request(user, old, None);
    facts.old_object = facts.object.take();
    facts.operation = Operation::Delete;
    facts
}

/// `OLD => NEW => FIELD...` of a RunnerPool's spec; empty is no pool.
const POOLS: &str = "
=> trustTier: untrusted =>
=> trustTier: trusted => trustTier
=> trustTier: Untrusted => trustTier
=> trustTier: '' => trustTier
=> organizationRef: acme => trustTier
trustTier: untrusted => trustTier: trusted => trustTier
trustTier: untrusted => trustTier: TRUSTED => trustTier
trustTier: untrusted => organizationRef: acme => trustTier
trustTier: trusted => trustTier: untrusted => trustTier
trustTier: trusted => trustTier: trusted =>
trustTier: trusted => trustTier: Trusted =>
trustTier: trusted, nodeSelector: {a: b} => trustTier: trusted, nodeSelector: {a: c} => nodeSelector
trustTier: trusted, nodeSelector: {a: b} => trustTier: trusted => nodeSelector
trustTier: trusted, serviceAccountRef: a => trustTier: trusted, serviceAccountRef: b => serviceAccountRef
trustTier: trusted, organizationRef: a => trustTier: trusted, organizationRef: b => organizationRef
trustTier: trusted => trustTier: trusted, cache: [c] => cache
trustTier: trusted, warmReplicas: 1 => trustTier: trusted, warmReplicas: 9 =>
trustTier: untrusted, nodeSelector: {a: b} => trustTier: untrusted, nodeSelector: {a: c}, cache: [c] =>
=> trustTier: untrusted, nodeSelector: {pool: trusted} => nodeSelector
=> trustTier: untrusted, nodeSelector: {gpu: big, disk: ssd} => nodeSelector
=> trustTier: untrusted, nodeSelector: {gpu: small} =>
trustTier: untrusted => trustTier: untrusted, nodeSelector: {gpu: big} => nodeSelector
trustTier: untrusted, nodeSelector: {gpu: big} => trustTier: untrusted, nodeSelector: {gpu: big}, cache: [c] =>
trustTier: untrusted => =>
trustTier: trusted => => $
";

#[test]
fn trusted_pools_are_their_administrators() {
    for row in POOLS.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let [old, new, fields] = row.split("=>").map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        let (before, after) = (pool(old), pool(new));
        let facts = |user: &str| match (old, new) {
            ("", _) => request(user, &after, None),
            (_, "") => delete(user, &before),
            (_, _) => request(user, &after, Some(&before)),
        };
        let path = |field: &str| match field {
            "$" => "PF-TRU-004 $".to_owned(),
            field => format!("PF-TRU-004 $.spec.{field}"),
        };
        let expected: Vec<String> = fields.split_whitespace().map(path).collect();
        assert_eq!(judged(POLICY, &facts("dev")), expected, "{row}");
        assert!(judged(POLICY, &facts("admin")).is_empty(), "{row}");
        let status = AdmissionFacts { subresource: "status".to_owned(), ..facts("dev") };
        assert_eq!(judged(POLICY, &status), expected, "no way around: {row}");
        let unknown =
            found(super::judge, &facts(""), &fixture::view(CLUSTER), &fixture::policy(POLICY));
        assert_eq!(
            (unknown.raw.len(), unknown.undecided.len()),
            (0, usize::from(!fields.is_empty()))
        );
    }
}

fn node(labels: &str, taints: &str) -> Value {
    value(&format!(
        "{{apiVersion: v1, kind: Node, metadata: {{name: n, labels: {{{labels}}}}}, spec: {{taints: [{taints}]}}}}"
    ))
}

const TAINT: &str = "{key: pool, value: trusted, effect: NoSchedule}";

/// `LABELS => LABELS => PATH...` of a node; `-` is no node, `!` behind labels says that it has the pool's taint.
const NODES: &str = "
- => os: linux =>
- => price: low =>
- => pool: trusted =>
- => pool: trusted, os: linux => os
- => pool: trusted, os: linux ! => os
- => gpu: big => gpu
- => gpu: small =>
os: linux => os: linux, zone: a =>
os: linux => os: linux, pool: trusted => pool
pool: trusted, os: linux ! => os: linux ! => pool
pool: trusted, os: linux ! => pool: untrusted, os: linux ! => pool
pool: trusted, os: linux ! => pool: trusted, os: linux, zone: b ! =>
pool: trusted, os: linux ! => pool: trusted, os: linux, price: low ! => price
pool: trusted, os: linux ! => pool: trusted, os: linux => taints
pool: trusted, os: linux => pool: trusted, os: linux ! =>
price: low => price: low, os: linux =>
price: low => gpu: big => gpu
gpu: big => gpu: small => gpu
gpu: big => gpu: big =>
os: linux ! => os: linux =>
";

#[test]
fn nodes_move_between_pools_by_their_managers_alone() {
    let parse = |text: &str| match text.trim() {
        "-" => None,
        text => {
            let (labels, taint) = match text.strip_suffix('!') {
                Some(labels) => (labels, TAINT),
                None => (text, ""),
            };
            Some(node(labels, taint))
        }
    };
    let people = [
        ("dev", true),
        ("system:node:n", true),
        ("system:serviceaccount:dev:agent-x", true),
        ("admin", false),
        ("system:kube-controller-manager", false),
        ("system:cloud-controller-manager", false),
    ];
    for row in NODES.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let [old, new, paths] = row.split("=>").collect::<Vec<_>>()[..] else { panic!("{row}") };
        let (before, after) = (parse(old), parse(new).expect("a node"));
        let path = |path: &str| match path {
            "taints" => "PF-TRU-004 $.spec.taints".to_owned(),
            label => format!("PF-TRU-004 $.metadata.labels.{label}"),
        };
        let expected: Vec<String> = paths.split_whitespace().map(path).collect();
        for (user, refused) in people {
            let mut facts = request(user, &after, before.as_ref());
            for subresource in ["", "status"] {
                facts.subresource = subresource.to_owned();
                let expected = if refused { expected.clone() } else { Vec::new() };
                assert_eq!(judged(POLICY, &facts), expected, "{row} by {user} {subresource}");
            }
        }
    }
}

#[test]
fn a_site_says_who_manages_nodes() {
    let joins = node("pool: trusted, os: linux", TAINT);
    let by = |policy: &str, user: &str, group: &str| {
        let mut facts = request(user, &joins, None);
        facts.requester.as_mut().expect("somebody").groups = vec![group.to_owned()];
        judged(policy, &facts).is_empty()
    };
    let kubelets = POLICY
        .replace("trust:", "trust:\n  nodeManagers: {groups: [system:nodes], users: [autoscaler]}");
    let system = "system:serviceaccounts:kube-system";
    let cases = [
        (POLICY, "system:serviceaccount:kube-system:cloud-node", system, true),
        (POLICY, "system:node:n", "system:nodes", false),
        (POLICY, "autoscaler", "x", false),
        (POLICY, "somebody", "admins", true),
        (&kubelets, "system:node:n", "system:nodes", true),
        (&kubelets, "autoscaler", "x", true),
        (&kubelets, "system:serviceaccount:kube-system:cloud-node", system, false),
        (&kubelets, "somebody", "admins", true),
    ];
    for (policy, user, group, allowed) in cases {
        assert_eq!(by(policy, user, group), allowed, "{user} of {group}\n{policy}");
    }
}

#[test]
fn without_pools_there_is_nothing_to_guard() {
    let bare = fixture::policy("mode: enforce");
    let view = fixture::view("{apiVersion: v1, kind: Namespace, metadata: {name: g}}");
    let (joins, other) = (node("pool: trusted, os: linux", TAINT), node("", ""));
    for facts in [
        request("dev", &joins, None),
        request("dev", &other, Some(&joins)),
        request("", &joins, None),
    ] {
        let found = found(super::judge, &facts, &view, &bare);
        assert!(found.raw.is_empty() && found.undecided.is_empty());
    }
}

#[test]
fn messages_name_the_node_the_pool_and_who() {
    let facts = request("system:node:n", &node("pool: trusted, os: linux", ""), None);
    let found = found(super::judge, &facts, &fixture::view(CLUSTER), &fixture::policy(POLICY));
    let raw = found.raw.first().expect("a finding");
    assert_eq!(
        raw.message,
        "this puts node `n` into trusted pool `linux`, and `system:node:n` doesn't administer it"
    );
    assert!(raw.remedy.contains("trust.nodeManagers"));
}
