//! A view that is behind: what was edited a moment ago is judged as it is, not as the view remembers it. And resources that come later.

mod race;

use std::fs;

use pinfold_tests::{KubectlOutput, until};

use crate::Outcome;
use crate::kubernetes::webhook_kubeconfig;
use crate::replica::Replica;
use crate::stage::{ALICE, HONEST_POD, ROOT, SOON, Stage};
use crate::watch_gate::WatchGate;

/// What alice holds, and more than she holds.
const NARROW: &str = "[{apiGroups: [''], resources: [pods], verbs: [get]}]";
const WIDE: &str = "[{apiGroups: [''], resources: [pods, secrets], verbs: [get]}]";

fn role(name: &str, rules: &str) -> String {
    format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: {name}, namespace: STAGE-acme}}, rules: {rules}}}"
    )
}

fn binding(role: &str) -> String {
    format!(
        "{{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {{name: to-{role}, namespace: STAGE-acme}}, spec: {{subject: \
         {{kind: service-account, name: agent-coder}}, scope: {{kind: namespace, name: STAGE-acme}}, roleRef: {{kind: Role, name: {role}}}}}}}"
    )
}

/// A stage whose webhook sees the cluster through a door that is open.
fn behind_a_gate(name: &'static str, flag: &[&str]) -> Outcome<(Stage, Replica, WatchGate)> {
    let stage = Stage::prepare(name)?;
    let gate = WatchGate::open(stage.server.url(), stage.server.authority_pem(), &stage.authority)?;
    fs::write(stage.path("gate-ca.crt"), stage.authority.certificate_pem())?;
    let kubeconfig = webhook_kubeconfig(stage.server, &gate.url, &stage.path("gate-ca.crt"))?;
    fs::write(stage.path("kubeconfig"), kubeconfig)?;
    let flags = match flag {
        [flag, value] => stage.flags().with(flag, value),
        _ => stage.flags(),
    };
    let replica = stage.open_with(&flags)?;
    Ok((stage, replica, gate))
}

#[test]
fn a_role_that_the_view_does_not_know_yet_is_read_live() -> Outcome {
    let (stage, replica, gate) = behind_a_gate("fresh", &[])?;
    stage.server.apply(&stage.named(&role("narrowed", WIDE)))?;
    let denied = stage
        .until_tried(ALICE, &binding("narrowed"), |answer| answer.stderr.contains("secrets"))?;
    assert!(denied.stderr.contains("PF-RBAC-003"), "{denied:?}");

    gate.hold();
    stage.server.apply(&stage.named(&role("made", NARROW)))?;
    stage.server.apply(&stage.named(&role("narrowed", NARROW)))?;
    let live = || {
        replica.count(
            "pinfold_live_questions_total",
            &[("question", "object"), ("result", "answered")],
        )
    };
    for name in ["made", "narrowed"] {
        let before = live()?;
        let answer = stage.apply_as(ALICE, &binding(name))?;
        assert!(answer.success(), "{name}: {answer:?}");
        assert!(live()? > before, "{name}: nobody asked the API server");
    }
    gate.release();
    Ok(())
}

#[test]
fn a_role_that_grew_since_the_view_saw_it_is_judged_as_it_is() -> Outcome {
    let (stage, _replica, gate) = behind_a_gate("grown", &[])?;
    stage.server.apply(&stage.named(&role("grown", NARROW)))?;
    let allowed = stage.until_tried(ALICE, &binding("grown"), |answer| answer.success())?;
    assert!(allowed.success());

    gate.hold();
    stage.server.apply(&stage.named(&role("grown", WIDE)))?;
    let answer = stage.apply_as(ALICE, &binding("grown"))?;
    gate.release();
    assert!(
        !answer.success() && answer.stderr.contains("PF-RBAC-003"),
        "judged by an old role: {answer:?}"
    );
    Ok(())
}

/// The API server calls a webhook that has heard nothing from it for too long.
#[test]
fn a_view_that_is_too_old_denies_until_it_is_new_again() -> Outcome {
    let (stage, replica, gate) = behind_a_gate("lost", &["--view-lag-max", "1"])?;
    let lag = || replica.count("pinfold_cache_lag_seconds", &[]);
    assert!(lag()? < 1.0);
    gate.cut();
    let is_old = |answer: &KubectlOutput| answer.stderr.contains("the view of the cluster is");
    let denied = stage.until_tried(ALICE, HONEST_POD, is_old)?;
    assert!(!denied.success() && denied.stderr.contains("PF-REQ"), "{denied:?}");
    assert!(!replica.is_ready() && lag()? > 1.0);

    gate.release();
    stage.until_tried(ALICE, HONEST_POD, KubectlOutput::success)?;
    assert!(replica.is_ready() && lag()? < 1.0);
    Ok(())
}

/// The control plane is installed, or renamed, after Pinfold.
#[test]
fn resources_that_are_installed_later_are_picked_up() -> Outcome {
    let (stage, replica) = Stage::open("later")?;
    let volume = "{apiVersion: v1, kind: PersistentVolume, metadata: {name: STAGE-v}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], \
         claimRef: {namespace: STAGE-scratch, name: c}, csi: {driver: d, volumeHandle: h, nodeStageSecretRef: {name: disk-key, namespace: STAGE-globex}}}}";
    let answer = stage.try_as(ROOT, volume)?;
    assert!(answer.stderr.contains("PF-SEC-001"), "`scratch` belongs to nobody: {answer:?}");

    stage.server.apply(
        "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: orgnamespacebindings.kradle.a5c.ai}, spec: {group: kradle.a5c.ai, \
         names: {kind: OrgNamespaceBinding, plural: orgnamespacebindings}, scope: Cluster, versions: [{name: v1alpha1, served: true, storage: true, schema: \
         {openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}}]}}",
    )?;
    let crd = "crd/orgnamespacebindings.kradle.a5c.ai";
    stage.server.kubectl(&["wait", "--for=condition=Established", crd], "")?.ok()?;
    let owner = "{apiVersion: kradle.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: STAGE-scratch}, spec: {organizationRef: globex, namespace: STAGE-scratch}}";
    let made = until(SOON, || stage.server.apply(&stage.named(owner)).ok());
    made.ok_or("the new resource is not served")?;

    let answer = stage.until_tried(ROOT, volume, |answer| answer.success());
    answer.map_err(|error| format!("{error}\n{}", replica.process.log()))?;
    Ok(())
}
