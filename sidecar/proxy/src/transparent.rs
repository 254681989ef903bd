//! Connections that the guard redirected: the original destination is recovered, then judged by the same steps as a tunnel that was asked for.
//!
//! A `tcp` rule for the address, or for a name that the pod's DNS gave it for, decides at once, so that servers may speak first. Else the first
//! bytes decide. Nobody is left hanging: TLS gets an alert, HTTP an answer, anything else a reset.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pinfold_engine::egress::{self, Attempt, Channel, Redirected};
use pinfold_ledger::EventKind;
use pinfold_model::host::Host;
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::client_hello::ClientHello;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::client::{Client, deadline};
use crate::config::Original;
use crate::drain::DrainWatch;
use crate::forward::{Inside, Route, redirected};
use crate::gate::Gate;
use crate::learn;
use crate::passage::{Farewell, Passage, let_go};
use crate::peek::{First, alert_for, look};
use crate::proxy;
use crate::record::Case;
use crate::relay::Established;
use crate::tunnels::Spoken;

/// How long a client that is refused anyway gets to show what it speaks, so that it can be told why.
const REFUSED_PEEK_MAX: Duration = Duration::from_millis(500);

/// Serves one redirected connection, to its end or to where bytes are only to be relayed.
pub(crate) async fn serve(
    gate: &Arc<Gate>,
    mut client: Client,
    drain: DrainWatch,
) -> Option<Established> {
    let mut case = gate.case(EventKind::Egress);
    case.protocol = "transparent";
    let Some(to) = original(gate, &mut client) else {
        return refuse(gate, client, case, not_redirected()).await;
    };
    let host = Host::Address(to.ip());
    case.endpoint = Some((host.to_string(), to.port()));
    let names = gate.bindings.names_of(to.ip());
    let opaque = Redirected { to, names: &names }.opaque(&case.published.policy, &gate.own);
    let mut passage = Passage { gate, case, host, port: to.port(), drain };
    match opaque {
        Ok((host, permit)) => {
            let mut passage = Passage { host, ..passage };
            passage.case.protocol = "tcp";
            passage.case.endpoint = Some((passage.host.to_string(), passage.port));
            match passage.open(&permit, Spoken::Opaque).await {
                Ok(open) => Passage::established(client, open, None),
                Err(denial) => passage.cut(client, denial, Farewell::Reset).await,
            }
        }
        Err(unseen) => {
            let unseen = learn::sunk(gate, &mut passage.case, to).unwrap_or(unseen);
            seen(passage, client, to, unseen).await
        }
    }
}

/// A connection whose first bytes decide; `unseen` is the denial if they tell nothing.
async fn seen(
    passage: Passage<'_>,
    mut client: Client,
    to: SocketAddr,
    unseen: Denial,
) -> Option<Established> {
    let names = Redirected { to, names: &[] };
    let may_be_seen = names.may_be_seen(&passage.case.published.policy);
    let peek_max = if may_be_seen { passage.gate.limits.peek_max } else { REFUSED_PEEK_MAX };
    match look(&mut client, deadline(peek_max)).await {
        First::Tls(hello) => tls(passage, client, to, hello).await,
        First::Http => passage.http(client, Route::Redirected(to)).await,
        // Who leaves without a byte was refused all the same if no rule is for the address; where one is, it might have been allowed.
        First::Gone if unseen.reason != Reason::Protocol => {
            passage.cut(client, unseen, Farewell::Reset).await
        }
        First::Gone => {
            // Not an end, which connection tracking would remember for minutes.
            client.reset();
            None
        }
        First::Refused { denial, alert: Some(alert) } => {
            passage.cut(client, denial, Farewell::Alert(alert)).await
        }
        // What the address and its names say comes before that no `tcp` rule is for them.
        First::Refused { denial, alert: None } => {
            let denial = if unseen.reason == Reason::Protocol { denial } else { unseen };
            passage.cut(client, denial, Farewell::Reset).await
        }
    }
}

/// TLS: the server name is the host; without one, the address is.
async fn tls(
    mut passage: Passage<'_>,
    client: Client,
    to: SocketAddr,
    hello: ClientHello,
) -> Option<Established> {
    passage.case.protocol = "tls";
    if let Some(name) = &hello.sni {
        passage.host = Host::Name(name.clone());
        passage.case.endpoint = Some((name.to_string(), to.port()));
    }
    let (host, port) = (passage.host.clone(), passage.port);
    let attempt = Attempt { host: &host, port, channel: Channel::Tunnel };
    let judged = match egress::judge(&passage.case.published.policy, &attempt) {
        Ok(permit) => redirected(passage.gate, permit, to).await,
        Err(denial) => Err(denial),
    };
    match judged {
        Ok((permit, addresses)) => {
            let inside = Inside { host, port, addresses };
            passage.tls(client, &permit, inside, hello).await
        }
        Err(denial) => {
            let alert = Farewell::Alert(alert_for(denial.reason));
            passage.cut(client, denial, alert).await
        }
    }
}

/// Answers a connection beyond the policy's limit.
pub(crate) async fn over_limit(gate: &Gate, mut client: Client) {
    let mut case = gate.case(EventKind::Egress);
    case.protocol = "transparent";
    if let Some(to) = original(gate, &mut client) {
        case.endpoint = Some((Host::Address(to.ip()).to_string(), to.port()));
    }
    let denial = proxy::too_many(case.published.policy.connections_max);
    refuse(gate, client, case, denial).await;
}

/// Refuses what isn't looked into, in the words of what the client speaks if that shows at once.
async fn refuse(
    gate: &Gate,
    mut client: Client,
    case: Case,
    denial: Denial,
) -> Option<Established> {
    let first = look(&mut client, deadline(REFUSED_PEEK_MAX)).await;
    let refusal = gate.refused(&case, denial).await;
    let farewell = match first {
        First::Tls(_) | First::Refused { alert: Some(_), .. } => {
            Farewell::Alert(alert_for(refusal.denial.reason))
        }
        First::Http => {
            let bytes = refusal.answer(&case).encode(false, false);
            client.write(&bytes, gate.limits.write_max).await.ok()?;
            Farewell::End
        }
        First::Gone | First::Refused { alert: None, .. } => Farewell::Reset,
    };
    let_go(gate, client, farewell).await;
    None
}

fn not_redirected() -> Denial {
    let message = "the connection was made to the sidecar itself, nothing redirected it";
    let remedy = "connect to the destination; the pod's firewall rules bring the connection here";
    Denial::new(Reason::Address, "spec.egress", message, remedy)
}

/// Where a connection was going before it was redirected; none if it was not.
fn original(gate: &Gate, client: &mut Client) -> Option<SocketAddr> {
    let stream = client.stream.tcp()?;
    let found = match gate.original {
        Original::Kernel => kernel_original(stream).ok()?,
        Original::Told(tell) => tell(stream.peer_addr().ok()?)?,
    };
    let here = stream.local_addr().ok()?;
    (found != SocketAddr::new(here.ip(), here.port())).then_some(found)
}

/// `SO_ORIGINAL_DST` of the kernel's connection tracking.
fn kernel_original(stream: &TcpStream) -> io::Result<SocketAddr> {
    let socket = SockRef::from(stream);
    let found = if stream.local_addr()?.is_ipv4() {
        socket.original_dst_v4()?
    } else {
        socket.original_dst_v6()?
    };
    let found = found.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    // Without the scope and flow of IPv6.
    Ok(SocketAddr::new(found.ip(), found.port()))
}
