//! That children end with the test: by drop, by their own exit, and when the process is killed.

use super::Supervised;
use crate::until;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(20);

fn start(script: &str) -> Supervised {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Supervised::start("test", TempDir::new().unwrap(), &command).unwrap()
}

fn alive(pid: u32) -> bool {
    // A zombie counts as gone: its parent, the shell, is about to collect it.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

#[test]
fn drop_kills_the_child_and_removes_its_directory() {
    let child = start("trap '' TERM INT; while :; do sleep 60; done");
    let (pid, dir) = (child.pid(), child.dir().to_owned());
    assert!(alive(pid) && dir.exists());
    drop(child);
    assert!(!alive(pid) && !dir.exists());
}

#[test]
fn exit_code_and_output_stay_readable_until_drop() {
    let child = start("echo out; echo err >&2; exit 7");
    assert_eq!(child.wait(LIMIT), Some(7));
    assert_eq!(child.log(), "out\nerr\n");
    let refused = child.wait_ready(LIMIT, || true).unwrap_err().to_string();
    assert!(refused.contains("exit code 7") && refused.contains("err"), "{refused}");
}

#[test]
fn terminate_reaches_the_program_itself() {
    let child = start("trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done");
    child.wait_ready(LIMIT, || child.log() == "ready\n").unwrap();
    child.terminate().unwrap();
    assert_eq!(child.wait(LIMIT), Some(5));
}

/// Not a test by itself: what `a_killed_test_process_leaves_no_child` runs and kills.
#[test]
#[ignore = "started by another test"]
fn stands_for_a_test_process() {
    let child = start("while :; do sleep 60; done");
    println!("child {} {}", child.pid(), child.dir().display());
    std::thread::park();
}

#[test]
fn a_killed_test_process_leaves_no_child() {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "supervised::tests::stands_for_a_test_process"])
        .args(["--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(process.stdout.take().unwrap());
    let line = output.lines().map(Result::unwrap).find(|line| line.contains("child ")).unwrap();
    let words: Vec<_> = line.rsplit_once("child ").unwrap().1.split(' ').collect();
    let (pid, dir) = (words[0].parse().unwrap(), Path::new(words[1]));
    assert!(alive(pid) && dir.exists());
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(until(LIMIT, || (!alive(pid) && !dir.exists()).then_some(())).is_some());
}
