//! Whose policy a pod gets: by namespace, by record, by label; and what tenants can't choose.

use serde_json::{Value, json};

use super::fixture::{BASE, CONTROLLER, Cluster, REPLICA_SETS, cluster, pod, policy};
use crate::inject::{compiled_for, is_confined};
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

fn subject(stacks: &Value, account: &str) -> Value {
    let mut pod = pod();
    let subject = json!({"serviceAccount": account, "stacks": stacks}).to_string();
    pod["metadata"]["annotations"] =
        json!({"pinfold.dev/policy": "{}", "pinfold.dev/policy-subject": subject});
    pod
}

fn running_hosts(cluster: &Cluster, pod: &Value) -> usize {
    let compiled = compiled_for(&cluster.view, &cluster.policy, &object(pod)).expect("it compiles");
    compiled.expect("a policy").policy.egress.len()
}

fn profile(name: &str, hosts: usize) -> String {
    let hosts: Vec<String> = (0..hosts).map(|at| format!("{name}{at}.github.com")).collect();
    json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentToolProfile", "metadata": {"name": name, "namespace": "a"},
        "spec": {"networkPolicy": {"default": "deny", "allowHosts": hosts}}})
    .to_string()
}

fn stack(name: &str, place: &str, account: &str, profile: &str) -> String {
    json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentStack", "metadata": {"name": name, "namespace": place},
        "spec": {"runtimeIdentity": {"serviceAccountRef": account}, "toolProfileRef": profile}})
    .to_string()
}

/// A tenant who takes a record away, or writes too many, must not keep what running pods may do.
#[test]
fn of_a_running_pod_what_records_cannot_say_is_nothing() {
    let many: Vec<String> =
        (0..70).map(|at| stack(&format!("s{at}"), "a", "many", "narrow")).collect();
    let lines =
        [profile("huge", 1_001), stack("h", "a", "huge", "huge"), stack("o", "a", "odd", "gone")];
    let cluster = cluster(&[many.join("\n"), lines.join("\n")].join("\n"), &[BASE]);
    let cases = [
        (json!([]), "agent", 2),
        (json!(["a/reviewer"]), "agent", 1),
        (json!(["a/gone"]), "agent", 0),
        (json!(["a/o"]), "agent", 0),
        (json!(["a/h"]), "agent", 0),
        (json!([]), "odd", 0),
        (json!([]), "huge", 0),
        (json!([]), "many", 0),
        (Value::from(vec!["a/coder"; 65]), "agent", 0),
    ];
    for (stacks, account, expected) in cases {
        let found = running_hosts(&cluster, &subject(&stacks, account));
        assert_eq!(found, expected, "{stacks} {account}");
    }
    // What only administrators write leaves a pod as it is.
    let with = |name: &str, host: &str| {
        format!(
            "{{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {{name: {name}}}, spec: {{appliesTo: {{namespaces: [a]}}, upstreams: [{{name: u, url: 'https://{host}'}}]}}}}"
        )
    };
    let torn = policy(&[&with("one", "one.example"), &with("two", "two.example")]);
    assert!(
        compiled_for(&cluster.view, &torn, &object(&subject(&json!(["a/gone"]), "x"))).is_err()
    );
}

#[test]
fn a_tool_profile_counts_once_and_one_that_is_too_large_is_named() {
    let same: Vec<String> =
        (0..64).map(|at| stack(&format!("s{at}"), "a", "same", "large")).collect();
    let different: Vec<String> =
        (0..3).map(|at| stack(&format!("d{at}"), "a", "different", &format!("l{at}"))).collect();
    let large: Vec<String> = (0..3).map(|at| profile(&format!("l{at}"), 1_000)).collect();
    let lines = [
        same.join("\n"),
        different.join("\n"),
        large.join("\n"),
        profile("large", 1_000),
        profile("huge", 5_000),
        stack("h", "a", "huge", "huge"),
    ];
    let cluster = cluster(&lines.join("\n"), &[BASE]);
    let with = |account: &str| {
        let mut pod = pod();
        pod["spec"]["serviceAccountName"] = account.into();
        pod
    };
    assert_eq!(hosts(&cluster, "dev", &with("same")).len(), 1_000);
    for (account, expected) in [
        ("huge", "AgentToolProfile `a/huge` has more than 1000"),
        (
            "different",
            "with AgentToolProfile `a/l2` the tool profiles of the pod have more than 2000",
        ),
    ] {
        let refused = cluster.refused("dev", &with(account));
        assert!(refused.len() == 1 && refused[0].contains(expected), "{refused:?}");
    }
}

/// A stranger's stack neither refuses nor narrows; one beside the pod narrows.
#[test]
fn stacks_of_other_namespaces_do_not_count() {
    let flood: Vec<String> =
        (0..70).map(|at| stack(&format!("s{at}"), "plain", "a/free", "gone")).collect();
    let identities: Vec<String> = (0..70)
        .map(|at| {
            json!({"apiVersion": "krate.a5c.ai/v1alpha1", "kind": "AgentServiceAccount", "metadata": {"name": format!("i{at}"), "namespace": "plain"},
                "spec": {"namespace": "a", "serviceAccountName": "free"}})
            .to_string()
        })
        .collect();
    let lines =
        [flood.join("\n"), identities.join("\n"), stack("p", "plain", "a/reviewer", "gone")];
    let cluster = cluster(&lines.join("\n"), &[BASE]);
    for (account, expected) in [("free", 2), ("reviewer", 1)] {
        let mut own = pod();
        own["spec"]["serviceAccountName"] = account.into();
        assert_eq!(hosts(&cluster, "dev", &own).len(), expected, "{account}");
        assert_eq!(running_hosts(&cluster, &subject(&json!([]), account)), expected, "{account}");
    }
}

#[test]
fn annotations_alone_make_no_pod_ours() {
    let cluster = cluster("", &[BASE]);
    let cases = [("a", "anybody", true), ("plain", "anybody", false), ("gone", "anybody", false)];
    for (namespace, account, expected) in cases {
        let mut forged = subject(&json!([]), account);
        forged["metadata"]["namespace"] = namespace.into();
        forged["spec"]["serviceAccountName"] = account.into();
        let found = is_confined(&cluster.view, &cluster.policy, &object(&forged));
        assert_eq!(found, expected, "{namespace} {account}");
    }
    let named = super::fixture::cluster(&stack("p", "plain", "bot", "gone"), &[BASE]);
    let mut of_agent = subject(&json!([]), "bot");
    of_agent["metadata"]["namespace"] = "plain".into();
    of_agent["spec"]["serviceAccountName"] = "bot".into();
    assert!(is_confined(&named.view, &named.policy, &object(&of_agent)), "an agent's account");
    of_agent["spec"]["serviceAccountName"] = "other".into();
    assert!(!is_confined(&named.view, &named.policy, &object(&of_agent)), "a claimed account");
}
