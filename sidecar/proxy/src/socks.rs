//! SOCKS5 at the proxy's port: greeting and request, then a tunnel like that of CONNECT.

use std::sync::Arc;

use pinfold_ledger::EventKind;
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::socks::{self, Reply, Request, SocksError};
use tokio::time::{Instant, timeout_at};

use crate::client::{Client, deadline};
use crate::connect::{self, Words};
use crate::drain::DrainWatch;
use crate::gate::Gate;
use crate::passage::Passage;
use crate::places;
use crate::relay::Established;

/// The answer that the tunnel is open.
pub(crate) fn established() -> Vec<u8> {
    Reply::Succeeded.encode().to_vec()
}

/// The answer that it is not.
pub(crate) fn refused(reason: Reason) -> Vec<u8> {
    let reply = match reason {
        Reason::Host
        | Reason::Port
        | Reason::Protocol
        | Reason::Method
        | Reason::Path
        | Reason::Address
        | Reason::Name
        | Reason::Server
        | Reason::Tool
        | Reason::Argument
        | Reason::RpcMethod
        | Reason::RecordType => Reply::NotAllowed,
        Reason::Resolve => Reply::HostUnreachable,
        Reason::Upstream => Reply::Refused,
        Reason::Limit
        | Reason::Malformed
        | Reason::Reply
        | Reason::Audit
        | Reason::Guard
        | Reason::SearchSuffix
        | Reason::Budget
        | Reason::Rate
        | Reason::Breaker
        | Reason::KillSwitch
        | Reason::NoPolicy => Reply::Failure,
    };
    reply.encode().to_vec()
}

/// How a handshake ended early.
enum Failed {
    /// The client is gone.
    Gone,
    /// With this answer.
    Refused(Denial, Vec<u8>),
}

impl From<SocksError> for Failed {
    fn from(error: SocksError) -> Self {
        let rule = format!("socks.{}", error.reason());
        let remedy = "send one SOCKS5 request: no authentication, CONNECT, a name or an address";
        let denial = Denial::new(Reason::Malformed, rule, error.to_string(), remedy);
        Self::Refused(denial, error.reply().encode().to_vec())
    }
}

/// Serves a connection whose first byte is that of SOCKS5.
pub(crate) async fn serve(
    gate: &Arc<Gate>,
    mut client: Client,
    drain: DrainWatch,
) -> Option<Established> {
    let mut case = gate.case(EventKind::Egress);
    case.protocol = "socks";
    let asked = handshake(gate, &mut client).await;
    places::heard();
    match asked {
        Ok(Request { host, port }) => {
            let passage = Passage { gate, case, host, port: port.get(), drain };
            connect::tunnel(passage, client, Words::Socks).await
        }
        Err(Failed::Gone) => None,
        Err(Failed::Refused(denial, answer)) => {
            gate.refused(&case, denial).await;
            answer_and_close(gate, client, &answer).await;
            None
        }
    }
}

/// Refuses SOCKS4 and 4a in their own words.
pub(crate) async fn serve_old(gate: &Gate, client: Client) {
    let mut case = gate.case(EventKind::Egress);
    case.protocol = "socks";
    let remedy = "use SOCKS5 with names (`socks5h://`), or CONNECT";
    let denial = Denial::new(Reason::Protocol, "socks.version", "SOCKS4 is not served", remedy);
    gate.refused(&case, denial).await;
    answer_and_close(gate, client, &socks::REJECTED_4).await;
}

/// Answers a connection beyond the policy's limit.
pub(crate) async fn over_limit(gate: &Gate, mut client: Client, denial: Denial) {
    let mut case = gate.case(EventKind::Egress);
    case.protocol = "socks";
    let asked = handshake(gate, &mut client).await;
    if let Ok(Request { host, port }) = &asked {
        case.endpoint = Some((host.to_string(), port.get()));
    }
    let refusal = gate.refused(&case, denial).await;
    if asked.is_ok() {
        answer_and_close(gate, client, &refused(refusal.denial.reason)).await;
    }
}

async fn answer_and_close(gate: &Gate, mut client: Client, answer: &[u8]) {
    if client.write(answer, gate.limits.write_max).await.is_ok() {
        client.close().await;
    }
}

/// Greeting and request; what follows them stays in the buffer.
async fn handshake(gate: &Gate, client: &mut Client) -> Result<Request, Failed> {
    let until = deadline(gate.limits.head_max);
    if !read(client, until, socks::greeting).await? {
        let message = "the client insists on authentication, which this proxy doesn't do";
        let remedy = "connect without user name and password";
        let denial = Denial::new(Reason::Protocol, "socks.methods", message, remedy);
        return Err(Failed::Refused(denial, socks::METHOD_REFUSED.to_vec()));
    }
    let written = client.write(&socks::METHOD_NONE, gate.limits.write_max).await;
    written.map_err(|_| Failed::Gone)?;
    read(client, until, socks::request).await
}

/// Reads until a message is complete; each has a length that its parser bounds.
async fn read<T>(
    client: &mut Client,
    until: Instant,
    parse: impl Fn(&[u8]) -> Result<Option<(T, usize)>, SocksError>,
) -> Result<T, Failed> {
    loop {
        if let Some((message, length)) = parse(&client.buffer)? {
            let _ = client.buffer.split_to(length.min(client.buffer.len()));
            return Ok(message);
        }
        match timeout_at(until, client.read_more()).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(_)) => return Err(Failed::Gone),
            Err(_) => {
                let message = "the request didn't end in time";
                let remedy = "send one SOCKS5 request";
                let denial = Denial::new(Reason::Malformed, "socks.slow", message, remedy);
                return Err(Failed::Refused(denial, Reply::Failure.encode().to_vec()));
            }
        }
    }
}
