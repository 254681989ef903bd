//! The guard: firewall rules and routes by which nothing of the pod but the sidecar gets out, loaded once by an init container
//! (`pinfold-sidecar guard`), and watched from then on by what they do.
//!
//! The sidecar has no right to read the rules; it sees whether they work by sending itself packets that only they can bring back (`probe`),
//! and asks the kernel where others' packets would go. While that fails, nothing is dialled and no name is looked up. It must
//! never take "can't tell" for "intact".

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pinfold_guard::routes_hold;
use pinfold_ledger::EventKind;
use pinfold_model::reason::{Denial, Reason};
use tokio::net::TcpStream;

use crate::config::Original;
use crate::drain::{DrainWatch, Phase};
use crate::error::StartError;
use crate::gate::Gate;

mod check;
pub(crate) mod command;
mod probe;

pub(crate) use check::run as check;
use probe::Probes;

/// Between two looks. With [`probe::PROBE_MAX`] twice it is how long broken rules can go unnoticed: under three seconds.
const PERIOD: Duration = Duration::from_secs(1);
/// Looks until a fault is believed: one connection may be late on a busy node.
const LOOKS: usize = 2;

/// What was seen last.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Unverified,
    Intact,
    Broken(String),
}

/// Whether the rules work, as last seen.
#[derive(Debug)]
pub(crate) struct Guard(Option<Watched>);

#[derive(Debug)]
struct Watched {
    standing: ArcSwap<Standing>,
    probes: Probes,
    /// Whether the second layer is looked at too.
    routes: bool,
}

impl Guard {
    /// Without a guard (`--guard off`) there is nothing to see.
    pub(crate) fn off() -> Self {
        Self(None)
    }

    /// A guard that has to work, seen through the listeners that it redirects to.
    ///
    /// # Errors
    /// There are none.
    pub(crate) fn required(
        transparent: &[SocketAddr],
        original: Original,
        routes: bool,
    ) -> Result<Self, StartError> {
        if transparent.is_empty() {
            return Err(StartError::Guard);
        }
        let standing = ArcSwap::from_pointee(Standing::Unverified);
        let probes = Probes::new(transparent, original);
        Ok(Self(Some(Watched { standing, probes, routes })))
    }

    /// What is wrong, for readiness; `None` if nothing is.
    pub(crate) fn fault(&self) -> Option<String> {
        match &**self.0.as_ref()?.standing.load() {
            Standing::Intact => None,
            Standing::Unverified => Some("the guard was not verified yet".to_owned()),
            Standing::Broken(why) => Some(format!("the guard is broken: {why}")),
        }
    }

    /// In a sentence, for `check-guard`: intact, or what is wrong.
    pub(crate) fn state(&self) -> Result<&'static str, String> {
        match (&self.0, self.fault()) {
            (_, Some(fault)) => Err(fault),
            (None, None) => Err("the sidecar runs without a guard (--guard off)".to_owned()),
            (Some(_), None) => Ok("the guard is intact"),
        }
    }

    /// Whether agents may be served.
    pub(crate) fn is_intact(&self) -> bool {
        self.fault().is_none()
    }

    /// Whether agents may be served, before anything goes out for one.
    ///
    /// # Errors
    /// A denial of reason `guard`.
    pub(crate) fn holds(&self) -> Result<(), Denial> {
        self.fault().map_or(Ok(()), |fault| Err(broken(fault)))
    }

    /// Takes a connection to the transparent listener that is the sidecar's own probe. Before anything else is done with it, so that an agent
    /// that has all connections it may can't blind the guard.
    pub(crate) fn takes(&self, stream: &TcpStream, peer: SocketAddr) -> bool {
        self.0.as_ref().is_some_and(|watched| watched.probes.takes(stream, peer))
    }

    /// Looks again and again, until the sidecar is cut off.
    pub(crate) async fn watch(gate: Arc<Gate>, mut drain: DrainWatch) {
        let Some(watched) = &gate.guard.0 else { return };
        loop {
            let found = watched.look_twice().await;
            watched.set(&gate, found).await;
            tokio::select! {
                () = drain.reached(Phase::Cut) => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }
}

fn broken(fault: String) -> Denial {
    let remedy =
        "nothing leaves the pod until its firewall works again: recreate the pod (docs/guard.md)";
    Denial::new(Reason::Guard, "guard", fault, remedy)
}

impl Watched {
    async fn look_twice(&self) -> Result<(), String> {
        let mut found = Ok(());
        for _ in 0..LOOKS {
            found = self.look().await;
            if found.is_ok() {
                break;
            }
        }
        found
    }

    async fn look(&self) -> Result<(), String> {
        self.probes.all().await?;
        if !self.routes {
            return Ok(());
        }
        let uid = rustix::process::geteuid().as_raw();
        let asked = tokio::task::spawn_blocking(move || routes_hold(uid)).await;
        match asked {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(leak))) => Err(format!("without the rules, {leak}: its routes are gone")),
            Ok(Err(error)) => Err(format!("its routes can't be asked for: {error}")),
            Err(error) => Err(format!("its routes can't be asked for: {error}")),
        }
    }

    /// Tells log, metric and audit of a change; the same again is no news.
    async fn set(&self, gate: &Gate, found: Result<(), String>) {
        let new = found.map_or_else(Standing::Broken, |()| Standing::Intact);
        let old = self.standing.swap(Arc::new(new.clone()));
        if std::mem::discriminant(&*old) == std::mem::discriminant(&new) {
            return;
        }
        gate.metrics.guard_intact.set(i64::from(new == Standing::Intact));
        let case = gate.case(EventKind::Guard);
        // A record that can't be written shows in readiness; the guard is broken or intact all the same.
        let _ = match new {
            Standing::Intact => {
                tracing::info!("the guard is intact");
                gate.recorder.write(&case, Ok("guard"), None).await
            }
            Standing::Unverified => Ok(()),
            Standing::Broken(why) => {
                tracing::error!(reason = why, "the guard is broken: nothing is let out");
                gate.recorder.write(&case, Err(&broken(why)), None).await
            }
        };
    }
}

#[cfg(test)]
mod tests;
