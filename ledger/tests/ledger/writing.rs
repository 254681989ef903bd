//! What a writer leaves behind: files, chain, checkpoints, key, lock, copies.

use std::fs;
use std::future::Future;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::pin::pin;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use pinfold_ledger::verify::{ProblemKind, PublicKey, verify};
use pinfold_ledger::{Ledger, LedgerError, OpenError, Receipt, Settings};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{check, event, lines, record, segments, settings, written};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn records(directory: &std::path::Path) -> Vec<Value> {
    lines(directory).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_record_is_on_disk_when_its_receipt_comes() {
    let directory = TempDir::new().unwrap();
    let ledger = Ledger::open(settings(directory.path())).unwrap();
    let receipts =
        [block_on(ledger.record(&event(1))).unwrap(), ledger.record_blocking(&event(2)).unwrap()];
    let written = records(directory.path());
    for (receipt, record) in receipts.iter().zip(&written[1..]) {
        let Receipt { seq, entry_hash, time } = receipt;
        assert_eq!(
            (&record["seq"], &record["entry_hash"]),
            (&(*seq).into(), &(**entry_hash).into())
        );
        assert_eq!(record["time"], **time);
    }
    assert_eq!(written[0]["event"], "genesis");
    assert_eq!(written.len(), 3);
    assert_eq!(ledger.stats().records, 3);
}

#[test]
fn files_roll_over_and_the_chain_goes_on() {
    let directory = TempDir::new().unwrap();
    written(directory.path(), 30);
    let files = segments(directory.path());
    assert!(files.len() > 4, "{files:?}");
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() <= crate::support::ROTATE_BYTES, "{file:?}");
    }
    assert_eq!(check(directory.path()).unwrap().records(), 31);
}

#[test]
fn reopening_goes_on_where_it_ended() {
    let directory = TempDir::new().unwrap();
    for round in 0..6 {
        written(directory.path(), 4);
        assert_eq!(check(directory.path()).unwrap().records(), 1 + 4 * (round + 1));
    }
    let genesis = records(directory.path()).iter().filter(|r| r["event"] == "genesis").count();
    assert_eq!(genesis, 1);
}

#[test]
fn a_second_writer_is_refused_until_the_first_closes() {
    let directory = TempDir::new().unwrap();
    let first = Ledger::open(settings(directory.path())).unwrap();
    let error = Ledger::open(settings(directory.path())).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    first.close().unwrap();
    let second = Ledger::open(settings(directory.path())).unwrap();
    assert!(matches!(first.record_blocking(&event(1)), Err(LedgerError::Closed)));
    assert!(matches!(first.close(), Err(LedgerError::Closed)));
    assert_eq!(first.stats().refused, 1);
    drop(second);
    Ledger::open(settings(directory.path())).unwrap();
}

#[test]
fn many_threads_share_syncs_and_each_finds_its_record() {
    const THREADS: usize = 16;
    const EACH: usize = 50;
    let directory = TempDir::new().unwrap();
    let ledger =
        Ledger::open(Settings { rotate_bytes: 20_000, ..settings(directory.path()) }).unwrap();
    let receipts: Vec<(usize, Receipt)> = thread::scope(|scope| {
        let run = |start: usize| {
            let ledger = ledger.clone();
            let record = move |n| (n, ledger.record_blocking(&event(n)).unwrap());
            scope.spawn(move || (start * EACH..(start + 1) * EACH).map(record).collect::<Vec<_>>())
        };
        let threads: Vec<_> = (0..THREADS).map(run).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    ledger.close().unwrap();
    let written = records(directory.path());
    assert_eq!(check(directory.path()).unwrap().records(), (THREADS * EACH + 1) as u64);
    for (number, receipt) in receipts {
        let record = &written[usize::try_from(receipt.seq).unwrap() - 1];
        assert_eq!(record["tool"], format!("tool-{number}"));
        assert_eq!(record["entry_hash"], *receipt.entry_hash);
    }
}

#[test]
fn relaxed_records_come_with_the_next_durable_one_in_order() {
    let directory = TempDir::new().unwrap();
    let ledger = Ledger::open(settings(directory.path())).unwrap();
    ledger.record_relaxed(&event(1)).unwrap();
    let receipt = ledger.record_blocking(&event(2)).unwrap();
    assert_eq!(receipt.seq, 3);
    ledger.record_relaxed(&event(3)).unwrap();
    ledger.checkpoint().unwrap();
    let tools: Vec<_> = records(directory.path()).iter().map(|r| r["tool"].clone()).collect();
    assert_eq!(tools, [Value::Null, "tool-1".into(), "tool-2".into(), "tool-3".into()]);
    ledger.record_relaxed(&event(4)).unwrap();
    drop(ledger);
    assert_eq!(check(directory.path()).unwrap().chains[0].unsigned, 0);
    assert_eq!(records(directory.path()).len(), 5);
}

#[test]
fn checkpoints_come_by_themselves_while_there_is_news() {
    let directory = TempDir::new().unwrap();
    let every = std::time::Duration::ZERO;
    let ledger =
        Ledger::open(Settings { checkpoint_every: every, ..settings(directory.path()) }).unwrap();
    // Due after each batch; the ticket of the second record comes after the checkpoint of the first.
    record(&ledger, 0..2);
    assert!(check(directory.path()).unwrap().chains[0].unsigned <= 1);
    let text = fs::read_to_string(directory.path().join("checkpoints")).unwrap();
    assert!(text.lines().count() >= 2, "{text}");
    ledger.close().unwrap();
    let text = fs::read_to_string(directory.path().join("checkpoints")).unwrap();
    assert_eq!(text.lines().count(), 3, "no news, no checkpoint: {text}");
}

/// A mirror that hands over what it got.
struct Tee(Sender<String>);

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(String::from_utf8(bytes.to_vec()).unwrap()).map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_mirror_gets_every_line() {
    let directory = TempDir::new().unwrap();
    let (tee, mirrored) = channel();
    let mirror: Option<Box<dyn Write + Send>> = Some(Box::new(Tee(tee)));
    let ledger = Ledger::open(Settings { mirror, ..settings(directory.path()) }).unwrap();
    record(&ledger, 0..5);
    ledger.close().unwrap();
    let mirrored: String = mirrored.iter().collect();
    assert_eq!(mirrored.lines().collect::<Vec<_>>(), lines(directory.path()));
    assert_eq!(ledger.stats().mirror_dropped, 0);
}

/// A mirror whose reader does not read until it is told to.
struct Stuck(Arc<Mutex<Receiver<()>>>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.lock().unwrap().recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_mirror_loses_lines_but_stops_nobody() {
    let directory = TempDir::new().unwrap();
    let (go, wait) = channel();
    let mirror: Option<Box<dyn Write + Send>> = Some(Box::new(Stuck(Arc::new(Mutex::new(wait)))));
    let ledger = Ledger::open(Settings { mirror, ..settings(directory.path()) }).unwrap();
    record(&ledger, 0..40);
    assert!(ledger.stats().mirror_dropped > 0);
    drop(go);
    ledger.close().unwrap();
    assert_eq!(check(directory.path()).unwrap().records(), 41);
}

#[test]
fn old_files_are_retired_behind_a_signed_anchor() {
    let directory = TempDir::new().unwrap();
    let open =
        || Ledger::open(Settings { retain_files: Some(2), ..settings(directory.path()) }).unwrap();
    let ledger = open();
    for start in 0..6 {
        record(&ledger, start * 10..start * 10 + 10);
        ledger.checkpoint().unwrap();
        assert_eq!(segments(directory.path()).len(), 2);
        let chain = check(directory.path()).unwrap().chains.remove(0);
        assert_eq!((chain.seq, chain.unsigned), (start as u64 * 10 + 11, 0));
    }
    ledger.close().unwrap();
    let checkpoints = fs::read_to_string(directory.path().join("checkpoints")).unwrap();
    assert!(checkpoints.lines().count() <= 4, "{checkpoints}");
    let ledger = open();
    record(&ledger, 0..30);
    ledger.close().unwrap();
    assert_eq!(check(directory.path()).unwrap().chains[0].seq, 91);

    // Deleting one more by hand is not covered by the anchor.
    fs::remove_file(&segments(directory.path())[0]).unwrap();
    assert_eq!(check(directory.path()).unwrap_err()[0].kind, ProblemKind::MissingFile);
}

#[test]
fn the_key_is_private_and_stays() {
    let directory = TempDir::new().unwrap();
    written(directory.path(), 1);
    let path = directory.path().join("key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let key = fs::read_to_string(&path).unwrap();
    written(directory.path(), 1);
    assert_eq!(fs::read_to_string(&path).unwrap(), key);

    for file in ["key", "key.pub"] {
        let kept = fs::read(directory.path().join(file)).unwrap();
        fs::remove_file(directory.path().join(file)).unwrap();
        let error = Ledger::open(settings(directory.path())).unwrap_err();
        assert!(matches!(&error, OpenError::Key { path, .. } if path.ends_with(file)), "{error}");
        fs::write(directory.path().join(file), kept).unwrap();
    }
    written(directory.path(), 1);
}

#[test]
fn a_key_from_elsewhere_signs_and_is_never_replaced() {
    let (directory, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    written(elsewhere.path(), 0);
    let key = Some(elsewhere.path().join("key"));
    let with = |key| Settings { key, ..settings(directory.path()) };
    Ledger::open(with(key.clone())).unwrap().close().unwrap();
    assert!(!directory.path().join("key").exists());
    let pin = PublicKey::from_file(&elsewhere.path().join("key.pub")).unwrap();
    assert!(verify(&[directory.path().to_owned()], Some(&pin)).is_ok());

    let absent = Ledger::open(with(Some(elsewhere.path().join("absent")))).unwrap_err();
    assert!(matches!(absent, OpenError::Io { .. }), "{absent}");
    fs::write(elsewhere.path().join("bad"), "x").unwrap();
    let bad = Ledger::open(with(Some(elsewhere.path().join("bad")))).unwrap_err();
    assert!(matches!(bad, OpenError::Key { .. }), "{bad}");
    let other = TempDir::new().unwrap();
    written(other.path(), 0);
    let other = Ledger::open(with(Some(other.path().join("key")))).unwrap_err();
    assert!(other.to_string().contains("key.pub"), "{other}");
    Ledger::open(with(key)).unwrap();
}

#[test]
fn more_than_the_queue_holds_is_refused() {
    let directory = TempDir::new().unwrap();
    let (enter, entered) = channel();
    let (go, wait) = channel::<()>();
    let replayed = crate::support::replayed();
    // The clock holds the writer up inside a batch, from the third look on: genesis and its checkpoint came before.
    let looks = AtomicU32::new(0);
    let wait = Mutex::new(wait);
    let clock = move || {
        if looks.fetch_add(1, Ordering::Relaxed) >= 2 {
            let _ = enter.send(());
            let _ = wait.lock().unwrap().recv();
        }
        replayed()
    };
    let ledger = Ledger::open(Settings {
        queue_records: 2,
        clock: Box::new(clock),
        ..settings(directory.path())
    })
    .unwrap();
    let first = ledger.append(&event(1)).unwrap();
    entered.recv().unwrap();
    let waiting = [ledger.append(&event(2)).unwrap(), ledger.append(&event(3)).unwrap()];
    let refused = ledger.append(&event(4)).unwrap_err();
    assert!(matches!(refused, LedgerError::Overloaded { .. }), "{refused}");
    assert_eq!(ledger.stats().refused, 1);
    drop(go);
    assert_eq!(first.wait().unwrap().seq, 2);
    assert_eq!(waiting.map(|ticket| ticket.wait().unwrap().seq), [3, 4]);
    ledger.close().unwrap();
    assert_eq!(check(directory.path()).unwrap().records(), 4);
}

/// The documented form, checked by somebody else's code; skipped where there is no Python.
#[test]
fn python_computes_the_same_hashes() {
    let directory = TempDir::new().unwrap();
    written(directory.path(), 10);
    let program = "
import glob, hashlib, json, sys
prev = '0' * 64
for name in sorted(glob.glob(sys.argv[1] + '/audit-*.jsonl')):
    for line in open(name):
        record = json.loads(line)
        claimed = record.pop('entry_hash')
        text = json.dumps(record, sort_keys=True, separators=(',', ':'))
        assert hashlib.sha256(text.encode()).hexdigest() == claimed, line
        assert record['prev_hash'] == prev, line
        prev = claimed
print(prev)
";
    let python = Command::new("python3").args(["-c", program]).arg(directory.path()).output();
    let Ok(output) = python else { return };
    let head = check(directory.path()).unwrap().chains.remove(0).head;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), head, "{output:?}");
}
