//! New policy files: the verdict follows them, and a bad set changes nothing but a metric.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use pinfold_tests::{KubectlOutput, until};

use crate::Outcome;
use crate::replica::{Flags, Replica};
use crate::stage::{ALICE, SOON, Stage, replace};

/// Below the ceiling, and more than alice holds.
const ESCALATION: &str = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {name: r1, namespace: STAGE-acme}, spec: {subject: \
     {kind: service-account, name: agent-coder}, scope: {kind: namespace, name: STAGE-acme}, roleRef: {kind: ClusterRole, name: STAGE-viewer}}}";

/// A document that puts PF-RBAC-003 into a mode.
fn mode(mode: &str) -> String {
    format!(
        "{{apiVersion: pinfold.dev/v1alpha1, kind: AdmissionPolicy, metadata: {{name: mode}}, spec: {{rules: [{{id: PF-RBAC-003, mode: {mode}}}]}}}}\n"
    )
}

const BAD: &str = "{apiVersion: pinfold.dev/v1alpha1, kind: AdmissionPolicy, metadata: {name: mode}, spec: {ruels: []}}\n";

fn denied(answer: &KubectlOutput) -> bool {
    !answer.success() && answer.stderr.contains("PF-RBAC-003")
}

fn warned(answer: &KubectlOutput) -> bool {
    answer.success() && answer.stderr.contains("Warning: PF-RBAC-003")
}

#[test]
fn a_changed_file_changes_the_verdict() -> Outcome {
    let stage = Stage::prepare("rename")?;
    let file = stage.path("policy").join("mode.yaml");
    fs::write(&file, mode("enforce"))?;
    let replica = stage.open_with(&stage.flags())?;
    assert!(denied(&stage.try_as(ALICE, ESCALATION)?));
    follows(&stage, &replica, &mut |text| replace(&file, text))
}

#[test]
fn a_mounted_config_map_that_is_swapped_changes_the_verdict() -> Outcome {
    let stage = Stage::prepare("swap")?;
    let mount = stage.path("mount");
    fs::create_dir(&mount)?;
    let mut generation = 0_u32;
    let mut publish = |text: &str| {
        generation = generation.saturating_add(1);
        swap(&mount, generation, text)
    };
    publish(&mode("enforce"))?;
    symlink("..data/mode.yaml", mount.join("mode.yaml"))?;
    let flags: Flags = stage.flags().with("--policy", &mount);
    let replica = stage.open_with(&flags)?;
    assert!(denied(&stage.try_as(ALICE, ESCALATION)?));
    follows(&stage, &replica, &mut publish)
}

/// What the kubelet does: a new folder, then `..data` is renamed over the old link, then the old folder goes.
fn swap(mount: &Path, generation: u32, text: &str) -> std::io::Result<()> {
    let folder = format!("..{generation}");
    fs::create_dir(mount.join(&folder))?;
    fs::write(mount.join(&folder).join("mode.yaml"), text)?;
    symlink(&folder, mount.join("..data_tmp"))?;
    fs::rename(mount.join("..data_tmp"), mount.join("..data"))?;
    match generation.checked_sub(1).filter(|old| *old > 0) {
        Some(old) => fs::remove_dir_all(mount.join(format!("..{old}"))),
        None => Ok(()),
    }
}

/// Warn, then a typo that keeps it so, then enforce again.
fn follows(
    stage: &Stage,
    replica: &Replica,
    publish: &mut dyn FnMut(&str) -> std::io::Result<()>,
) -> Outcome {
    let reloads = |result| replica.count("pinfold_policy_reloads_total", &[("result", result)]);
    let digest = || -> Outcome<String> {
        let exposition = replica.exposition()?;
        let line = exposition.lines().find(|line| line.starts_with("pinfold_policy_info{"));
        Ok(line.ok_or("no pinfold_policy_info")?.to_owned())
    };
    let strict = digest()?;
    publish(&mode("warn"))?;
    stage.until_tried(ALICE, ESCALATION, warned)?;
    let lenient = digest()?;
    assert_ne!(lenient, strict);
    assert_eq!((reloads("success")?, reloads("error")?), (1.0, 0.0));

    publish(BAD)?;
    until(SOON, || (reloads("error").unwrap_or(0.0) > 0.0).then_some(()))
        .ok_or("the bad file is not counted")?;
    assert!(warned(&stage.try_as(ALICE, ESCALATION)?), "the old policy stays");
    assert_eq!(digest()?, lenient);
    let log = replica.process.log();
    assert!(log.contains("mode.yaml") && log.contains("ruels") && log.contains("rules"), "{log}");
    assert!(replica.is_ready(), "a bad file takes nobody out of service");

    publish(&mode("enforce"))?;
    stage.until_tried(ALICE, ESCALATION, denied)?;
    assert_eq!(digest()?, strict, "the same files are the same policy");
    assert_eq!((reloads("success")?, reloads("error")?), (2.0, 1.0));
    Ok(())
}
