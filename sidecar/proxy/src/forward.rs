//! Plain HTTP: absolute-form requests to the proxy, and requests inside a tunnel. Each is judged, also on a kept connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{Method, StatusCode};
use pinfold_engine::egress::{self, AddressPermit, Attempt, Channel, DialPermit, NamePermit};
use pinfold_ledger::EventKind;
use pinfold_model::host::Host;
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::body::BodyFraming;
use pinfold_wire::encode::ForwardHead;
use pinfold_wire::head::{Head, RawPath, Target, Upgrade};
use pinfold_wire::path::RequestPath;

use crate::client::Client;
use crate::dial::dial;
use crate::exchange::{Failure, Means, exchange};
use crate::gate::{Gate, Refusal};
use crate::http_upstream::HttpUpstream;
use crate::quota::Meter;
use crate::record::Case;
use crate::tunnels::{Spoken, Tunnel, judged, learned};
use crate::websocket;

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

/// How requests come.
#[derive(Debug, Clone)]
pub(crate) enum Route {
    /// To the proxy: each says where it goes.
    Proxy,
    /// Through a tunnel, to its end alone.
    Tunnel(Inside),
    /// On a connection that was going to this address: `Host` says the name.
    Redirected(SocketAddr),
}

impl Route {
    /// The port that every request must be for.
    fn port(&self) -> Option<u16> {
        match self {
            Self::Proxy => None,
            Self::Tunnel(inside) => Some(inside.port),
            Self::Redirected(to) => Some(to.port()),
        }
    }
}

/// Forwards the requests of one connection, one after the other.
pub(crate) struct Forwarder<'g> {
    gate: &'g Arc<Gate>,
    route: Route,
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
    websocket: bool,
}

impl<'g> Forwarder<'g> {
    /// For the requests of one connection.
    pub(crate) fn new(gate: &'g Arc<Gate>, route: Route) -> Self {
        Self { gate, route, kept: None, meter: Meter::new(gate) }
    }

    /// Judges one request and forwards it, or answers why not. Whether the connection goes on.
    pub(crate) async fn request(&mut self, client: &mut Client, head: &Head) -> bool {
        let mut case = self.gate.case(EventKind::Egress);
        case.protocol = "http";
        case.method = Some(head.method.to_string());
        if case.learns() {
            let path = self.raw_path(head).ok().and_then(|raw| raw.read().ok());
            case.path = path.as_ref().and_then(learned);
        }
        case.trace(&head.headers);
        let port = self.route.port().unwrap_or(HTTP_PORT);
        case.endpoint = Some((head.authority.host.to_string(), head.authority.port_or(port)));
        let refusal = match self.judge(head, &case).await {
            Ok(judged) => match Box::pin(self.forward(client, head, judged, &case)).await {
                Ok(keep_alive) => return keep_alive,
                Err(Failure::Broken) => return false,
                Err(Failure::Cut(denial)) => {
                    self.gate.refused(&case, denial).await;
                    return false;
                }
                Err(Failure::Unanswered(refusal) | Failure::Gone(refusal)) => refusal,
            },
            Err(refusal) => refusal,
        };
        let refusal = self.gate.refused(&case, refusal).await;
        let unread = head.body != BodyFraming::None || head.expect_continue;
        let malformed = refusal.denial.reason == Reason::Malformed;
        let keep_alive = head.keep_alive && !unread && !malformed && self.meter.may_go_on();
        let bytes = refusal.answer(&case).encode(head.method == Method::HEAD, keep_alive);
        client.write(&bytes, self.gate.limits.write_max).await.is_ok() && keep_alive
    }

    async fn judge(&mut self, head: &Head, case: &Case) -> Result<Judged, Refusal> {
        let websocket = websocket::is_asked(head)?;
        let raw = self.raw_path(head)?;
        let path = raw.read().map_err(|error| {
            let status = StatusCode::BAD_REQUEST;
            Refusal::malformed(status, error.reason(), error.to_string())
        })?;
        let (host, port) = self.endpoint(head)?;
        let channel = Channel::Http { method: head.method.as_str(), path: judged(&path) };
        let attempt = Attempt { host: &host, port, channel };
        let name_permit = egress::judge(&case.published.policy, &attempt)?;
        let (permit, addresses) = self.addresses(name_permit).await?;
        let permit = if websocket {
            permit.websocket(head.method.as_str(), judged(&path))?
        } else {
            permit.http(head.method.as_str(), judged(&path))?
        };
        Ok(Judged { host, port, addresses, path, permit, websocket })
    }

    fn raw_path<'h>(&self, head: &'h Head) -> Result<&'h RawPath, Refusal> {
        let status = StatusCode::BAD_REQUEST;
        let refused =
            |text: &str| Err(Refusal::malformed(status, "target-invalid", text.to_owned()));
        match &head.target {
            Target::Absolute(path) => Ok(path),
            Target::Origin(path) if self.route.port().is_some() => Ok(path),
            Target::Origin(_) => refused(
                "this is a proxy: expected `http://host/path`, or CONNECT for `https`, found a path alone",
            ),
            Target::Asterisk => refused("expected a path, found `*`"),
            Target::Authority => {
                let message = "a tunnel inside a tunnel can't be judged";
                let remedy = "open the tunnel to the destination itself";
                Err(Denial::new(Reason::Protocol, "spec.egress", message, remedy).into())
            }
        }
    }

    /// Where the request goes. Inside a tunnel `Host` must name its end; a redirected one keeps its port.
    fn endpoint(&self, head: &Head) -> Result<(Host, u16), Denial> {
        let (host, port) = (&head.authority.host, head.authority.port_or(HTTP_PORT));
        let (leads_to, remedy) = match &self.route {
            Route::Proxy => return Ok((host.clone(), port)),
            Route::Tunnel(inside) if *host == inside.host && port == inside.port => {
                return Ok((inside.host.clone(), inside.port));
            }
            Route::Redirected(to) if port == to.port() => return Ok((host.clone(), port)),
            Route::Tunnel(Inside { host, port, .. }) => {
                (format!("{host}:{port}"), "open a tunnel to the host that the request is for")
            }
            Route::Redirected(to) => (to.to_string(), "send the port of the connection in `Host`"),
        };
        let found = &head.authority;
        let message = format!("the connection leads to `{leads_to}`, but `Host` is `{found}`");
        Err(Denial::new(Reason::Name, "spec.egress", message, remedy))
    }

    /// The addresses of the request's host, judged.
    async fn addresses(
        &mut self,
        permit: NamePermit,
    ) -> Result<(AddressPermit, Vec<IpAddr>), Denial> {
        if let Some(known) = self.known_addresses(permit.host(), permit.port()).await {
            return Ok((permit.addresses(&known, &self.gate.own)?, known));
        }
        if let Route::Redirected(to) = self.route {
            return redirected(self.gate, permit, to).await;
        }
        let found = self.gate.resolver.addresses(permit.host()).await?;
        Ok((permit.addresses(&found, &self.gate.own)?, found))
    }

    /// Addresses found before on this connection, if its upstream is still open.
    async fn known_addresses(&mut self, host: &Host, port: u16) -> Option<Vec<IpAddr>> {
        if let Route::Tunnel(inside) = &self.route {
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
        let kept = self.kept(&judged).await;
        if kept.is_none() {
            self.gate.quota.connect(&case.published.policy).map_err(failed)?;
        }
        self.gate.allowed(case, judged.permit.rule(), &judged.permit).await.map_err(failed)?;
        // A server may end a kept connection just when it is used again.
        let mut again = kept.is_some();
        let mut upstream = match kept {
            Some(upstream) => upstream,
            None => self.connect(&judged).await.map_err(failed)?,
        };
        let keep_alive = loop {
            match self.pass(client, head, &judged, (case, &mut upstream)).await {
                Err(Failure::Gone(_)) if again => {
                    again = false;
                    self.gate.quota.connect(&case.published.policy).map_err(failed)?;
                    upstream = self.connect(&judged).await.map_err(failed)?;
                }
                done => break done?,
            }
        };
        if judged.websocket {
            return Ok(keep_alive);
        }
        let Judged { host, port, addresses, .. } = judged;
        self.kept = Some(Kept { host, port, addresses, upstream });
        Ok(keep_alive)
    }

    /// Forwards the request over one connection.
    async fn pass(
        &self,
        client: &mut Client,
        head: &Head,
        judged: &Judged,
        (case, upstream): (&Case, &mut HttpUpstream),
    ) -> Result<bool, Failure> {
        let failed = |denial: Denial| Failure::Unanswered(denial.into());
        let tunnel = tunnel(judged, head, upstream.address);
        let registered = self.gate.enter(&tunnel, case).map_err(failed)?;
        let mut means = Means {
            limits: &self.gate.limits,
            meter: &self.meter,
            rule: judged.permit.rule(),
            redactor: None,
            status: None,
        };
        if judged.websocket {
            let change = websocket::Change { head, path: &judged.path, registered };
            return websocket::pass(self.gate, client, change, upstream, &mut means).await;
        }
        let forward = ForwardHead::new(head, &judged.path);
        tokio::select! {
            done = exchange(client, head, &forward, upstream, &mut means) => done,
            () = registered.cut() => Err(Failure::Broken),
        }
    }

    /// The kept connection, if it leads to a permitted address of the same endpoint.
    async fn kept(&mut self, judged: &Judged) -> Option<HttpUpstream> {
        let mut kept = self.kept.take()?;
        let same = kept.host == judged.host && kept.port == judged.port;
        let permitted = judged.permit.addresses().contains(&kept.upstream.address);
        (same && permitted && kept.upstream.is_usable().await).then_some(kept.upstream)
    }

    async fn connect(&self, judged: &Judged) -> Result<HttpUpstream, Denial> {
        let dialled = dial(self.gate, &judged.permit).await?;
        HttpUpstream::over(dialled.stream, dialled.address, judged.permit.rule()).await
    }
}

/// The addresses of a name for a connection that was going to `to`: what the pod's DNS gave, else what the name leads to now.
///
/// # Errors
/// The denial, which is an answer.
pub(crate) async fn redirected(
    gate: &Gate,
    permit: NamePermit,
    to: SocketAddr,
) -> Result<(AddressPermit, Vec<IpAddr>), Denial> {
    let bound = match permit.host() {
        Host::Name(name) => gate.bindings.names_of(to.ip()).contains(name),
        Host::Address(address) => *address == to.ip(),
    };
    let found = if bound { vec![to.ip()] } else { gate.resolver.addresses(permit.host()).await? };
    Ok((permit.redirected(to, &found, &gate.own)?, found))
}

fn tunnel(judged: &Judged, head: &Head, address: SocketAddr) -> Tunnel {
    let path = (&judged.path).into();
    let spoken = if judged.websocket {
        Spoken::WebSocket { path }
    } else {
        Spoken::Http { method: head.method.to_string(), path }
    };
    Tunnel { host: judged.host.clone(), port: judged.port, address, spoken }
}

/// Rows 51 and 52 of the attack table: what no rule can allow.
pub(crate) fn check_method(head: &Head) -> Result<(), Refusal> {
    let place = "spec.egress";
    // What a server may ignore is ignored; the fields that ask for it never pass.
    if matches!(head.upgrade, Some(Upgrade::WebSocket | Upgrade::Other)) {
        let message = "a change of protocol can't be judged";
        let remedy = "send the request without `Upgrade`";
        return Err(Denial::new(Reason::Protocol, place, message, remedy).into());
    }
    if head.method != Method::CONNECT && !METHODS.contains(&head.method.as_str()) {
        let message = "the method is not one that a proxy passes";
        let remedy = "use a method of the IANA registry other than TRACE";
        let denial = Denial::new(Reason::Method, place, message, remedy);
        return Err(Refusal { status: StatusCode::METHOD_NOT_ALLOWED, denial });
    }
    Ok(())
}
