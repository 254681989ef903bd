//! The only place that connects: it takes the engine's permit and dials the addresses that were checked, nothing else. Where the policy has
//! a proxy on the way out, that proxy is dialled, and asked for the host.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use pinfold_engine::egress::{self, DialPermit};
use pinfold_model::policy::agent::Via;
use pinfold_model::reason::{Denial, Reason};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::credential;
use crate::gate::Gate;

/// Addresses of one permit that are tried.
const TRIED_MAX: usize = 8;
/// Bytes of a proxy's answer to CONNECT.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Bytes of it that are looked at together.
const WINDOW_BYTES: usize = 2048;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A connection to a checked address.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) stream: TcpStream,
    /// A checked address; unspecified if only the proxy on the way knows one.
    pub(crate) address: SocketAddr,
}

/// Connects to the first address that answers, or to the host through the policy's proxy.
///
/// # Errors
/// A denial of reason `upstream` when none does, or when the proxy refuses.
pub(crate) async fn dial(gate: &Gate, permit: &DialPermit) -> Result<Dialled, Denial> {
    match permit.via() {
        Some(via) => through(gate, permit, via).await,
        None => direct(permit, gate.limits.connect_max).await,
    }
}

/// Each address within `connect_max`.
async fn direct(permit: &DialPermit, connect_max: Duration) -> Result<Dialled, Denial> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in permit.addresses().iter().take(TRIED_MAX) {
        match tokio::time::timeout(connect_max, TcpStream::connect(*address)).await {
            Ok(Ok(stream)) => {
                if is_the_pods_own(&stream, address.ip()) {
                    return Err(own_address(permit, *address));
                }
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

/// Whether a connection leads back into the pod. The kernel takes the destination for the source where it is an address of its own; loopback
/// is the policy's to allow.
fn is_the_pods_own(stream: &TcpStream, to: IpAddr) -> bool {
    !to.is_loopback() && stream.local_addr().is_ok_and(|here| here.ip() == to)
}

/// An agent that listens would get what is meant for another host, credentials included: the name of a pod stands in its hosts file.
fn own_address(permit: &DialPermit, address: SocketAddr) -> Denial {
    let message = format!("`{}` leads to {}, the pod's own address", permit.host(), address.ip());
    let remedy = "name the pod otherwise, or use loopback and `egress.loopbackPorts`";
    Denial::new(Reason::Address, permit.rule(), message, remedy)
}

/// Asks the proxy on the way for the host by its name: the proxy has rules of its own, and they are about names.
async fn through(gate: &Gate, permit: &DialPermit, via: &Via) -> Result<Dialled, Denial> {
    let request = connect_request(permit, via)?;
    let to_proxy = gate.addresses(egress::judge_via(via)).await?.opaque()?;
    let Dialled { mut stream, .. } = direct(&to_proxy, gate.limits.connect_max).await?;
    let asked = async {
        stream.write_all(&request).await?;
        read_answer(&mut stream).await
    };
    let failed = |cause: &str| unreachable(&via.place, &format!("the proxy on the way {cause}"));
    match tokio::time::timeout(gate.limits.handshake_max, asked).await {
        Ok(Ok(200)) => {}
        Ok(Ok(status)) => return Err(failed(&format!("answered {status} to CONNECT"))),
        Ok(Err(error)) => return Err(failed(&format!("broke off: {error}"))),
        Err(_) => return Err(failed("didn't answer in time")),
    }
    let unknown = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), permit.port());
    let address = permit.addresses().first().copied().unwrap_or(unknown);
    Ok(Dialled { stream, address })
}

fn connect_request(permit: &DialPermit, via: &Via) -> Result<Vec<u8>, Denial> {
    let authority = format!("{}:{}", permit.host(), permit.port());
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(injected) = credential::of_proxy(via)? {
        request.extend_from_slice(injected.name.as_str().as_bytes());
        request.extend_from_slice(b": ");
        request.extend_from_slice(injected.value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    Ok(request)
}

/// The status of an answer to CONNECT. Nothing behind its head is taken from the socket: a server that speaks first may have begun.
async fn read_answer(stream: &mut TcpStream) -> io::Result<u16> {
    let mut head = Vec::new();
    let mut window = [0; WINDOW_BYTES];
    loop {
        let seen = stream.peek(&mut window).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before = head.len();
        head.extend_from_slice(window.get(..seen).unwrap_or_default());
        let found = head.windows(HEAD_END.len()).position(|four| four == HEAD_END);
        let end = found.map(|at| at.saturating_add(HEAD_END.len()));
        let used = end.map_or(seen, |end| end.saturating_sub(before)).min(seen);
        stream.read_exact(window.get_mut(..used).unwrap_or_default()).await?;
        if end.is_some() {
            return status(&head).ok_or_else(|| io::ErrorKind::InvalidData.into());
        }
        if head.len() >= ANSWER_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// `HTTP/1.x SP status`.
fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.1 ").or_else(|| head.strip_prefix(b"HTTP/1.0 "))?;
    let digits = rest.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let ends = rest.get(3).is_some_and(|byte| matches!(byte, b' ' | b'\r'));
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|_| ends)
}

/// The upstream doesn't do its part.
pub(crate) fn unreachable(rule: &str, cause: &str) -> Denial {
    let message = format!("the upstream can't be reached: {cause}");
    Denial::new(Reason::Upstream, rule, message, "check that it runs and answers, then try again")
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, UdpSocket};

    use super::*;

    /// An address of this machine that isn't loopback, if it has one.
    async fn an_own_address() -> Option<IpAddr> {
        let socket = UdpSocket::bind("0.0.0.0:0").await.ok()?;
        socket.connect("192.0.2.1:9").await.ok()?;
        Some(socket.local_addr().ok()?.ip())
    }

    async fn leads_back(address: IpAddr) -> bool {
        let listener = TcpListener::bind((address, 0)).await.expect("a socket");
        let there = listener.local_addr().expect("an address");
        is_the_pods_own(&TcpStream::connect(there).await.expect("a connection"), address)
    }

    #[tokio::test]
    async fn what_leads_back_into_the_pod_is_told() {
        assert!(!leads_back(Ipv4Addr::LOCALHOST.into()).await);
        if let Some(own) = an_own_address().await {
            assert!(leads_back(own).await, "{own}");
        }
    }
}
