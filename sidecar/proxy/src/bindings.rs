//! Which names the sidecar's own DNS answers have bound to which addresses, and until when.
//!
//! A redirected connection shows an address; a `tcp` rule names a host. This table is the only bridge between the two, so nothing gets into
//! it but answers that the DNS gate gave to this pod.

use std::net::IpAddr;
use std::time::Duration;

use pinfold_model::host::DnsName;

/// Names by address.
#[derive(Debug, Default)]
pub(crate) struct Bindings {}

impl Bindings {
    /// Remembers an answer that the agent got.
    pub(crate) fn bind(&self, _name: &DnsName, _addresses: &[IpAddr], _life: Duration) {}

    /// The names that the agent was told this address for, and that still hold.
    pub(crate) fn names_of(&self, _address: IpAddr) -> Vec<DnsName> {
        Vec::new()
    }
}
