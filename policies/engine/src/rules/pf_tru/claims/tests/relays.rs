//! What relays pass on from the objects of other runners, who may change these, and that nobody writes what they said.

use serde_json::{Value, json};

use super::{cluster, create, pod, user};
use crate::organization::fixture::{self, spoken, value};
use crate::rules::pf_tru::tests::with;
use crate::trust::standing::Standing;
use crate::trust::work_of;

fn owned(kind: &str, name: &str, uid: &str) -> Value {
    pod(&format!(
        "ownerReferences: [{{apiVersion: tekton.dev/v1, kind: {kind}, name: {name}, uid: {uid}, controller: true}}]"
    ))
}

/// `KIND NAME UID => trusted, or what the reason says`, of a pod that the relay makes.
const RELAYED: &[(&str, &str, &str, &str)] = &[
    ("PipelineRun", "trusted", "p-trusted", ""),
    ("TaskRun", "trusted-build", "t-trusted", ""),
    ("PipelineRun", "trusted", "p-older", "its owner PipelineRun `g/trusted` isn't in the view"),
    ("PipelineRun", "forked", "p-forked", "it is a fork"),
    (
        "PipelineRun",
        "unlisted",
        "p-unlisted",
        "repository `acme/other` isn't in `trust.trustedRepositories`",
    ),
    ("PipelineRun", "garbled", "p-garbled", "is no provenance"),
    ("PipelineRun", "plain", "p-plain", "no record of a run"),
    ("PipelineRun", "not-there", "x", "isn't in the view"),
    ("CustomRun", "trusted", "p-trusted", "isn't in the view"),
];

#[test]
fn relays_pass_on_what_the_owner_has() {
    let cluster = cluster();
    for (kind, name, uid, reason) in RELAYED {
        let manifest = owned(kind, name, uid);
        match cluster.standing(&create("tekton", &manifest)) {
            Standing::Trusted => assert_eq!(*reason, "", "{kind} {name}"),
            Standing::Untrusted { reason: found, .. } => {
                assert!(!reason.is_empty() && found.contains(reason), "{kind} {name}: {found}");
            }
        }
        // Nobody else's owner reference counts, and the API's own controllers make no pods for these.
        assert_ne!(cluster.standing(&create("dev", &manifest)), Standing::Trusted, "{name}");
    }
    let facts = create("tekton", &owned("TaskRun", "trusted-build", "t-trusted"));
    let (object, requester) =
        (facts.object.as_ref().expect("it"), facts.requester.as_ref().expect("who"));
    let work = work_of(&cluster.context(&facts), object, requester);
    let told: Vec<_> = work
        .origins
        .iter()
        .map(|record| (record.repository.as_str(), record.git_ref.as_str()))
        .collect();
    assert_eq!(told, [("acme/app", "refs/heads/main")]);
}

#[test]
fn nobody_adopts_trusted_work_of_a_runner_or_changes_it() {
    let cluster = cluster();
    let path = "$.metadata.ownerReferences";
    let task = |owner: &str, uid: &str| {
        value(&format!(
            "{{apiVersion: tekton.dev/v1, kind: TaskRun, metadata: {{name: t, namespace: g, ownerReferences: [{{apiVersion: tekton.dev/v1, kind: PipelineRun, name: {owner}, uid: {uid}, controller: true}}]}}}}"
        ))
    };
    let of_pod = value(
        "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r, namespace: g, ownerReferences: [{apiVersion: v1, kind: Pod, name: trusted-pod, uid: pod, controller: true}]}}",
    );
    for (name, manifest, path) in [
        ("dev", task("trusted", "p-trusted"), path),
        ("dev", task("forked", "p-forked"), ""),
        ("dev", task("not-there", "x"), path),
        ("tekton", task("trusted", "p-trusted"), ""),
        ("dev", owned("TaskRun", "trusted-build", "t-trusted"), path),
        ("dev", of_pod, path),
    ] {
        cluster.expect(&create(name, &manifest), path, &manifest.to_string());
    }
    let run = |stamp: &str, spec: &str| {
        value(&format!(
            "{{apiVersion: argoproj.io/v1alpha1, kind: Workflow, metadata: {{name: w, namespace: g, annotations: {{{stamp}}}}}, spec: {{entrypoint: {spec}}}}}"
        ))
    };
    let trusted =
        "pinfold.dev/provenance: '{\"ref\":\"refs/heads/main\",\"repository\":\"acme/app\"}'";
    let forked =
        "pinfold.dev/provenance: '{\"ref\":\"refs/pull/1/head\",\"repository\":\"acme/app\"}'";
    for (name, stamp, path) in [
        ("dev", trusted, "$.spec"),
        ("dev", forked, ""),
        ("dev", "", ""),
        ("tekton", trusted, ""),
        ("controller", trusted, ""),
    ] {
        let facts = fixture::request(user(name), &run(stamp, "b"), Some(&run(stamp, "a")));
        cluster.expect(&facts, path, &format!("{name} {stamp}"));
        let mut facts = facts;
        facts.subresource = "status".to_owned();
        cluster.expect(&facts, "", "status");
    }
}

#[test]
fn nobody_writes_provenance_but_pinfold_from_the_object_itself() {
    let cluster = cluster();
    let run = |annotations: Value| {
        with(
            value(
                "{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: x, namespace: g}}",
            ),
            &["metadata", "annotations"],
            annotations,
        )
    };
    let (repository, git_ref) = ("ci/repository", "ci/ref");
    let trusted = r#"{"event":"push","ref":"refs/heads/main","repository":"acme/app"}"#;
    let told = |event: &str, stamp: &str| {
        run(
            json!({repository: "acme/app", git_ref: "refs/heads/main", "ci/event": event, "pinfold.dev/provenance": stamp}),
        )
    };
    let path = "$.metadata.annotations['pinfold.dev/provenance']";
    for (name, manifest, path) in [
        ("pac", told("push", trusted), ""),
        // A fork's definition of the pipeline brings the stamp along.
        ("pac", told("pull_request", trusted), path),
        ("pac", run(json!({"pinfold.dev/provenance": trusted})), path),
        ("dev", told("push", trusted), path),
        ("tekton", told("push", trusted), path),
    ] {
        cluster.expect(&create(name, &manifest), path, &manifest.to_string());
    }
    // The same with a stamp of a run, where nothing remembers that it is a pull request's.
    let named = |event: &str| {
        run(
            json!({repository: "acme/app", git_ref: "refs/heads/main", "ci/event": event, "pinfold.dev/run": "main/u-main"}),
        )
    };
    let path = "$.metadata.annotations['pinfold.dev/run']";
    cluster.expect(&create("pac", &named("pull_request")), path, "a run and no provenance");
    // Later nobody takes it away or changes it.
    let old = told("pull_request", r#"{"fault":"x"}"#);
    let bare = run(json!({repository: "acme/app"}));
    for name in ["dev", "pac"] {
        for new in [&told("pull_request", trusted), &bare] {
            let found = cluster.judge(&fixture::request(user(name), new, Some(&old)));
            assert_eq!(spoken(&found).len(), 1, "{name}\n{found:#?}");
        }
    }
}
