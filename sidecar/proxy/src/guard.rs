//! The guard: firewall rules and routes by which nothing of the pod but the sidecar gets out, loaded once by an init container
//! (`pinfold-sidecar guard`), and watched from then on by what they do.
//!
//! The sidecar has no right to read or write the rules; it sees whether they work by sending itself packets that only they can bring back.

use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) mod command;

/// Whether the rules work, as last seen.
#[derive(Debug)]
pub(crate) struct Guard {
    intact: AtomicBool,
}

impl Guard {
    /// Without a guard (`--guard off`) there is nothing to see.
    pub(crate) fn off() -> Self {
        Self { intact: AtomicBool::new(true) }
    }

    /// Whether agents may be served.
    pub(crate) fn is_intact(&self) -> bool {
        self.intact.load(Ordering::Acquire)
    }
}
