//! Time as an argument, so that tests replay it. Order in the ledger comes from the sequence, never from a clock.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

/// One look at both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Wall clock; may jump in either direction.
    pub wall: Timestamp,
    /// Time since some fixed moment of this process; never goes back.
    pub monotonic: Duration,
}

/// Where the ledger's times come from.
pub trait Clock: Send {
    /// Reads both clocks.
    fn now(&self) -> Reading;
}

/// The machine's clocks; the monotonic one counts from the creation of this value.
#[derive(Debug, Clone)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Starts the monotonic clock at zero.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Reading {
        // A wall clock that no calendar can express must not stop the record.
        let wall = Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::MAX);
        Reading { wall, monotonic: self.started.elapsed() }
    }
}

impl<F: Fn() -> Reading + Send> Clock for F {
    fn now(&self) -> Reading {
        self()
    }
}
