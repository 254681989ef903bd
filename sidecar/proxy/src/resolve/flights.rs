//! Questions that are on their way: who asks the same waits for the same answer, and their number is bounded.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use pinfold_model::host::DnsName;
use pinfold_model::reason::{Denial, Reason};
use tokio::sync::watch;

use super::Found;

/// Questions on their way at once.
const FLIGHTS_MAX: usize = 256;

/// Name and record type.
type Key = (DnsName, u16);
type Outcome = Result<Arc<Found>, Denial>;

/// Questions that are on their way.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    open: Mutex<HashMap<Key, watch::Receiver<Option<Outcome>>>>,
}

/// Takes its entry out of the list, whatever becomes of it.
struct Landing(Arc<Flights>, Key);

impl Drop for Landing {
    fn drop(&mut self) {
        let Self(flights, key) = self;
        flights.open.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

impl Flights {
    /// Waits for the answer that is on its way already, else sets out for it. It is asked to the end even if nobody waits any more: then
    /// it is in the cache.
    pub(crate) async fn join(
        self: &Arc<Self>,
        key: Key,
        asked: impl Future<Output = Outcome> + Send + 'static,
    ) -> Outcome {
        let mut answered = self.enter(key, asked)?;
        let outcome = answered.wait_for(Option::is_some).await.ok().and_then(|seen| seen.clone());
        outcome.unwrap_or_else(|| Err(busy("the look-up was given up")))
    }

    fn enter(
        self: &Arc<Self>,
        key: Key,
        asked: impl Future<Output = Outcome> + Send + 'static,
    ) -> Result<watch::Receiver<Option<Outcome>>, Denial> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answered) = open.get(&key) {
            return Ok(answered.clone());
        }
        if open.len() >= FLIGHTS_MAX {
            return Err(busy("too many names are being looked up"));
        }
        let (sender, answered) = watch::channel(None);
        open.insert(key.clone(), answered.clone());
        let landing = Landing(Arc::clone(self), key);
        tokio::spawn(async move {
            let outcome = asked.await;
            // Out of the list first: who comes now asks the cache.
            drop(landing);
            sender.send_replace(Some(outcome));
        });
        Ok(answered)
    }
}

fn busy(message: &str) -> Denial {
    Denial::new(Reason::Limit, "spec.egress.dns", message, "ask again, for fewer names at once")
}
