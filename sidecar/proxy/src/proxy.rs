//! The front of the explicit proxy: tells SOCKS5 from HTTP, reads head after head of a connection and hands each to its protocol.

use std::sync::Arc;

use pinfold_ledger::EventKind;
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::head::{Head, Target};
use pinfold_wire::socks::{VERSION_4, VERSION_5};

use crate::client::{Client, NoHead};
use crate::connect;
use crate::drain::DrainWatch;
use crate::forward::{Forwarder, Route};
use crate::gate::{Gate, Refusal};
use crate::passage::{Farewell, let_go};
use crate::peek::alert_for;
use crate::record::Case;
use crate::relay::Established;
use crate::socks;

/// Serves one connection to the proxy, to its end or to where bytes are only to be relayed.
pub(crate) async fn serve(
    gate: &Arc<Gate>,
    mut client: Client,
    mut drain: DrainWatch,
) -> Option<Established> {
    match client.first_byte(&gate.limits, &mut drain).await? {
        VERSION_5 => return socks::serve(gate, client, drain).await,
        VERSION_4 => {
            socks::serve_old(gate, client).await;
            return None;
        }
        _ => {}
    }
    let mut forwarder = Forwarder::new(gate, Route::Proxy);
    loop {
        let head = match client.read_head(&gate.limits, &mut drain).await {
            Ok(head) => head,
            Err(none) => {
                no_head(gate, client, none).await;
                return None;
            }
        };
        if head.target == Target::Authority {
            drop(forwarder);
            return Box::pin(connect::serve(gate, client, &head, drain)).await;
        }
        if !forwarder.request(&mut client, &head).await {
            client.close().await;
            return None;
        }
    }
}

/// Serves requests that don't come to the proxy itself: inside a tunnel, or redirected.
pub(crate) async fn requests(
    gate: &Arc<Gate>,
    mut client: Client,
    route: Route,
    mut drain: DrainWatch,
) {
    let mut forwarder = Forwarder::new(gate, route);
    loop {
        let head: Head = match client.read_head(&gate.limits, &mut drain).await {
            Ok(head) => head,
            Err(none) => return no_head(gate, client, none).await,
        };
        if !forwarder.request(&mut client, &head).await {
            return client.close().await;
        }
    }
}

/// Answers what isn't a head, where there is somebody to answer.
pub(crate) async fn no_head(gate: &Gate, mut client: Client, none: NoHead) {
    let refusal = match none {
        NoHead::Gone => return,
        NoHead::Malformed(error) => Refusal::head(error),
        NoHead::Slow => {
            let status = http::StatusCode::REQUEST_TIMEOUT;
            Refusal::malformed(status, "head-slow", "the head didn't end in time".to_owned())
        }
        NoHead::Tls => return not_tls(gate, client).await,
    };
    let mut case = gate.case(EventKind::Egress);
    case.protocol = "http";
    let refusal = gate.refused(&case, refusal).await;
    let bytes = refusal.answer(&case).encode(false, false);
    if client.write(&bytes, gate.limits.write_max).await.is_ok() {
        client.close().await;
    }
}

/// Refuses TLS where only HTTP is spoken, in its own words: nobody shows a TLS client what HTTP would say.
async fn not_tls(gate: &Gate, client: Client) {
    let mut case = gate.case(EventKind::Egress);
    case.protocol = "tls";
    let message = "TLS to the sidecar itself, which speaks HTTP and SOCKS5 there";
    let remedy = "give the proxy as `http://`; what goes through it may be TLS";
    let denial = Denial::new(Reason::Protocol, "spec.egress", message, remedy);
    let refusal = gate.refused(&case, denial).await;
    let_go(gate, client, Farewell::Alert(alert_for(refusal.denial.reason))).await;
}

/// Why a connection beyond the policy's limit is refused.
pub(crate) fn too_many(most: u32) -> Denial {
    let message = format!("the agent has {most} connections open already");
    let remedy = "close some, or ask for more in `spec.egress.limits.connections`";
    Denial::new(Reason::Limit, "spec.egress.limits.connections", message, remedy)
}

/// Answers a connection beyond the policy's limit.
pub(crate) async fn over_limit(gate: &Gate, mut client: Client, mut drain: DrainWatch) {
    let mut case = gate.case(EventKind::Egress);
    case.protocol = "http";
    let denial = too_many(case.published.policy.connections_max);
    match client.first_byte(&gate.limits, &mut drain).await {
        None => client.reset(),
        Some(VERSION_5) => socks::over_limit(gate, client, denial).await,
        Some(_) => told(gate, client, drain, (case, denial)).await,
    }
}

/// Answers one request for which there is no place.
pub(crate) async fn told(
    gate: &Gate,
    mut client: Client,
    mut drain: DrainWatch,
    (mut case, denial): (Case, Denial),
) {
    match client.read_head(&gate.limits, &mut drain).await {
        Ok(head) => {
            case.method = Some(head.method.to_string());
            case.endpoint = Some((head.authority.host.to_string(), head.authority.port_or(80)));
        }
        Err(NoHead::Malformed(_) | NoHead::Slow) => {}
        Err(NoHead::Gone) => return client.reset(),
        Err(NoHead::Tls) => {
            case.protocol = "tls";
            let refusal = gate.refused(&case, denial).await;
            let alert = Farewell::Alert(alert_for(refusal.denial.reason));
            return let_go(gate, client, alert).await;
        }
    }
    let refusal = gate.refused(&case, denial).await;
    let bytes = refusal.answer(&case).encode(false, false);
    if client.write(&bytes, gate.limits.write_max).await.is_ok() {
        client.close().await;
    }
}
