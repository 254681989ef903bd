//! The way out: serving, then draining (every answer says that the connection ends), then closing.
//!
//! Idle connections stay open while draining, because a client that is just sending on one would lose its request.

use std::time::Duration;

use tokio::sync::watch;

/// Where the server is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Normal work.
    Serving,
    /// Not ready any more; every answer ends its connection.
    Draining,
    /// Nothing new is accepted; running requests finish.
    Closing,
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
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.phase() == Phase::Serving
    }

    /// Resolves when the phase is at least `wanted`, or when nobody can set it any more.
    pub(crate) async fn reached(&mut self, wanted: Phase) {
        // An error means that the server itself is gone.
        let _ = self.phase.wait_for(|phase| *phase >= wanted).await;
    }

    /// Waits `time`, or until the phase is [`Phase::Closing`]; whether it is worth going on.
    pub(crate) async fn pause(&mut self, time: Duration) -> bool {
        tokio::select! {
            () = self.reached(Phase::Closing) => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}
