//! Agent resources that come and go while the webhook runs: rules that need them work soon after, and nothing fails where they are missing.

use std::time::{Duration, Instant};

use pinfold_tests::until;

use crate::Outcome;
use crate::kubernetes::repository;
use crate::registration::home::{Home, SOON};
use crate::replica::Replica;

/// Longer than the longest pause before a failed watch is tried again (4 s).
const QUIET: Duration = Duration::from_secs(6);

/// `nobodys` belongs to acme: what only an agent resource says here.
const BINDING: &str = "{apiVersion: krate.a5c.ai/v1alpha1, kind: OrgNamespaceBinding, metadata: {name: nobodys}, spec: {organizationRef: acme, namespace: nobodys}}";
/// A volume with a Secret of acme's, for that namespace.
const VOLUME: &str = "{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], \
     claimRef: {namespace: nobodys, name: c}, csi: {driver: d, volumeHandle: h, nodeStageSecretRef: {name: disk-key, namespace: acme}}}}";

fn definitions() -> String {
    repository("manifests/crds/agents").to_string_lossy().into_owned()
}

fn install(home: &Home) -> Outcome {
    home.server.kubectl(&["apply", "-k", &definitions()], "")?.ok()?;
    let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
    home.server.kubectl(&wait, "")?.ok()?;
    Ok(())
}

/// Watches that failed so far.
fn failures(replica: &Replica) -> Outcome<f64> {
    replica.count("pinfold_watch_errors_total", &[])
}

fn until_metric(replica: &Replica, what: &str, wanted: impl Fn(f64) -> bool) -> Outcome {
    let kind = [("kind", "OrgNamespaceBinding")];
    let found = until(SOON, || {
        let count = replica.count("pinfold_cache_objects", &kind).ok()?;
        assert!(replica.is_ready(), "{what}: not ready:\n{}", replica.process.log());
        wanted(count).then_some(())
    });
    found.ok_or_else(|| format!("{what}: not within {SOON:?}:\n{}", replica.process.log()).into())
}

#[test]
fn rules_follow_the_resources_that_there_are() -> Outcome {
    let home = Home::without_resources()?;
    let replica = home.open(&home.flags("keep"))?;
    home.enforces()?;
    let mut before = failures(&replica)?;
    for round in 1..=2 {
        // Not one of them is there, and that is no failure.
        let denied = |answer: &pinfold_tests::KubectlOutput| answer.stderr.contains("PF-SEC-001");
        home.until_tried(VOLUME, denied)?;
        assert_eq!(failures(&replica)?, before, "round {round}: a watch of nothing");

        install(&home)?;
        home.server.apply(BINDING)?;
        home.until_tried(VOLUME, |answer| answer.success())
            .map_err(|error| format!("round {round}: {error}\n{}", replica.process.log()))?;
        until_metric(&replica, "seen", |count| count > 0.5)?;

        home.server.kubectl(&["delete", "-k", &definitions(), "--timeout=60s"], "")?.ok()?;
        until_metric(&replica, "gone", |count| count < 0.5)?;
        home.until_tried(VOLUME, denied)?;
        assert!(replica.is_ready(), "{}", replica.process.log());
        before = settled(&replica)?;
    }
    Ok(())
}

/// Failures once no watch fails any more: until a resource is found to be gone, its watch may fail a few times.
fn settled(replica: &Replica) -> Outcome<f64> {
    let mut last = failures(replica)?;
    let mut since = Instant::now();
    let quiet = until(SOON, || {
        let now = failures(replica).ok()?;
        if now > last {
            (last, since) = (now, Instant::now());
        }
        (since.elapsed() > QUIET).then_some(last)
    });
    quiet.ok_or_else(|| {
        format!("a watch of what is gone goes on:\n{}", replica.process.log()).into()
    })
}
