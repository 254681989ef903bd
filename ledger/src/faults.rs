//! Tests on a disk that fails: full, broken, slow, or without power.

#![expect(clippy::arithmetic_side_effects, reason = "a panic in a test is a finding")]

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use crate::disk::{Appender, Directory, Storage};
use crate::format::segment_name;
use crate::verify::{Report, verify};
use crate::{
    Decision, Event, EventKind, Gate, Ledger, LedgerError, OpenError, Receipt, Settings, Stats,
};

const NEVER: Duration = Duration::from_secs(3600);

/// What the disk does next; shared with the test.
#[derive(Default)]
struct Plan {
    /// Bytes that still fit.
    room: Option<usize>,
    fail_sync: bool,
    fail_cut: bool,
    fail_open: bool,
    fail_replace: bool,
    fail_remove: bool,
    /// Said before each sync of a log file, which then waits for the answer.
    gate: Option<(Sender<()>, Receiver<()>)>,
    syncs: usize,
    /// What was done, in order: appends and changes of names.
    log: Vec<String>,
    /// After each append, before its sync: the whole directory, the file, its length before.
    images: Option<Vec<(TempDir, String, u64)>>,
}

type Shared = Arc<Mutex<Plan>>;

struct Faulty {
    disk: Directory,
    plan: Shared,
}

struct FaultyFile {
    file: Box<dyn Appender>,
    name: String,
    directory: PathBuf,
    plan: Shared,
}

fn broken() -> io::Error {
    io::Error::from(ErrorKind::Other)
}

impl Faulty {
    fn note(&self, what: String) {
        self.plan.lock().unwrap().log.push(what);
    }

    fn wrap(&self, name: &str, file: Box<dyn Appender>) -> Box<dyn Appender> {
        let (directory, plan) = (self.disk.0.clone(), Arc::clone(&self.plan));
        Box::new(FaultyFile { file, name: name.to_owned(), directory, plan })
    }
}

impl Storage for Faulty {
    fn open(&mut self, name: &str) -> io::Result<Box<dyn Appender>> {
        if self.plan.lock().unwrap().fail_open {
            return Err(broken());
        }
        let file = self.disk.open(name)?;
        Ok(self.wrap(name, file))
    }

    fn replace(&mut self, name: &str, content: &[u8]) -> io::Result<Box<dyn Appender>> {
        if self.plan.lock().unwrap().fail_replace {
            return Err(broken());
        }
        self.note(format!("replace {name}"));
        let file = self.disk.replace(name, content)?;
        Ok(self.wrap(name, file))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.note("sync names".to_owned());
        self.disk.sync_names()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        if self.plan.lock().unwrap().fail_remove {
            return Err(broken());
        }
        self.note(format!("remove {name}"));
        self.disk.remove(name)
    }
}

impl Appender for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut plan = self.plan.lock().unwrap();
        plan.log.push(format!("append {}", self.name));
        let before = self.file.length()?;
        let fits = plan.room.unwrap_or(bytes.len()).min(bytes.len());
        self.file.append(&bytes[..fits])?;
        if let Some(room) = &mut plan.room {
            *room -= fits;
        }
        if let Some(images) = &mut plan.images {
            images.push((copied(&self.directory), self.name.clone(), before));
        }
        if fits < bytes.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut plan = self.plan.lock().unwrap();
        plan.syncs += 1;
        if let Some((reached, go)) = &plan.gate {
            let _ = reached.send(());
            let _ = go.recv();
        }
        if plan.fail_sync {
            return Err(broken());
        }
        self.file.sync()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if self.plan.lock().unwrap().fail_cut { Err(broken()) } else { self.file.cut(length) }
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}

fn copied(from: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.path().join(path.file_name().unwrap())).unwrap();
    }
    to
}

/// A ledger on a disk of its own, and the disk's plan.
struct Bench {
    directory: TempDir,
    ledger: Ledger,
    plan: Shared,
}

fn settings(directory: &Path) -> Settings {
    Settings { checkpoint_every: NEVER, ..Settings::new(directory, Gate::Webhook) }
}

impl Bench {
    fn new() -> Self {
        Self::with(|settings| settings)
    }

    fn with(adjust: impl FnOnce(Settings) -> Settings) -> Self {
        let directory = TempDir::new().unwrap();
        let plan = Shared::default();
        let storage =
            Faulty { disk: Directory(directory.path().to_owned()), plan: Arc::clone(&plan) };
        let settings = adjust(settings(directory.path()));
        let ledger = Ledger::open_on(settings, Box::new(storage)).unwrap();
        Self { directory, ledger, plan }
    }

    fn set(&self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.plan.lock().unwrap());
    }

    fn record(&self) -> Result<Receipt, LedgerError> {
        self.ledger.record_blocking(&event())
    }

    fn verified(&self) -> Report {
        verify(&[self.directory.path().to_owned()], None).unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.directory.path().join(segment_name(1))).unwrap()
    }

    fn stats(&self) -> Stats {
        self.ledger.stats()
    }
}

fn event() -> Event {
    Event {
        operation: Some("CREATE".to_owned()),
        ..Event::new(Gate::Webhook, EventKind::Admission, Decision::Deny)
    }
}

#[track_caller]
fn assert_refused(result: &Result<Receipt, LedgerError>) {
    assert!(matches!(result, Err(LedgerError::Write { .. })), "{result:?}");
}

#[test]
fn a_full_disk_refuses_records_until_there_is_room() {
    for room in [0, 1, 100, 200] {
        let bench = Bench::new();
        bench.record().unwrap();
        bench.set(|plan| plan.room = Some(room));
        let before = bench.text();
        assert_refused(&bench.record());
        assert_eq!(bench.text(), before, "what was refused is gone");
        assert_refused(&bench.record());
        assert_eq!((bench.stats().refused, bench.stats().healthy), (2, false));
        bench.set(|plan| plan.room = None);
        let receipt = bench.record().unwrap();
        // Genesis, the first, the notice, this one.
        assert_eq!((receipt.seq, bench.stats().healthy), (4, true));
        bench.ledger.close().unwrap();
        assert_eq!(bench.verified().records(), 4);
        assert!(bench.text().contains("2 records were refused before this one: no storage space"));
    }
}

#[test]
fn a_torn_line_that_could_not_be_cut_is_cut_before_the_next_write() {
    let bench = Bench::new();
    bench.set(|plan| (plan.room, plan.fail_cut) = (Some(50), true));
    assert_refused(&bench.record());
    bench.set(|plan| plan.room = None);
    assert_refused(&bench.record());
    bench.set(|plan| plan.fail_cut = false);
    bench.record().unwrap();
    bench.ledger.close().unwrap();
    bench.verified();
}

#[test]
fn a_failed_sync_refuses_and_writes_again_rather_than_syncing_again() {
    let bench = Bench::new();
    bench.set(|plan| plan.fail_sync = true);
    assert_refused(&bench.record());
    bench.set(|plan| plan.fail_sync = false);
    assert_eq!(bench.record().unwrap().seq, 3);
    bench.ledger.close().unwrap();
    assert_eq!(bench.verified().records(), 3);
}

#[test]
fn a_failed_roll_over_refuses_and_is_tried_again() {
    let bench = Bench::with(|settings| Settings { rotate_bytes: 1, ..settings });
    bench.record().unwrap();
    bench.set(|plan| plan.fail_open = true);
    assert_refused(&bench.record());
    assert_refused(&bench.record());
    bench.set(|plan| plan.fail_open = false);
    bench.record().unwrap();
    bench.ledger.close().unwrap();
    assert_eq!((bench.verified().records(), bench.verified().chains[0].files), (4, 3));
}

#[test]
fn the_disk_is_tried_again_without_a_new_record() {
    let bench = Bench::new();
    bench.set(|plan| plan.room = Some(0));
    assert_refused(&bench.record());
    assert!(bench.ledger.checkpoint().is_ok(), "there was no news to sign");
    assert!(!bench.stats().healthy);
    bench.set(|plan| plan.room = None);
    bench.ledger.checkpoint().unwrap();
    assert!(bench.stats().healthy);
    assert!(bench.text().contains("1 records were refused"));
    assert_eq!(bench.verified().chains[0].unsigned, 0);
}

#[test]
fn a_failed_checkpoint_refuses_no_record_and_comes_later() {
    let bench = Bench::new();
    bench.record().unwrap();
    bench.set(|plan| plan.room = Some(10));
    assert!(matches!(bench.ledger.checkpoint(), Err(LedgerError::Write { .. })));
    bench.set(|plan| plan.room = None);
    bench.record().unwrap();
    assert_eq!(bench.verified().chains[0].unsigned, 2);
    bench.ledger.checkpoint().unwrap();
    assert_eq!(bench.verified().chains[0].unsigned, 0);
}

#[test]
fn a_failed_retirement_keeps_too_much_and_comes_later() {
    let failures: [fn(&mut Plan, bool); 2] =
        [|plan, fails| plan.fail_replace = fails, |plan, fails| plan.fail_remove = fails];
    for fail in failures {
        let bench =
            Bench::with(|settings| Settings { rotate_bytes: 1, retain_files: Some(2), ..settings });
        bench.set(|plan| fail(plan, true));
        for _ in 0..4 {
            bench.record().unwrap();
        }
        bench.ledger.checkpoint().unwrap();
        assert_eq!(bench.verified().chains[0].files, 5);
        bench.set(|plan| fail(plan, false));
        bench.record().unwrap();
        bench.ledger.checkpoint().unwrap();
        assert_eq!(bench.verified().chains[0].files, 2);
    }
}

#[test]
fn a_file_is_removed_only_once_its_anchor_is_durable() {
    let bench =
        Bench::with(|settings| Settings { rotate_bytes: 1, retain_files: Some(1), ..settings });
    bench.record().unwrap();
    bench.set(|plan| plan.log.clear());
    bench.ledger.checkpoint().unwrap();
    let wanted = ["append checkpoints", "replace checkpoints", "sync names", "remove"];
    let log = std::mem::take(&mut bench.plan.lock().unwrap().log);
    let fits = log.iter().zip(wanted).all(|(done, wanted)| done.starts_with(wanted));
    assert!(fits && log.len() == wanted.len(), "{log:?}");
}

#[test]
fn a_torn_line_is_cut_before_its_file_is_left_behind() {
    // Room for the genesis and one record, but not for the notice of a refusal as well.
    let bench = Bench::with(|settings| Settings { rotate_bytes: 900, ..settings });
    bench.set(|plan| (plan.room, plan.fail_cut) = (Some(50), true));
    assert_refused(&bench.record());
    bench.set(|plan| plan.room = None);
    assert_refused(&bench.record());
    assert!(!bench.text().ends_with('\n'));
    bench.set(|plan| plan.fail_cut = false);
    bench.record().unwrap();
    bench.ledger.close().unwrap();
    assert_eq!(bench.verified().chains[0].files, 2);
}

#[test]
fn a_queue_that_is_never_empty_does_not_put_checkpoints_off() {
    let bench = Bench::with(|settings| Settings { checkpoint_every: Duration::ZERO, ..settings });
    let ((reached, at_sync), (go, wait)) = (channel(), channel());
    bench.set(|plan| plan.gate = Some((reached, wait)));
    let first = bench.ledger.append(&event()).unwrap();
    at_sync.recv().unwrap();
    let rest: Vec<_> = (0..3000).map(|_| bench.ledger.append(&event()).unwrap()).collect();
    drop(go);
    first.wait().unwrap();
    rest.into_iter().for_each(|ticket| drop(ticket.wait().unwrap()));
    bench.ledger.close().unwrap();
    let log = std::mem::take(&mut bench.plan.lock().unwrap().log);
    assert!(log.len() >= 8, "{log:?}");
    let alternates =
        log.chunks(2).all(|two| two == ["append audit-00000001.jsonl", "append checkpoints"]);
    assert!(alternates, "{log:?}");
}

#[test]
fn what_waits_is_bounded_in_bytes_too() {
    let bench = Bench::new();
    let ((reached, at_sync), (go, wait)) = (channel(), channel());
    bench.set(|plan| plan.gate = Some((reached, wait)));
    let first = bench.ledger.append(&event()).unwrap();
    at_sync.recv().unwrap();
    let rules = vec!["\u{1}".repeat(300); 64];
    let large = Event { rules: rules.clone(), grants: rules.clone(), keys: rules, ..event() };
    let mut waiting = Vec::new();
    let refused = loop {
        match bench.ledger.append(&large) {
            Ok(ticket) => waiting.push(ticket),
            Err(error) => break error,
        }
    };
    assert!(refused.to_string().contains("bytes"), "{refused}");
    assert!((10..100).contains(&waiting.len()), "{}", waiting.len());
    drop(go);
    first.wait().unwrap();
    waiting.into_iter().for_each(|ticket| drop(ticket.wait().unwrap()));
    // And what was written makes room again.
    bench.ledger.record_blocking(&large).unwrap();
}

#[test]
fn an_opening_that_cannot_write_fails() {
    let directory = TempDir::new().unwrap();
    let plan = Shared::default();
    plan.lock().unwrap().room = Some(10);
    let storage = Faulty { disk: Directory(directory.path().to_owned()), plan };
    let error = Ledger::open_on(settings(directory.path()), Box::new(storage)).unwrap_err();
    assert!(matches!(error, OpenError::Write(LedgerError::Write { .. })), "{error}");
    // And leaves nothing that would hinder the next one.
    Ledger::open(settings(directory.path())).unwrap().close().unwrap();
    assert!(verify(&[directory.path().to_owned()], None).is_ok());
}

#[test]
fn no_receipt_comes_before_the_sync_and_one_sync_serves_all_that_wait() {
    let bench = Bench::new();
    let ((reached, at_sync), (go, wait)) = (channel(), channel());
    bench.set(|plan| plan.gate = Some((reached, wait)));
    let first = bench.ledger.append(&event()).unwrap();
    at_sync.recv().unwrap();
    // The first batch is held at its sync; these have to wait for the second.
    let rest: Vec<_> = (0..100).map(|_| bench.ledger.append(&event()).unwrap()).collect();
    assert_eq!(bench.stats().records, 1, "only the genesis is durable");
    go.send(()).unwrap();
    assert_eq!(first.wait().unwrap().seq, 2);
    at_sync.recv().unwrap();
    assert_eq!(bench.stats().records, 2);
    drop(go);
    let seqs: Vec<_> = rest.into_iter().map(|ticket| ticket.wait().unwrap().seq).collect();
    assert_eq!(seqs, (3..=102).collect::<Vec<_>>());
    // Genesis and its checkpoint, the first record, all the others.
    assert_eq!(bench.plan.lock().unwrap().syncs, 4);
}

#[test]
fn a_power_cut_at_any_byte_of_any_write_keeps_what_was_durable() {
    let bench = Bench::with(|settings| Settings { rotate_bytes: 1500, ..settings });
    bench.set(|plan| plan.images = Some(Vec::new()));
    for _ in 0..3 {
        let tickets: Vec<_> = (0..3).map(|_| bench.ledger.append(&event()).unwrap()).collect();
        tickets.into_iter().for_each(|ticket| drop(ticket.wait().unwrap()));
        bench.ledger.checkpoint().unwrap();
    }
    let images = bench.plan.lock().unwrap().images.take().unwrap();
    assert!(images.len() >= 6);
    for (image, name, before) in images {
        let path = image.path().join(&name);
        let after = fs::metadata(&path).unwrap().len();
        for length in (before..after).step_by(61).chain([after]) {
            let cut = copied(image.path());
            let path = cut.path().join(&name);
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
            let durable = whole_lines(image.path(), &name, before);
            Ledger::open(settings(cut.path())).unwrap().close().unwrap();
            let report = verify(&[cut.path().to_owned()], None).unwrap();
            assert!(report.records() >= durable, "{name} {before}..{length}..{after}");
        }
    }
}

/// Records in an image, of those in the file `name` only the first `length` bytes'.
fn whole_lines(image: &Path, name: &str, length: u64) -> u64 {
    let mut lines = 0;
    for number in 1.. {
        let segment = segment_name(number);
        let Ok(mut text) = fs::read(image.join(&segment)) else { return lines };
        if segment == name {
            text.truncate(usize::try_from(length).unwrap());
        }
        lines += text.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    lines
}
