//! `grants.checkExistence`: a granted Secret has to be there. Asked of the API server, with rights that the manifests give only on demand.

use std::fs;

use crate::Outcome;
use crate::kubernetes::repository;
use crate::registration::home::Home;

const WORLD: &str = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: acme}, automountServiceAccountToken: false}
---
{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentSecretGrant, metadata: {name: g, namespace: acme}, spec: {organizationRef: acme, subject: {kind: service-account, name: default}, \
     secretRef: {name: model-key}, mountPolicy: env, allowUntrustedRefs: true}}";
const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: acme}, spec: {automountServiceAccountToken: false, containers: [{name: c, image: 'registry.example/a:1', \
     env: [{name: KEY, valueFrom: {secretKeyRef: {name: model-key, key: k}}}]}]}}";
const SECRET: &str = "{apiVersion: v1, kind: Secret, metadata: {name: model-key, namespace: acme}, stringData: {k: canary-value}}";
const POLICY: &str = "apiVersion: pinfold.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {name: site}\nspec: {grants: {checkExistence: true}, inject: {profile: none}, \
     rules: [{id: PF-POD-002, mode: \"off\"}]}\n";

#[test]
fn a_granted_secret_has_to_be_there() -> Outcome {
    let home = Home::new()?;
    home.server.apply(WORLD)?;
    fs::write(home.path("policy").join("site.yaml"), POLICY)?;
    let replica = home.open(&home.flags("keep"))?;
    home.enforces()?;
    let told = |error: Box<dyn std::error::Error>| format!("{error}\n{}", replica.process.log());

    // Pinfold may not look: what can't be told is refused.
    home.until_tried(POD, |answer| answer.stderr.contains("PF-REQ-005")).map_err(told)?;
    let rights = repository("manifests/components/check-existence/rights.yaml");
    home.server.kubectl(&["apply", "-f", &rights.to_string_lossy()], "")?.ok()?;
    home.until_tried(POD, |answer| answer.stderr.contains("there is no")).map_err(told)?;
    home.server.apply(SECRET)?;
    home.until_tried(POD, |answer| answer.success()).map_err(told)?;
    home.server.kubectl(&["delete", "secret", "model-key", "-n", "acme"], "")?.ok()?;
    home.until_tried(POD, |answer| answer.stderr.contains("there is no")).map_err(told)?;
    assert!(!replica.process.log().contains("canary-value"));
    Ok(())
}
