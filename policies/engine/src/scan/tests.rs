//! What a scan leaves out, and in what order its findings are looked at.

use pinfold_model::finding::{Mode, RuleId};
use pinfold_model::object::ObjectKey;
use pinfold_model::policy::admission::AdmissionPolicy;
use pinfold_model::snapshot::Snapshot;

use super::danger::{self, Danger};
use super::{Depth, Judged, Scan, Unjudged, creation};
use crate::organization::fixture::{NOW, object, policy, value, view};

const CLUSTER: &str = r#"
    {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: all}, rules: [{verbs: ["*"], apiGroups: ["*"], resources: ["*"]}]}
    {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: secrets}, rules: [{verbs: [list], apiGroups: [""], resources: [secrets]}]}
    {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: one-pod}, rules: [{verbs: [create], apiGroups: [""], resources: [pods/exec], resourceNames: [a]}]}
    {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: exec}, rules: [{verbs: [create], apiGroups: [""], resources: ["*/exec"]}]}
    {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: nodes}, rules: [{verbs: [get], apiGroups: [""], resources: [nodes/proxy]}]}
    {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: wild}, rules: [{verbs: ["*"], apiGroups: [""], resources: [events]}]}
    {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: mild}, rules: [{verbs: [get], apiGroups: [""], resources: [pods]}]}
    {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: b, namespace: acme}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: secrets}, subjects: [{kind: ServiceAccount, name: coder}]}
"#;

/// What an object holds leads to this.
const LEADS: [(&str, Danger, &str); 11] = [
    ("ClusterRoleBinding '' ClusterRole all", Danger::Critical, "cluster-wide: does everything"),
    ("RoleBinding acme ClusterRole all", Danger::High, "in namespace `acme`: does everything"),
    (
        "RoleBinding kube-system ClusterRole all",
        Danger::Critical,
        "in namespace `kube-system`: does everything",
    ),
    (
        "ClusterRoleBinding '' ClusterRole secrets",
        Danger::Critical,
        "cluster-wide: reads or removes every Secret at once, tokens of ServiceAccounts included",
    ),
    (
        "RoleBinding acme ClusterRole secrets",
        Danger::High,
        "in namespace `acme`: reads or removes every Secret at once, tokens of ServiceAccounts included",
    ),
    (
        "ClusterRoleBinding '' ClusterRole one-pod",
        Danger::High,
        "cluster-wide: runs commands as other pods, with their ServiceAccounts",
    ),
    (
        "ClusterRoleBinding '' ClusterRole exec",
        Danger::Critical,
        "cluster-wide: runs commands as other pods, with their ServiceAccounts",
    ),
    (
        "ClusterRoleBinding '' ClusterRole nodes",
        Danger::Critical,
        "cluster-wide: runs commands in every pod of a node; for the kubelet a `get` that opens a WebSocket is enough",
    ),
    (
        "ClusterRoleBinding '' ClusterRole wild",
        Danger::High,
        "cluster-wide: takes in every verb, those of tomorrow too",
    ),
    ("ClusterRoleBinding '' ClusterRole mild", Danger::Medium, ""),
    ("ClusterRoleBinding '' ClusterRole absent", Danger::Medium, ""),
];

fn baseline() -> AdmissionPolicy {
    policy("organizations: {platformNamespaces: [kube-system]}")
}

fn weigh(rule: &RuleId, yaml: &str, view: &Snapshot) -> (Danger, String) {
    danger::of(rule, &creation(object(&value(yaml)), None), view, &baseline())
}

#[test]
fn rights_are_as_dangerous_as_what_they_lead_to() {
    let view = view(CLUSTER);
    for (line, danger, leads_to) in LEADS {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, namespace, role_kind, role] = words.as_slice() else { panic!("{line}") };
        let yaml = format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: {kind}, metadata: {{name: x, namespace: {namespace}}}, \
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {role_kind}, name: {role}}}}}"
        );
        let expected = (danger, leads_to.to_owned());
        assert_eq!(weigh(&RuleId::RBAC_CEILING, &yaml, &view), expected, "{line}");
        let other = weigh(&RuleId::SEC_CROSS_ORGANIZATION, &yaml, &view);
        assert_eq!(other, (Danger::High, String::new()), "not about rights: {line}");
    }
}

#[test]
fn identities_roles_and_agent_bindings_lead_where_their_rights_do() {
    let view = view(CLUSTER);
    let account =
        "{apiVersion: v1, kind: ServiceAccount, metadata: {name: coder, namespace: acme}}";
    let record = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: c, namespace: acme}, spec: {namespace: acme, serviceAccountName: coder}}";
    let bound_in_acme = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: secrets}, rules: [{verbs: [list], apiGroups: [''], resources: [secrets]}]}";
    for yaml in [account, record, bound_in_acme] {
        let (danger, leads_to) = weigh(&RuleId::RBAC_CEILING, yaml, &view);
        let expected = (
            Danger::High,
            "in namespace `acme`: reads or removes every Secret at once, tokens of ServiceAccounts included",
        );
        assert_eq!((danger, leads_to.as_str()), expected, "{yaml}");
    }
    let agent = |scope: &str| {
        format!(
            "{{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {{name: a, namespace: acme}}, \
             spec: {{scope: {{kind: {scope}}}, roleRef: {{kind: ClusterRole, name: all}}}}}}"
        )
    };
    for (scope, danger) in [("cluster", Danger::Critical), ("namespace", Danger::High)] {
        assert_eq!(weigh(&RuleId::RBAC_AGENT_BINDING, &agent(scope), &view).0, danger, "{scope}");
    }
}

/// `docs/scan.md` has a row for each rule, with the danger that it has here.
#[test]
fn every_rule_has_a_documented_danger() {
    let page = include_str!("../../../../docs/scan.md");
    for rule in RuleId::BUILT_IN {
        let begin = format!("| `{rule}` | {} |", danger::of_rule(rule).as_str());
        assert!(page.lines().any(|line| line.starts_with(&begin)), "no row `{begin}`");
    }
    assert_eq!(danger::of_rule(&RuleId::custom("no-latest")), Danger::Low);
}

fn judged(policy: &AdmissionPolicy, depth: Depth, yaml: &str) -> Judged {
    let value = value(yaml);
    let facts = creation(object(&value), Some(value));
    Scan { policy, view: &view(CLUSTER), now: NOW, all_bindings: true }.judge(&facts, depth)
}

#[test]
fn what_needs_the_requester_is_left_out_and_said() {
    let binding = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: x}, \
         roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: all}, subjects: [{kind: User, name: ann}]}";
    let found = judged(&baseline(), Depth::Whole, binding);
    assert_eq!(found.findings, Vec::new());
    assert_eq!(found.unjudged, vec![(RuleId::RBAC_BINDING, Unjudged::Requester)]);
}

#[test]
fn metadata_alone_is_judged_by_what_reads_metadata() {
    let policy = policy(
        "custom:
- {id: labelled, match: {kinds: [Secret]}, deny: {path: $.metadata.labels.bad, equals: x, message: m}}
- {id: typed, match: {kinds: [Secret]}, deny: {path: $.type, equals: y, message: m}}
- {id: typed-elsewhere, match: {kinds: [Pod]}, deny: {path: $.type, equals: y, message: m}}",
    );
    let secret = "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: acme, labels: {bad: x}}, type: y}";
    let rules = |judged: &Judged| -> Vec<String> {
        judged.findings.iter().map(|found| found.finding.rule.to_string()).collect()
    };
    let whole = judged(&policy, Depth::Whole, secret);
    assert_eq!(
        (rules(&whole).as_slice(), whole.unjudged.len()),
        (["labelled".to_owned(), "typed".to_owned()].as_slice(), 0)
    );
    let bare = judged(&policy, Depth::Metadata, secret);
    assert_eq!(rules(&bare), ["labelled"]);
    assert_eq!(bare.unjudged, vec![(RuleId::custom("typed"), Unjudged::Content)]);
}

/// A role and a record that make an agent's rights bad are told once: at the binding.
#[test]
fn rights_are_told_at_the_bindings() {
    let policy = baseline();
    let mut cluster = view(CLUSTER);
    let record = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentServiceAccount, metadata: {name: c, namespace: acme}, spec: {namespace: acme, serviceAccountName: coder}}";
    cluster.apply(object(&value(record)));
    let home = "{apiVersion: v1, kind: Namespace, metadata: {name: acme, labels: {krate.a5c.ai/org: acme, pinfold.dev/agents: 'true'}}}";
    cluster.apply(object(&value(home)));
    let rules = |scan: Scan<'_>, yaml: &str| {
        let written = value(yaml);
        let judged = scan.judge(&creation(object(&written), Some(written)), Depth::Whole);
        let mut rules: Vec<String> =
            judged.findings.iter().map(|found| found.finding.rule.to_string()).collect();
        rules.dedup();
        (rules, judged.unjudged)
    };
    let scan = Scan { policy: &policy, view: &cluster, now: NOW, all_bindings: true };
    let lines = CLUSTER.lines().map(str::trim);
    for line in lines.clone().filter(|line| line.contains("kind: RoleBinding")) {
        assert_eq!(rules(scan, line).0, ["PF-RBAC-004", "PF-RBAC-007"]);
    }
    for line in
        lines.filter(|line| !line.is_empty() && !line.contains("kind: RoleBinding")).chain([record])
    {
        let (found, unjudged) = rules(scan, line);
        assert_eq!(found, Vec::<String>::new(), "{line}");
        let expected = [Unjudged::Requester, Unjudged::Change];
        assert!(unjudged.iter().all(|(_, why)| expected.contains(why)), "{line}: {unjudged:?}");
    }
}

#[test]
fn a_changed_registration_is_told_unless_the_policy_means_it() {
    let key = ObjectKey::new(
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "",
        "pinfold",
    );
    let cases = [
        ("{}", Some(Mode::Enforce)),
        ("rules: [{id: PF-RBAC-008, mode: warn}]", Some(Mode::Warn)),
        ("rules: [{id: PF-RBAC-008, mode: \"off\"}]", None),
        (
            "exceptions: [{rules: [PF-RBAC-008], match: {kinds: [ValidatingWebhookConfiguration]}, owner: o, reason: overlay}]",
            None,
        ),
    ];
    let cluster = Snapshot::default();
    for (spec, mode) in cases {
        let policy = policy(if spec == "{}" { "custom: []" } else { spec });
        let scan = Scan { policy: &policy, view: &cluster, now: NOW, all_bindings: true };
        let told = scan.differs(&key, "failure-policy", "webhooks[b].failurePolicy");
        assert_eq!(told.as_ref().map(|told| told.finding.mode), mode, "{spec}");
        assert!(told.is_none_or(|told| told.finding.path == "$.webhooks[b].failurePolicy"));
    }
}
