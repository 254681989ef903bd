//! The way out: serving, then draining (nothing new is accepted, idle connections end), then cut.

use tokio::sync::watch;

/// Where the sidecar is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Normal work.
    Serving,
    /// Nothing new is accepted; what runs may finish.
    Draining,
    /// What still runs is cut.
    Cut,
}

/// Sets the phase.
#[derive(Debug)]
pub(crate) struct Drain {
    phase: watch::Sender<Phase>,
}

/// Sees the phase.
#[derive(Debug, Clone)]
pub(crate) struct DrainWatch {
    phase: watch::Receiver<Phase>,
}

impl Drain {
    pub(crate) fn new() -> (Self, DrainWatch) {
        let (phase, watched) = watch::channel(Phase::Serving);
        (Self { phase }, DrainWatch { phase: watched })
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }
}

impl DrainWatch {
    pub(crate) fn is_serving(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }

    /// Resolves when the phase is at least `wanted`, or when nobody can set it any more.
    pub(crate) async fn reached(&mut self, wanted: Phase) {
        // An error means that the sidecar itself is gone.
        let _ = self.phase.wait_for(|phase| *phase >= wanted).await;
    }
}
