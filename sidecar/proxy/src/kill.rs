//! The kill switch: pulled by a file, a signal, the admin socket or the policy; taken off by a person at the admin socket alone.
//!
//! What is set counts at once, for what is open too. It is kept in a file of `--state`, so that a new process of the same pod still has it;
//! a file that can't be read counts as set for everything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use pinfold_engine::switches::kill::{Act, Latch, SCOPE_KINDS, Scope, Way, judge};
use pinfold_ledger::EventKind;
use pinfold_model::reason::Denial;

use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::record::Case;
use crate::sealed;

pub(crate) mod command;
mod files;
mod socket;

pub(crate) use files::watch;
pub(crate) use socket::{Socket, serve};

/// Latches kept; one more than these, and it is set for everything.
const LATCHES_MAX: usize = 256;
/// Name of the file in its directory.
const FILE: &str = "kill.json";
const KIND: &str = "kill";

/// What is set.
#[derive(Debug, Default)]
pub(crate) struct Kills {
    latches: ArcSwap<Vec<Latch>>,
    changing: Mutex<()>,
    file: Option<PathBuf>,
}

impl Kills {
    /// Goes on with what a former process of the same pod had; without a directory nothing is kept.
    pub(crate) fn open(directory: Option<&Path>) -> Self {
        let Some(directory) = directory else { return Self::default() };
        let path = directory.join(FILE);
        let latches = match sealed::read::<Vec<Latch>>(&path, KIND) {
            Ok(latches) => latches.unwrap_or_default(),
            Err(reason) => {
                let path = path.display();
                tracing::error!(%path, reason, "the kill switch counts as set for everything");
                vec![Latch { of: Scope::All, way: Way::Unreadable }]
            }
        };
        for latch in &latches {
            tracing::warn!(of = %latch.of, way = latch.way.as_str(), "the kill switch is set");
        }
        Self { latches: ArcSwap::from_pointee(latches), file: Some(path), ..Self::default() }
    }

    /// What is set now.
    pub(crate) fn latches(&self) -> Arc<Vec<Latch>> {
        self.latches.load_full()
    }

    /// Whether nothing that is set ends what a case is about.
    ///
    /// # Errors
    /// A denial of reason `kill-switch`.
    pub(crate) fn holds(&self, case: &Case) -> Result<(), Denial> {
        judge(&self.latches.load(), &act(case))
    }

    /// The same of everything that an agent does.
    ///
    /// # Errors
    /// A denial of reason `kill-switch`.
    pub(crate) fn holds_for(&self, agent: &str) -> Result<(), Denial> {
        judge(&self.latches.load(), &Act { agent, ..Act::default() })
    }

    /// Sets it in memory. Whether that is news.
    fn set(&self, latch: Latch) -> bool {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut latches = self.latches.load().as_ref().clone();
        if latches.iter().any(|known| known.of == latch.of) {
            return false;
        }
        if latches.len() < LATCHES_MAX {
            latches.push(latch);
        } else if latches.iter().all(|known| known.of != Scope::All) {
            latches.push(Latch { of: Scope::All, way: latch.way });
        } else {
            return false;
        }
        self.latches.store(Arc::new(latches));
        true
    }

    /// Writes down what is set.
    fn write(&self) -> std::io::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        sealed::write(path, KIND, self.latches.load().as_ref())
    }

    /// Takes it off of these, or of all; what was taken off. Durable before it counts: else a restart would bring it back.
    fn take_off(&self, of: Option<&Scope>) -> std::io::Result<Vec<Latch>> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let latches = self.latches.load().as_ref().clone();
        let (off, stay): (Vec<Latch>, Vec<Latch>) =
            latches.into_iter().partition(|latch| of.is_none_or(|of| latch.of == *of));
        if let Some(path) = self.file.as_ref().filter(|_| !off.is_empty()) {
            sealed::write(path, KIND, &stay)?;
        }
        self.latches.store(Arc::new(stay));
        Ok(off)
    }

    /// Shows which scopes are set.
    pub(crate) fn report(&self, metrics: &Metrics) {
        let set: BTreeSet<&str> = self.latches.load().iter().map(|latch| latch.of.kind()).collect();
        for kind in SCOPE_KINDS {
            let active = i64::from(set.contains(kind));
            metrics.killswitch_active.with_label_values(&[kind]).set(active);
        }
    }
}

/// What a case is about.
pub(crate) fn act(case: &Case) -> Act<'_> {
    Act {
        agent: &case.published.policy.name,
        server: case.server.as_deref(),
        tool: case.tool.as_deref(),
        session: case.session.as_deref(),
    }
}

/// Pulls the switch: what it ends is refused from now on, and cut where it is open; then it is written down and recorded.
pub(crate) async fn pull(gate: &Arc<Gate>, latches: Vec<Latch>) {
    let new = |latch: &Latch| gate.kills.set(latch.clone());
    let new: Vec<Latch> = latches.into_iter().filter(new).collect();
    if new.is_empty() {
        return;
    }
    let cut = gate.tunnels.end(|case| gate.kills.holds(case));
    for latch in &new {
        tracing::warn!(of = %latch.of, way = latch.way.as_str(), "the kill switch is set");
    }
    let writing = Arc::clone(gate);
    let written = tokio::task::spawn_blocking(move || writing.kills.write()).await;
    if let Ok(Err(error)) = written {
        tracing::error!(%error, "the kill switch is set, but a restart would forget it");
    }
    for latch in &new {
        note(gate, format!("set for {}, by {}", latch.of, latch.way.as_str())).await;
    }
    gate.record_cut(cut).await;
}

/// Takes the switch off of one scope, or of all.
///
/// # Errors
/// Why it stays.
async fn release(gate: &Arc<Gate>, of: Option<Scope>) -> Result<Vec<Latch>, String> {
    let policy = gate.policy.load_full();
    if policy.policy.kill_switch.active {
        return Err("`killSwitch.active` of the policy is true: change the policy first".to_owned());
    }
    let taking = Arc::clone(gate);
    let taken = tokio::task::spawn_blocking(move || {
        if let Some(file) = files::present(&taking.policy.load().policy.kill_switch.files) {
            return Err(format!("`{file}` is still there: remove it first"));
        }
        let failed = |error| format!("it can't be written down, so it stays: {error}");
        taking.kills.take_off(of.as_ref()).map_err(failed)
    });
    let off = taken.await.map_err(|error| error.to_string())??;
    for latch in &off {
        tracing::warn!(of = %latch.of, "the kill switch is taken off");
        note(gate, format!("taken off of {}, by the admin socket", latch.of)).await;
    }
    Ok(off)
}

async fn note(gate: &Gate, text: String) {
    let case = Case { note: Some(text), ..gate.case(EventKind::KillSwitch) };
    // That it can't be written is logged there, and shows in readiness.
    let _ = gate.recorder.write(&case, Ok("spec.killSwitch"), None).await;
}

#[cfg(test)]
mod tests;
