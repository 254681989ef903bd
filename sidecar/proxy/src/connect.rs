//! Tunnels that an agent asks for, by CONNECT or SOCKS5: name, port and addresses are judged first, then what is spoken inside; only then is
//! anything dialled or passed on.

use std::sync::Arc;

use pinfold_engine::egress::{self, AddressPermit, Attempt, Channel};
use pinfold_ledger::EventKind;
use pinfold_model::reason::Denial;
use pinfold_wire::head::Head;

use crate::client::{Client, deadline};
use crate::drain::DrainWatch;
use crate::forward::{Inside, Route};
use crate::gate::{Gate, Refusal};
use crate::passage::{Farewell, Passage};
use crate::peek::{First, look};
use crate::record::Case;
use crate::relay::Established;
use crate::socks;
use crate::tunnels::Spoken;

/// RFC 9110 section 9.3.6: without framing fields.
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// In whose words a tunnel is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// HTTP's CONNECT.
    Connect,
    /// SOCKS5.
    Socks,
}

impl Words {
    fn established(self) -> Vec<u8> {
        match self {
            Self::Connect => ESTABLISHED.to_vec(),
            Self::Socks => socks::established(),
        }
    }

    fn refused(self, refusal: &Refusal, case: &Case) -> Vec<u8> {
        match self {
            Self::Connect => refusal.answer(case).encode(false, false),
            Self::Socks => socks::refused(refusal.denial.reason),
        }
    }
}

/// Serves a connection from its CONNECT to its end, or to where bytes are only to be relayed.
pub(crate) async fn serve(
    gate: &Arc<Gate>,
    client: Client,
    head: &Head,
    drain: DrainWatch,
) -> Option<Established> {
    let host = head.authority.host.clone();
    // CONNECT without a port is refused when the head is read.
    let port = head.authority.port_or(0);
    let mut case = gate.case(EventKind::Egress);
    case.protocol = "connect";
    case.method = Some("CONNECT".to_owned());
    case.trace(&head.headers);
    tunnel(Passage { gate, case, host, port, drain }, client, Words::Connect).await
}

/// Serves a tunnel that was asked for.
pub(crate) async fn tunnel(
    mut passage: Passage<'_>,
    client: Client,
    words: Words,
) -> Option<Established> {
    passage.case.endpoint = Some((passage.host.to_string(), passage.port));
    match judge(&passage).await {
        Ok((permit, _)) if permit.is_opaque() => opaque(passage, client, &permit, words).await,
        Ok((permit, inside)) => seen(passage, client, &permit, inside, words).await,
        Err(denial) => refuse(&passage, client, denial, words).await,
    }
}

async fn judge(passage: &Passage<'_>) -> Result<(AddressPermit, Inside), Denial> {
    let Passage { gate, case, host, port, .. } = passage;
    let attempt = Attempt { host, port: *port, channel: Channel::Tunnel };
    let permit = egress::judge(&case.published.policy, &attempt)?;
    let addresses = gate.resolver.addresses(permit.host()).await?;
    let permit = permit.addresses(&addresses, &gate.own)?;
    Ok((permit, Inside { host: host.clone(), port: *port, addresses }))
}

/// Refuses before the tunnel is open.
async fn refuse(
    passage: &Passage<'_>,
    mut client: Client,
    denial: Denial,
    words: Words,
) -> Option<Established> {
    let refusal = passage.gate.refused(&passage.case, denial).await;
    let bytes = words.refused(&refusal, &passage.case);
    if client.write(&bytes, passage.gate.limits.write_max).await.is_ok() {
        client.close().await;
    }
    None
}

/// A tunnel that a `tcp` rule allows: nothing needs to be seen.
async fn opaque(
    mut passage: Passage<'_>,
    mut client: Client,
    permit: &AddressPermit,
    words: Words,
) -> Option<Established> {
    passage.case.protocol = "tcp";
    let opened = match permit.opaque() {
        Ok(permit) => passage.open(&permit, Spoken::Opaque).await,
        Err(denial) => Err(denial),
    };
    let open = match opened {
        Ok(open) => open,
        Err(denial) => return refuse(&passage, client, denial, words).await,
    };
    client.write(&words.established(), passage.gate.limits.write_max).await.ok()?;
    Passage::established(client, open, None)
}

/// A tunnel whose inside decides.
async fn seen(
    passage: Passage<'_>,
    mut client: Client,
    permit: &AddressPermit,
    inside: Inside,
    words: Words,
) -> Option<Established> {
    let limits = &passage.gate.limits;
    client.write(&words.established(), limits.write_max).await.ok()?;
    match look(&mut client, deadline(limits.peek_max)).await {
        First::Tls(hello) => passage.tls(client, permit, inside, hello).await,
        First::Http => passage.http(client, Route::Tunnel(inside)).await,
        First::Gone => None,
        First::Refused { denial, alert } => {
            let farewell = alert.map_or(Farewell::End, Farewell::Alert);
            passage.cut(client, denial, farewell).await
        }
    }
}
