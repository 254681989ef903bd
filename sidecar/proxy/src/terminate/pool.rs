//! The upstream connections of one agent's connection: one of HTTP/2 that all requests share, or a few of HTTP/1.1.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pinfold_engine::egress::DialPermit;
use pinfold_model::reason::Denial;

use crate::gate::Gate;
use crate::http_upstream::HttpUpstream;
use crate::upstream::{Offered, open_tls};

/// HTTP/1.1 connections kept; one more than that closes when its reply ends.
const KEPT_MAX: usize = 8;

/// The connections.
#[derive(Default)]
pub(super) struct Pool {
    kept: Mutex<Vec<HttpUpstream>>,
    /// One connects at a time, until it is known whether the connection can be shared.
    opening: tokio::sync::Mutex<Shares>,
}

/// Whether the upstream's connections can be shared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Shares {
    #[default]
    Perhaps,
    Never,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Vec<HttpUpstream>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of an open connection.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.lock().iter().find(|kept| !kept.is_closed()).map(|kept| kept.address.ip())
    }

    /// A connection that is open, to a permitted address.
    pub(super) async fn take(&self, permit: &DialPermit) -> Option<HttpUpstream> {
        loop {
            let mut found = self.pop(permit)?;
            if found.is_usable().await {
                return Some(found);
            }
            self.forget(&found);
        }
    }

    fn pop(&self, permit: &DialPermit) -> Option<HttpUpstream> {
        let mut kept = self.lock();
        let permitted = |one: &HttpUpstream| {
            permit.via().is_some() || permit.addresses().contains(&one.address)
        };
        kept.retain(|one| !one.is_closed() && permitted(one));
        let at = kept.len().checked_sub(1)?;
        match kept.get(at).and_then(HttpUpstream::shared) {
            Some(shared) => Some(shared),
            None => Some(kept.swap_remove(at)),
        }
    }

    fn forget(&self, gone: &HttpUpstream) {
        self.lock().retain(|kept| !kept.is_same(gone));
    }

    /// Opens a connection, or takes the one that another request opened meanwhile.
    pub(super) async fn open(
        &self,
        gate: &Gate,
        permit: &DialPermit,
        offered: Offered,
    ) -> Result<HttpUpstream, Denial> {
        if offered == Offered::Http1 {
            return open_tls(gate, permit, offered).await;
        }
        let mut shares = self.opening.lock().await;
        if *shares == Shares::Never {
            drop(shares);
            return open_tls(gate, permit, offered).await;
        }
        if let Some(shared) = self.take(permit).await {
            return Ok(shared);
        }
        let opened = open_tls(gate, permit, offered).await?;
        match opened.shared() {
            Some(shared) => self.lock().push(shared),
            None => *shares = Shares::Never,
        }
        Ok(opened)
    }

    /// Keeps a connection whose reply was read to its end. One that is shared is here already.
    pub(super) fn keep(&self, connection: HttpUpstream) {
        let mut kept = self.lock();
        if connection.shared().is_none() && kept.len() < KEPT_MAX {
            kept.push(connection);
        }
    }
}
