//! CONNECT: name, port and addresses are judged first, then what is spoken inside; only then is anything dialled or passed on.

use std::sync::Arc;

use pinfold_engine::egress::{self, AddressPermit, Attempt, Channel, DialPermit, Hello};
use pinfold_ledger::EventKind;
use pinfold_model::host::Host;
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::client_hello::{ClientHello, ClientHelloReader, HelloError, Peek};
use pinfold_wire::head::{Head, REQUEST_LINE_BYTES_MAX};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::answer::denial;
use crate::client::{Client, deadline};
use crate::dial::dial;
use crate::forward::{Forwarder, Inside};
use crate::gate::Gate;
use crate::proxy;
use crate::record::Case;
use crate::relay::{RelayMeans, relay};
use crate::tunnels::{Spoken, Tunnel};

/// RFC 9110 section 9.3.6: without framing fields.
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// TLS alerts (RFC 8446 section 6).
const ALERT_ACCESS_DENIED: u8 = 49;
const ALERT_DECODE_ERROR: u8 = 50;
const ALERT_PROTOCOL_VERSION: u8 = 70;
const ALERT_INTERNAL_ERROR: u8 = 80;
const ALERT_UNRECOGNIZED_NAME: u8 = 112;

/// One CONNECT of a client.
struct Connect<'g> {
    gate: &'g Arc<Gate>,
    case: Case,
    host: Host,
    port: u16,
}

/// What the first bytes inside a tunnel are.
enum First {
    Tls(ClientHello),
    Http,
    Gone,
    Refused { denial: Denial, alert: Option<u8> },
}

/// Serves a connection from its CONNECT to its end.
pub(crate) async fn serve(gate: &Arc<Gate>, client: Client, head: &Head, drain: proxy::Watch) {
    let host = head.authority.host.clone();
    // CONNECT without a port is refused when the head is read.
    let port = head.authority.port_or(0);
    let mut case = gate.case(EventKind::Egress);
    case.protocol = "connect";
    case.method = Some("CONNECT".to_owned());
    case.endpoint = Some((host.to_string(), port));
    case.trace(&head.headers);
    let connect = Connect { gate, case, host, port };
    match connect.judge().await {
        Ok((permit, _)) if permit.is_opaque() => connect.opaque(client, &permit).await,
        Ok((permit, inside)) => connect.inside(client, &permit, inside, drain).await,
        Err(denial) => connect.refuse(client, denial).await,
    }
}

impl Connect<'_> {
    async fn judge(&self) -> Result<(AddressPermit, Inside), Denial> {
        let attempt = Attempt { host: &self.host, port: self.port, channel: Channel::Tunnel };
        let permit = egress::judge(&self.case.published.policy, &attempt)?;
        let addresses = self.gate.resolver.addresses(permit.host()).await?;
        let permit = permit.addresses(&addresses, &self.gate.own)?;
        Ok((permit, Inside { host: self.host.clone(), port: self.port, addresses }))
    }

    /// Refuses before the tunnel is open.
    async fn refuse(&self, mut client: Client, denial: Denial) {
        let refusal = self.gate.refused(&self.case, denial).await;
        let bytes = refusal.answer(&self.case).encode(false, false);
        if client.write(&bytes, self.gate.limits.write_max).await.is_ok() {
            client.close().await;
        }
    }

    /// A tunnel that a `tcp` rule allows: nothing needs to be seen.
    async fn opaque(mut self, mut client: Client, permit: &AddressPermit) {
        self.case.protocol = "tcp";
        let opened = match permit.opaque() {
            Ok(permit) => self.open(&permit, Spoken::Opaque).await,
            Err(denial) => Err(denial),
        };
        let open = match opened {
            Ok(open) => open,
            Err(denial) => return self.refuse(client, denial).await,
        };
        if client.write(ESTABLISHED, self.gate.limits.write_max).await.is_ok() {
            self.relay(client, open).await;
        }
    }

    /// A tunnel whose inside decides.
    async fn inside(
        mut self,
        mut client: Client,
        permit: &AddressPermit,
        inside: Inside,
        drain: proxy::Watch,
    ) {
        if client.write(ESTABLISHED, self.gate.limits.write_max).await.is_err() {
            return;
        }
        let hello = match look(&mut client, deadline(self.gate.limits.peek_max)).await {
            First::Tls(hello) => hello,
            First::Http => {
                let forwarder = Forwarder::new(self.gate, Some(inside));
                return proxy::requests(self.gate, client, forwarder, drain).await;
            }
            First::Gone => return,
            First::Refused { denial, alert } => return self.cut(client, denial, alert).await,
        };
        self.case.protocol = "tls";
        let judged = permit.tls(Hello { server_name: hello.sni.as_ref(), has_ech: hello.has_ech });
        let opened = match judged {
            Ok(permit) => self.open(&permit, Spoken::Tls { name: hello.sni, has_ech: hello.has_ech }).await,
            Err(denial) => Err(denial),
        };
        match opened {
            Ok(open) => self.relay(client, open).await,
            Err(denial) => {
                let alert = alert_for(denial.reason);
                self.cut(client, denial, Some(alert)).await;
            }
        }
    }

    async fn open(&self, permit: &DialPermit, spoken: Spoken) -> Result<Open, Denial> {
        self.gate.allowed(&self.case, permit.rule(), permit).await?;
        let dialled = dial(permit, self.gate.limits.connect_max).await?;
        let (host, address) = (self.host.clone(), dialled.address);
        let tunnel = Tunnel { host, port: self.port, address, spoken };
        Ok(Open { stream: dialled.stream, registered: self.gate.enter(&tunnel, &self.case)? })
    }

    async fn relay(&self, mut client: Client, mut open: Open) {
        let means = RelayMeans {
            bytes_out: self.gate.metrics.bytes_out(),
            bytes_in: self.gate.metrics.bytes_in(),
            idle_max: self.gate.limits.idle_max,
        };
        let early = std::mem::take(&mut client.buffer);
        let relayed = async {
            if tokio::io::AsyncWriteExt::write_all(&mut open.stream, &early).await.is_err() {
                return;
            }
            means.bytes_out.inc_by(u64::try_from(early.len()).unwrap_or(u64::MAX));
            drop(early);
            // Only what comes over a socket asks for CONNECT.
            if let Some(agent) = client.stream.tcp() {
                relay(agent, &mut open.stream, &means).await;
            }
        };
        tokio::select! {
            () = relayed => {}
            () = open.registered.cut() => {}
        }
    }

    /// Refuses inside an open tunnel.
    async fn cut(&self, mut client: Client, denial: Denial, alert: Option<u8>) {
        self.gate.refused(&self.case, denial).await;
        if let Some(alert) = alert {
            let record = [21, 3, 3, 0, 2, 2, alert];
            if client.write(&record, self.gate.limits.write_max).await.is_err() {
                return;
            }
        }
        client.close().await;
    }
}

/// An open tunnel's far side.
struct Open {
    stream: TcpStream,
    registered: crate::tunnels::Registered,
}

/// Looks at the first bytes without using them up.
async fn look(client: &mut Client, until: Instant) -> First {
    if client.buffer.is_empty() {
        match timeout_at(until, client.read_more()).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(_)) => return First::Gone,
            Err(_) => return silent(),
        }
    }
    let mut reader = ClientHelloReader::new();
    let mut fed = 0;
    loop {
        let news = client.buffer.get(fed..).unwrap_or_default();
        fed = client.buffer.len();
        match reader.feed(news) {
            Ok(Peek::Done(hello)) if hello.offers_modern_version() => return First::Tls(hello),
            Ok(Peek::Done(_)) => {
                return refused_hello("expected TLS 1.2 or 1.3", ALERT_PROTOCOL_VERSION);
            }
            Ok(Peek::NeedMore) => {
                if !more(client, until).await {
                    return refused_hello("the hello didn't end in time", ALERT_DECODE_ERROR);
                }
            }
            Err(HelloError::NotTls) => return look_for_http(client, until).await,
            Err(error @ HelloError::Sslv2) => {
                return refused_hello(&error.to_string(), ALERT_PROTOCOL_VERSION);
            }
            Err(
                error @ (HelloError::TooLarge
                | HelloError::Malformed(_)
                | HelloError::TwoServerNames
                | HelloError::EmptyName
                | HelloError::NulInName
                | HelloError::AddressInName
                | HelloError::Name(_)),
            ) => return refused_hello(&error.to_string(), ALERT_DECODE_ERROR),
        }
    }
}

/// The first line tells HTTP from other protocols of text.
async fn look_for_http(client: &mut Client, until: Instant) -> First {
    loop {
        let bytes: &[u8] = &client.buffer;
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let ended = line.len() < bytes.len();
        let text = line.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\r');
        let http = line.windows(8).any(|window| window == b" HTTP/1.");
        if !text || (ended && !http) || line.len() > REQUEST_LINE_BYTES_MAX {
            return other_protocol();
        }
        if ended {
            return First::Http;
        }
        if !more(client, until).await {
            return other_protocol();
        }
    }
}

async fn more(client: &mut Client, until: Instant) -> bool {
    matches!(timeout_at(until, client.read_more()).await, Ok(Ok(1..)))
}

/// Row 44: a server that speaks first can't be judged by what the client says.
fn silent() -> First {
    let message = "nothing came through the tunnel that could be judged";
    let remedy = "speak TLS or HTTP, or ask for a rule with `protocol: tcp`";
    First::Refused {
        denial: denial(Reason::Protocol, "spec.egress.allow", message, remedy),
        alert: None,
    }
}

fn other_protocol() -> First {
    let message = "what is spoken in the tunnel is neither TLS nor HTTP/1.1";
    let remedy = "speak TLS or HTTP, or ask for a rule with `protocol: tcp`";
    First::Refused {
        denial: denial(Reason::Protocol, "spec.egress.allow", message, remedy),
        alert: None,
    }
}

fn refused_hello(found: &str, alert: u8) -> First {
    let message = format!("the TLS hello can't be judged: {found}");
    let denial = denial(Reason::Malformed, "tls.hello", message, "send one TLS 1.2 or 1.3 hello");
    First::Refused { denial, alert: Some(alert) }
}

fn alert_for(reason: Reason) -> u8 {
    if reason == Reason::Name {
        ALERT_UNRECOGNIZED_NAME
    } else if [Reason::Upstream, Reason::Audit].contains(&reason) {
        ALERT_INTERNAL_ERROR
    } else {
        ALERT_ACCESS_DENIED
    }
}
