//! Connections that the guard redirected: the original destination is recovered, then judged like any other.

use std::sync::Arc;

use crate::client::Client;
use crate::drain::DrainWatch;
use crate::gate::Gate;

/// Serves one redirected connection.
pub(crate) async fn serve(_gate: &Arc<Gate>, client: Client, _drain: DrainWatch) {
    client.close().await;
}
