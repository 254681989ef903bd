//! Plain HTTP: absolute-form requests to the proxy, and requests inside a tunnel. Each is judged, also on a kept connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{Method, StatusCode};
use pinfold_engine::egress::{self, Attempt, Channel, DialPermit};
use pinfold_ledger::EventKind;
use pinfold_model::host::Host;
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::body::BodyFraming;
use pinfold_wire::encode::ForwardHead;
use pinfold_wire::head::{Head, RawPath, Target};
use pinfold_wire::path::RequestPath;

use crate::answer::denial;
use crate::client::Client;
use crate::dial::dial;
use crate::exchange::{Failure, Means, exchange};
use crate::gate::{Gate, Refusal};
use crate::http_upstream::HttpUpstream;
use crate::quota::Meter;
use crate::record::Case;
use crate::tunnels::{Spoken, Tunnel};

/// The port of `http`.
const HTTP_PORT: u16 = 80;
/// Methods that the IANA registry lists and a proxy may pass: all but CONNECT, TRACE and the preface of HTTP/2.
const METHODS: &[&str] = &[
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

/// The end of a tunnel that requests come through.
#[derive(Debug, Clone)]
pub(crate) struct Inside {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// The addresses that were found when the tunnel was opened.
    pub(crate) addresses: Vec<IpAddr>,
}

/// Forwards the requests of one connection, one after the other.
pub(crate) struct Forwarder<'g> {
    gate: &'g Arc<Gate>,
    inside: Option<Inside>,
    kept: Option<Kept>,
    /// Of the connection that the requests come through.
    meter: Meter,
}

/// An upstream connection that may serve the next request, if that is judged to go there.
struct Kept {
    host: Host,
    port: u16,
    addresses: Vec<IpAddr>,
    upstream: HttpUpstream,
}

/// A request that may be forwarded.
struct Judged {
    host: Host,
    port: u16,
    addresses: Vec<IpAddr>,
    path: RequestPath,
    permit: DialPermit,
}

impl<'g> Forwarder<'g> {
    /// For a connection to the proxy, or for the inside of a tunnel.
    pub(crate) fn new(gate: &'g Arc<Gate>, inside: Option<Inside>) -> Self {
        Self { gate, inside, kept: None, meter: Meter::new(gate) }
    }

    /// Judges one request and forwards it, or answers why not. Whether the connection goes on.
    pub(crate) async fn request(&mut self, client: &mut Client, head: &Head) -> bool {
        let mut case = self.gate.case(EventKind::Egress);
        case.protocol = "http";
        case.method = Some(head.method.to_string());
        case.trace(&head.headers);
        let port = self.inside.as_ref().map_or(HTTP_PORT, |inside| inside.port);
        case.endpoint = Some((head.authority.host.to_string(), head.authority.port_or(port)));
        let refusal = match self.judge(head, &case).await {
            Ok(judged) => match Box::pin(self.forward(client, head, judged, &case)).await {
                Ok(keep_alive) => return keep_alive,
                Err(Failure::Broken) => return false,
                Err(Failure::Cut(denial)) => {
                    self.gate.refused(&case, denial).await;
                    return false;
                }
                Err(Failure::Unanswered(refusal)) => refusal,
            },
            Err(refusal) => refusal,
        };
        let refusal = self.gate.refused(&case, refusal).await;
        let unread = head.body != BodyFraming::None || head.expect_continue;
        let malformed = refusal.denial.reason == Reason::Malformed;
        let keep_alive = head.keep_alive && !unread && !malformed;
        let bytes = refusal.answer(&case).encode(head.method == Method::HEAD, keep_alive);
        client.write(&bytes, self.gate.limits.write_max).await.is_ok() && keep_alive
    }

    async fn judge(&mut self, head: &Head, case: &Case) -> Result<Judged, Refusal> {
        check_method(head)?;
        let raw = self.raw_path(head)?;
        let path = raw.normalize().map_err(|error| {
            let status = StatusCode::BAD_REQUEST;
            Refusal::malformed(status, error.reason(), error.to_string())
        })?;
        let (host, port) = self.endpoint(head)?;
        let channel = Channel::Http { method: head.method.as_str(), path: path.decoded() };
        let attempt = Attempt { host: &host, port, channel };
        let name_permit = egress::judge(&case.published.policy, &attempt)?;
        let addresses = match self.known_addresses(&host, port).await {
            Some(addresses) => addresses,
            None => self.gate.resolver.addresses(&host).await?,
        };
        let permit = name_permit.addresses(&addresses, &self.gate.own)?;
        let permit = permit.http(head.method.as_str(), path.decoded())?;
        Ok(Judged { host, port, addresses, path, permit })
    }

    fn raw_path<'h>(&self, head: &'h Head) -> Result<&'h RawPath, Refusal> {
        let status = StatusCode::BAD_REQUEST;
        let refused =
            |text: &str| Err(Refusal::malformed(status, "target-invalid", text.to_owned()));
        match &head.target {
            Target::Absolute(path) => Ok(path),
            Target::Origin(path) if self.inside.is_some() => Ok(path),
            Target::Origin(_) => refused(
                "this is a proxy: expected `http://host/path`, or CONNECT for `https`, found a path alone",
            ),
            Target::Asterisk => refused("expected a path, found `*`"),
            Target::Authority => {
                let message = "a tunnel inside a tunnel can't be judged";
                let remedy = "open the tunnel to the destination itself";
                Err(denial(Reason::Protocol, "spec.egress", message, remedy).into())
            }
        }
    }

    /// Where the request goes: inside a tunnel, to its end, which `Host` must name.
    fn endpoint(&self, head: &Head) -> Result<(Host, u16), Denial> {
        let port = head.authority.port_or(HTTP_PORT);
        let Some(inside) = &self.inside else {
            return Ok((head.authority.host.clone(), port));
        };
        if head.authority.host == inside.host && port == inside.port {
            return Ok((inside.host.clone(), inside.port));
        }
        let found = &head.authority;
        let Inside { host, port, .. } = inside;
        let message = format!("the tunnel leads to `{host}:{port}`, but `Host` is `{found}`");
        let remedy = "open a tunnel to the host that the request is for";
        Err(denial(Reason::Name, "spec.egress", message, remedy))
    }

    /// Addresses found before on this connection, if its upstream is still open.
    async fn known_addresses(&mut self, host: &Host, port: u16) -> Option<Vec<IpAddr>> {
        if let Some(inside) = &self.inside {
            return Some(inside.addresses.clone());
        }
        let kept = self.kept.as_mut().filter(|kept| kept.host == *host && kept.port == port)?;
        kept.upstream.is_usable().await.then(|| kept.addresses.clone())
    }

    async fn forward(
        &mut self,
        client: &mut Client,
        head: &Head,
        judged: Judged,
        case: &Case,
    ) -> Result<bool, Failure> {
        let failed = |denial: Denial| Failure::Unanswered(denial.into());
        self.gate.allowed(case, judged.permit.rule(), &judged.permit).await.map_err(failed)?;
        let mut upstream = self.connect(&judged).await.map_err(failed)?;
        let tunnel = tunnel(&judged, head, upstream.address);
        let registered = self.gate.enter(&tunnel, case).map_err(failed)?;
        let forward = ForwardHead::new(head, &judged.path);
        let mut means = Means {
            limits: &self.gate.limits,
            meter: &self.meter,
            rule: judged.permit.rule(),
            redactor: None,
        };
        let keep_alive = tokio::select! {
            done = exchange(client, head, &forward, &mut upstream, &mut means) => done?,
            () = registered.cut() => return Err(Failure::Broken),
        };
        let Judged { host, port, addresses, .. } = judged;
        self.kept = Some(Kept { host, port, addresses, upstream });
        Ok(keep_alive)
    }

    /// The kept connection if it leads to a permitted address of the same endpoint, else a new one.
    async fn connect(&mut self, judged: &Judged) -> Result<HttpUpstream, Denial> {
        if let Some(mut kept) = self.kept.take() {
            let same = kept.host == judged.host && kept.port == judged.port;
            let permitted = judged.permit.addresses().contains(&kept.upstream.address);
            if same && permitted && kept.upstream.is_usable().await {
                return Ok(kept.upstream);
            }
        }
        self.gate.quota.connect(&self.gate.policy.load().policy)?;
        let dialled = dial(&judged.permit, self.gate.limits.connect_max).await?;
        HttpUpstream::over(dialled.stream, dialled.address, judged.permit.rule()).await
    }
}

fn tunnel(judged: &Judged, head: &Head, address: SocketAddr) -> Tunnel {
    let spoken =
        Spoken::Http { method: head.method.to_string(), path: judged.path.decoded().to_owned() };
    Tunnel { host: judged.host.clone(), port: judged.port, address, spoken }
}

/// Rows 51 and 52 of the attack table: what no rule can allow.
pub(crate) fn check_method(head: &Head) -> Result<(), Refusal> {
    let place = "spec.egress";
    if head.upgrade.is_some() {
        let message = "a change of protocol can't be judged";
        let remedy = "send the request without `Upgrade`";
        return Err(denial(Reason::Protocol, place, message, remedy).into());
    }
    if head.method != Method::CONNECT && !METHODS.contains(&head.method.as_str()) {
        let message = "the method is not one that a proxy passes";
        let remedy = "use a method of the IANA registry other than TRACE";
        let denial = denial(Reason::Method, place, message, remedy);
        return Err(Refusal { status: StatusCode::METHOD_NOT_ALLOWED, denial });
    }
    Ok(())
}
