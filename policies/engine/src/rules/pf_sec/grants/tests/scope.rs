//! Who is judged: agent workloads, and what changes.

use pinfold_model::facts::Question;
use pinfold_model::finding::RuleId;
use pinfold_model::object::{Change, ObjectKey};
use serde_json::{Value, json};

use super::{CONTROLLER, REPLICA_SETS, TO_CODER, cluster, grant, mounting, pod};
use crate::organization::fixture::{self, found, request, spoken};
use crate::organization::namespace_key;

const TWO: &str = "PF-SEC-002 $.spec.volumes[0].secret.secretName";
const FOUR: &str = "PF-SEC-004 $.spec.volumes[0].secret.secretName";

fn elsewhere(namespace: &str, account: &str) -> Value {
    let mut pod = pod("", &mounting());
    pod["metadata"]["namespace"] = namespace.into();
    pod["spec"]["serviceAccountName"] = account.into();
    pod
}

/// A further volume.
fn also(spec: &mut Value, volume: Value) {
    spec["volumes"].as_array_mut().expect("volumes").push(volume);
}

#[test]
fn agent_workloads_wherever_they_are() {
    let cluster = cluster("");
    assert_eq!(cluster.found("dev", &elsewhere("a", "default")), [TWO, FOUR]);
    assert!(cluster.allows("dev", &elsewhere("plain", "default")), "no agent's");
    assert_eq!(cluster.found("dev", &elsewhere("plain", "agent-x")), [TWO, FOUR]);
    let labels = [
        ("krate.a5c.ai/agent-stack", true),
        ("kradle.a5c.ai/dispatch-run", true),
        ("krate.a5c.ai/workspace", true),
        ("krate.a5c.ai/org", false),
        ("krate.a5c.ai/repository", false),
        ("krate.a5c.ai/runner-pool", false),
        ("example.com/agent-stack", false),
    ];
    for (label, agent) in labels {
        let mut pod = elsewhere("plain", "default");
        pod["metadata"]["labels"][label] = "x".into();
        assert_eq!(cluster.allows("dev", &pod), !agent, "{label}");
    }
    let template =
        json!({"metadata": {"labels": {"krate.a5c.ai/agent-stack": "x"}}, "spec": mounting()});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "plain"}, "spec": {"template": template}});
    assert!(!cluster.allows("dev", &job), "by the label of its pods");
}

#[test]
fn owners_up_the_chain() {
    let owned = |kind: &str, group: &str, uid: &str| json!([{"apiVersion": format!("{group}/v1"), "kind": kind, "name": "o", "uid": uid, "controller": true}]);
    let job = "{apiVersion: batch/v1, kind: Job, metadata: {name: o, namespace: plain, uid: u-job, ownerReferences: [{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, name: r, uid: u-r}]}}";
    let other = "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: o, namespace: plain, uid: u-rs2}}";
    let cluster = cluster(&format!("{job}\n{other}"));
    let cases = [
        (owned("AgentDispatchRun", "krate.a5c.ai", "u-r"), true),
        (owned("Job", "batch", "u-job"), true),
        (owned("Job", "batch", "u-other"), false),
        (owned("ReplicaSet", "apps", "u-rs2"), false),
        (owned("Widget", "example.com", "u-w"), false),
    ];
    for (owners, agent) in cases {
        let mut pod = elsewhere("plain", "default");
        pod["metadata"]["ownerReferences"] = owners.clone();
        assert_eq!(!cluster.allows("dev", &pod), agent, "{owners}");
    }
    // One that the view doesn't have yet is looked at before the pod passes; so is a namespace.
    let mut pod = elsewhere("plain", "default");
    pod["metadata"]["ownerReferences"] = owned("Job", "batch", "u-new");
    let missing = cluster.judge("dev", &pod, None).confirmations;
    assert_eq!(missing, [Question::Object(ObjectKey::new("batch", "Job", "plain", "o"))]);
    let unseen = cluster.judge("dev", &elsewhere("unseen", "default"), None).confirmations;
    assert_eq!(unseen, [Question::Object(namespace_key("unseen"))]);
}

#[test]
fn without_a_requester_it_is_undecided() {
    let cluster = cluster(&grant(TO_CODER));
    let config = json!({"configMap": {"name": "c"}});
    let mut both = pod("", &mounting());
    assert_eq!(cluster.judge("", &both, None).undecided, [RuleId::SEC_SECRET_GRANT]);
    also(&mut both["spec"], config);
    let rules = [RuleId::SEC_SECRET_GRANT, RuleId::SEC_CONFIG_GRANT];
    assert_eq!(cluster.judge("", &both, None).undecided, rules);
    let nothing = pod("", &json!({"serviceAccountName": "coder"}));
    assert!(cluster.judge("", &nothing, None).undecided.is_empty());
}

#[test]
fn updates_that_reach_no_more_pass() {
    let cluster = cluster("");
    let old = pod("", &mounting());
    let changed = |at: &str, value: Value| {
        let mut new = old.clone();
        new["metadata"][at] = value;
        new
    };
    let passes = |user: &str, new: &Value| cluster.judge(user, new, Some(&old)).raw.is_empty();
    assert!(passes("dev", &changed("finalizers", json!([]))), "garbage");
    assert!(
        passes("dev", &changed("annotations", json!({"team": "x"}))),
        "metadata that nothing reads"
    );
    assert!(passes("dev", &changed("labels", json!({"app": "x"}))));
    for (at, value) in [
        ("annotations", json!({"pinfold.dev/purpose": "x"})),
        ("annotations", json!({"pinfold.dev/run": "run-main/u-main"})),
        ("labels", json!({"krate.a5c.ai/agent-stack": "coder"})),
    ] {
        assert!(!passes("dev", &changed(at, value.clone())), "{value}");
    }
    let mut image = old.clone();
    image["spec"]["containers"] = json!([{"image": "other"}]);
    assert!(!passes("dev", &image), "other code with the same Secret");
}

/// A ReplicaSet is scaled down though its grant has ended, by anybody; nobody else may scale it up, and nothing else may be written.
#[test]
fn the_api_servers_own_controllers_keep_what_is_there() {
    let cluster = cluster("");
    let old = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "r", "namespace": "a"},
        "spec": {"replicas": 2, "template": {"spec": mounting()}}});
    let mut scaled = old.clone();
    scaled["spec"]["replicas"] = 0.into();
    let deployments = "system:serviceaccount:kube-system:deployment-controller";
    assert!(cluster.judge(deployments, &scaled, Some(&old)).raw.is_empty());
    assert!(cluster.judge("dev", &scaled, Some(&old)).raw.is_empty(), "it starts nothing");
    assert!(!cluster.judge("dev", &old, Some(&scaled)).raw.is_empty(), "more pods");
    let mut more = scaled.clone();
    also(&mut more["spec"]["template"]["spec"], json!({"secret": {"secretName": "t"}}));
    assert!(!cluster.judge(deployments, &more, Some(&old)).raw.is_empty());
}

#[test]
fn subresources() {
    let cluster = cluster("");
    let old = pod("", &json!({"serviceAccountName": "coder"}));
    let cases = [
        ("", 2),
        ("ephemeralcontainers", 2),
        ("resize", 2),
        ("status", 0),
        ("scale", 0),
        ("eviction", 0),
    ];
    for (subresource, count) in cases {
        let mut facts = request("dev", &pod("", &mounting()), Some(&old));
        facts.subresource = subresource.to_owned();
        facts.change = Change::Content;
        let found = found(super::super::judge, &facts, &cluster.view, &cluster.policy);
        assert_eq!(found.raw.len(), count, "{subresource}: {:?}", spoken(&found));
    }
}

#[test]
fn what_the_policy_asks_no_grant_for() {
    let mut cluster = cluster("");
    let mut pod = pod("run-main", &mounting());
    also(
        &mut pod["spec"],
        json!({"projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}}),
    );
    assert_eq!(cluster.found(CONTROLLER, &pod), [TWO]);
    cluster.policy =
        fixture::policy(&format!("{}\ngrants: {{required: [ConfigMap]}}", super::POLICY));
    assert!(cluster.allows(CONTROLLER, &pod));
    let built_in =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "a"}});
    assert!(cluster.allows(REPLICA_SETS, &built_in));
}
