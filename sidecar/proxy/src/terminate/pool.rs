//! The upstream connections of one agent's connection: one of HTTP/2 that all requests share, or a few of HTTP/1.1.

use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pinfold_engine::egress::DialPermit;
use pinfold_model::reason::Denial;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::bounds::{self, Bounds};
use crate::gate::Gate;
use crate::http_upstream::HttpUpstream;
use crate::upstream::{Offered, open_tls};

/// HTTP/1.1 connections at once, kept ones included; further requests wait. A stream costs the agent nothing, a connection 80 KiB here.
const CONNECTIONS_MAX: usize = 8;

/// The connections.
pub(super) struct Pool {
    kept: Mutex<Vec<Leased>>,
    /// Requests that have a connection to themselves. One opens a connection only if none is kept, so there are no more connections.
    turns: Arc<Semaphore>,
    bounds: Bounds,
    /// One connects at a time, until it is known whether the connection can be shared.
    opening: tokio::sync::Mutex<Shares>,
}

/// A connection with its places in the bounds.
pub(super) struct Leased {
    upstream: HttpUpstream,
    /// Among all of the process, until the last that shares it is gone.
    place: Arc<OwnedSemaphorePermit>,
    /// Of one that isn't shared, while it is used.
    turn: Option<OwnedSemaphorePermit>,
    /// Whether it served another request before.
    reused: bool,
}

impl Leased {
    fn share(&self) -> Option<Self> {
        let upstream = self.upstream.shared()?;
        Some(Self { upstream, place: Arc::clone(&self.place), turn: None, reused: true })
    }

    /// Holds a turn, unless it is shared.
    pub(super) fn holding(mut self, turn: Option<OwnedSemaphorePermit>) -> Self {
        self.turn = turn.filter(|_| self.upstream.shared().is_none());
        self
    }

    /// Whether it served another request before, so that its server may have ended it meanwhile.
    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Its turn, for another connection; it is closed.
    pub(super) fn give_up(mut self) -> Option<OwnedSemaphorePermit> {
        self.turn.take()
    }
}

impl Deref for Leased {
    type Target = HttpUpstream;

    fn deref(&self) -> &HttpUpstream {
        &self.upstream
    }
}

impl DerefMut for Leased {
    fn deref_mut(&mut self) -> &mut HttpUpstream {
        &mut self.upstream
    }
}

/// Whether the upstream's connections can be shared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Shares {
    #[default]
    Perhaps,
    Never,
}

/// What is taken from the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Take {
    Any,
    Shared,
}

impl Pool {
    pub(super) fn new(bounds: Bounds) -> Self {
        let turns = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { kept: Mutex::default(), turns, bounds, opening: tokio::sync::Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Leased>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of an open connection.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.lock().iter().find(|kept| !kept.is_closed()).map(|kept| kept.address.ip())
    }

    /// A connection that is shared, or a turn with a connection that is kept, if there is one.
    ///
    /// # Errors
    /// A denial of reason `limit`, if no turn comes in time.
    pub(super) async fn turn(
        &self,
        permit: &DialPermit,
        wait_max: Duration,
    ) -> Result<(Option<OwnedSemaphorePermit>, Option<Leased>), Denial> {
        if let Some(shared) = self.take(permit, Take::Shared).await {
            return Ok((None, Some(shared)));
        }
        let what = || format!("{CONNECTIONS_MAX} requests of this connection are open");
        let turn = bounds::wait(&self.turns, permit.rule(), wait_max, what).await?;
        Ok((Some(turn), self.take(permit, Take::Any).await))
    }

    /// A connection that is open, to a permitted address.
    async fn take(&self, permit: &DialPermit, take: Take) -> Option<Leased> {
        loop {
            let mut found = self.pop(permit, take)?;
            if found.is_usable().await {
                return Some(found);
            }
            self.forget(&found);
        }
    }

    fn pop(&self, permit: &DialPermit, take: Take) -> Option<Leased> {
        let mut kept = self.lock();
        let permitted =
            |one: &Leased| permit.via().is_some() || permit.addresses().contains(&one.address);
        kept.retain(|one| !one.is_closed() && permitted(one));
        if let Some(shared) = kept.iter().rev().find_map(Leased::share) {
            return Some(shared);
        }
        match take {
            Take::Any => kept.pop(),
            Take::Shared => None,
        }
    }

    fn forget(&self, gone: &Leased) {
        self.lock().retain(|kept| !kept.is_same(gone));
    }

    /// Opens a connection, or takes the one that another request opened meanwhile.
    pub(super) async fn open(
        &self,
        gate: &Gate,
        permit: &DialPermit,
        offered: Offered,
    ) -> Result<Leased, Denial> {
        let place = self.bounds.upstream(permit.rule(), gate.limits.connect_max).await?;
        let lease =
            |upstream| Leased { upstream, place: Arc::new(place), turn: None, reused: false };
        if offered == Offered::Http1 {
            return open_tls(gate, permit, offered).await.map(lease);
        }
        let mut shares = self.opening.lock().await;
        if *shares == Shares::Never {
            drop(shares);
            return open_tls(gate, permit, offered).await.map(lease);
        }
        if let Some(shared) = self.take(permit, Take::Shared).await {
            return Ok(shared);
        }
        let opened = lease(open_tls(gate, permit, offered).await?);
        match opened.share() {
            Some(shared) => self.lock().push(shared),
            None => *shares = Shares::Never,
        }
        Ok(opened)
    }

    /// Keeps a connection whose reply was read to its end, unless others wait for its place. One that is shared is here already.
    pub(super) fn keep(&self, mut connection: Leased) {
        // The next turn comes only once the connection can be found.
        let turn = connection.turn.take();
        connection.reused = true;
        if connection.shared().is_none() && !self.bounds.is_full() {
            self.lock().push(connection);
        } else {
            drop(connection);
        }
        drop(turn);
    }
}
