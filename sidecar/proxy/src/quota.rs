//! Limits over time: new connections per time, bytes per day and per connection. Atomic, so that a thousand connections at once get no
//! more than one after the other. What a limit cuts off never passes: bytes are counted between reading and writing them.
//!
//! Time is the kernel's `CLOCK_BOOTTIME`, which nobody can set: a step of the wall clock refills nothing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::values::Rate;
use pinfold_model::reason::{Denial, Reason};

use crate::drain::{DrainWatch, Phase};
use crate::error::StartError;
use crate::gate::Gate;

mod day;
mod rate;

use day::Day;
pub(crate) use day::{boot, wall};
pub(crate) use rate::Bucket;

const CONNECT_RATE: &str = "spec.egress.limits.connectRate";
const BYTES_PER_DAY: &str = "spec.egress.limits.bytesPerDay";
const BYTES_PER_CONNECTION: &str = "spec.egress.limits.bytesPerConnection";

/// What the pod has used up.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    rate: Bucket,
    day: Day,
}

impl Quota {
    /// Goes on from what a former process of the same pod left in `directory`; without one nothing is kept.
    ///
    /// # Errors
    /// A directory that can't be written to.
    pub(crate) fn open(directory: Option<&Path>) -> Result<Self, StartError> {
        let day = match directory {
            Some(directory) => Day::open(directory, uptime())?,
            None => Day::default(),
        };
        Ok(Self { rate: Bucket::default(), day })
    }

    /// Takes one new connection out of the policy's rate, if its day has bytes left.
    ///
    /// # Errors
    /// A denial of reason `limit` that names the limit.
    pub(crate) fn connect(&self, policy: &AgentPolicy) -> Result<(), Denial> {
        self.connect_at(policy, uptime())
    }

    fn connect_at(&self, policy: &AgentPolicy, now: Duration) -> Result<(), Denial> {
        let limits = &policy.limits;
        if let Some(most) = limits.bytes_per_day.filter(|most| self.day.used(now) >= *most) {
            return Err(day_spent(most));
        }
        match limits.connect_rate {
            Some(rate) => self.rate.take(rate, now).map_err(|wait| too_fast(rate, wait)),
            None => Ok(()),
        }
    }

    /// Writes down what the day has used, at a bounded pace, until the sidecar ends.
    pub(crate) async fn keep(gate: Arc<Gate>, mut drain: DrainWatch) {
        loop {
            let last = tokio::select! {
                () = drain.reached(Phase::Cut) => true,
                () = tokio::time::sleep(day::WRITE_PAUSE) => false,
            };
            let writing = Arc::clone(&gate);
            let written = tokio::task::spawn_blocking(move || writing.quota.day.write_changes());
            if written.await.is_err() || last {
                return;
            }
        }
    }
}

/// Time since the machine started, sleep included.
pub(crate) fn uptime() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

fn too_fast(rate: Rate, wait: Duration) -> Denial {
    let Rate { events, per } = rate;
    let message = format!("the agent opens more than {events} connections in {per:?}");
    let remedy = format!("try again in {wait:.1?}, or ask for more in `{CONNECT_RATE}`");
    Denial::new(Reason::Limit, CONNECT_RATE, message, remedy)
}

fn day_spent(most: u64) -> Denial {
    let message = format!("the agent's {most} bytes of this day are used up");
    let remedy =
        format!("wait until the next 24 hours begin, or ask for more in `{BYTES_PER_DAY}`");
    Denial::new(Reason::Limit, BYTES_PER_DAY, message, remedy)
}

fn connection_spent(most: u64) -> Denial {
    let message = format!("the connection's {most} bytes are used up");
    let remedy = format!("open another one, or ask for more in `{BYTES_PER_CONNECTION}`");
    Denial::new(Reason::Limit, BYTES_PER_CONNECTION, message, remedy)
}

/// Where bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the agent.
    Out,
    /// To the agent.
    In,
}

/// Counts the bytes of one connection of the agent; every byte that leaves or enters passes one.
pub(crate) struct Meter {
    gate: Arc<Gate>,
    used: AtomicU64,
}

/// A limit is reached: of the bytes in hand only these may still pass.
#[derive(Debug)]
pub(crate) struct Overdrawn {
    pub(crate) granted: usize,
    pub(crate) denial: Denial,
}

impl Meter {
    pub(crate) fn new(gate: &Arc<Gate>) -> Self {
        Self { gate: Arc::clone(gate), used: AtomicU64::new(0) }
    }

    /// Whether the connection may serve another request: not once the sidecar stops.
    pub(crate) fn may_go_on(&self) -> bool {
        self.gate.drain.is_serving()
    }

    /// Counts bytes that were read and are about to be passed on, by the limits of the policy in force now.
    ///
    /// # Errors
    /// [`Overdrawn`]: the connection is to be cut after the granted bytes, and the denial recorded.
    pub(crate) fn count(&self, way: Way, bytes: usize) -> Result<(), Overdrawn> {
        let limits = self.gate.policy.load().policy.limits;
        let wanted = u64::try_from(bytes).unwrap_or(u64::MAX);
        let of_connection = take(&self.used, wanted, limits.bytes_per_connection);
        let granted = self.gate.quota.day.take(of_connection, limits.bytes_per_day, uptime());
        self.gate.metrics.passed(way, granted);
        let denial = if granted < of_connection {
            limits.bytes_per_day.map(day_spent)
        } else if of_connection < wanted {
            limits.bytes_per_connection.map(connection_spent)
        } else {
            return Ok(());
        };
        let granted = usize::try_from(granted).unwrap_or(usize::MAX);
        denial.map_or(Ok(()), |denial| Err(Overdrawn { granted, denial }))
    }
}

/// Counts bytes of a message that is passed on whole, such as one of MCP.
///
/// # Errors
/// The denial, if the day has fewer left: then nothing of it may pass.
pub(crate) fn count_message(gate: &Gate, way: Way, bytes: usize) -> Result<(), Denial> {
    let most = gate.policy.load().policy.limits.bytes_per_day;
    let wanted = u64::try_from(bytes).unwrap_or(u64::MAX);
    let granted = gate.quota.day.take(wanted, most, uptime());
    gate.metrics.passed(way, granted);
    match most {
        Some(most) if granted < wanted => Err(day_spent(most)),
        Some(_) | None => Ok(()),
    }
}

/// Adds to a sum what fits below `most`; how much that was.
fn take(sum: &AtomicU64, wanted: u64, most: Option<u64>) -> u64 {
    let mut granted = 0;
    let _ = sum.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
        granted = most.map_or(wanted, |most| wanted.min(most.saturating_sub(used)));
        // A sum at its end stays there, or it would begin again.
        Some(used.saturating_add(granted))
    });
    granted
}

#[cfg(test)]
mod tests;
