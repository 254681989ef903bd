//! The front of the explicit proxy: reads head after head of a connection and hands each to its protocol.

use std::sync::Arc;

use pinfold_ledger::EventKind;
use pinfold_model::reason::Reason;
use pinfold_wire::head::{Head, Target};

use crate::answer::denial;
use crate::client::{Client, NoHead};
use crate::connect;
use crate::drain::DrainWatch;
use crate::forward::Forwarder;
use crate::gate::{Gate, Refusal};

/// Sees when the sidecar stops.
pub(crate) type Watch = DrainWatch;

/// Serves one connection to the proxy.
pub(crate) async fn serve(gate: &Arc<Gate>, mut client: Client, mut drain: Watch) {
    let mut forwarder = Forwarder::new(gate, None);
    loop {
        let head = match client.read_head(&gate.limits, &mut drain).await {
            Ok(head) => head,
            Err(none) => return no_head(gate, client, none).await,
        };
        if head.target == Target::Authority {
            drop(forwarder);
            return Box::pin(connect::serve(gate, client, &head, drain)).await;
        }
        if !forwarder.request(&mut client, &head).await {
            return client.close().await;
        }
    }
}

/// Serves requests that come through a tunnel.
pub(crate) async fn requests(
    gate: &Arc<Gate>,
    mut client: Client,
    mut forwarder: Forwarder<'_>,
    mut drain: Watch,
) {
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
    };
    let mut case = gate.case(EventKind::Egress);
    case.protocol = "http";
    let refusal = gate.refused(&case, refusal).await;
    let bytes = refusal.answer(&case).encode(false, false);
    if client.write(&bytes, gate.limits.write_max).await.is_ok() {
        client.close().await;
    }
}

/// Answers a connection beyond the policy's limit.
pub(crate) async fn over_limit(gate: &Gate, mut client: Client, mut drain: Watch) {
    let mut case = gate.case(EventKind::Egress);
    let most = case.published.policy.connections_max;
    case.protocol = "http";
    if let Ok(head) = client.read_head(&gate.limits, &mut drain).await {
        case.method = Some(head.method.to_string());
        case.endpoint = Some((head.authority.host.to_string(), head.authority.port_or(80)));
    }
    let message = format!("the agent has {most} connections open already");
    let remedy = "close some, or ask for more in `spec.egress.limits.connections`";
    let denial = denial(Reason::Limit, "spec.egress.limits.connections", message, remedy);
    let refusal = gate.refused(&case, denial).await;
    let bytes = refusal.answer(&case).encode(false, false);
    if client.write(&bytes, gate.limits.write_max).await.is_ok() {
        client.close().await;
    }
}
