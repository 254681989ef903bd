//! Tokens of the accounts that trust rests on: controllers, relays, and trusted pools' own.

use super::{judge, token};
use crate::organization::fixture::{found, policy, request, spoken, value, view};

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: acme, labels: {pinfold.dev/agents: 'true'}}}
{apiVersion: v1, kind: Namespace, metadata: {name: krate}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: fast, namespace: acme}, spec: {trustTier: trusted, serviceAccountRef: fast}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: RunnerPool, metadata: {name: slow, namespace: acme}, spec: {trustTier: untrusted, serviceAccountRef: slow}}
";

const POLICY: &str = "
organizations: {platformAdmins: {users: [root], groups: [admins]}}
trust:
  controllers: [{serviceAccount: acme/sensor, uid: u-1}, {user: 'system:serviceaccount:acme:named'}, {serviceAccount: krate/controller}]
  relays: [{serviceAccount: acme/relay}]
  pools:
  - {name: trusted, tier: trusted, nodeSelector: {pool: trusted}, serviceAccounts: [acme/builder]}
  - {name: untrusted, tier: untrusted, nodeSelector: {pool: untrusted}, serviceAccounts: [acme/fork]}
";

const SECRET: &str = "PF-SEC-008 $.metadata.annotations['kubernetes.io/service-account.name']";

/// User, namespace and name of the account, and whether a token of it is refused, asked for or in a Secret.
const CASES: [(&str, &str, &str, bool); 19] = [
    ("alice", "acme", "sensor", true),
    ("alice", "acme", "named", true),
    ("alice", "krate", "controller", true),
    ("alice", "acme", "relay", true),
    ("alice", "acme", "builder", true),
    ("alice", "acme", "fast", true),
    ("system:serviceaccount:acme:sensor", "acme", "relay", true),
    ("system:serviceaccount:krate:sensor", "acme", "sensor", true),
    ("system:serviceaccount:kube-system:coredns", "acme", "sensor", true),
    ("alice", "acme", "web", false),
    ("alice", "krate", "sensor", false),
    ("alice", "krate", "builder", false),
    ("alice", "krate", "fast", false),
    ("alice", "acme", "fork", false),
    ("root", "acme", "sensor", false),
    ("root", "acme", "builder", false),
    ("system:serviceaccount:acme:sensor", "acme", "sensor", false),
    ("system:serviceaccount:kube-system:tokens-controller", "acme", "sensor", false),
    ("system:kube-controller-manager", "acme", "fast", false),
];

fn told(user: &str, new: &str, group: Option<&str>) -> Vec<String> {
    let mut facts = request(user, &value(new), None);
    let requester = facts.requester.as_mut().expect("a requester");
    requester.groups.extend(group.map(str::to_owned));
    spoken(&found(judge, &facts, &view(CLUSTER), &policy(POLICY)))
}

fn secret(namespace: &str, account: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: s, namespace: {namespace}, annotations: {{kubernetes.io/service-account.name: {account}}}}}, type: kubernetes.io/service-account-token}}"
    )
}

#[test]
fn who_asks_for_a_token_that_trust_rests_on() {
    for (user, namespace, name, refused) in CASES {
        let expected = if refused { vec!["PF-SEC-008 $.metadata.name"] } else { Vec::new() };
        let told = told(user, &token(namespace, name, "{}"), None);
        assert_eq!(told, expected, "{user} {namespace}/{name}");
    }
    let sensor = token("acme", "sensor", "{}");
    assert!(told("bob", &sensor, Some("admins")).is_empty(), "an administrator by group");
    assert!(
        told("system:node:n1", &sensor, Some("system:nodes")).is_empty(),
        "a kubelet, for its pods"
    );
}

#[test]
fn who_makes_a_secret_with_one() {
    for (user, namespace, name, refused) in CASES {
        let expected = if refused { vec![SECRET] } else { Vec::new() };
        assert_eq!(
            told(user, &secret(namespace, name), None),
            expected,
            "{user} {namespace}/{name}"
        );
    }
    assert_eq!(
        told("system:node:n1", &secret("acme", "sensor"), Some("system:nodes")),
        [SECRET],
        "kubelets make none"
    );
    let opaque = secret("acme", "sensor").replace("kubernetes.io/service-account-token", "Opaque");
    assert!(told("alice", &opaque, None).is_empty());
}

#[test]
fn the_message_says_why() {
    let facts = request("alice", &value(&secret("acme", "builder")), None);
    let found = found(judge, &facts, &view(CLUSTER), &policy(POLICY));
    assert_eq!(
        found.raw.first().expect("a finding").message,
        "trust rests on ServiceAccount `acme/builder`, which is of trusted pool `trusted`, and `alice` asks for a token of it without administering the platform"
    );
}
