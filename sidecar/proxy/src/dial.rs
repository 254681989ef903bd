//! The only place that connects: it takes the engine's permit and dials the addresses that were checked, nothing else.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use pinfold_engine::egress::DialPermit;
use pinfold_model::reason::{Denial, Reason};
use tokio::net::TcpStream;

use crate::answer::denial;

/// Addresses of one permit that are tried.
const TRIED_MAX: usize = 8;

/// A connection to a checked address.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) stream: TcpStream,
    pub(crate) address: SocketAddr,
}

/// Connects to the first address that answers, each within `connect_max`.
///
/// # Errors
/// A denial of reason `upstream` when none does.
pub(crate) async fn dial(permit: &DialPermit, connect_max: Duration) -> Result<Dialled, Denial> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in permit.addresses().iter().take(TRIED_MAX) {
        match tokio::time::timeout(connect_max, TcpStream::connect(*address)).await {
            Ok(Ok(stream)) => {
                // Only a socket that is closed already refuses this.
                let _ = stream.set_nodelay(true);
                return Ok(Dialled { stream, address: *address });
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(unreachable(permit.rule(), &last.to_string()))
}

/// The upstream doesn't do its part.
pub(crate) fn unreachable(rule: &str, cause: &str) -> Denial {
    let message = format!("the upstream can't be reached: {cause}");
    denial(Reason::Upstream, rule, message, "check that it runs and answers, then try again")
}
