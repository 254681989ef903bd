//! A policy that changes while a pod is made: what the one before injected passes for a short time, and nothing else does.

use pinfold_model::finding::Mode;
use pinfold_model::policy::admission::AdmissionPolicy;
use serde_json::{Value, json};

use super::fixture::{BASE, Cluster, cluster, patched, pod};
use crate::admit::admit_amid_change;
use crate::decision::Decision;
use crate::organization::fixture::{NOW, request};

const BEFORE: &str = "{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: base}, spec: {appliesTo: {namespaces: [a]}, egress: {allow: [{host: old.example, ports: [443], protocol: tls}]}}}";

/// A cluster with the policy before, and one with the policy after it.
fn apart() -> (Cluster, Cluster) {
    (cluster("", &[BEFORE]), cluster("", &[BASE]))
}

fn former(before: &Cluster, after: &Cluster) -> AdmissionPolicy {
    after.policy.injecting_as(&before.policy).expect("both inject")
}

fn judged(after: &Cluster, former: &AdmissionPolicy, pod: &Value, old: Option<&Value>) -> Decision {
    let facts = request("dev", pod, old);
    admit_amid_change(&facts, &after.view, (&after.policy, former), NOW)
}

#[test]
fn a_pod_of_the_policy_before_passes_with_a_warning_and_no_other_does() {
    let (before, after) = apart();
    let former = former(&before, &after);
    let (old, new) = (before.mutated("dev", &pod()), after.mutated("dev", &pod()));
    assert!(!after.refused("dev", &old).is_empty());

    let passed = judged(&after, &former, &old, None);
    let denials: Vec<_> = passed.denials().collect();
    assert!(passed.allowed(), "{denials:?}");
    let told: Vec<_> = passed.findings.iter().filter(|one| one.mode == Mode::Warn).collect();
    assert!(told.iter().any(|one| one.message.contains("it starts with the one before")));
    // The new one's pod as ever, without a word.
    let passed = judged(&after, &former, &new, None);
    assert!(
        passed.allowed() && passed.findings.iter().all(|one| one.rule.as_str() != "PF-POD-001")
    );

    let third = cluster("", &[&BEFORE.replace("old.example", "third.example")]);
    let steps = [
        ("bare", None),
        (
            "half",
            Some(
                json!({"op": "replace", "path": "/metadata/annotations/pinfold.dev~1policy", "value": new["metadata"]["annotations"]["pinfold.dev/policy"]}),
            ),
        ),
        (
            "image",
            Some(json!({"op": "replace", "path": "/spec/initContainers/1/image", "value": "evil"})),
        ),
        ("no guard", Some(json!({"op": "remove", "path": "/spec/initContainers/0"}))),
        (
            "as the sidecar",
            Some(
                json!({"op": "replace", "path": "/spec/containers/0/securityContext/runAsUser", "value": 64646}),
            ),
        ),
        (
            "root",
            Some(
                json!({"op": "replace", "path": "/spec/containers/0/securityContext/runAsUser", "value": 0}),
            ),
        ),
    ];
    let mut attacks: Vec<(&str, Value)> =
        vec![("a policy of nobody", third.mutated("dev", &pod()))];
    for (name, step) in steps {
        attacks.push((name, step.map_or_else(pod, |step| patched(&old, &step.to_string()))));
    }
    for (name, pod) in attacks {
        let refused = judged(&after, &former, &pod, None);
        assert!(!refused.allowed(), "{name}");
        let known = after.decision("dev", &pod, None);
        assert_eq!(refused.findings, known.findings, "{name}: told as by the new policy");
    }
}

#[test]
fn all_other_rules_are_the_new_policys() {
    let (before, mut after) = apart();
    let spec = "custom:\n- id: no-agents\n  match: {kinds: [Pod]}\n  deny: {path: $.metadata.name, equals: p, message: not now}";
    after.policy.custom = crate::organization::fixture::policy(spec).custom;
    let former = former(&before, &after);
    let old = before.mutated("dev", &pod());
    let refused = judged(&after, &former, &old, None);
    assert!(!refused.allowed());
    assert!(refused.denials().any(|one| one.rule.as_str() == "no-agents"));
}

/// A UID that was the sidecar's is still that of the pod's own sidecar.
#[test]
fn of_the_sidecars_uids_the_pods_own_counts() {
    let (mut before, mut after) = apart();
    (before.policy.inject.uid, after.policy.inject.uid) = (64_646, 70_000);
    let former = former(&before, &after);
    for (uid, allowed) in [(1_000, true), (64_646, false)] {
        let mut agent = pod();
        agent["spec"]["containers"][0]["securityContext"]["runAsUser"] = uid.into();
        let old = before.mutated("dev", &agent);
        assert_eq!(judged(&after, &former, &old, None).allowed(), allowed, "{uid}");
    }
}

#[test]
fn nothing_is_former_where_nothing_was_injected_or_nothing_changed() {
    use pinfold_model::policy::inject::Profile;
    let (mut before, after) = apart();
    assert!(after.policy.injecting_as(&after.policy).is_none());
    let rules = AdmissionPolicy { custom: Vec::new(), ..after.policy.clone() };
    assert!(after.policy.injecting_as(&rules).is_none());
    before.policy.inject.profile = Profile::None;
    assert!(after.policy.injecting_as(&before.policy).is_none(), "a bare pod would pass");
    assert!(before.policy.injecting_as(&after.policy).is_none());
}

#[test]
fn a_pod_that_runs_is_judged_by_the_new_policy_alone() {
    let (before, after) = apart();
    let former = former(&before, &after);
    let old = before.mutated("dev", &pod());
    let forged = patched(
        &old,
        r#"{"op": "replace", "path": "/metadata/annotations/pinfold.dev~1policy", "value": "{}"}"#,
    );
    assert!(!judged(&after, &former, &forged, Some(&old)).allowed());
    let labelled =
        patched(&old, r#"{"op": "add", "path": "/metadata/labels", "value": {"team": "core"}}"#);
    assert!(judged(&after, &former, &labelled, Some(&old)).allowed());
}
