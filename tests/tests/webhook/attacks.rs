//! The three headline attacks by `kubectl apply`: refused, with rule, JSON path and fix on the attacker's terminal, and by
//! `pinfold check` for the same reasons.

use std::collections::BTreeMap;

use pinfold_tests::User;

use crate::Outcome;
use crate::denial::findings;
use crate::offline;
use crate::stage::{ALICE, CAROL, ROOT, Stage};

/// An attack: what it is, who tries it, the rule and the beginning of the JSON path that must be told, the manifest.
type Attack = (&'static str, User<'static>, &'static str, &'static str, &'static str);

/// Rights through the controller of AgentRoleBindings.
const ESCALATIONS: [Attack; 4] = [
    (
        "the controller as a deputy, for cluster-admin",
        ALICE,
        "PF-RBAC-003",
        "$.spec.roleRef",
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {name: a1, namespace: STAGE-acme}, spec: {subject: \
         {kind: service-account, name: agent-coder}, scope: {kind: namespace, name: STAGE-acme}, roleRef: {kind: ClusterRole, name: cluster-admin}}}",
    ),
    (
        "rules written into the binding itself, said to be the owner's business",
        ALICE,
        "PF-RBAC-003",
        "$.spec.resourceRules[0]",
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {name: a2, namespace: STAGE-acme}, spec: {subject: \
         {kind: agent-stack, name: coder}, scope: {kind: namespace}, escalationPolicy: allow-if-owner, resourceRules: \
         [{apiGroups: [''], resources: [secrets], verbs: [get]}]}}",
    ),
    (
        "a role that she holds here, in another organization's namespace",
        ALICE,
        "PF-RBAC-003",
        "$.spec.roleRef",
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {name: a3, namespace: STAGE-acme}, spec: {subject: \
         {kind: service-account, name: agent-coder}, scope: {kind: namespace, name: STAGE-globex}, roleRef: {kind: ClusterRole, name: STAGE-lead}}}",
    ),
    (
        "somebody who may bind another role",
        CAROL,
        "PF-RBAC-003",
        "$.spec.roleRef",
        "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {name: a4, namespace: STAGE-acme}, spec: {subject: \
         {kind: service-account, name: agent-coder}, scope: {kind: namespace, name: STAGE-acme}, roleRef: {kind: ClusterRole, name: STAGE-lead}}}",
    ),
];

/// Secrets and ConfigMaps of another organization.
const THEFTS: [Attack; 4] = [
    (
        "a volume for acme whose driver reads a Secret of globex",
        ROOT,
        "PF-SEC-001",
        "$.spec.csi.nodeStageSecretRef",
        "{apiVersion: v1, kind: PersistentVolume, metadata: {name: STAGE-stolen}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], \
         claimRef: {namespace: STAGE-acme, name: c}, csi: {driver: d, volumeHandle: h, nodeStageSecretRef: {name: disk-key, namespace: STAGE-globex}}}}",
    ),
    (
        "an Ingress that borrows another organization's passwords",
        ALICE,
        "PF-SEC-001",
        "$.metadata.annotations['nginx.ingress.kubernetes.io/auth-secret']",
        "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i1, namespace: STAGE-acme, annotations: \
         {nginx.ingress.kubernetes.io/auth-secret: STAGE-globex/basic}}, spec: {defaultBackend: {service: {name: s, port: {number: 80}}}}}",
    ),
    (
        "a claim on another organization's volume, and with it the driver's Secret",
        ALICE,
        "PF-SEC-001",
        "$.spec.volumeName",
        "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c1, namespace: STAGE-acme}, spec: {volumeName: STAGE-globex-data, storageClassName: '', \
         accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}",
    ),
    (
        "a pod with such a claim, which was there before Pinfold",
        ALICE,
        "PF-SEC-001",
        "$.spec.volumes[0].persistentVolumeClaim.claimName",
        "{apiVersion: v1, kind: Pod, metadata: {name: p1, namespace: STAGE-acme}, spec: {containers: [{name: c, image: 'r/a:1'}], volumes: \
         [{name: v, persistentVolumeClaim: {claimName: old}}]}}",
    ),
];

/// Work of forks on the runners that build releases. CONTROLLER is replaced by the identity that records runs.
const MISPLACEMENTS: [Attack; 4] = [
    (
        "a fork's run, recorded by the controller, with the trusted nodes in its template",
        CONTROLLER,
        "PF-TRU-001",
        "$.spec.template.spec.nodeSelector",
        "{apiVersion: batch/v1, kind: Job, metadata: {name: j1, namespace: STAGE-acme, labels: {krate.a5c.ai/dispatch-run: run-fork}}, spec: {template: \
         {metadata: {labels: {krate.a5c.ai/dispatch-run: run-fork}}, spec: {restartPolicy: Never, nodeSelector: {pool: trusted}, tolerations: \
         [{key: pool, value: trusted, effect: NoSchedule}], containers: [{name: c, image: 'r/a:1'}]}}}}",
    ),
    (
        "the trusted runners' ServiceAccount, outside the agents' namespaces",
        ALICE,
        "PF-TRU-001",
        "$.spec.serviceAccountName",
        "{apiVersion: v1, kind: Pod, metadata: {name: p2, namespace: STAGE-ci}, spec: {serviceAccountName: runner-trusted, containers: [{name: c, image: 'r/a:1'}]}}",
    ),
    (
        "the trusted nodes by a selector, in a namespace without agents",
        ALICE,
        "PF-TRU-001",
        "$.spec.nodeSelector",
        "{apiVersion: v1, kind: Pod, metadata: {name: p3, namespace: STAGE-scratch}, spec: {nodeSelector: {pool: trusted}, containers: [{name: c, image: 'r/a:1'}]}}",
    ),
    (
        "a trusted run that the developer claims herself",
        ALICE,
        "PF-TRU-001",
        "$.spec.nodeSelector",
        "{apiVersion: v1, kind: Pod, metadata: {name: p4, namespace: STAGE-acme, labels: {krate.a5c.ai/dispatch-run: run-main}}, spec: {nodeSelector: \
         {pool: trusted}, tolerations: [{key: pool, operator: Exists}], containers: [{name: c, image: 'r/a:1'}]}}",
    ),
];

/// Stands for the identity that may claim runs.
const CONTROLLER: User<'_> = User { name: "CONTROLLER", groups: &[] };

#[test]
fn escalation_through_an_agent_role_binding_is_refused() -> Outcome {
    refused("escalation", &ESCALATIONS)
}

#[test]
fn another_organizations_secret_is_out_of_reach() -> Outcome {
    refused("theft", &THEFTS)
}

#[test]
fn a_forks_work_gets_no_trusted_runner() -> Outcome {
    refused("misplacement", &MISPLACEMENTS)
}

/// Every attack is refused and told, stores nothing, counts once, and `pinfold check` finds the same.
fn refused(name: &'static str, attacks: &[Attack]) -> Outcome {
    let (stage, replica) = Stage::open(name)?;
    offline::dump(&stage)?;
    let controller = stage.named("system:serviceaccount:STAGE-krate:krate-controller");
    let mut expected_counts: BTreeMap<String, u32> = BTreeMap::new();
    for &(attack, user, rule, path, manifest) in attacks {
        let user =
            if user.name == "CONTROLLER" { User { name: &controller, groups: &[] } } else { user };
        let answer = stage.apply_as(user, manifest)?;
        assert!(!answer.success(), "{attack}: admitted: {answer:?}");
        let told = findings(&answer.stderr)?;
        let is_expected = |(own, at): &(String, String)| own == rule && at.starts_with(path);
        assert!(told.iter().any(is_expected), "{attack}: expected {rule} {path}: {answer:?}");
        let gone = stage.server.kubectl(&["get", "-f", "-"], &stage.named(manifest))?;
        assert!(gone.stderr.contains("NotFound"), "{attack}: something is stored: {gone:?}");
        let offline = offline::check(&stage, user, manifest)?;
        assert!(!offline.allowed, "{attack}: allowed offline");
        assert_eq!(offline.findings, told, "{attack}: offline and in the cluster");
        for (rule, _) in told {
            let count = expected_counts.entry(rule).or_default();
            *count = count.saturating_add(1);
        }
    }
    for (rule, count) in expected_counts {
        let labels = [("rule", rule.as_str()), ("mode", "enforce")];
        let counted = replica.count("pinfold_admission_denials_total", &labels)?;
        assert_eq!(counted, f64::from(count), "denials of {rule}");
    }
    Ok(())
}
