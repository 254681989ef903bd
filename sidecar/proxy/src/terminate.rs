//! TLS that ends here, by `https` rules alone: the agent's handshake is answered in the name that was judged, what is inside is judged request
//! by request, and what may pass goes on over TLS of the sidecar's own, fully verified.
//!
//! Nothing gets around that: no certificate without an [`EndPermit`], no dialling without a permit for the request, and an upstream whose
//! certificate doesn't hold is an error to the agent.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use http::StatusCode;
use pinfold_engine::egress::EndPermit;
use pinfold_model::reason::{Denial, Reason};
use pinfold_wire::client_hello::ClientHello;
use rustls::ServerConfig;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::client::{Client, Replayed};
use crate::drain::DrainWatch;
use crate::forward::Inside;
use crate::gate::Gate;
use crate::passage::{Farewell, let_go};
use crate::places;
use crate::record::Case;
use authority::SPOKEN;
use site::Site;

mod authority;
mod body;
mod bounds;
mod http1;
mod http2;
mod pool;
mod site;
mod tasks;
mod trust;

pub(crate) use body::AgentBody;
pub(crate) use tasks::Tasks;
pub(crate) use trust::Trust;

/// TLS alerts (RFC 8446 section 6, RFC 7301 section 3.2).
const ALERT_INTERNAL_ERROR: u8 = 80;
const ALERT_NO_APPLICATION_PROTOCOL: u8 = 120;

/// A connection whose TLS may be ended.
pub(crate) struct Ending {
    pub(crate) inside: Inside,
    pub(crate) permit: EndPermit,
    pub(crate) hello: ClientHello,
    pub(crate) case: Case,
}

/// Serves a connection from its hello, which is still in the client's buffer, to its end.
pub(crate) async fn serve(gate: &Arc<Gate>, client: Client, ending: Ending, drain: DrainWatch) {
    let config = match config(gate, &ending) {
        Ok(config) => config,
        Err((denial, alert)) => {
            gate.refused(&ending.case, denial).await;
            return let_go(gate, client, Farewell::Alert(alert)).await;
        }
    };
    // What comes out of ended TLS never gets here again.
    let Some((socket, early)) = client.into_socket() else { return };
    let accepted = TlsAcceptor::from(config).accept(Replayed::new(early, socket));
    let stream = match timeout(gate.limits.handshake_max, accepted).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return not_accepted(gate, &ending, &error.to_string()).await,
        Err(_) => return not_accepted(gate, &ending, "it took too long").await,
    };
    // What is asked for inside may be judged in tasks of its own.
    if places::decided().is_err() {
        return;
    }
    let site = Arc::new(Site::new(gate, ending.inside));
    if speaks_http2(&stream) {
        http2::serve(site, stream, drain).await;
    } else {
        http1::serve(&site, Client::inside(stream), drain).await;
    }
}

fn speaks_http2(stream: &TlsStream<Replayed>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

/// What answers the handshake.
fn config(gate: &Gate, ending: &Ending) -> Result<Arc<ServerConfig>, (Denial, u8)> {
    let Ending { permit, hello, .. } = ending;
    let offered = &hello.alpn;
    if !offered.is_empty() && !SPOKEN.iter().any(|known| offered.iter().any(|one| one == known)) {
        let message = "what would be spoken inside TLS is neither HTTP/1.1 nor HTTP/2";
        let remedy = "offer `http/1.1` or `h2`, or ask for a rule with `protocol: tls`";
        let denial = Denial::new(Reason::Protocol, permit.rule(), message, remedy);
        return Err((denial, ALERT_NO_APPLICATION_PROTOCOL));
    }
    let Some(trust) = &gate.trust else {
        let message = "TLS can't be ended: the agent couldn't trust it";
        let remedy = "start the sidecar with `--trust DIR`, or change the rule to `protocol: tls`";
        let denial = Denial::new(Reason::Protocol, permit.rule(), message, remedy);
        return Err((denial, ALERT_INTERNAL_ERROR));
    };
    trust.authority.config(permit, SystemTime::now()).map_err(|error| {
        let denial = Denial::new(Reason::Protocol, permit.rule(), error.to_string(), "try again");
        (denial, ALERT_INTERNAL_ERROR)
    })
}

/// A client with a pin or a trust store of its own ends the handshake itself; whoever reads the record must see why.
async fn not_accepted(gate: &Arc<Gate>, ending: &Ending, cause: &str) {
    let host = ending.permit.host();
    let message = format!("the agent's TLS handshake for `{host}` failed: {cause}");
    let remedy = "have the client trust the pod's bundle; if it can't (a pin, a client certificate), use `protocol: tls`";
    let denial = Denial::new(Reason::Protocol, ending.permit.rule(), message, remedy);
    gate.refused(&ending.case, denial).await;
}

/// A status that says that another connection is needed (RFC 9110 section 15.5.20).
const MISDIRECTED: StatusCode = StatusCode::MISDIRECTED_REQUEST;

/// An end that nobody can be told of.
fn broken_off() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}
