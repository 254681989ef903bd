//! Sockets: bound once, accepted within bounds, each connection in a task of its own whose panic is counted and ends only it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pinfold_ledger::EventKind;
use pinfold_model::reason::Denial;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use crate::admin;
use crate::client::Client;
use crate::dns;
use crate::drain::{DrainWatch, Phase};
use crate::error::StartError;
use crate::gate::Gate;
use crate::gateway;
use crate::metrics::Metrics;
use crate::places::{Place, Places};
use crate::proxy;
use crate::relay::{self, Established};
use crate::transparent;

/// Connections that the kernel holds before they are accepted.
const BACKLOG: u32 = 1024;
/// Pause after an accept failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections over the limit that are told so at the same time; further ones are closed at once.
const TOLD_MAX: u32 = 32;
/// How long telling may take.
const TELL_MAX: Duration = Duration::from_secs(5);

/// What is served at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Transparent,
    Proxy,
    Dns,
    Gateway,
    Admin,
}

impl Service {
    pub(crate) fn purpose(self) -> &'static str {
        match self {
            Self::Transparent => "redirected connections",
            Self::Proxy => "the proxy",
            Self::Dns => "DNS",
            Self::Gateway => "the gateway",
            Self::Admin => "metrics and health",
        }
    }

    /// The protocol of records and metrics while nothing was seen of what is spoken.
    fn protocol(self) -> &'static str {
        match self {
            Self::Transparent => "transparent",
            Self::Proxy | Self::Admin => "http",
            Self::Dns => "dns",
            Self::Gateway => gateway::PROTOCOL,
        }
    }
}

/// Binds an address.
///
/// # Errors
/// The address and the system's reason.
pub(crate) fn bind(
    address: SocketAddr,
    service: Service,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Bind { address, purpose: service.purpose(), source };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(failed)?;
    socket.set_reuseaddr(true).map_err(failed)?;
    if address.is_ipv6() {
        // Both families are bound by themselves, and `[::]` must not take IPv4's place.
        SockRef::from(&socket).set_only_v6(true).map_err(failed)?;
    }
    socket.bind(address).map_err(failed)?;
    let listener = socket.listen(BACKLOG).map_err(failed)?;
    let chosen = listener.local_addr().map_err(failed)?;
    Ok((listener, chosen))
}

/// Binds the UDP half of DNS.
///
/// # Errors
/// The address and the system's reason.
pub(crate) fn bind_udp(address: SocketAddr) -> Result<UdpSocket, StartError> {
    let purpose = Service::Dns.purpose();
    let failed = |source| StartError::Bind { address, purpose, source };
    let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, None).map_err(failed)?;
    if address.is_ipv6() {
        socket.set_only_v6(true).map_err(failed)?;
    }
    socket.set_nonblocking(true).map_err(failed)?;
    socket.bind(&address.into()).map_err(failed)?;
    UdpSocket::from_std(socket.into()).map_err(failed)
}

/// A listener with what its connections need.
pub(crate) struct Port {
    pub(crate) listener: TcpListener,
    pub(crate) service: Service,
    pub(crate) gate: Arc<Gate>,
    pub(crate) drain: DrainWatch,
    /// Those of this service's connections, over all its addresses.
    pub(crate) places: Arc<Places>,
}

impl Port {
    /// Accepts until the sidecar stops, then waits until its connections have ended or are cut.
    pub(crate) async fn run(self) {
        let mut drain = self.drain.clone();
        let told = Arc::new(AtomicU32::new(0));
        let mut connections = JoinSet::new();
        loop {
            // Admin answers to the end, so that readiness can be seen going.
            let last = if self.service == Service::Admin { Phase::Cut } else { Phase::Draining };
            tokio::select! {
                biased;
                () = drain.reached(last) => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        // Before a slot is taken: an agent that holds them all can't blind the guard.
                        let redirected = self.service == Service::Transparent;
                        if !(redirected && self.gate.guard.takes(&stream, peer)) {
                            self.accepted(stream, &told, &mut connections);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "can't accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.listener);
        tokio::select! {
            () = drain.reached(Phase::Cut) => {}
            () = async { while connections.join_next().await.is_some() {} } => {}
        }
    }

    fn accepted(&self, stream: TcpStream, told: &Arc<AtomicU32>, tasks: &mut JoinSet<()>) {
        let (gate, drain) = (Arc::clone(&self.gate), self.drain.clone());
        let panics = PanicCount(gate.metrics.clone());
        let service = self.service;
        let place = self.places.take(service, &stream, self.most());
        let client = Client::new(stream);
        if let Some(place) = place {
            let counted = Counted::new(&gate.metrics, service);
            tasks.spawn(async move {
                let _guards = (counted, panics);
                serve(&gate, service, &place, client, drain).await;
            });
        } else if let Some(slot) = Slot::take(told, TOLD_MAX) {
            tasks.spawn(async move {
                let _guards = (slot, panics);
                let told = over_limit(&gate, service, client, drain);
                let _ = tokio::time::timeout(TELL_MAX, told).await;
            });
        } else {
            gate.metrics.egress(Some(&proxy::too_many(self.most())), service.protocol());
            // Not an end, which would wait for the agent's.
            client.reset();
        }
    }

    fn most(&self) -> u32 {
        match self.service {
            Service::Transparent | Service::Proxy => self.gate.policy.load().policy.connections_max,
            Service::Dns | Service::Gateway | Service::Admin => {
                self.gate.limits.service_connections_max
            }
        }
    }
}

/// Serves a connection to its end, or until it makes room for another one.
async fn serve(
    gate: &Arc<Gate>,
    service: Service,
    place: &Arc<Place>,
    client: Client,
    drain: DrainWatch,
) {
    // A task has room for its largest future and for every name that one has, so that none of these may be in it, or be named.
    let served = match service {
        Service::Transparent => {
            Box::pin(place.serve(for_life(gate, transparent::serve(gate, client, drain)))).await
        }
        Service::Proxy => {
            Box::pin(place.serve(for_life(gate, proxy::serve(gate, client, drain)))).await
        }
        Service::Dns => none(Box::pin(place.serve(dns::serve(gate, client, drain))).await),
        Service::Gateway => none(Box::pin(place.serve(gateway::serve(gate, client, drain))).await),
        Service::Admin => {
            Box::pin(admin::serve(gate, client, drain)).await;
            Ok(None)
        }
    };
    match served {
        Ok(opened) => relayed(gate, opened).await,
        Err(denial) => {
            let mut case = gate.case(EventKind::Egress);
            case.protocol = service.protocol();
            gate.refused(&case, denial).await;
        }
    }
}

/// What is served in place opens nothing that is to be relayed.
fn none(served: Result<(), Denial>) -> Result<Option<Established>, Denial> {
    served.map(|()| None)
}

/// Tells a connection for which there is no place, in the words of what is spoken there.
async fn over_limit(gate: &Gate, service: Service, client: Client, drain: DrainWatch) {
    match service {
        Service::Transparent => transparent::over_limit(gate, client).await,
        Service::Proxy => proxy::over_limit(gate, client, drain).await,
        Service::Gateway => gateway::over_limit(gate, client, drain).await,
        Service::Dns => dns::over_limit(gate, client).await,
        // Not the agent's, so no denial.
        Service::Admin => client.reset(),
    }
}

/// Serves requests of a connection until the policy's `connectionLife` is over. A tunnel's life begins when it is opened.
async fn for_life<T>(gate: &Arc<Gate>, serve: impl Future<Output = Option<T>>) -> Option<T> {
    let Some(most) = gate.policy.load().policy.limits.life_max else { return serve.await };
    if let Ok(opened) = tokio::time::timeout(most, serve).await {
        return opened;
    }
    let mut case = gate.case(EventKind::Egress);
    case.protocol = "http";
    gate.refused(&case, relay::outlived(most)).await;
    None
}

/// Relays what was opened. The future that opened it is gone by then: a tunnel for hours holds nothing of its beginning.
async fn relayed(gate: &Arc<Gate>, opened: Option<Established>) {
    if let Some(tunnel) = opened {
        relay::run(gate, tunnel).await;
    }
}

/// One of a bounded number.
struct Slot(Arc<AtomicU32>);

impl Slot {
    fn take(count: &Arc<AtomicU32>, most: u32) -> Option<Self> {
        let taken = count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
            (count < most).then(|| count.saturating_add(1))
        });
        taken.is_ok().then(|| Self(Arc::clone(count)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Shows an open connection of the agent on its way out.
struct Counted(Option<Metrics>);

impl Counted {
    fn new(metrics: &Metrics, service: Service) -> Self {
        let out = [Service::Transparent, Service::Proxy].contains(&service);
        let metrics = out.then(|| metrics.clone());
        metrics.iter().for_each(|metrics| metrics.open_connections.inc());
        Self(metrics)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.iter().for_each(|metrics| metrics.open_connections.dec());
    }
}

/// Counts a panic of the task that holds it.
struct PanicCount(Metrics);

impl Drop for PanicCount {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panics.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_task_and_is_counted() {
        let metrics = Metrics::new().expect("metrics");
        let mut tasks = JoinSet::new();
        let guard = PanicCount(metrics.clone());
        tasks.spawn(async move {
            let _guard = guard;
            panic!("made up");
        });
        let guard = PanicCount(metrics.clone());
        tasks.spawn(async move { drop(guard) });
        while tasks.join_next().await.is_some() {}
        assert_eq!(metrics.panics.get(), 1);
    }

    /// Without making one.
    fn size_of_served<'a, F>(
        _: fn(&'a Arc<Gate>, Service, &'a Arc<Place>, Client, DrainWatch) -> F,
    ) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_tunnel_holds_nothing_of_its_beginning() {
        assert!(size_of_served(serve) < 4096, "{}", size_of_served(serve));
    }

    #[test]
    fn slots_are_bounded_and_come_back() {
        let open = Arc::new(AtomicU32::new(0));
        let first = Slot::take(&open, 2);
        let second = Slot::take(&open, 2);
        assert!(first.is_some() && second.is_some() && Slot::take(&open, 2).is_none());
        drop(first);
        assert!(Slot::take(&open, 2).is_some());
    }
}
