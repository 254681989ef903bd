//! Injection by a real API server: what it stores, what it refuses when mutation isn't asked, and who may change it afterwards.

use std::fs;

use serde_json::{Value, json};

use crate::Outcome;
use crate::stage::{ALICE, ROOT, Stage};

/// One AgentPolicy, for acme alone.
const AGENTS: &str = "{apiVersion: pinfold.dev/v1alpha1, kind: AgentPolicy, metadata: {name: agents}, spec: {appliesTo: {namespaces: [STAGE-acme]}, egress: {loopbackPorts: [8080],
  allow: [{host: api.github.com, ports: [443], protocol: tls}, {host: internal.example, ports: [443], protocol: https, methods: [GET]}]}}}";
const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: STAGE-SPACE}
spec:
  securityContext: {runAsUser: 1000}
  initContainers: [{name: setup, image: \"registry.example/a:1\"}]
  containers: [{name: agent, image: \"registry.example/a:1\"}]
";

fn pod(name: &str, space: &str) -> String {
    PODS.replace("NAME", name).replace("SPACE", space)
}

/// A stage whose agents are confined.
pub(super) fn confined(name: &'static str) -> Outcome<Stage> {
    let stage = Stage::prepare(name)?;
    let policy = stage.path("policy");
    let site = fs::read_to_string(policy.join("site.yaml"))?;
    let image = "inject: {image: \"registry.example/pinfold-sidecar:1\"}";
    let site = site.replace("inject: {profile: none}", image);
    assert!(site.contains(image), "{site}");
    fs::write(policy.join("site.yaml"), site)?;
    fs::write(policy.join("agents.yaml"), stage.named(AGENTS))?;
    Ok(stage)
}

pub(super) fn stored(stage: &Stage, name: &str) -> Outcome<Value> {
    let namespace = stage.named("STAGE-acme");
    let get = ["get", "pod", name, "-n", &namespace, "-o", "json"];
    Ok(serde_json::from_str(&stage.server.kubectl(&get, "")?.ok()?)?)
}

pub(super) fn names(pod: &Value, list: &str) -> Vec<String> {
    let items = pod.pointer("/spec").and_then(|spec| spec.get(list)).and_then(Value::as_array);
    let name = |item: &Value| item.get("name").and_then(Value::as_str).map(str::to_owned);
    items.into_iter().flatten().filter_map(name).collect()
}

#[test]
fn a_pod_is_stored_with_guard_and_sidecar_in_front_and_stays_so() -> Outcome {
    let stage = confined("injected")?;
    let replica = stage.open_with(&stage.flags())?;
    let made = stage.apply_as(ALICE, &pod("p", "acme"))?;
    assert!(made.success(), "{made:?}\n{}", replica.process.log());
    let found = stored(&stage, "p")?;
    assert_eq!(names(&found, "initContainers"), ["pinfold-guard", "pinfold-sidecar", "setup"]);
    let volumes = names(&found, "volumes");
    assert_eq!(volumes, ["pinfold-policy", "pinfold-state", "pinfold-trust", "pinfold-tmp"]);
    let text = |pointer: &str| found.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let policy: Value = serde_json::from_str(text("/metadata/annotations/pinfold.dev~1policy"))?;
    assert_eq!(policy.pointer("/metadata/name"), Some(&json!("agents")));
    assert!(text("/metadata/annotations/pinfold.dev~1policy-digest").starts_with("sha256:"));
    assert_eq!(text("/spec/initContainers/1/image"), "registry.example/pinfold-sidecar:1");

    // What was stored may be made again, as a backup does, and is what it was.
    let mut again = found.clone();
    let metadata = json!({"name": "again", "namespace": stage.named("STAGE-acme"), "annotations": found.pointer("/metadata/annotations")});
    let fields = again.as_object_mut().ok_or("a pod that is no object")?;
    fields.insert("metadata".to_owned(), metadata);
    fields.remove("status");
    let made = stage.apply_as(ALICE, &again.to_string())?;
    assert!(made.success(), "{made:?}");
    assert_eq!(stored(&stage, "again")?.get("spec"), found.get("spec"));

    // Labels are anybody's; the policy and the images are not.
    let namespace = stage.named("STAGE-acme");
    let as_alice = |arguments: &[&str]| {
        stage.server.kubectl_as(ALICE, &[arguments, &["-n", &namespace]].concat(), "")
    };
    let labelled = as_alice(&["label", "pod", "p", "team=core"])?;
    assert!(labelled.success(), "{labelled:?}");
    let forged = as_alice(&["annotate", "--overwrite", "pod", "p", "pinfold.dev/policy={}"])?;
    assert!(forged.stderr.contains("PF-RBAC-008"), "{forged:?}");
    let image =
        "{\"spec\":{\"initContainers\":[{\"name\":\"pinfold-sidecar\",\"image\":\"evil\"}]}}";
    let replaced = as_alice(&["patch", "pod", "p", "-p", image])?;
    assert!(replaced.stderr.contains("PF-POD-001"), "{replaced:?}");
    let own =
        "{\"spec\":{\"containers\":[{\"name\":\"agent\",\"image\":\"registry.example/a:2\"}]}}";
    let replaced = as_alice(&["patch", "pod", "p", "-p", own])?;
    assert!(replaced.success(), "{replaced:?}");
    Ok(())
}

#[test]
fn a_pod_that_nothing_can_confine_is_refused_and_says_why() -> Outcome {
    let stage = confined("unconfined")?;
    let replica = stage.open_with(&stage.flags())?;
    let honest = stage.try_as(ALICE, &pod("p", "acme"))?;
    assert!(honest.success(), "{honest:?}\n{}", replica.process.log());
    // No AgentPolicy is for globex.
    let refused = stage.try_as(ROOT, &pod("p", "globex"))?;
    let nearest = stage.named("the nearest is `agents`, which is for namespaces `STAGE-acme`");
    assert!(
        refused.stderr.contains("PF-POD-001") && refused.stderr.contains(&nearest),
        "{refused:?}"
    );
    // A name of ours.
    let clash = pod("p", "acme").replace("name: setup", "name: pinfold-sidecar");
    let refused = stage.try_as(ALICE, &clash)?;
    assert!(
        refused.stderr.contains("the pod declares a container `pinfold-sidecar` itself"),
        "{refused:?}"
    );
    // S10, S8: mutation isn't asked.
    let name = stage.named("STAGE");
    stage.server.kubectl(&["delete", "mutatingwebhookconfiguration", &name], "")?.ok()?;
    let bare = |answer: &pinfold_tests::KubectlOutput| {
        answer.stderr.contains("PF-POD-001")
            && answer.stderr.contains("either mutation wasn't asked")
    };
    stage.until_tried(ALICE, &pod("p", "acme"), bare)?;
    Ok(())
}
