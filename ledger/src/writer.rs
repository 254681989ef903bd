//! The thread that writes: takes what waits in the queue, makes it durable with one sync, then answers.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::chain::Chain;
use crate::encode::Fields;
use crate::error::LedgerError;
use crate::ledger::Counters;
use crate::ticket::{Promise, Receipt};

/// Most records in one batch.
pub(crate) const MAX_BATCH_RECORDS: usize = 1024;

/// A batch takes no further record once it has this many bytes.
pub(crate) const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// What the ledger's handles send.
pub(crate) enum Command {
    /// A record, with a promise if it is to be durable before the answer.
    Record { fields: Fields, promise: Option<Promise<Receipt>> },
    /// Make everything durable and sign it.
    Checkpoint(Promise<()>),
    /// The same, and end.
    Close(Promise<()>),
}

pub(crate) struct Writer {
    pub(crate) chain: Chain,
    pub(crate) queue: Receiver<Command>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) checkpoint_every: Duration,
    pub(crate) next_checkpoint: Instant,
    /// Records without a promise wait here for the next durable one, or the next checkpoint.
    pub(crate) batch: Batch,
    /// Keeps other writers out while this one lives.
    pub(crate) lock: File,
}

#[derive(Default)]
pub(crate) struct Batch {
    records: Vec<Fields>,
    promises: Vec<Option<Promise<Receipt>>>,
    bytes: usize,
    durable: bool,
}

/// What ended the gathering of a batch.
enum Then {
    GoOn,
    Checkpoint(Option<Promise<()>>),
    End(Option<Promise<()>>),
}

impl Batch {
    fn push(&mut self, fields: Fields, promise: Option<Promise<Receipt>>) {
        self.bytes = self.bytes.saturating_add(fields.bytes());
        self.durable |= promise.is_some();
        self.records.push(fields);
        self.promises.push(promise);
    }

    fn is_full(&self) -> bool {
        self.records.len() >= MAX_BATCH_RECORDS || self.bytes >= MAX_BATCH_BYTES
    }
}

impl Writer {
    /// Runs until closed, or until every handle is gone.
    pub(crate) fn run(mut self) {
        loop {
            match self.gather() {
                Then::GoOn => {
                    if self.batch.durable || self.batch.is_full() {
                        self.commit();
                    }
                    // A queue that is never empty must not put this off.
                    if Instant::now() >= self.next_checkpoint {
                        self.vouch(None);
                    }
                }
                Then::Checkpoint(promise) => self.vouch(promise),
                Then::End(promise) => {
                    self.vouch(None);
                    let result = self.chain.checkpoint();
                    self.chain.close();
                    drop(self.lock);
                    if let Some(promise) = promise {
                        promise.answer(result);
                    }
                    return;
                }
            }
        }
    }

    /// Waits for something to do, then takes whatever else is there already.
    fn gather(&mut self) -> Then {
        let wait = self.next_checkpoint.saturating_duration_since(Instant::now());
        let mut next = match self.queue.recv_timeout(wait) {
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => return Then::Checkpoint(None),
            Err(RecvTimeoutError::Disconnected) => return Then::End(None),
        };
        while let Some(command) = next {
            match command {
                Command::Record { fields, promise } => {
                    self.counters.taken(fields.bytes());
                    self.batch.push(fields, promise);
                }
                Command::Checkpoint(promise) => return Then::Checkpoint(Some(promise)),
                Command::Close(promise) => return Then::End(Some(promise)),
            }
            if self.batch.is_full() {
                break;
            }
            next = self.queue.try_recv().ok();
        }
        Then::GoOn
    }

    fn commit(&mut self) {
        let Batch { records, promises, .. } = std::mem::take(&mut self.batch);
        match self.chain.append(records) {
            Ok(receipts) => {
                for (promise, receipt) in promises.into_iter().zip(receipts) {
                    answer(promise, Ok(receipt));
                }
            }
            Err(error) => {
                for promise in promises {
                    answer(promise, Err(error.clone()));
                }
            }
        }
    }

    fn vouch(&mut self, promise: Option<Promise<()>>) {
        if !self.batch.records.is_empty() {
            self.commit();
        }
        self.chain.heal();
        let result = self.chain.checkpoint();
        self.chain.retire();
        self.next_checkpoint =
            Instant::now().checked_add(self.checkpoint_every).unwrap_or(self.next_checkpoint);
        if let Some(promise) = promise {
            promise.answer(result);
        }
    }
}

fn answer(promise: Option<Promise<Receipt>>, result: Result<Receipt, LedgerError>) {
    if let Some(promise) = promise {
        promise.answer(result);
    }
}
