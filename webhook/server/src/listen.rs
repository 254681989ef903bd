//! Sockets: bound once, accepted within bounds, each connection in a task of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use crate::config::Limits;
use crate::connection::{self, Protocol};
use crate::drain::{DrainWatch, Phase};
use crate::error::StartError;
use crate::metrics::Metrics;
use crate::route::Route;

/// Connections that the kernel holds before they are accepted: a burst of the API server's handshakes.
const BACKLOG: u32 = 4096;
/// Pause after an accept failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds an address.
///
/// # Errors
/// The address and the system's reason.
pub(crate) fn bind(
    address: SocketAddr,
    purpose: &'static str,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Bind { address, purpose, source };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(failed)?;
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(address).map_err(failed)?;
    let listener = socket.listen(BACKLOG).map_err(failed)?;
    let chosen = listener.local_addr().map_err(failed)?;
    Ok((listener, chosen))
}

/// A listener with what its connections need.
pub(crate) struct Port<R> {
    pub(crate) listener: TcpListener,
    /// None serves plain HTTP/1.
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) route: Arc<R>,
    pub(crate) limits: Limits,
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
    pub(crate) drain: DrainWatch,
}

impl<R: Route> Port<R> {
    /// Accepts until the server closes: also while draining, because clients may not know yet.
    pub(crate) async fn run(self) {
        let mut drain = self.drain.clone();
        loop {
            tokio::select! {
                biased;
                () = drain.reached(Phase::Closing) => return,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _peer)) => self.accepted(stream),
                    Err(error) => {
                        tracing::warn!(%error, "can't accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn accepted(&self, stream: TcpStream) {
        let Ok(slot) = Arc::clone(&self.connections).try_acquire_owned() else {
            self.metrics.refusals.with_label_values(&["connections"]).inc();
            return;
        };
        // Only a socket that is closed already refuses this.
        let _ = stream.set_nodelay(true);
        let tls = self.tls.clone();
        let (route, limits, drain) = (Arc::clone(&self.route), self.limits, self.drain.clone());
        let open = Open::new(&self.metrics, slot);
        tokio::spawn(async move {
            match tls {
                None => connection::serve(stream, Protocol::Http1, route, limits, drain).await,
                Some(tls) => {
                    let handshake = tokio::time::timeout(limits.handshake_max, tls.accept(stream));
                    // Strangers, probes and slow clients are no news; a count is enough.
                    let Ok(Ok(stream)) = handshake.await else {
                        open.metrics.refusals.with_label_values(&["handshake"]).inc();
                        return;
                    };
                    let protocol = match stream.get_ref().1.alpn_protocol() {
                        Some(b"h2") => Protocol::Http2,
                        _ => Protocol::Http1,
                    };
                    connection::serve(stream, protocol, route, limits, drain).await;
                }
            }
            drop(open);
        });
    }
}

/// Counts a connection while it is open.
struct Open {
    metrics: Metrics,
    _slot: OwnedSemaphorePermit,
}

impl Open {
    fn new(metrics: &Metrics, slot: OwnedSemaphorePermit) -> Self {
        metrics.connections.inc();
        Self { metrics: metrics.clone(), _slot: slot }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}
