//! Ports for programs that cannot be told to listen on port 0.

use crate::HarnessError;
use std::net::{Ipv4Addr, TcpListener};

/// `N` different loopback ports that were free a moment ago. Another process may take one before
/// it is used, so whoever starts a server on it must be ready to try again with new ones.
pub fn free_ports<const N: usize>() -> Result<[u16; N], HarnessError> {
    let failed = HarnessError::io;
    // All are held until all are known, so that they differ.
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(failed("bind a free port on", "127.0.0.1"))?;
        *port = listener.local_addr().map_err(failed("read the port of", "127.0.0.1"))?.port();
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::free_ports;
    use std::collections::BTreeSet;

    #[test]
    fn differ_and_can_be_bound() {
        let ports = free_ports::<8>().unwrap();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 8);
        assert!(!ports.contains(&0));
    }
}
