//! What another runner's object says is remembered on it, over whatever it brings along, and once.

use pinfold_model::facts::AdmissionFacts;
use serde_json::{Value, json};

use crate::context::Context;
use crate::organization::fixture::{self, NOW, policy, request, value};
use crate::rules::pf_tru::tests::with;
use crate::rules::pf_tru::{claims, rewrite};

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: g, labels: {pinfold.dev/agents: 'true'}}}
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentDispatchRun, metadata: {name: main, namespace: g, uid: u-main}, spec: {repository: acme/app, ref: refs/heads/main}}
";

const POLICY: &str = "
trust:
  controllers: [{user: pac}]
  relays: [{user: tekton}]
  trustedRefs: [refs/heads/main]
  trustedRepositories: [acme/app]
  provenance:
  - match: {kinds: [PipelineRun, Pod, Job]}
    repository: $.metadata.annotations['ci/repository']
    ref: $.metadata.annotations['ci/ref']
    event: $.metadata.annotations['ci/event']
    trustedEvents: [push]
";

const TRUSTED: &str = r#"{"event":"push","ref":"refs/heads/main","repository":"acme/app"}"#;
const FORK: &str = r#"{"event":"pull_request","fault":"event `pull_request` isn't in `trustedEvents` of its extractor","ref":"refs/heads/main","repository":"acme/app"}"#;

/// The object after mutation.
fn after(facts: &AdmissionFacts) -> Value {
    let (view, policy) = (fixture::view(CLUSTER), policy(POLICY));
    let mutation = rewrite(&Context { facts, view: &view, policy: &policy, now: NOW });
    let steps = serde_json::to_value(&mutation.patch).expect("a patch");
    let patch: json_patch::Patch = serde_json::from_value(steps).expect("a JSON Patch");
    let mut after = facts.document.clone().expect("a document");
    json_patch::patch(&mut after, &patch).expect("it applies");
    after
}

fn made(version: &str, kind: &str, event: &str) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": "g",
        "annotations": {"ci/repository": "acme/app", "ci/ref": "refs/heads/main", "ci/event": event}}, "spec": {}})
}

fn stamp(object: &Value, metadata: &str) -> Value {
    object
        .pointer(metadata)
        .map_or(Value::Null, |metadata| metadata["annotations"]["pinfold.dev/provenance"].clone())
}

#[test]
fn what_a_controller_makes_for_a_runner_is_stamped_with_what_it_says() {
    for (version, kind) in [("tekton.dev/v1", "PipelineRun"), ("v1", "Pod"), ("batch/v1", "Job")] {
        for (event, text) in [("push", TRUSTED), ("pull_request", FORK)] {
            let manifest = made(version, kind, event);
            let first = after(&request("pac", &manifest, None));
            assert_eq!(stamp(&first, "/metadata"), json!(text), "{kind}");
            // Again it changes nothing, and validation takes it.
            let again = request("pac", &first, None);
            assert_eq!(after(&again), first, "{kind}");
            let (view, policy) = (fixture::view(CLUSTER), policy(POLICY));
            let found = fixture::found(claims::judge, &again, &view, &policy);
            assert!(fixture::spoken(&found).is_empty(), "{found:#?}");
            // A stamp that it brings along is written over.
            let path = &["metadata", "annotations", "pinfold.dev/provenance"][..];
            let forged = with(manifest.clone(), path, json!(TRUSTED));
            assert_eq!(after(&request("pac", &forged, None)), first, "{kind}");
            // Nobody else's, and no update, is stamped.
            for name in ["dev", "tekton"] {
                assert_eq!(after(&request(name, &manifest, None)), manifest, "{kind} {name}");
            }
            assert_eq!(after(&request("pac", &manifest, Some(&manifest))), manifest, "{kind}");
        }
    }
}

#[test]
fn a_template_is_stamped_so_that_its_pods_are() {
    let mut job = made("batch/v1", "Job", "push");
    job["spec"] = json!({"template": {"spec": {"nodeSelector": {"a": "b"}}}});
    let stamped = after(&request("pac", &job, None));
    assert_eq!(stamp(&stamped, "/metadata"), json!(TRUSTED));
    assert_eq!(stamp(&stamped, "/spec/template/metadata"), json!(TRUSTED));
}

#[test]
fn what_says_nothing_is_not_stamped_and_what_is_for_a_run_too_has_both() {
    let silent =
        value("{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: x, namespace: g}}");
    assert_eq!(after(&request("pac", &silent, None)), silent);
    let other = made("tekton.dev/v1", "CustomRun", "push");
    assert_eq!(after(&request("pac", &other, None)), other);
    let path = &["metadata", "labels"][..];
    let both = with(made("v1", "Pod", "push"), path, json!({"krate.a5c.ai/dispatch-run": "main"}));
    let stamped = after(&request("pac", &both, None));
    assert_eq!(stamp(&stamped, "/metadata"), json!(TRUSTED));
    assert_eq!(stamped["metadata"]["annotations"]["pinfold.dev/run"], "main/u-main");
    assert_eq!(stamped["metadata"]["annotations"]["ci/event"], "push");
}
