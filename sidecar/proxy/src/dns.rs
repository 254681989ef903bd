//! The DNS gate: answers the pod's queries, each judged before any packet goes upstream.

use std::sync::Arc;

use tokio::net::UdpSocket;

use crate::client::Client;
use crate::drain::{DrainWatch, Phase};
use crate::gate::Gate;

/// Serves one connection of DNS over TCP (RFC 7766).
pub(crate) async fn serve(_gate: &Arc<Gate>, client: Client, _drain: DrainWatch) {
    client.close().await;
}

/// Serves a UDP socket until the sidecar stops.
pub(crate) async fn serve_udp(_gate: Arc<Gate>, _socket: UdpSocket, mut drain: DrainWatch) {
    drain.reached(Phase::Cut).await;
}
