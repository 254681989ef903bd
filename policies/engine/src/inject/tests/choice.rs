//! Whose policy a pod gets: by namespace, by record, by label; and what tenants can't choose.

use serde_json::{Value, json};

use super::fixture::{BASE, CONTROLLER, Cluster, REPLICA_SETS, cluster, pod, policy};
use crate::inject::compiled_for;
use crate::organization::fixture::object;

const OF_CODER: &str = "{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: of-coder}, spec: {appliesTo: {namespaces: [a], agentStacks: [coder]},
  egress: {allow: [{host: code.example, ports: [443], protocol: tls}]}}}";
const LABELLED: &str = "{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: labelled}, spec: {appliesTo: {namespaces: [a], selector: {matchLabels: {role: db}}},
  egress: {allow: [{host: db.example, ports: [5432], protocol: tls}]}}}";
const EVERYWHERE: &str = "{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: everywhere}, spec: {appliesTo: {selector: {matchLabels: {role: db}}},
  egress: {allow: [{host: evil.example, ports: [443], protocol: tls}]}}}";

fn for_run(run: &str) -> Value {
    let mut pod = pod();
    pod["metadata"]["labels"] = json!({"krate.a5c.ai/dispatch-run": run});
    pod
}

fn hosts(cluster: &Cluster, user: &str, pod: &Value) -> Vec<String> {
    let compiled = cluster.compiled(user, pod).expect("a compiled policy");
    let rules = compiled["spec"]["egress"]["allow"].as_array().expect("rules").clone();
    rules.iter().map(|rule| rule["host"].as_str().expect("a host").to_owned()).collect()
}

#[test]
fn a_stack_counts_by_its_record_alone() {
    let cluster = cluster("", &[BASE, OF_CODER]);
    let both = ["*.github.com", "pypi.org", "code.example"];
    assert_eq!(hosts(&cluster, CONTROLLER, &for_run("run-coder")), both);
    assert_eq!(hosts(&cluster, "dev", &for_run("run-coder")), both[..2], "a tenant's label");
    let mut named = pod();
    named["metadata"]["labels"] = json!({"krate.a5c.ai/agent-stack": "coder"});
    assert_eq!(hosts(&cluster, "dev", &named), both[..2], "a stack by label");
    let mut account = pod();
    account["spec"]["serviceAccountName"] = "coder".into();
    assert_eq!(hosts(&cluster, "dev", &account), both[..2], "a stack by its ServiceAccount");
    let mut owned = pod();
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "of-coder", "uid": "u-rs", "controller": true}]);
    assert_eq!(hosts(&cluster, REPLICA_SETS, &owned), both, "inherited");
    assert_eq!(hosts(&cluster, "dev", &owned), both[..2], "an owner reference is quickly written");
    for (user, pod) in [(CONTROLLER, for_run("run-coder")), ("dev", pod()), (REPLICA_SETS, owned)] {
        assert_eq!(cluster.refused(user, &cluster.mutated(user, &pod)), [""; 0], "{user}");
    }
}

#[test]
fn labels_choose_within_namespaces_and_never_alone() {
    let cluster = cluster("", &[BASE, LABELLED, EVERYWHERE]);
    let mut labelled = pod();
    labelled["metadata"]["labels"] = json!({"role": "db"});
    assert_eq!(hosts(&cluster, "dev", &labelled), ["*.github.com", "pypi.org", "db.example"]);
    assert_eq!(hosts(&cluster, "dev", &pod()), ["*.github.com", "pypi.org"]);
}

#[test]
fn where_none_applies_the_nearest_is_named() {
    let other = "{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: other}, spec: {appliesTo: {namespaces: ['acme-*']}}}";
    let cases: &[(&[&str], &str)] = &[
        (&[], "no AgentPolicy applies to pods of namespace `a`: there is none"),
        (&[other], "the nearest is `other`, which is for namespaces `acme-*`"),
        (
            &[other, OF_CODER],
            "the nearest is `of-coder`, which is for AgentStacks `coder`, and no record of a run says that the pod is of any",
        ),
        (&[LABELLED], "the nearest is `labelled`, which is for pods with labels `role=db`"),
        (&[EVERYWHERE], "the nearest is `everywhere`, which has no `appliesTo.namespaces`"),
    ];
    for (agents, expected) in cases {
        let cluster = cluster("", agents);
        assert_eq!(cluster.compiled("dev", &pod()), None);
        let refused = cluster.refused("dev", &pod());
        assert!(refused.len() == 1 && refused[0].contains(expected), "{refused:?}");
    }
}

#[test]
fn policies_that_contradict_each_other_are_said() {
    let with = |name: &str, host: &str| {
        format!(
            "{{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {{name: {name}}}, spec: {{appliesTo: {{namespaces: [a]}}, upstreams: [{{name: github, url: 'https://{host}'}}]}}}}"
        )
    };
    let (one, two) = (with("one", "api.github.com"), with("two", "evil.example"));
    let refused = cluster("", &[&one, &two]).refused("dev", &pod());
    assert!(
        refused[0].contains(
            "`one` and `two` both apply and set `spec.upstreams[github]` to different values"
        ),
        "{refused:?}"
    );
}

#[test]
fn tool_profiles_narrow_and_one_that_is_away_denies() {
    let cluster = cluster(
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentStack, metadata: {name: odd, namespace: a}, spec: {runtimeIdentity: {serviceAccountRef: odd}, toolProfileRef: gone}}",
        &[BASE],
    );
    assert_eq!(hosts(&cluster, CONTROLLER, &for_run("run-reviewer")), ["api.github.com"]);
    let mut account = pod();
    account["spec"]["serviceAccountName"] = "reviewer".into();
    assert_eq!(
        hosts(&cluster, "dev", &account),
        ["api.github.com"],
        "by ServiceAccount it narrows too"
    );
    account["spec"]["serviceAccountName"] = "odd".into();
    let decision = cluster.decision("dev", &account, None);
    let refused = cluster.spoken(&decision);
    assert!(refused[0].contains("AgentToolProfile `a/gone` isn't in the view"), "{refused:?}");
    assert!(
        !decision.questions.is_empty() && !cluster.mutation("dev", &account).questions.is_empty()
    );
}

#[test]
fn a_running_pod_keeps_the_policy_of_the_records_that_it_was_made_by() {
    let cluster = cluster("", &[BASE, OF_CODER]);
    let policy_of = |pod: &Value, policy: &pinfold_model::policy::admission::AdmissionPolicy| {
        compiled_for(&cluster.view, policy, &object(pod)).expect("it compiles")
    };
    for (user, pod) in [
        (CONTROLLER, for_run("run-coder")),
        (CONTROLLER, for_run("run-reviewer")),
        ("dev", for_run("run-coder")),
    ] {
        let mutated = cluster.mutated(user, &pod);
        let compiled = policy_of(&mutated, &cluster.policy).expect("a policy");
        let annotations = &mutated["metadata"]["annotations"];
        assert_eq!(annotations["pinfold.dev/policy"], compiled.text.as_ref());
        assert_eq!(annotations["pinfold.dev/policy-digest"], compiled.digest.to_string());
        assert!(policy_of(&mutated, &policy(&[])).is_none(), "the policies are gone");
        assert_ne!(policy_of(&mutated, &policy(&[BASE, LABELLED, "{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: more}, spec: {appliesTo: {namespaces: [a]}}}"])).expect("one").digest, compiled.digest);
    }
    assert!(policy_of(&pod(), &cluster.policy).is_none(), "not confined by injection");
    let mut odd = cluster.mutated("dev", &pod());
    odd["metadata"]["annotations"]["pinfold.dev/policy-subject"] = "[]".into();
    assert!(compiled_for(&cluster.view, &cluster.policy, &object(&odd)).is_err());
}
