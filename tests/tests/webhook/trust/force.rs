//! `onUntrusted: force`: what the API server stores is the untrusted pool's.

use std::fs;

use crate::Outcome;
use crate::stage::{ALICE, Stage};

const FORCE: &str = "{apiVersion: pinfold.dev/v1alpha1, kind: AdmissionPolicy, metadata: {name: force}, spec: {trust: {onUntrusted: force}}}";

#[test]
fn untrusted_work_is_stored_on_the_untrusted_pool() -> Outcome {
    let stage = Stage::prepare("force")?;
    fs::write(stage.path("policy").join("force.yaml"), FORCE)?;
    let replica = stage.open_with(&stage.flags())?;
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: STAGE-ci}, spec: {serviceAccountName: runner-trusted, nodeSelector: {pool: trusted}, \
         tolerations: [{key: pool, value: trusted, effect: NoSchedule}], containers: [{name: c, image: 'r/a:1'}]}}";
    let answer = stage.apply_as(ALICE, pod)?;
    assert!(answer.success(), "{answer:?}\n{}", replica.process.log());
    let namespace = stage.named("STAGE-ci");
    let stored = |path: &str| stage.field(&["pod", "p", "-n", &namespace], path);
    assert_eq!(stored(".spec.nodeSelector.pool")?, "untrusted");
    assert_eq!(stored(".spec.serviceAccountName")?, "runner-untrusted");
    let tolerations = stored(".spec.tolerations[?(@.key==\"pool\")].value")?;
    assert_eq!(tolerations, "untrusted", "neither the trusted taint nor all of them");
    let honest = stage.apply_as(ALICE, crate::stage::HONEST_POD)?;
    assert!(honest.success(), "{honest:?}");
    let namespace = stage.named("STAGE-acme");
    let selector = stage.field(&["pod", "honest", "-n", &namespace], ".spec.nodeSelector")?;
    assert_eq!(selector, "", "work that goes nowhere special is left alone");
    Ok(())
}
