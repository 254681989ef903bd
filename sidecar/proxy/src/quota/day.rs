//! Bytes of 24 hours, which survive a restart of the sidecar in its pod.
//!
//! Days are windows of 24 hours that follow each other from the first start. A new process goes on in the window of the former: by the time since
//! the machine started if it still runs, else by the wall clock; a wall clock that went back prolongs the window, it never opens a new one.
//! A state that can't be read counts as a day that is used up.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::StartError;

/// Seconds of a window.
const DAY_SECONDS: u64 = 86_400;
/// The state is written no more often; what a killed process had counted since is forgotten.
pub(super) const WRITE_PAUSE: Duration = Duration::from_secs(1);
/// Name of the state in its directory.
const FILE: &str = "egress-day.json";
/// Largest state that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4096;
/// Added to the time since the machine started, so that a window that began before it can be said.
const BEFORE_START: u64 = 2 * DAY_SECONDS;

/// What passed in the present window.
#[derive(Debug, Default)]
pub(super) struct Day {
    /// Seconds on our clock when the window began; 0 before the first byte.
    began: AtomicU64,
    used: AtomicU64,
    rolling: Mutex<()>,
    file: Option<PathBuf>,
    /// What was written last.
    written: Mutex<Option<(u64, u64)>>,
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct State {
    version: u32,
    /// Bytes that the window has used.
    used: u64,
    /// When it began, in seconds since 1970.
    began: u64,
    /// The same in seconds of the machine's running time (plus two days), and which run of the machine that is.
    began_running: u64,
    boot: String,
}

fn seconds(now: Duration) -> u64 {
    now.as_secs().saturating_add(BEFORE_START)
}

impl Day {
    /// Goes on with what a former process left.
    ///
    /// # Errors
    /// A directory that can't be written to.
    pub(super) fn open(directory: &Path, now: Duration) -> Result<Self, StartError> {
        let path = directory.join(FILE);
        let (began, used) = match read(&path) {
            Ok(None) => (0, 0),
            Ok(Some(state)) => state.window(seconds(now), wall(), &boot()),
            Err(reason) => {
                tracing::error!(path = %path.display(), reason, "the day's bytes count as used up");
                (seconds(now), u64::MAX)
            }
        };
        let day = Self {
            began: AtomicU64::new(began),
            used: AtomicU64::new(used),
            file: Some(path.clone()),
            ..Self::default()
        };
        // A directory that can't keep the state is better said now than found out after a crash.
        day.write().map_err(|source| StartError::Write { path, source })?;
        Ok(day)
    }

    /// Bytes used in the window of this moment.
    pub(super) fn used(&self, now: Duration) -> u64 {
        self.roll(seconds(now));
        self.used.load(Ordering::Acquire)
    }

    /// Takes as many of `wanted` bytes as the window has left.
    pub(super) fn take(&self, wanted: u64, most: Option<u64>, now: Duration) -> u64 {
        self.roll(seconds(now));
        super::take(&self.used, wanted, most)
    }

    /// Begins the next window if this one is over.
    fn roll(&self, now: u64) {
        let over = |began: u64| began == 0 || now.saturating_sub(began) >= DAY_SECONDS;
        if !over(self.began.load(Ordering::Acquire)) {
            return;
        }
        let _one = self.rolling.lock().unwrap_or_else(PoisonError::into_inner);
        let began = self.began.load(Ordering::Acquire);
        if !over(began) {
            return;
        }
        let days = now.saturating_sub(began).checked_div(DAY_SECONDS).unwrap_or(0);
        let next = began.saturating_add(days.saturating_mul(DAY_SECONDS));
        self.used.store(0, Ordering::Release);
        self.began.store(if began == 0 { now } else { next }, Ordering::Release);
    }

    /// Writes the state if it changed.
    pub(super) fn write_changes(&self) {
        let now = (self.began.load(Ordering::Acquire), self.used.load(Ordering::Acquire));
        let written = *self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if self.file.is_none() || written == Some(now) {
            return;
        }
        if let Err(error) = self.write() {
            tracing::error!(%error, "the day's bytes can't be written down");
        }
    }

    /// Whole or not at all.
    fn write(&self) -> std::io::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let now = (self.began.load(Ordering::Acquire), self.used.load(Ordering::Acquire));
        let state = State::of(now, seconds(super::uptime()), wall());
        let partial = path.with_extension("partial");
        let mut file = std::fs::File::create(&partial)?;
        file.write_all(&serde_json::to_vec(&state)?)?;
        file.sync_data()?;
        std::fs::rename(&partial, path)?;
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(())
    }
}

impl State {
    fn of((began, used): (u64, u64), now: u64, wall: u64) -> Self {
        let ago = if began == 0 { 0 } else { now.saturating_sub(began) };
        let began_running = if began == 0 { now } else { began };
        Self { version: 1, used, began: wall.saturating_sub(ago), began_running, boot: boot() }
    }

    /// Beginning on our clock and bytes of the window that this state leaves.
    fn window(&self, now: u64, wall: u64, boot: &str) -> (u64, u64) {
        let ago = if self.boot == boot && !boot.is_empty() {
            now.saturating_sub(self.began_running)
        } else {
            wall.saturating_sub(self.began)
        };
        if ago >= DAY_SECONDS { (0, 0) } else { (now.saturating_sub(ago), self.used) }
    }
}

fn read(path: &Path) -> Result<Option<State>, String> {
    use std::io::Read as _;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(|error| error.to_string())?;
    let state: State = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if state.version == 1 { Ok(Some(state)) } else { Err("another version".to_owned()) }
}

/// Which run of the machine this is; empty if it isn't said.
pub(crate) fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Seconds since 1970.
pub(crate) fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests;
