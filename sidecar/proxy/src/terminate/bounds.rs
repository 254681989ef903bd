//! What all connections whose TLS ends here may hold together, so that no agent can fill the sidecar's memory: a stream costs its agent a few
//! bytes, and the sidecar a head, windows, and perhaps a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use pinfold_model::reason::{Denial, Reason};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Open connections to upstreams of `https` rules, kept ones included; each holds up to 512 KiB of replies that nobody reads.
const UPSTREAMS_MAX: usize = 128;
/// Open requests over HTTP/2; each holds up to 16 KiB of head and 16 KiB of body.
const REQUESTS_MAX: usize = 2048;

/// The bounds of the process.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    upstreams: Arc<Semaphore>,
    requests: Arc<Semaphore>,
}

impl Default for Bounds {
    fn default() -> Self {
        let bound = |most| Arc::new(Semaphore::new(most));
        Self { upstreams: bound(UPSTREAMS_MAX), requests: bound(REQUESTS_MAX) }
    }
}

impl Bounds {
    /// A place for one more connection to an upstream.
    ///
    /// # Errors
    /// A denial of reason `limit`, if none gets free in time.
    pub(super) async fn upstream(
        &self,
        rule: &str,
        wait_max: Duration,
    ) -> Result<OwnedSemaphorePermit, Denial> {
        let what = || format!("the pod has {UPSTREAMS_MAX} connections to upstreams of `https`");
        wait(&self.upstreams, rule, wait_max, what).await
    }

    /// A place for one more request.
    ///
    /// # Errors
    /// A denial of reason `limit`, at once: a request that waited would hold what is bounded here.
    pub(super) fn request(&self) -> Result<OwnedSemaphorePermit, Denial> {
        Arc::clone(&self.requests).try_acquire_owned().map_err(|_| {
            let message = format!("the pod has {REQUESTS_MAX} open requests over HTTP/2");
            exceeded("spec.egress", message)
        })
    }

    /// Whether another connection would have to wait.
    pub(super) fn is_full(&self) -> bool {
        self.upstreams.available_permits() == 0
    }
}

/// A place, once one is free.
///
/// # Errors
/// A denial of reason `limit`.
pub(super) async fn wait(
    places: &Arc<Semaphore>,
    rule: &str,
    wait_max: Duration,
    what: impl Fn() -> String,
) -> Result<OwnedSemaphorePermit, Denial> {
    match timeout(wait_max, Arc::clone(places).acquire_owned()).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_)) | Err(_) => {
            Err(exceeded(rule, format!("{}, and none ended within {wait_max:?}", what())))
        }
    }
}

fn exceeded(rule: &str, message: String) -> Denial {
    Denial::new(Reason::Limit, rule, message, "read replies to their end, or ask for less at once")
}
