//! What calls were charged: reserved at once for all limits, durable before anything is forwarded, given back only if nothing was sent.
//!
//! Kept in a file of `--state`, so that a new process of the same pod goes on where the former one was. Calls that wait for the file at the
//! same time wait for one writing of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pinfold_engine::switches::budget::{self, Counts, Reservation};
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::reason::{Denial, Reason};

use crate::drain::{DrainWatch, Phase};
use crate::error::StartError;
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::quota::uptime;

mod state;

/// Changes that nobody waits for are written down no more often.
const WRITE_PAUSE: Duration = Duration::from_secs(1);
/// Name of the file in its directory.
const FILE: &str = "budget.json";

/// The counts of the pod.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    now: Mutex<Now>,
    file: Option<StateFile>,
}

#[derive(Debug, Default)]
struct Now {
    counts: Counts,
    /// Grows with every change of the counts.
    change: u64,
}

#[derive(Debug)]
struct StateFile {
    path: PathBuf,
    /// One writes, the others wait.
    turn: tokio::sync::Mutex<()>,
    /// The same for the threads that do it; a writer whose call went away still finishes.
    disk: Mutex<()>,
    /// The last change that is durable.
    written: AtomicU64,
}

/// A call that is charged. Dropped before it was sent, its charge is given back.
#[derive(Debug)]
pub(crate) struct Charge {
    budgets: Arc<Budgets>,
    reservation: Reservation,
    change: u64,
    sent: bool,
}

impl Budgets {
    /// Goes on from what a former process of the same pod left in `directory`; without one nothing is kept.
    ///
    /// # Errors
    /// A directory that can't be written to.
    pub(crate) fn open(directory: Option<&Path>) -> Result<Self, StartError> {
        let Some(directory) = directory else { return Ok(Self::default()) };
        let path = directory.join(FILE);
        let counts = state::read(&path).unwrap_or_else(|reason| {
            tracing::error!(path = %path.display(), reason, "nobody can tell what was called: calls with limits are denied");
            Counts { known: false, ..Counts::default() }
        });
        if counts.known {
            // A directory that can't keep the state is better said now than found out at the first call.
            let failed = |source| StartError::Write { path: path.clone(), source };
            state::write(&path, &counts).map_err(failed)?;
        }
        let (turn, disk, written) = Default::default();
        let file = Some(StateFile { path, turn, disk, written });
        Ok(Self { now: Mutex::new(Now { counts, change: 0 }), file })
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Charges one call to its tool, its server and the agent, or to none of them.
    ///
    /// # Errors
    /// The denial of the limit that is reached; the counts are as they were.
    pub(crate) fn charge(
        self: &Arc<Self>,
        policy: &AgentPolicy,
        server: &str,
        tool: &str,
    ) -> Result<Charge, Denial> {
        let mut now = self.lock();
        let reservation = budget::reserve(policy, (server, tool), &now.counts, uptime())?;
        now.counts.charge(&reservation);
        now.change = now.change.saturating_add(1);
        let change = now.change;
        Ok(Charge { budgets: Arc::clone(self), reservation, change, sent: false })
    }

    /// Returns once a change is durable.
    async fn durable(self: &Arc<Self>, change: u64) -> Result<(), String> {
        let Some(file) = &self.file else { return Ok(()) };
        let is_written = || file.written.load(Ordering::Acquire) >= change;
        if is_written() {
            return Ok(());
        }
        let _turn = file.turn.lock().await;
        if is_written() {
            return Ok(());
        }
        let writing = Arc::clone(self);
        match tokio::task::spawn_blocking(move || writing.write()).await {
            Ok(written) => written.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Writes what is true now.
    fn write(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let _disk = file.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let (counts, change) = {
            let now = self.lock();
            (now.counts.clone(), now.change)
        };
        // What can't be read stays as it is: the next process must not take it for a beginning either.
        if counts.known {
            state::write(&file.path, &counts)?;
        }
        file.written.store(change, Ordering::Release);
        Ok(())
    }

    /// Writes down what nobody waits for, at a bounded pace, until the sidecar ends.
    pub(crate) async fn keep(gate: Arc<Gate>, mut drain: DrainWatch) {
        loop {
            let last = tokio::select! {
                () = drain.reached(Phase::Cut) => true,
                () = tokio::time::sleep(WRITE_PAUSE) => false,
            };
            let change = gate.budgets.lock().change;
            if let Err(error) = gate.budgets.durable(change).await {
                tracing::error!(error, "what was called can't be written down");
            }
            if last {
                return;
            }
        }
    }

    /// Shows how many calls are left of each budget.
    pub(crate) fn report(&self, policy: &AgentPolicy, metrics: &Metrics) {
        metrics.budget_remaining.reset();
        let now = self.lock();
        let show = |server: &str, tool: &str, most: Option<u64>, used: u64| {
            let Some(most) = most else { return };
            let left = if now.counts.known { most.saturating_sub(used) } else { 0 };
            let left = i64::try_from(left).unwrap_or(i64::MAX);
            metrics.budget_remaining.with_label_values(&[server, tool]).set(left);
        };
        show("", "", policy.call_limits.calls_max, now.counts.agent.calls);
        for server in &policy.servers {
            let used = now.counts.servers.get(&server.name).map_or(0, |used| used.calls);
            show(&server.name, "", server.call_limits.calls_max, used);
            for tool in &server.allow {
                let key = (server.name.clone(), tool.name.clone());
                let used = now.counts.tools.get(&key).map_or(0, |used| used.calls);
                show(&server.name, &tool.name, tool.call_limits.calls_max, used);
            }
        }
    }
}

impl Charge {
    /// Returns once the charge would survive this process, if any limit concerns the call.
    ///
    /// # Errors
    /// A denial of reason `budget`: a charge that could be forgotten is no charge.
    pub(crate) async fn durable(&self, most: Duration) -> Result<(), Denial> {
        if !self.reservation.is_limited() {
            return Ok(());
        }
        let written = tokio::time::timeout(most, self.budgets.durable(self.change)).await;
        let failed = match written {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => format!("it took longer than {most:?}"),
        };
        tracing::error!(reason = failed, "a call's charge can't be written down, so it is refused");
        let message = "the call's charge could not be written down, so the call was not made";
        let remedy = "repair the directory of `--state`, then try again";
        Err(Denial::new(Reason::Budget, "spec.tools", message, remedy))
    }

    /// From now on it counts, whatever becomes of it; or, after all, it doesn't: nothing was sent.
    pub(crate) fn set_sent(&mut self, sent: bool) {
        self.sent = sent;
    }

    /// What is left after it, in words; nothing if there is no limit.
    pub(crate) fn left(&self) -> Option<String> {
        Some(self.reservation.left.describe()).filter(|text| !text.is_empty())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.sent {
            return;
        }
        let mut now = self.budgets.lock();
        now.counts.give_back(&self.reservation, uptime());
        now.change = now.change.saturating_add(1);
    }
}

#[cfg(test)]
mod tests;
