//! The gateway: `/mcp/SERVER` for tool calls and `/upstreams/NAME/...` for named services, for agents on this machine alone.
//!
//! `Host` and `Origin` must be loopback, or a web page could drive the agent's tools (DNS rebinding, CVE-2025-66414).

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, header};
use pinfold_ledger::EventKind;
use pinfold_model::host::Host;
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::authority::Authority;
use pinfold_wire::body::BodyFraming;
use pinfold_wire::head::{Head, Target};
use pinfold_wire::path::RequestPath;

use crate::client::Client;
use crate::drain::DrainWatch;
use crate::forward::check_method;
use crate::gate::{Gate, Refusal};
use crate::record::Case;
use crate::{mcp_gate, named, proxy};

/// The protocol of records and metrics.
pub(crate) const PROTOCOL: &str = "upstream";

/// What a path leads to.
enum Route {
    Mcp(String),
    Named { name: String, rest: String },
}

/// Serves one connection.
pub(crate) async fn serve(gate: &Arc<Gate>, mut client: Client, mut drain: DrainWatch) {
    loop {
        let head = match client.read_head(&gate.limits, &mut drain).await {
            Ok(head) => head,
            Err(none) => return proxy::no_head(gate, client, none).await,
        };
        if !request(gate, &mut client, &head).await {
            return client.close().await;
        }
    }
}

/// Answers a connection for which there is no place.
pub(crate) async fn over_limit(gate: &Gate, client: Client, drain: DrainWatch) {
    let mut case = gate.case(EventKind::Egress);
    case.protocol = PROTOCOL;
    let most = gate.limits.service_connections_max;
    let message = format!("the gateway has {most} connections open already");
    let denial = Denial::new(Reason::Limit, "gateway", message, "close some, then try again");
    proxy::told(gate, client, drain, (case, denial)).await;
}

/// Serves one request. Whether the connection goes on.
async fn request(gate: &Arc<Gate>, client: &mut Client, head: &Head) -> bool {
    match admit(head) {
        Ok(Route::Mcp(server)) => Box::pin(mcp_gate::serve(gate, client, head, &server)).await,
        Ok(Route::Named { name, rest }) => {
            Box::pin(named::serve(gate, client, head, &name, &rest)).await
        }
        Err(refusal) => {
            let mut case = gate.case(EventKind::Egress);
            case.protocol = PROTOCOL;
            case.method = Some(head.method.to_string());
            case.trace(&head.headers);
            refuse(gate, client, head, &case, refusal).await
        }
    }
}

/// Answers a refusal. Whether the connection goes on.
pub(crate) async fn refuse(
    gate: &Gate,
    client: &mut Client,
    head: &Head,
    case: &Case,
    refusal: Refusal,
) -> bool {
    let refusal = gate.refused(case, refusal).await;
    let read = head.body == BodyFraming::None && !head.expect_continue;
    let keep_alive = head.keep_alive && read && gate.drain.is_serving();
    let bytes = refusal.answer(case).encode(head.method == Method::HEAD, keep_alive);
    client.write(&bytes, gate.limits.write_max).await.is_ok() && keep_alive
}

fn admit(head: &Head) -> Result<Route, Refusal> {
    check_host(head)?;
    check_origin(&head.headers)?;
    check_method(head)?;
    let malformed =
        |fault: &str, message: String| Refusal::malformed(StatusCode::BAD_REQUEST, fault, message);
    let Target::Origin(raw) = &head.target else {
        let text = "this is the gateway: expected a path, found another target".to_owned();
        return Err(malformed("target-invalid", text));
    };
    let path = raw.normalize().map_err(|error| malformed(error.reason(), error.to_string()))?;
    route(&path).ok_or_else(|| {
        let message = "the gateway has nothing there";
        let remedy = "use `/mcp/SERVER` or `/upstreams/NAME/...`";
        Refusal {
            status: StatusCode::NOT_FOUND,
            denial: Denial::new(Reason::Path, "gateway", message, remedy),
        }
    })
}

fn route(path: &RequestPath) -> Option<Route> {
    if let Some(server) = path.decoded().strip_prefix("/mcp/") {
        let plain = !server.is_empty() && !server.contains('/');
        return plain.then(|| Route::Mcp(server.to_owned()));
    }
    let wire = path.to_wire();
    let behind = wire.strip_prefix("/upstreams/")?;
    let end = behind.find(['/', '?']).unwrap_or(behind.len());
    let (name, rest) = behind.split_at_checked(end)?;
    (!name.is_empty()).then(|| Route::Named { name: name.to_owned(), rest: rest.to_owned() })
}

fn check_host(head: &Head) -> Result<(), Denial> {
    if is_loopback(&head.authority.host) {
        return Ok(());
    }
    let message = format!("`Host` is `{}`, which is not this machine", head.authority.host);
    Err(Denial::new(Reason::Name, "gateway", message, "use `localhost` or `127.0.0.1`"))
}

fn check_origin(headers: &HeaderMap) -> Result<(), Denial> {
    let loopback = |text: &str| {
        let authority = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let authority = authority.and_then(|text| Authority::parse(text).ok());
        authority.is_some_and(|authority| is_loopback(&authority.host))
    };
    let allowed = |value: &http::HeaderValue| value.to_str().is_ok_and(loopback);
    if headers.get_all(header::ORIGIN).iter().all(allowed) {
        return Ok(());
    }
    let message = "`Origin` is not this machine: web pages have no access to the gateway";
    Err(Denial::new(Reason::Name, "gateway", message, "leave `Origin` out"))
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Name(name) => name.as_str() == "localhost",
        Host::Address(address) => address.is_loopback(),
    }
}
