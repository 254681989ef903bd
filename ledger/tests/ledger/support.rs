//! Ledgers to damage.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use pinfold_ledger::verify::{Problem, Report, verify};
use pinfold_ledger::{Decision, Event, EventKind, Gate, Ledger, Reading, Settings};

/// Small enough for several log files.
pub(crate) const ROTATE_BYTES: u64 = 2_000;

/// Checkpoints only when a test asks for them.
const NEVER: Duration = Duration::from_secs(3600);

pub(crate) fn settings(directory: &Path) -> Settings {
    Settings {
        rotate_bytes: ROTATE_BYTES,
        checkpoint_every: NEVER,
        clock: Box::new(replayed()),
        ..Settings::new(directory, Gate::Sidecar)
    }
}

/// A clock that ticks a millisecond with each look, so that records have the same length in each run.
pub(crate) fn replayed() -> impl Fn() -> Reading + Send {
    let ticks = AtomicU32::new(100_000);
    move || {
        let monotonic = Duration::from_millis(ticks.fetch_add(1, Ordering::Relaxed).into());
        let wall = Timestamp::UNIX_EPOCH.checked_add(monotonic).unwrap();
        Reading { wall, monotonic }
    }
}

pub(crate) fn event(number: usize) -> Event {
    Event {
        tool: Some(format!("tool-{number}")),
        rules: vec!["PF-RUN-001".to_owned()],
        ..Event::new(Gate::Sidecar, EventKind::ToolCall, Decision::Deny)
    }
}

/// Records `numbers`, one durable batch each.
pub(crate) fn record(ledger: &Ledger, numbers: std::ops::Range<usize>) {
    for number in numbers {
        ledger.record_blocking(&event(number)).unwrap();
    }
}

/// A directory with `count` records besides the genesis, in several files, with some checkpoints, closed.
pub(crate) fn written(directory: &Path, count: usize) {
    let ledger = Ledger::open(settings(directory)).unwrap();
    for start in (0..count).step_by(5) {
        record(&ledger, start..count.min(start + 5));
        ledger.checkpoint().unwrap();
    }
    ledger.close().unwrap();
}

pub(crate) fn check(directory: &Path) -> Result<Report, Vec<Problem>> {
    verify(&[directory.to_owned()], None)
}

/// The log files in order.
pub(crate) fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    files
}

/// Every record line of a directory.
pub(crate) fn lines(directory: &Path) -> Vec<String> {
    let read = |path: &PathBuf| fs::read_to_string(path).unwrap();
    let texts: Vec<_> = segments(directory).iter().map(read).collect();
    texts.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}
