//! The pod's hosts file, which the kubelet writes: names that have addresses without DNS.

use std::collections::HashMap;
use std::net::IpAddr;

use pinfold_model::host::DnsName;

/// Names that are kept; the kubelet writes a few.
const ENTRIES_MAX: usize = 4096;

/// Names and addresses of a hosts file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Hosts {
    by_name: HashMap<DnsName, Vec<IpAddr>>,
    by_address: HashMap<IpAddr, Vec<DnsName>>,
}

impl Hosts {
    /// Reads lines of an address and its names (hosts(5)); what is no name or address is left out.
    pub(crate) fn parse(text: &str) -> Self {
        let mut hosts = Self::default();
        let entries = text.lines().filter_map(|line| {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let address: IpAddr = words.next()?.parse().ok()?;
            Some(words.filter_map(move |word| Some((DnsName::parse(word).ok()?, address))))
        });
        for (name, address) in entries.flatten().take(ENTRIES_MAX) {
            push(hosts.by_name.entry(name.clone()).or_default(), address);
            push(hosts.by_address.entry(address).or_default(), name);
        }
        hosts
    }

    /// The addresses of a name that stands in the file.
    pub(crate) fn addresses(&self, name: &DnsName) -> Option<&[IpAddr]> {
        self.by_name.get(name).map(Vec::as_slice)
    }

    /// The names of an address.
    pub(crate) fn names(&self, address: IpAddr) -> &[DnsName] {
        self.by_address.get(&address).map(Vec::as_slice).unwrap_or_default()
    }
}

fn push<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
