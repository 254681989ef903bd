//! No acknowledged record is lost, whatever moment the process dies at.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use pinfold_ledger::{Ledger, Settings};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{check, event, lines, record, segments, settings, written};

const DIRECTORY: &str = "PINFOLD_LEDGER_CRASH_DIRECTORY";
const THREADS: usize = 4;
const KILLS: usize = 25;

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn every_torn_tail_is_cut_off_and_recorded() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let ledger = Ledger::open(Settings { rotate_bytes: 1 << 20, ..settings(path) }).unwrap();
    record(&ledger, 0..3);
    ledger.close().unwrap();
    let next = lines(path).pop().unwrap();
    let tails = [
        &next.as_bytes()[..1],
        &next.as_bytes()[..next.len() / 2],
        next.as_bytes(),
        &[0; 4096],
        b"\xff",
    ];
    for (round, tail) in tails.iter().enumerate() {
        append(&segments(path)[0], tail);
        append(&path.join("checkpoints"), &tail[..1]);
        assert!(check(path).is_err());
        let ledger = Ledger::open(Settings { rotate_bytes: 1 << 20, ..settings(path) }).unwrap();
        ledger.close().unwrap();
        let report = check(path).unwrap();
        assert_eq!(report.records(), 4 + round as u64 + 1);
        let last: Value = serde_json::from_str(&lines(path).pop().unwrap()).unwrap();
        assert_eq!(last["event"], "tail-repaired");
        let message = last["message"].as_str().unwrap();
        assert!(message.contains(&format!("cut {} bytes", tail.len())), "{message}");
    }
}

#[test]
fn a_death_at_any_moment_of_the_first_opening_is_survived() {
    let whole = TempDir::new().unwrap();
    written(whole.path(), 0);
    let genesis = fs::read(&segments(whole.path())[0]).unwrap();
    for length in 0..=genesis.len() {
        if length % 29 != 0 && length != genesis.len() {
            continue;
        }
        let directory = TempDir::new().unwrap();
        for key in ["key", "key.pub"] {
            fs::copy(whole.path().join(key), directory.path().join(key)).unwrap();
        }
        fs::write(directory.path().join("audit-00000001.jsonl"), &genesis[..length]).unwrap();
        Ledger::open(settings(directory.path())).unwrap().close().unwrap();
        assert!(check(directory.path()).is_ok(), "{length}");
    }
}

#[test]
fn a_death_while_rolling_over_is_survived() {
    let directory = TempDir::new().unwrap();
    written(directory.path(), 7);
    let before = check(directory.path()).unwrap().records();
    for (round, content) in ["", "{\"torn"].iter().enumerate() {
        let number = segments(directory.path()).len() + 1;
        let next = directory.path().join(format!("audit-{number:08}.jsonl"));
        fs::write(&next, content).unwrap();
        let ledger = Ledger::open(settings(directory.path())).unwrap();
        record(&ledger, 0..1);
        ledger.close().unwrap();
        assert!(segments(directory.path()).contains(&next));
        let expected = before + 1 + round as u64 * 2;
        assert_eq!(check(directory.path()).unwrap().records(), expected);
    }
}

/// Not a test by itself: the process that gets killed. Prints what was acknowledged, and never ends.
#[test]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let ledger =
        Ledger::open(Settings { rotate_bytes: 20_000, ..settings(Path::new(&directory)) }).unwrap();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for number in 0.. {
                    let receipt = ledger.record_blocking(&event(number)).unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "ack {} {}", receipt.seq, receipt.entry_hash).unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

fn start(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills the child after `acknowledged` records; everything that it said is returned.
fn kill_after(mut child: Child, acknowledged: usize) -> BTreeMap<u64, String> {
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut receipts = BTreeMap::new();
    let mut killed = false;
    for line in output.lines() {
        let line = line.unwrap();
        // A line cut short by the kill was not said.
        let said = line.strip_prefix("ack ").and_then(|rest| rest.split_once(' '));
        if let Some((seq, hash)) = said.filter(|(_, hash)| hash.len() == 64) {
            receipts.insert(seq.parse().unwrap(), hash.to_owned());
        }
        if receipts.len() >= acknowledged && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the child ended by itself");
    receipts
}

#[test]
fn kill_9_loses_no_acknowledged_record() {
    let directory = TempDir::new().unwrap();
    let mut acknowledged = BTreeMap::new();
    for round in 0..KILLS {
        acknowledged.extend(kill_after(start(directory.path()), 1 + round * 7));
    }
    Ledger::open(settings(directory.path())).unwrap().close().unwrap();
    check(directory.path()).unwrap();
    let lines = lines(directory.path());
    assert!(acknowledged.len() > KILLS * 50);
    for (seq, hash) in acknowledged {
        let line = &lines[usize::try_from(seq).unwrap() - 1];
        assert!(line.contains(&hash), "record {seq} was acknowledged, and is now {line}");
    }
}
