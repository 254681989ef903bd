//! The copy of each line for the cluster's log pipeline. Best effort on a thread of its own: a reader that stops must
//! not stop the gate.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::time::Duration;

/// Batches that may wait for the mirror; a batch is at most `writer::MAX_BATCH_BYTES` and one record.
const WAITING_BATCHES: usize = 16;

/// How long closing waits for the mirror to take what is left.
const FLUSH_AT_CLOSE: Duration = Duration::from_secs(1);

pub(crate) struct Mirror {
    lines: SyncSender<String>,
    finished: Receiver<()>,
    dropped: Arc<AtomicU64>,
}

impl Mirror {
    /// `dropped` counts the batches that the reader was too slow for, or that it refused.
    pub(crate) fn start(
        mut to: Box<dyn Write + Send>,
        dropped: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let (lines, waiting) = sync_channel::<String>(WAITING_BATCHES);
        let (done, finished) = channel();
        let failed = Arc::clone(&dropped);
        std::thread::Builder::new().name("ledger-mirror".to_owned()).spawn(move || {
            for batch in waiting {
                if to.write_all(batch.as_bytes()).and_then(|()| to.flush()).is_err() {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            // Only the disconnection of `done` matters, and it happens here.
            drop(done);
        })?;
        Ok(Self { lines, finished, dropped })
    }

    /// Hands the lines over, or counts them as dropped.
    pub(crate) fn send(&self, lines: String) {
        match self.lines.try_send(lines) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits for the mirror to catch up, but not for ever.
    pub(crate) fn close(self) {
        let Self { lines, finished, dropped } = self;
        drop(lines);
        if finished.recv_timeout(FLUSH_AT_CLOSE) == Err(RecvTimeoutError::Timeout) {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
