//! The handle that the gates hold: settings, opening, recording. All writing happens on one thread behind it.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::future::Future;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::chain::{Chain, Parts};
use crate::clock::{Clock, SystemClock};
use crate::disk::{Directory, Storage};
use crate::encode::Fields;
use crate::error::{LedgerError, OpenError};
use crate::event::{Event, Gate};
use crate::format::LOCK_FILE;
use crate::key::SigningKey;
use crate::mirror::Mirror;
use crate::recover::{has_records, recover};
use crate::ticket::{Promise, Receipt, Ticket, ticket};
use crate::verify::PublicKey;
use crate::writer::{Batch, Command, Writer};

/// Default size in bytes after which a log file is followed by a new one.
pub const DEFAULT_ROTATE_BYTES: u64 = 64 * 1024 * 1024;

/// Default number of records that may wait to be written.
pub const DEFAULT_QUEUE_RECORDS: usize = 8192;

/// Most bytes of records that may wait to be written.
pub const MAX_QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// Default time between checkpoints.
pub const DEFAULT_CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

const DIRECTORY_MODE: u32 = 0o755;

/// How to open a ledger.
pub struct Settings {
    /// The audit directory; made if absent. One writer each.
    pub directory: PathBuf,
    /// Whose ledger it is: the `gate` of the records that the ledger writes itself.
    pub gate: Gate,
    /// An Ed25519 private key in PEM (PKCS#8); without it one is made and kept in the directory.
    pub key: Option<PathBuf>,
    /// Size in bytes after which a log file is followed by a new one; the last batch may exceed it.
    pub rotate_bytes: u64,
    /// How many log files are kept, at least 1; the oldest are deleted, with a signed anchor in their place. None: all.
    pub retain_files: Option<u32>,
    /// Records that may wait to be written; more are refused.
    pub queue_records: usize,
    /// Time between checkpoints while there is news.
    pub checkpoint_every: Duration,
    /// Gets a copy of each durable line, for a log pipeline; too slow a reader loses lines, which is counted.
    pub mirror: Option<Box<dyn Write + Send>>,
    /// Where times come from.
    pub clock: Box<dyn Clock>,
}

impl Settings {
    /// The defaults for a directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, gate: Gate) -> Self {
        Self {
            directory: directory.into(),
            gate,
            key: None,
            rotate_bytes: DEFAULT_ROTATE_BYTES,
            retain_files: None,
            queue_records: DEFAULT_QUEUE_RECORDS,
            checkpoint_every: DEFAULT_CHECKPOINT_EVERY,
            mirror: None,
            clock: Box::new(SystemClock::new()),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("directory", &self.directory)
            .field("gate", &self.gate)
            .field("rotate_bytes", &self.rotate_bytes)
            .field("retain_files", &self.retain_files)
            .finish_non_exhaustive()
    }
}

/// Counts since the ledger was opened, for metrics and readiness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Records made durable.
    pub records: u64,
    /// Records refused, for whatever reason.
    pub refused: u64,
    /// Writes, syncs, rotations and checkpoints that failed.
    pub write_failures: u64,
    /// Batches of lines that the mirror lost.
    pub mirror_dropped: u64,
    /// Whether the last write worked.
    pub healthy: bool,
}

/// The counters behind [`Stats`].
#[derive(Debug)]
pub(crate) struct Counters {
    records: AtomicU64,
    refused: AtomicU64,
    write_failures: AtomicU64,
    mirror_dropped: Arc<AtomicU64>,
    healthy: AtomicBool,
    waiting_bytes: AtomicUsize,
}

impl Counters {
    fn new() -> Self {
        Self {
            records: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            write_failures: AtomicU64::new(0),
            mirror_dropped: Arc::new(AtomicU64::new(0)),
            healthy: AtomicBool::new(true),
            waiting_bytes: AtomicUsize::new(0),
        }
    }

    /// `records` are durable.
    pub(crate) fn wrote(&self, records: usize) {
        add(&self.records, records);
        self.healthy.store(true, Ordering::Relaxed);
    }

    /// A write failed, and `records` with it.
    pub(crate) fn failed(&self, records: usize) {
        add(&self.write_failures, 1);
        add(&self.refused, records);
        self.healthy.store(false, Ordering::Relaxed);
    }

    /// The writer took a record out of the queue.
    pub(crate) fn taken(&self, bytes: usize) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn reserve(&self, bytes: usize) -> Result<(), LedgerError> {
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let waiting = before.saturating_add(bytes);
        if waiting > MAX_QUEUE_BYTES {
            self.taken(bytes);
            return Err(LedgerError::Overloaded { waiting: format!("{before} bytes") });
        }
        Ok(())
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// A ledger open for writing; clones share it. The last one to go writes a checkpoint and waits for it.
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: Option<SyncSender<Command>>,
    capacity: usize,
    counters: Arc<Counters>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Ledger {
    /// Opens the directory: locks it, repairs a torn last line, writes genesis or repair record and a checkpoint.
    ///
    /// # Errors
    /// When another writer has it, when what is there does not verify, or when it can't be written to.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let storage = Box::new(Directory(settings.directory.clone()));
        Self::open_on(settings, storage)
    }

    pub(crate) fn open_on(
        settings: Settings,
        storage: Box<dyn Storage>,
    ) -> Result<Self, OpenError> {
        let counters = Arc::new(Counters::new());
        let (capacity, checkpoint_every) = (settings.queue_records, settings.checkpoint_every);
        let lock = lock(&settings.directory)?;
        let chain = open_chain(settings, storage, &counters)?;
        let (sender, queue) = sync_channel(capacity);
        let now = Instant::now();
        let writer = Writer {
            chain,
            queue,
            counters: Arc::clone(&counters),
            checkpoint_every,
            next_checkpoint: now.checked_add(checkpoint_every).unwrap_or(now),
            batch: Batch::default(),
            lock,
        };
        let thread = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| OpenError::io("start a thread for", "ledger-writer", source))?;
        let thread = Mutex::new(Some(thread));
        let inner = Inner { queue: Some(sender), capacity, counters, thread };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Hands a durable record over. The action may go on only when the ticket resolved to a receipt.
    ///
    /// # Errors
    /// When too much is waiting, or the ledger is closed.
    pub fn append(&self, event: &Event) -> Result<Ticket, LedgerError> {
        let (promise, ticket) = ticket();
        self.enqueue(event, Some(promise))?;
        Ok(ticket)
    }

    /// Resolves once the record is durable: the record is handed over now, not when the future is first polled.
    ///
    /// # Errors
    /// When it can't become durable; then the action must be refused.
    pub fn record(
        &self,
        event: &Event,
    ) -> impl Future<Output = Result<Receipt, LedgerError>> + Send + use<> {
        let ticket = self.append(event);
        async move { ticket?.await }
    }

    /// As [`Ledger::record`], for threads.
    ///
    /// # Errors
    /// When the record can't become durable; then the action must be refused.
    pub fn record_blocking(&self, event: &Event) -> Result<Receipt, LedgerError> {
        self.append(event)?.wait()
    }

    /// Records without waiting: durable with the next durable record or checkpoint, lost in a crash before that.
    ///
    /// # Errors
    /// When too much is waiting, or the ledger is closed.
    pub fn record_relaxed(&self, event: &Event) -> Result<(), LedgerError> {
        self.enqueue(event, None)
    }

    /// Makes everything handed over so far durable and signs it now.
    ///
    /// # Errors
    /// When the disk refuses, or the ledger is closed.
    pub fn checkpoint(&self) -> Result<(), LedgerError> {
        let (promise, ticket) = ticket();
        self.command(Command::Checkpoint(promise))?;
        ticket.wait()
    }

    /// Writes what is waiting and a last checkpoint; every later record is refused. The directory is free afterwards.
    ///
    /// # Errors
    /// When the disk refuses the checkpoint, or the ledger is closed already.
    pub fn close(&self) -> Result<(), LedgerError> {
        let (promise, ticket) = ticket();
        self.command(Command::Close(promise))?;
        let result = ticket.wait();
        self.inner.join();
        result
    }

    /// Counts so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counters = &self.inner.counters;
        Stats {
            records: counters.records.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
            write_failures: counters.write_failures.load(Ordering::Relaxed),
            mirror_dropped: counters.mirror_dropped.load(Ordering::Relaxed),
            healthy: counters.healthy.load(Ordering::Relaxed),
        }
    }

    fn enqueue(&self, event: &Event, promise: Option<Promise<Receipt>>) -> Result<(), LedgerError> {
        let result = Fields::of(event).and_then(|fields| self.submit(fields, promise));
        if result.is_err() {
            add(&self.inner.counters.refused, 1);
        }
        result
    }

    fn submit(&self, fields: Fields, promise: Option<Promise<Receipt>>) -> Result<(), LedgerError> {
        let bytes = fields.bytes();
        self.inner.counters.reserve(bytes)?;
        let sent = self.try_send(Command::Record { fields, promise });
        if sent.is_err() {
            self.inner.counters.taken(bytes);
        }
        sent
    }

    fn try_send(&self, command: Command) -> Result<(), LedgerError> {
        let Some(queue) = &self.inner.queue else { return Err(LedgerError::Closed) };
        queue.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => {
                LedgerError::Overloaded { waiting: format!("{} records", self.inner.capacity) }
            }
            TrySendError::Disconnected(_) => LedgerError::Closed,
        })
    }

    /// Waits for room: only for threads that may.
    fn command(&self, command: Command) -> Result<(), LedgerError> {
        let Some(queue) = &self.inner.queue else { return Err(LedgerError::Closed) };
        queue.send(command).map_err(|_| LedgerError::Closed)
    }
}

impl Inner {
    fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A writer that panicked has broken its promises already, which refuses what waited.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        self.join();
    }
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(directory)
        .map_err(|source| OpenError::io("create", directory, source))?;
    let path = directory.join(LOCK_FILE);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| OpenError::io("open", path.as_path(), source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { directory: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(OpenError::io("lock", path, source)),
    }
}

fn open_chain(
    settings: Settings,
    storage: Box<dyn Storage>,
    counters: &Arc<Counters>,
) -> Result<Chain, OpenError> {
    let directory = settings.directory;
    let key = SigningKey::of(&directory, settings.key.as_deref(), has_records(&directory)?)?;
    let public = PublicKey::from_bytes(key.public());
    let found = recover(&directory, &public)?;
    let mirror = settings
        .mirror
        .map(|to| Mirror::start(to, Arc::clone(&counters.mirror_dropped)))
        .transpose()
        .map_err(|source| OpenError::io("start a thread for", "ledger-mirror", source))?;
    let parts = Parts {
        directory,
        gate: settings.gate,
        storage,
        clock: settings.clock,
        key,
        mirror,
        counters: Arc::clone(counters),
        rotate_bytes: settings.rotate_bytes,
        retain_files: settings.retain_files,
    };
    Ok(Chain::open(parts, found)?)
}
