//! The webhook goes away, and comes back: what is guarded waits, everything else goes on, and a replica that is told to stop loses no call.

use std::time::Duration;

use crate::Outcome;
use crate::records::verifies;
use crate::replica::Replica;
use crate::stage::{ALICE, HONEST_POD, Stage};

const UNGUARDED: [&str; 2] = [
    "{apiVersion: v1, kind: Pod, metadata: {name: elsewhere, namespace: STAGE-scratch}, spec: {containers: [{name: c, image: 'r/a:1'}]}}",
    "{apiVersion: v1, kind: ConfigMap, metadata: {name: elsewhere, namespace: STAGE-ci}, data: {a: b}}",
];
const ESCALATION: &str = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {name: r1, namespace: STAGE-acme}, spec: {subject: \
     {kind: service-account, name: agent-coder}, scope: {kind: namespace, name: STAGE-acme}, roleRef: {kind: ClusterRole, name: cluster-admin}}}";

/// How long a drain of 3 s may take to end.
const STOPPED_WITHIN: Duration = Duration::from_secs(40);

#[test]
fn a_stopped_webhook_keeps_its_gate_shut_and_comes_back() -> Outcome {
    away_and_back("stopped", |replica| {
        replica.process.terminate()?;
        assert_eq!(replica.process.wait(STOPPED_WITHIN), Some(0), "{}", replica.process.log());
        Ok(())
    })
}

#[test]
fn a_killed_webhook_keeps_its_gate_shut_and_comes_back() -> Outcome {
    away_and_back("killed", |replica| {
        drop(replica);
        Ok(())
    })
}

fn away_and_back(name: &'static str, end: impl FnOnce(Replica) -> Outcome) -> Outcome {
    let (stage, replica) = Stage::open(name)?;
    assert!(!stage.apply_as(ALICE, ESCALATION)?.success());
    end(replica)?;

    for guarded in [HONEST_POD, ESCALATION] {
        let answer = stage.apply_as(ALICE, guarded)?;
        let stderr = &answer.stderr;
        assert!(!answer.success() && stderr.contains("failed calling webhook"), "{answer:?}");
    }
    for unguarded in UNGUARDED {
        let answer = stage.apply_as(ALICE, unguarded)?;
        assert!(answer.success(), "{answer:?}");
    }

    let replica = Replica::start(&stage.flags())?;
    stage.service.route_to(&[replica.listen]);
    let served = stage.until_tried(ALICE, HONEST_POD, |answer| answer.success())?;
    assert!(replica.calls("validate")? > 0.0, "{served:?}");
    let refused = stage.apply_as(ALICE, ESCALATION)?;
    assert!(refused.stderr.contains("PF-RBAC-003"), "{refused:?}");
    replica.process.terminate()?;
    assert_eq!(replica.process.wait(STOPPED_WITHIN), Some(0));
    let (passes, said) = verifies(&stage.audit())?;
    assert!(passes, "the ledger of both lives is one chain: {said}");
    Ok(())
}
