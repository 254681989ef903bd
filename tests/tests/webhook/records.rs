//! What is left of a denial: a count, an Event, an audit record, and a chain that shows any tampering.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser as _;
use pinfold_tests::until;
use tempfile::TempDir;

use crate::Outcome;
use crate::stage::{ALICE, CAROL, SOON, Stage};

const ESCALATION: &str = "{apiVersion: krate.a5c.ai/v1alpha1, kind: AgentRoleBinding, metadata: {name: r1, namespace: STAGE-acme}, spec: {subject: \
     {kind: service-account, name: agent-coder}, scope: {kind: namespace, name: STAGE-acme}, roleRef: {kind: ClusterRole, name: cluster-admin}}}";

#[test]
fn every_denial_is_counted_told_and_recorded() -> Outcome {
    let (stage, replica) = Stage::open("records")?;
    let denials = || {
        let labels = [("rule", "PF-RBAC-003"), ("mode", "enforce"), ("kind", "AgentRoleBinding")];
        replica.count("pinfold_admission_denials_total", &labels)
    };
    for (number, user) in [(1.0, ALICE), (2.0, CAROL), (3.0, ALICE)] {
        assert!(!stage.apply_as(user, ESCALATION)?.success());
        assert_eq!(denials()?, number);
    }
    assert!(!stage.try_as(ALICE, ESCALATION)?.success());
    assert_eq!(denials()?, 4.0, "a dry run is decided and counted");

    let namespace = stage.named("STAGE-acme");
    let messages = || {
        let reason = "--field-selector=reason=Denied";
        let messages =
            stage.field(&["events", reason, "-n", &namespace], ".items[*].message").ok()?;
        (messages.matches("PF-RBAC-003 $.spec.roleRef").count() >= 3).then_some(messages)
    };
    let messages = until(SOON, messages).ok_or("no Events of the three denials")?;
    assert_eq!(messages.matches("PF-RBAC-003").count(), 3, "a dry run leaves no Event");

    replica.process.terminate()?;
    assert_eq!(replica.process.wait(Duration::from_secs(40)), Some(0), "{}", replica.process.log());
    let recorded = lines(&segments(&stage.audit())?)?.concat();
    let of_denials = recorded.iter().filter(|line| line.contains("PF-RBAC-003")).count();
    assert_eq!(of_denials, 4, "{recorded:#?}");
    assert_tampering_shows(&stage.audit())
}

/// `pinfold audit verify DIR` in this process: whether it passes, and what it says.
pub(crate) fn verifies(dir: &Path) -> Outcome<(bool, String)> {
    let dir = dir.to_string_lossy();
    let arguments = pinfold::Arguments::try_parse_from(["pinfold", "audit", "verify", &dir])?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = pinfold::run(&arguments, &mut out, &mut err);
    out.append(&mut err);
    Ok((outcome == pinfold::Outcome::Passed, String::from_utf8_lossy(&out).into_owned()))
}

/// The log passes as it is, and with no line edited, dropped or swapped with the next.
fn assert_tampering_shows(audit: &Path) -> Outcome {
    let (passes, said) = verifies(audit)?;
    assert!(passes, "{said}");
    for segment in segments(audit)? {
        let lines = lines(std::slice::from_ref(&segment))?.concat();
        assert!(lines.len() > 4, "too few records to say anything");
        let name = segment.file_name().ok_or("a log without a name")?;
        for (change, log) in tampered(&lines) {
            assert_ne!(log, lines.concat(), "{change} is no change");
            let copy = copy(audit)?;
            fs::write(copy.path().join(name), log)?;
            let (passes, _) = verifies(copy.path())?;
            assert!(!passes, "nobody noticed: {change}");
        }
    }
    Ok(())
}

/// What was done, and the log after it: every line edited, dropped, swapped with the next.
fn tampered(lines: &[String]) -> Vec<(String, String)> {
    let mut logs = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let (before, rest) = lines.split_at(number);
        let Some((_, after)) = rest.split_first() else { continue };
        let (before, behind) = (before.concat(), after.concat());
        logs.push((format!("edited {line}"), format!("{before}{}{behind}", edit(line))));
        logs.push((format!("dropped {line}"), format!("{before}{behind}")));
        if let Some((next, last)) = after.split_first() {
            let last = last.concat();
            logs.push((format!("swapped {line}"), format!("{before}{next}{line}{last}")));
        }
    }
    logs
}

/// Another digit for the last one of the line: whatever it says, it says something else.
fn edit(line: &str) -> String {
    let mut bytes = line.as_bytes().to_vec();
    let digit = bytes.iter().rposition(u8::is_ascii_digit);
    if let Some(byte) = digit.and_then(|position| bytes.get_mut(position)) {
        *byte = if *byte == b'7' { b'8' } else { b'7' };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The log files: everything but checkpoints, key and lock.
fn segments(audit: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(audit)? {
        let path = entry?.path();
        let first = fs::read(&path)?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if first.starts_with(b"{") && name != "checkpoints" {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() { Err(format!("no log in {}", audit.display()).into()) } else { Ok(files) }
}

/// The lines of each file, with their ends.
fn lines(files: &[PathBuf]) -> Outcome<Vec<Vec<String>>> {
    let read = |file: &PathBuf| {
        Ok(fs::read_to_string(file)?.split_inclusive('\n').map(str::to_owned).collect())
    };
    files.iter().map(read).collect()
}

fn copy(audit: &Path) -> Outcome<TempDir> {
    let copy = tempfile::tempdir()?;
    for entry in fs::read_dir(audit)? {
        let entry = entry?;
        fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
    }
    Ok(copy)
}
