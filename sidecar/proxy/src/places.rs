//! Places for connections: so many may be open at once, and of those on which nothing was allowed yet fewer may keep the sidecar waiting.
//!
//! Where there is no place for a new one, an undecided one makes room, so that whoever opens connections and says nothing keeps nobody else
//! out: first the oldest of those that the sidecar waits for, then the oldest of those that it judges; of the listener that has
//! the most of them. A connection on which something was allowed is never touched.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pinfold_model::reason::{Denial, Reason};
use socket2::{SockRef, Socket};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::listen::Service;

/// Of the places, one in so many may be held by those who say nothing,
const SILENT_PART: u32 = 4;
/// but at least as many as these: a program that starts opens some at once;
const SILENT_MIN: u32 = 16;
/// and at most as many as these, because each new one may look at all of them.
const SILENT_MAX: u32 = 1024;

/// Who says nothing for so long may have to go before all places are taken: a program that opens hundreds at once comes to speak on each.
const SILENT_FOR: Duration = Duration::from_secs(2);

/// How many of so many places may be held by those who say nothing.
fn silent_max(most: u32) -> u32 {
    most.div_euclid(SILENT_PART).clamp(SILENT_MIN, SILENT_MAX).min(most)
}

/// Places that are counted together.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    open: u32,
    next: u64,
    /// By the order in which they came.
    undecided: BTreeMap<u64, Undecided>,
}

#[derive(Debug)]
struct Undecided {
    service: Service,
    /// Whether the sidecar waits for what its client says. Not so before it was looked at.
    waits: bool,
    since: Instant,
    /// The same connection, to have it end with a reset.
    socket: Option<Socket>,
    shed: Arc<Shed>,
}

/// That a connection was ended to make room.
#[derive(Debug, Default)]
struct Shed {
    told: Notify,
    is: AtomicBool,
}

tokio::task_local! {
    /// That of the connection that the running task serves.
    static PLACE: Arc<Place>;
}

/// One of the places, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    service: Service,
    number: u64,
    decided: AtomicBool,
    shed: Arc<Shed>,
}

impl Places {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one of so many places for a new connection, that of an undecided one if need be; none if all are decided.
    pub(crate) fn take(
        self: &Arc<Self>,
        service: Service,
        stream: &TcpStream,
        most: u32,
    ) -> Option<Arc<Place>> {
        self.take_at(service, SockRef::from(stream).try_clone(), most, Instant::now())
    }

    fn take_at(
        self: &Arc<Self>,
        service: Service,
        socket: io::Result<Socket>,
        most: u32,
        now: Instant,
    ) -> Option<Arc<Place>> {
        let shed = Arc::<Shed>::default();
        let mut taken = self.lock();
        taken.make_room(most, now)?;
        let number = taken.next;
        taken.next = number.saturating_add(1);
        taken.open = taken.open.saturating_add(1);
        // Without the second descriptor it ends as it may.
        let (socket, shed_too) = (socket.ok(), Arc::clone(&shed));
        let new = Undecided { service, waits: false, since: now, socket, shed: shed_too };
        taken.undecided.insert(number, new);
        drop(taken);
        let (places, decided) = (Arc::clone(self), AtomicBool::new(false));
        Some(Arc::new(Place { places, service, number, decided, shed }))
    }
}

impl Taken {
    /// Ends undecided connections until there is a place; none if that can't help.
    fn make_room(&mut self, most: u32, now: Instant) -> Option<()> {
        let undecided = || u32::try_from(self.undecided.len()).unwrap_or(u32::MAX);
        if self.open.saturating_sub(undecided()) >= most {
            return None;
        }
        let bound = usize::try_from(silent_max(most)).unwrap_or(usize::MAX);
        let silent =
            |one: &&Undecided| one.waits && now.saturating_duration_since(one.since) >= SILENT_FOR;
        if self.open < most && self.undecided.values().filter(silent).count() < bound {
            return Some(());
        }
        loop {
            let number = self.oldest(true).or_else(|| self.oldest(false))?;
            let gone = self.undecided.remove(&number)?;
            self.open = self.open.saturating_sub(1);
            gone.end();
            // A policy may have fewer places than its predecessor.
            if self.open < most {
                return Some(());
            }
        }
    }

    /// The oldest of the listener that has the most, of those that are waited for or not.
    fn oldest(&self, waits: bool) -> Option<u64> {
        let all = || self.undecided.iter().filter(|(_, one)| one.waits == waits);
        let of = |service| all().filter(|(_, one)| one.service == service).count();
        let (redirected, asked) = (of(Service::Transparent), of(Service::Proxy));
        let (number, _) = all().find(|(_, one)| match one.service {
            Service::Transparent => redirected >= asked,
            Service::Proxy => asked > redirected,
            // Counted by themselves.
            Service::Dns | Service::Gateway | Service::Admin => true,
        })?;
        Some(*number)
    }
}

impl Undecided {
    fn end(self) {
        tracing::debug!(service = self.service.purpose(), after = ?self.since.elapsed(), "shed");
        if let Some(socket) = self.socket {
            // A reset, as a full system would give; an end would be remembered by connection tracking, and wait for the agent's.
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
        self.shed.is.store(true, Ordering::Release);
        self.shed.told.notify_one();
    }
}

impl Place {
    /// Serves the connection that has this place; an error if it was ended to make room.
    pub(crate) async fn serve<T>(
        self: &Arc<Self>,
        serving: impl Future<Output = T>,
    ) -> Result<T, Denial> {
        tokio::select! {
            biased;
            () = self.shed.told.notified() => Err(self.made_room()),
            served = PLACE.scope(Arc::clone(self), serving) => Ok(served),
        }
    }

    fn made_room(&self) -> Denial {
        let limit = match self.service {
            Service::Transparent | Service::Proxy => "spec.egress.limits.connections",
            Service::Dns => "spec.egress.dns",
            Service::Gateway | Service::Admin => "gateway",
        };
        let message = "nothing was allowed on the connection yet, and it was the next to make room for a new one";
        let remedy = "say at once what is wanted, and close what isn't used";
        Denial::new(Reason::Limit, limit, message, remedy)
    }

    fn set_waits(&self, waits: bool) {
        if self.decided.load(Ordering::Acquire) {
            return;
        }
        if let Some(one) = self.places.lock().undecided.get_mut(&self.number) {
            one.waits = waits;
        }
    }

    fn decide(&self) -> Result<(), Denial> {
        if self.decided.load(Ordering::Acquire) {
            return Ok(());
        }
        let removed = self.places.lock().undecided.remove(&self.number);
        if removed.is_none() && self.shed.is.load(Ordering::Acquire) {
            return Err(self.made_room());
        }
        self.decided.store(true, Ordering::Release);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.undecided.remove(&self.number);
        if !self.shed.is.load(Ordering::Acquire) {
            taken.open = taken.open.saturating_sub(1);
        }
    }
}

/// The connection of this task waits for what its client says.
pub(crate) fn waits() {
    let _ = PLACE.try_with(|place| place.set_waits(true));
}

/// Its client said something that is judged now.
pub(crate) fn heard() {
    let _ = PLACE.try_with(|place| place.set_waits(false));
}

/// Something is allowed on it: from now on nothing makes it go. Nothing to do for what no connection asked for.
///
/// # Errors
/// A denial of reason `limit`, if it had to go before.
pub(crate) fn decided() -> Result<(), Denial> {
    PLACE.try_with(|place| place.decide()).unwrap_or(Ok(()))
}

/// Whether nothing was allowed on it yet.
pub(crate) fn is_undecided() -> bool {
    PLACE.try_with(|place| !place.decided.load(Ordering::Acquire)).unwrap_or(false)
}

#[cfg(test)]
mod tests;
