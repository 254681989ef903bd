//! The webhook goes away, and comes back: what is guarded waits, everything else goes on, and a replica that is told to stop loses no call.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use pinfold_tests::until;

use crate::Outcome;
use crate::records::verifies;
use crate::replica::Replica;
use crate::stage::{ALICE, HONEST_POD, SOON, Stage};

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

#[test]
fn a_drain_beside_a_second_replica_loses_no_call() -> Outcome {
    let stage = Stage::prepare("drain")?;
    let leaving = stage.open_with(&stage.flags())?;
    let staying = Replica::start(
        &stage.flags_without_cluster().with("--kubeconfig", stage.path("kubeconfig")),
    )?;
    stage.service.route_to(&[leaving.listen, staying.listen]);

    let (calls, over) = (AtomicU32::new(0), AtomicBool::new(false));
    let failures = std::thread::scope(|scope| -> Outcome<Vec<String>> {
        let call = || {
            let mut failures = Vec::new();
            while !over.load(Ordering::Acquire) {
                match stage.try_as(ALICE, HONEST_POD) {
                    Ok(answer) if answer.success() => {}
                    answer => failures.push(format!("{answer:?}")),
                }
                calls.fetch_add(1, Ordering::AcqRel);
            }
            failures
        };
        let callers = [scope.spawn(call), scope.spawn(call), scope.spawn(call)];
        let drained = drain(&stage, &leaving, &staying, &calls);
        over.store(true, Ordering::Release);
        let mut failures = Vec::new();
        for caller in callers {
            failures.extend(caller.join().map_err(|_| "a caller panicked")?);
        }
        drained.map(|()| failures)
    })?;
    assert!(
        failures.is_empty(),
        "{} of {} calls failed: {failures:#?}",
        failures.len(),
        calls.load(Ordering::Acquire)
    );
    Ok(())
}

/// Stops one of two replicas under load: told to stop, found not ready, taken off the list, ended.
fn drain(stage: &Stage, leaving: &Replica, staying: &Replica, calls: &AtomicU32) -> Outcome {
    let more_calls = |number: u32| {
        let wanted = calls.load(Ordering::Acquire).saturating_add(number);
        until(SOON, || (calls.load(Ordering::Acquire) >= wanted).then_some(()))
    };
    more_calls(6).ok_or("no calls before the drain")?;
    leaving.process.terminate()?;
    until(SOON, || (!leaving.is_ready()).then_some(()))
        .ok_or("a stopping webhook is still ready")?;
    more_calls(3).ok_or("no calls between the end of readiness and the end of routing")?;
    stage.service.route_to(&[staying.listen]);
    let code = leaving.process.wait(STOPPED_WITHIN);
    assert_eq!(code, Some(0), "{}", leaving.process.log());
    let before = staying.calls("validate")?;
    more_calls(6).ok_or("no calls after the drain")?;
    assert!(staying.calls("validate")? > before, "who answered?");
    Ok(())
}
