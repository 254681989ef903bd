//! A request that changes to WebSocket: the handshake is checked in both directions, then bytes pass with the limits of a tunnel. Frames aren't
//! looked at.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{self, Upgraded};
use hyper_util::rt::TokioIo;
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::head::{Head, Upgrade};
use pinfold_wire::path::RequestPath;
use pinfold_wire::websocket::{self, WebSocketError};
use tokio::time::timeout;

use crate::client::Client;
use crate::exchange::{self, Failure, Means};
use crate::forward::check_method;
use crate::gate::{Gate, Refusal};
use crate::http_upstream::HttpUpstream;
use crate::out_body::OutBody;
use crate::relay;
use crate::tunnels::Registered;

/// What the answer to a key is made with (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A judged request that asks for WebSocket.
pub(crate) struct Change<'r> {
    pub(crate) head: &'r Head,
    pub(crate) path: &'r RequestPath,
    pub(crate) registered: Registered,
}

/// Whether a request asks for WebSocket, which a rule may allow; every other change of protocol is refused here.
///
/// # Errors
/// What no rule can allow.
pub(crate) fn is_asked(head: &Head) -> Result<bool, Refusal> {
    if head.upgrade != Some(Upgrade::WebSocket) {
        check_method(head)?;
        return Ok(false);
    }
    websocket::key(head).map(|_| true).map_err(malformed)
}

fn malformed(error: WebSocketError) -> Refusal {
    let message = format!("the request for WebSocket can't be read: {error}");
    Refusal::malformed(StatusCode::BAD_REQUEST, error.reason(), message)
}

/// Forwards the request; passes bytes on if the upstream changes, else its reply. Whether the agent's connection can be used again.
///
/// # Errors
/// [`Failure`]; the upstream connection is of no use any more.
pub(crate) async fn pass(
    gate: &Arc<Gate>,
    client: &mut Client,
    change: Change<'_>,
    upstream: &mut HttpUpstream,
    means: &mut Means<'_>,
) -> Result<bool, Failure> {
    let Change { head, path, registered } = change;
    let unanswered = |refusal: Refusal| Failure::Unanswered(refusal);
    // Bytes before the answer could be requests or frames: which one, the upstream would decide.
    if !client.buffer.is_empty() {
        let text = "bytes came before the answer to a request for WebSocket".to_owned();
        return Err(unanswered(Refusal::malformed(StatusCode::BAD_REQUEST, "websocket", text)));
    }
    let forward = websocket::forward(head, path).map_err(|error| unanswered(malformed(error)))?;
    let key = websocket::key(head).map_err(|error| unanswered(malformed(error)))?;
    let request =
        exchange::request(&forward, OutBody::Whole(bytes::Bytes::new())).map_err(unanswered)?;
    let sent = tokio::select! {
        sent = upstream.send(request, means.rule, means.limits.reply_max) => sent,
        () = registered.cut() => return Err(Failure::Broken),
    };
    let mut response = sent.map_err(|failed| unanswered(failed.denial.into()))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return tokio::select! {
            done = exchange::reply(client, head, response, means) => done,
            () = registered.cut() => Err(Failure::Broken),
        };
    }
    if let Err(error) = websocket::check_reply(response.headers(), &accept(key)) {
        let message = format!("the upstream's change to WebSocket can't be read: {error}");
        let denial = Denial::new(Reason::Reply, means.rule, message, "ask whoever runs it");
        return Err(unanswered(denial.into()));
    }
    let far = far_side(&mut response, means).await?;
    let switching = websocket::switching_head(response.headers());
    client.write(&switching, means.limits.write_max).await.map_err(|_| Failure::Broken)?;
    relay::streams(gate, &mut client.stream, TokioIo::new(far), registered).await;
    Ok(false)
}

/// The upstream's stream behind its answer.
async fn far_side(
    response: &mut http::Response<Incoming>,
    means: &Means<'_>,
) -> Result<Upgraded, Failure> {
    match timeout(means.limits.handshake_max, upgrade::on(response)).await {
        Ok(Ok(far)) => Ok(far),
        Ok(Err(_)) | Err(_) => Err(Failure::Broken),
    }
}

/// RFC 6455 section 4.2.2: SHA-1 is what it says, and nothing here relies on its strength.
fn accept(key: &HeaderValue) -> String {
    let text = [key.as_bytes(), GUID].concat();
    STANDARD.encode(ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_the_key_of_the_standard() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
