//! Packets by which the sidecar sees the rules at work.
//!
//! Two addresses of documentation are left out of its own exemption: what it sends there meets the very rules that agents' packets
//! meet. TCP must arrive at its own transparent listener with that destination; UDP must be refused on the spot. An agent can't play
//! that: the connection that arrives must come from the port that the probe's own socket holds, and the probe compares both ends.
//! Should nothing hold a probe back, it still goes no further than the node: it may make one hop.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pinfold_guard::{PROBE_V4, PROBE_V6};
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::config::Original;

/// How long a probe's connection may take to come back.
pub(super) const PROBE_MAX: Duration = Duration::from_millis(700);
/// The port that is probed: one that no rule treats differently.
const PORT: u16 = 443;
/// Routers that a probe may pass: none.
const HOPS: u32 = 1;

/// A connection that came to the transparent listener from a probe's port.
#[derive(Debug)]
struct Arrived {
    peer: SocketAddr,
    original: Option<SocketAddr>,
}

#[derive(Debug)]
struct Waiting {
    v4: bool,
    port: u16,
    arrived: oneshot::Sender<Arrived>,
}

/// The probes, one for each family that is listened on.
#[derive(Debug)]
pub(super) struct Probes {
    targets: Vec<SocketAddr>,
    original: Original,
    /// At most one, while its probe is under way.
    waiting: Mutex<Option<Waiting>>,
}

impl Probes {
    pub(super) fn new(transparent: &[SocketAddr], original: Original) -> Self {
        let has = |v4: bool| transparent.iter().any(|address| address.is_ipv4() == v4);
        let targets = [(true, IpAddr::V4(PROBE_V4)), (false, IpAddr::V6(PROBE_V6))];
        let targets = targets.into_iter().filter(|(v4, _)| has(*v4));
        let targets = targets.map(|(_, address)| SocketAddr::new(address, PORT)).collect();
        Self { targets, original, waiting: Mutex::new(None) }
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection that a probe waits for.
    pub(super) fn takes(&self, stream: &TcpStream, peer: SocketAddr) -> bool {
        let mut waiting = self.waiting();
        let ours = |one: &mut Waiting| one.v4 == peer.is_ipv4() && one.port == peer.port();
        let Some(one) = waiting.take_if(ours) else { return false };
        let original = original(stream, self.original, peer);
        // A probe that gave up meanwhile doesn't mind.
        let _ = one.arrived.send(Arrived { peer, original });
        true
    }

    /// Every probe.
    ///
    /// # Errors
    /// What the first that failed shows.
    pub(super) async fn all(&self) -> Result<(), String> {
        for target in &self.targets {
            self.connection(*target).await?;
            datagram(*target).await?;
        }
        Ok(())
    }

    async fn connection(&self, target: SocketAddr) -> Result<(), String> {
        let lost = |why: &dyn std::fmt::Display| {
            format!("a connection to {target} was not redirected to the sidecar ({why})")
        };
        let socket = bound(target).map_err(|error| lost(&error))?;
        let port = socket.local_addr().map_err(|error| lost(&error))?.port();
        let (sender, arrived) = oneshot::channel();
        *self.waiting() = Some(Waiting { v4: target.is_ipv4(), port, arrived: sender });
        let came = timeout(PROBE_MAX, async {
            let stream = socket.connect(target).await?;
            let own = stream.local_addr()?;
            // Closed with a reset: nothing stays behind in either table of connections.
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            let arrived = arrived.await.map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
            Ok::<_, io::Error>((own, arrived))
        });
        let came = came.await;
        self.waiting().take();
        let (own, arrived) = match came {
            Ok(Ok(came)) => came,
            Ok(Err(error)) => return Err(lost(&error)),
            Err(_) => return Err(lost(&format!("nothing came within {PROBE_MAX:?}"))),
        };
        if !same(arrived.peer, own) {
            return Err(lost(&format!("another connection came, from {}", arrived.peer)));
        }
        match arrived.original {
            Some(original) if same(original, target) => Ok(()),
            Some(other) => Err(lost(&format!("it came as one to {other}"))),
            None => Err(lost(&"it came without its destination")),
        }
    }
}

/// Address and port, without what IPv6 adds for the interface.
fn same(one: SocketAddr, other: SocketAddr) -> bool {
    (one.ip(), one.port()) == (other.ip(), other.port())
}

fn unspecified(target: SocketAddr) -> SocketAddr {
    match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// A socket with a port of its own: `SO_REUSEADDR` is off, so nobody else can have it too.
fn bound(target: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    let options = SockRef::from(&socket);
    if target.is_ipv4() {
        options.set_ttl_v4(HOPS)?;
    } else {
        options.set_only_v6(true)?;
        options.set_unicast_hops_v6(HOPS)?;
    }
    socket.bind(unspecified(target))?;
    Ok(socket)
}

/// The rules drop it, so the system says at once that it may not be sent. What comes back later (an ICMP error of some router) proves nothing.
async fn datagram(target: SocketAddr) -> Result<(), String> {
    let passed = |why: &dyn std::fmt::Display| {
        format!("a datagram to {target} was not refused by the rules ({why})")
    };
    let socket = UdpSocket::bind(unspecified(target)).await.map_err(|error| passed(&error))?;
    let options = SockRef::from(&socket);
    let bounded =
        if target.is_ipv4() { options.set_ttl_v4(HOPS) } else { options.set_unicast_hops_v6(HOPS) };
    bounded.map_err(|error| passed(&error))?;
    match timeout(PROBE_MAX, socket.send_to(&[0], target)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Ok(Err(error)) => Err(passed(&error)),
        Ok(Ok(_)) => Err(passed(&"it was sent")),
        Err(_) => Err(passed(&"it could not be sent")),
    }
}

fn original(stream: &TcpStream, original: Original, peer: SocketAddr) -> Option<SocketAddr> {
    match original {
        Original::Kernel => {
            let options = SockRef::from(stream);
            let found =
                if peer.is_ipv4() { options.original_dst_v4() } else { options.original_dst_v6() };
            found.ok()?.as_socket()
        }
        Original::Told(told) => told(peer),
    }
}
