//! The gateway.

use std::sync::Arc;

use crate::client::Client;
use crate::drain::DrainWatch;
use crate::gate::Gate;

pub(crate) async fn serve(gate: &Arc<Gate>, client: Client, drain: DrainWatch) {
    let _ = (gate, client, drain);
}
