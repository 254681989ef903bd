//! What honest people do beside the attacks: admitted, stored, and allowed by `pinfold check` too.

mod grants;

use pinfold_tests::User;

use crate::Outcome;
use crate::offline;
use crate::stage::{ALICE, CAROL, ROOT, Stage};

/// What it is, who does it, the manifest.
type Deed = (&'static str, User<'static>, &'static str);

const MASTER: User<'_> = User { name: "platform", groups: &["system:masters"] };

const DEEDS: [Deed; 13] = [
    (
        "an AgentRoleBinding to a role that she holds",
        ALICE,
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {name: h1, namespace: STAGE-acme}, spec: {subject: \
         {kind: service-account, name: agent-coder}, scope: {kind: namespace, name: STAGE-acme}, roleRef: {kind: Role, name: agent-basic}}}",
    ),
    (
        "an AgentRoleBinding to a role that she may bind and doesn't hold",
        CAROL,
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {name: h2, namespace: STAGE-acme}, spec: {subject: \
         {kind: service-account, name: agent-coder}, scope: {kind: namespace, name: STAGE-acme}, roleRef: {kind: ClusterRole, name: STAGE-viewer}}}",
    ),
    (
        "an AgentRoleBinding by somebody who holds everything by a binding",
        ROOT,
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {name: h3, namespace: STAGE-acme}, spec: {subject: \
         {kind: agent-stack, name: coder}, scope: {kind: namespace, name: STAGE-acme}, roleRef: {kind: ClusterRole, name: STAGE-viewer}}}",
    ),
    (
        "an AgentRoleBinding by system:masters",
        MASTER,
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {name: h4, namespace: STAGE-acme}, spec: {subject: \
         {kind: agent-stack, name: coder}, scope: {kind: namespace, name: STAGE-ci}, roleRef: {kind: ClusterRole, name: STAGE-viewer}}}",
    ),
    (
        "a RoleBinding that the API server lets pass for her right to bind",
        CAROL,
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: h5, namespace: STAGE-acme}, subjects: \
         [{kind: User, name: dave, apiGroup: rbac.authorization.k8s.io}], roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: STAGE-viewer}}",
    ),
    (
        "a Role with a part of what she holds",
        ALICE,
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: h6, namespace: STAGE-acme}, rules: \
         [{apiGroups: [''], resources: [pods], verbs: [get]}]}",
    ),
    (
        "a ClusterRole by system:masters",
        MASTER,
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: STAGE-h7}, rules: \
         [{apiGroups: [''], resources: [nodes], verbs: ['*']}]}",
    ),
    (
        "a volume for globex whose driver reads a Secret of globex",
        ROOT,
        "{apiVersion: v1, kind: PersistentVolume, metadata: {name: STAGE-h8}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], \
         claimRef: {namespace: STAGE-globex, name: c}, csi: {driver: d, volumeHandle: h, nodeStageSecretRef: {name: disk-key, namespace: STAGE-globex}}}}",
    ),
    (
        "an Ingress with its own passwords",
        ALICE,
        "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: h9, namespace: STAGE-acme, annotations: \
         {nginx.ingress.kubernetes.io/auth-secret: basic}}, spec: {defaultBackend: {service: {name: s, port: {number: 80}}}}}",
    ),
    (
        "an agent with its own organization's Secret",
        ALICE,
        "{apiVersion: v1, kind: Pod, metadata: {name: h10, namespace: STAGE-acme}, spec: {containers: [{name: c, image: 'r/a:1', envFrom: \
         [{secretRef: {name: model-key}}]}]}}",
    ),
    (
        "a run of main, recorded by the controller, on the trusted nodes",
        CONTROLLER,
        "{apiVersion: batch/v1, kind: Job, metadata: {name: h11, namespace: STAGE-acme, labels: {krate.a5c.ai/dispatch-run: run-main}}, spec: {template: \
         {metadata: {labels: {krate.a5c.ai/dispatch-run: run-main}}, spec: {restartPolicy: Never, nodeSelector: {pool: trusted}, tolerations: \
         [{key: pool, value: trusted, effect: NoSchedule}], containers: [{name: c, image: 'r/a:1'}]}}}}",
    ),
    (
        "a fork's run on the nodes for that",
        CONTROLLER,
        "{apiVersion: batch/v1, kind: Job, metadata: {name: h12, namespace: STAGE-acme, labels: {krate.a5c.ai/dispatch-run: run-fork}}, spec: {template: \
         {metadata: {labels: {krate.a5c.ai/dispatch-run: run-fork}}, spec: {restartPolicy: Never, nodeSelector: {pool: untrusted}, tolerations: \
         [{key: pool, value: untrusted, effect: NoSchedule}], containers: [{name: c, image: 'r/a:1'}]}}}}",
    ),
    (
        "a pod that has nothing to do with agents",
        ALICE,
        "{apiVersion: v1, kind: Pod, metadata: {name: h13, namespace: STAGE-scratch}, spec: {nodeSelector: {kubernetes.io/os: linux}, \
         containers: [{name: c, image: 'r/a:1'}]}}",
    ),
];

/// Stands for the identity that may claim runs.
const CONTROLLER: User<'_> = User { name: "CONTROLLER", groups: &[] };

#[test]
fn honest_work_is_admitted() -> Outcome {
    let (stage, replica) = Stage::open("honest")?;
    offline::dump(&stage)?;
    let controller = stage.named("system:serviceaccount:STAGE-krate:krate-controller");
    for (deed, user, manifest) in DEEDS {
        let user =
            if user.name == "CONTROLLER" { User { name: &controller, groups: &[] } } else { user };
        let before = replica.calls("validate")?;
        let answer = stage.apply_as(user, manifest)?;
        assert!(answer.success(), "{deed}: {answer:?}");
        assert!(replica.calls("validate")? > before, "{deed}: admitted without being asked about");
        let offline = offline::check(&stage, user, manifest)?;
        assert!(offline.allowed, "{deed}: refused offline: {offline:?}");
    }
    assert_eq!(replica.count("pinfold_admission_denials_total", &[("mode", "enforce")])?, 0.0);
    Ok(())
}

/// For its own kinds the API server asks first: nobody gets as far as the webhook with what they may not give.
#[test]
fn native_escalation_is_the_api_servers_to_refuse() -> Outcome {
    let (stage, replica) = Stage::open("native")?;
    let before = replica.calls("validate")?;
    let binding = "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: n1, namespace: STAGE-acme}, subjects: \
         [{kind: User, name: dave, apiGroup: rbac.authorization.k8s.io}], roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}";
    let answer = stage.apply_as(ALICE, binding)?;
    assert!(answer.stderr.contains("attempting to grant RBAC permissions"), "{answer:?}");
    assert_eq!(replica.calls("validate")?, before, "the webhook was asked");
    Ok(())
}
