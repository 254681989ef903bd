//! HTTP/1.1 inside TLS that ended here: head after head by the sidecar's own strict reader, each judged.

use std::sync::Arc;

use pinfold_wire::encode::ForwardHead;
use pinfold_wire::head::Head;

use super::pool::Leased;
use super::site::{Judged, Site};
use crate::client::Client;
use crate::drain::DrainWatch;
use crate::exchange::{Failure, Means, exchange};
use crate::gateway::refuse;
use crate::proxy;
use crate::record::Case;
use crate::upstream::Offered;
use crate::websocket;

/// Serves the requests of one connection.
pub(super) async fn serve(site: &Arc<Site>, mut client: Client, mut drain: DrainWatch) {
    loop {
        let head = match client.read_head(&site.gate.limits, &mut drain).await {
            Ok(head) => head,
            Err(none) => return proxy::no_head(&site.gate, client, none).await,
        };
        if !Box::pin(request(site, &mut client, &head)).await {
            return client.close().await;
        }
    }
}

/// Judges one request and forwards it, or answers why not. Whether the connection goes on.
async fn request(site: &Arc<Site>, client: &mut Client, head: &Head) -> bool {
    let case = site.case(Some(head));
    let refusal = match site.judge(head, &case).await {
        Ok(judged) => match forward(site, client, head, &judged, &case).await {
            Ok(keep_alive) => return keep_alive,
            Err(Failure::Broken) => return false,
            Err(Failure::Cut(denial)) => {
                site.gate.refused(&case, denial).await;
                return false;
            }
            Err(Failure::Unanswered(refusal) | Failure::Gone(refusal)) => refusal,
        },
        Err(refusal) => refusal,
    };
    refuse(&site.gate, client, head, &case, refusal).await
}

async fn forward(
    site: &Arc<Site>,
    client: &mut Client,
    head: &Head,
    judged: &Judged,
    case: &Case,
) -> Result<bool, Failure> {
    let failed = |denial| Failure::Unanswered(crate::gate::Refusal::from(denial));
    let mut upstream = site.connect(judged, case, Offered::Http1).await.map_err(failed)?;
    let mut done = pass(site, client, head, judged, (case, &mut upstream)).await;
    if matches!(done, Err(Failure::Gone(_))) && upstream.is_reused() {
        let gone = (upstream, Offered::Http1);
        upstream = site.reconnect(judged, case, gone).await.map_err(failed)?;
        done = pass(site, client, head, judged, (case, &mut upstream)).await;
    }
    let keep_alive = done?;
    if !judged.websocket {
        site.pool.keep(upstream);
    }
    Ok(keep_alive)
}

/// Forwards the request over one connection.
async fn pass(
    site: &Arc<Site>,
    client: &mut Client,
    head: &Head,
    judged: &Judged,
    (case, upstream): (&Case, &mut Leased),
) -> Result<bool, Failure> {
    let gate = &site.gate;
    let failed = |denial| Failure::Unanswered(crate::gate::Refusal::from(denial));
    let registered = site.enter(head, judged, upstream, case).map_err(failed)?;
    let rule = judged.permit.rule();
    let (limits, meter) = (&gate.limits, &site.meter);
    let mut means = Means { limits, meter, rule, redactor: None, status: None };
    if judged.websocket {
        let change = websocket::Change { head, path: &judged.path, registered };
        return websocket::pass(gate, client, change, upstream, &mut means).await;
    }
    let forward = ForwardHead::new(head, &judged.path);
    tokio::select! {
        done = exchange(client, head, &forward, upstream, &mut means) => done,
        () = registered.cut() => Err(Failure::Broken),
    }
}
