//! A Secret for an agent, from its refusal on: the grant that the refusal proposes is applied as it stands, lets the pod in, and is taken back.

use pinfold_tests::{KubectlOutput, User};
use serde_json::Value;

use crate::Outcome;
use crate::denial::{expected, findings};
use crate::stage::{ALICE, ROOT, Stage};

const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: g1, namespace: STAGE-acme}, spec: {containers: [{name: c, image: 'r/a:1', env: \
     [{name: K, valueFrom: {secretKeyRef: {name: forge, key: token}}}]}]}}";

/// The manifest that a refusal ends with.
fn proposed(stderr: &str) -> Outcome<Value> {
    let begin = stderr.find("{\"apiVersion\"").ok_or("no manifest in the refusal")?;
    let text = stderr.get(begin..).unwrap_or_default();
    let first = serde_json::Deserializer::from_str(text).into_iter::<Value>().next();
    Ok(first.ok_or("nothing to read")??)
}

/// Who holds everything in the namespace but to read Secrets, and may write grants.
fn let_alice_write_grants(stage: &Stage) -> Outcome<KubectlOutput> {
    let may = "{apiVersion: v1, kind: List, items: [\
         {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: grants, namespace: STAGE-acme}, rules: \
         [{apiGroups: [krate.a5c.ai], resources: [agentsecretgrants], verbs: [get, create, patch, delete]}]}, \
         {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: grants, namespace: STAGE-acme}, \
         subjects: [{kind: User, name: alice, apiGroup: rbac.authorization.k8s.io}], \
         roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: grants}}]}";
    stage.apply_as(ROOT, may)
}

#[test]
fn a_grant_from_refusal_to_revocation() -> Outcome {
    let (stage, _replica) = Stage::open("grants")?;
    let answer = let_alice_write_grants(&stage)?;
    assert!(answer.success(), "{answer:?}");
    let path = "$.spec.containers[0].env[0].valueFrom.secretKeyRef.name";
    let refused = stage.try_as(ALICE, POD)?;
    let both = expected(&[("PF-SEC-002", path), ("PF-SEC-004", path)]);
    assert_eq!(findings(&refused.stderr)?, both, "{refused:?}");
    let mut grant = proposed(&refused.stderr)?;
    assert_eq!(grant["spec"]["secretRef"]["keys"], serde_json::json!(["token"]));

    // She may write grants and not read the Secret.
    let unread = stage
        .until_tried(ALICE, &grant.to_string(), |answer| answer.stderr.contains("PF-SEC-006"))?;
    assert_eq!(findings(&unread.stderr)?, expected(&[("PF-SEC-006", "$.spec.secretRef")]));
    let answer = stage.apply_as(ROOT, &grant.to_string())?;
    assert!(answer.success(), "{answer:?}");
    stage.until_tried(ALICE, POD, KubectlOutput::success)?;

    // To take it back she needs no more than RBAC; to give it again she does.
    grant["spec"]["revoked"] = true.into();
    let answer = stage.apply_as(ALICE, &grant.to_string())?;
    assert!(answer.success(), "{answer:?}");
    let revoked = stage.until_tried(ALICE, POD, |answer| !answer.success())?;
    assert!(revoked.stderr.contains("it is revoked"), "{revoked:?}");
    grant["spec"]["revoked"] = false.into();
    let again = stage.apply_as(ALICE, &grant.to_string())?;
    assert_eq!(findings(&again.stderr)?, expected(&[("PF-SEC-006", "$.spec.secretRef")]));
    grant["metadata"]["name"] = "deny".into();
    grant["spec"]["effect"] = "deny".into();
    denials(&stage, &grant)
}

/// Anybody who may write one may deny; to take the denial away is to give.
fn denials(stage: &Stage, deny: &Value) -> Outcome {
    let answer = stage.apply_as(ALICE, &deny.to_string())?;
    assert!(answer.success(), "{answer:?}");
    let remove = |user: User<'_>| {
        let namespace = stage.named("STAGE-acme");
        let arguments = ["delete", "agentsecretgrants.krate.a5c.ai", "deny", "-n", &namespace];
        stage.server.kubectl_as(user, &arguments, "")
    };
    let refused = remove(ALICE)?;
    assert!(refused.stderr.contains("PF-SEC-006"), "{refused:?}");
    let removed = remove(ROOT)?;
    assert!(removed.success(), "{removed:?}");
    Ok(())
}
