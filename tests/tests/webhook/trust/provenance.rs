//! Trust of another runner's work against a real API server: what its controller says is stamped on its object, read back from the owner of a pod when that would
//! be refused, and written by nobody else.

use std::fs;

use pinfold_tests::User;

use crate::Outcome;
use crate::denial::findings;
use crate::stage::{ALICE, Stage};

/// The kinds of Tekton, as far as the API server must know them.
const KINDS: &str = "
apiVersion: v1
kind: List
items:
- apiVersion: apiextensions.k8s.io/v1
  kind: CustomResourceDefinition
  metadata: {name: pipelineruns.tekton.dev}
  spec:
    group: tekton.dev
    scope: Namespaced
    names: {kind: PipelineRun, plural: pipelineruns, singular: pipelinerun, listKind: PipelineRunList}
    versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
- apiVersion: apiextensions.k8s.io/v1
  kind: CustomResourceDefinition
  metadata: {name: taskruns.tekton.dev}
  spec:
    group: tekton.dev
    scope: Namespaced
    names: {kind: TaskRun, plural: taskruns, singular: taskrun, listKind: TaskRunList}
    versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
";

/// Whose word counts, and who passes it on.
const TRUST: &str = "{apiVersion: pinfold.dev/v1alpha1, kind: AdmissionPolicy, metadata: {name: runners}, spec: {trust: {controllers: [{user: pac}], \
     relays: [{user: tekton}], trustedRepositories: ['https://github.com/acme/app']}}}";

const PRESET: &str =
    include_str!("../../../../policies/library/provenance/tekton-pipelines-as-code.yaml");

const PAC: User<'_> = User { name: "pac", groups: &["system:masters"] };
const TEKTON: User<'_> = User { name: "tekton", groups: &["system:masters"] };

/// A PipelineRun of a push to main, or of a fork's pull request.
fn pipeline_run(name: &str, event: &str, head: &str) -> String {
    let key = "pipelinesascode.tekton.dev";
    format!(
        "{{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {{name: {name}, namespace: STAGE-acme, annotations: {{{key}/event-type: {event}, \
         {key}/source-branch: refs/heads/main, {key}/repo-url: 'https://github.com/acme/app', {key}/source-repo-url: 'https://github.com/{head}/app'}}}}, \
         spec: {{pipelineRef: {{name: build}}}}}}"
    )
}

/// What Tekton makes below an owner.
fn below(kind: &str, name: &str, owner: (&str, &str, &str), spec: &str) -> String {
    let (owner_kind, owner_name, uid) = owner;
    let version = if kind == "Pod" { "v1" } else { "tekton.dev/v1" };
    format!(
        "{{apiVersion: {version}, kind: {kind}, metadata: {{name: {name}, namespace: STAGE-acme, ownerReferences: [{{apiVersion: tekton.dev/v1, kind: {owner_kind}, \
         name: {owner_name}, uid: {uid}, controller: true}}]}}, spec: {{{spec}}}}}"
    )
}

const TRUSTED: &str = "nodeSelector: {pool: trusted}, tolerations: [{key: pool, value: trusted, effect: NoSchedule}], containers: [{name: c, image: 'r/a:1'}]";

#[test]
fn pods_of_another_runner_have_the_trust_that_its_controller_told() -> Outcome {
    let stage = Stage::prepare("provenance")?;
    stage.server.kubectl(&["apply", "-f", "-"], KINDS)?.ok()?;
    let kinds = [
        "wait",
        "--for=condition=Established",
        "crd/pipelineruns.tekton.dev",
        "crd/taskruns.tekton.dev",
    ];
    stage.server.kubectl(&kinds, "")?.ok()?;
    fs::write(stage.path("policy").join("runners.yaml"), TRUST)?;
    fs::write(stage.path("policy").join("preset.yaml"), PRESET)?;
    let replica = stage.open_with(&stage.flags())?;
    let namespace = stage.named("STAGE-acme");
    let stored =
        |kind: &str, name: &str, path: &str| stage.field(&[kind, name, "-n", &namespace], path);
    for (name, event, head, allowed) in
        [("push", "push", "acme", true), ("fork", "pull_request", "mallory", false)]
    {
        let run = stage.apply_as(PAC, &pipeline_run(name, event, head))?;
        assert!(run.success(), "{name}: {run:?}\n{}", replica.process.log());
        let stamp = stored("pipelinerun", name, ".metadata.annotations.pinfold\\.dev/provenance")?;
        assert_eq!((stamp.contains(event), stamp.contains("fault")), (true, !allowed), "{stamp}");
        let uid = stored("pipelinerun", name, ".metadata.uid")?;
        let task = below("TaskRun", &format!("{name}-build"), ("PipelineRun", name, &uid), "");
        // Nobody but Tekton says that a task belongs there, if that is trusted.
        let forged = stage.try_as(ALICE_AS_MASTER, &task)?;
        assert_eq!(forged.success(), !allowed, "{name}: {forged:?}");
        let made = stage.apply_as(TEKTON, &task)?;
        assert!(made.success(), "{name}: {made:?}");
        let uid = stored("taskrun", &format!("{name}-build"), ".metadata.uid")?;
        let pod = below(
            "Pod",
            &format!("{name}-pod"),
            ("TaskRun", &format!("{name}-build"), &uid),
            TRUSTED,
        );
        let answer = stage.apply_as(TEKTON, &pod)?;
        assert_eq!(answer.success(), allowed, "{name}: {answer:?}\n{}", replica.process.log());
        if !allowed {
            let told = findings(&answer.stderr)?;
            assert!(told.iter().all(|(rule, _)| rule == "PF-TRU-001"), "{told:?}");
        }
    }
    let stamp = "{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {name: mine, namespace: STAGE-acme, annotations: {pinfold.dev/provenance: '{}'}}}";
    let answer = stage.try_as(ALICE_AS_MASTER, stamp)?;
    assert!(findings(&answer.stderr)?.iter().any(|(rule, _)| rule == "PF-TRU-003"), "{answer:?}");
    Ok(())
}

/// Somebody whom no list of the policy names, with every right.
const ALICE_AS_MASTER: User<'_> = User { name: ALICE.name, groups: &["system:masters"] };
