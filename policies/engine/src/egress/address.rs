//! Addresses that a name must not lead to: everything but global unicast, with the document that says so.
//!
//! Sources: the IANA special-purpose address registries (RFC 6890 and its updates). A v4 address inside a v6 address counts as special
//! as a whole, because what the packet reaches is decided by somebody else's gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Why an address is special.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Special {
    /// The range.
    pub range: &'static str,
    /// What it is for.
    pub what: &'static str,
    /// The document.
    pub source: &'static str,
}

const fn row(range: &'static str, what: &'static str, source: &'static str) -> Special {
    Special { range, what, source }
}

/// Special IPv4 ranges.
pub(super) const V4: &[Special] = &[
    row("0.0.0.0/8", "this network", "RFC 791"),
    row("10.0.0.0/8", "private", "RFC 1918"),
    row("100.64.0.0/10", "carrier NAT", "RFC 6598"),
    row("127.0.0.0/8", "loopback", "RFC 1122"),
    row("169.254.0.0/16", "link-local", "RFC 3927"),
    row("172.16.0.0/12", "private", "RFC 1918"),
    row("192.0.0.0/24", "reserved for protocols", "RFC 6890"),
    row("192.0.2.0/24", "documentation", "RFC 5737"),
    row("192.88.99.0/24", "6to4 relay", "RFC 7526"),
    row("192.168.0.0/16", "private", "RFC 1918"),
    row("198.18.0.0/15", "benchmarking", "RFC 2544"),
    row("198.51.100.0/24", "documentation", "RFC 5737"),
    row("203.0.113.0/24", "documentation", "RFC 5737"),
    row("224.0.0.0/4", "multicast", "RFC 5771"),
    row("240.0.0.0/4", "reserved or broadcast", "RFC 1112"),
];

/// Special IPv6 ranges; whatever else lies outside 2000::/3 is special too.
pub(super) const V6: &[Special] = &[
    row("::1/128", "loopback", "RFC 4291"),
    row("::/128", "unspecified", "RFC 4291"),
    row("::/96", "an IPv4 address in IPv6 (compatible)", "RFC 4291"),
    row("::ffff:0:0/96", "an IPv4 address in IPv6 (mapped)", "RFC 4291"),
    row("64:ff9b::/96", "an IPv4 address in IPv6 (NAT64)", "RFC 6052"),
    row("64:ff9b:1::/48", "an IPv4 address in IPv6 (local NAT64)", "RFC 8215"),
    row("100::/64", "discard-only", "RFC 6666"),
    row("2001::/32", "an IPv4 address in IPv6 (Teredo)", "RFC 4380"),
    row("2001::/23", "reserved for protocols", "RFC 2928"),
    row("2001:db8::/32", "documentation", "RFC 3849"),
    row("2002::/16", "an IPv4 address in IPv6 (6to4)", "RFC 3056"),
    row("3fff::/20", "documentation", "RFC 9637"),
    row("5f00::/16", "segment routing", "RFC 9602"),
    row("fc00::/7", "private (unique local)", "RFC 4193"),
    row("fe80::/10", "link-local", "RFC 4291"),
    row("fec0::/10", "site-local", "RFC 3879"),
    row("ff00::/8", "multicast", "RFC 4291"),
];

const NOT_GLOBAL: Special = row("not 2000::/3", "not global unicast", "RFC 4291");

/// Metadata and credential services of clouds; no rule ever allows them.
const METADATA_V4: [Ipv4Addr; 6] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
];

/// Why an address is special; `None` for global unicast.
#[must_use]
pub fn special(address: IpAddr) -> Option<Special> {
    match address {
        IpAddr::V4(address) => V4
            .iter()
            .copied()
            .find(|row| row.range.parse::<Ipv4Net>().is_ok_and(|range| range.contains(&address))),
        IpAddr::V6(address) => {
            let listed = V6.iter().copied().find(|row| {
                row.range.parse::<Ipv6Net>().is_ok_and(|range| range.contains(&address))
            });
            let [first, ..] = address.segments();
            listed.or((first & 0xe000 != 0x2000).then_some(NOT_GLOBAL))
        }
    }
}

/// Whether an address is a metadata service, also when it is written inside an IPv6 address.
#[must_use]
pub fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => METADATA_V4.contains(&address),
        IpAddr::V6(address) => {
            METADATA_V6.contains(&address)
                || embedded(address).iter().any(|inner| METADATA_V4.contains(inner))
        }
    }
}

/// The IPv4 addresses that an IPv6 address may stand for.
fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| {
        let [first, second] = high.to_be_bytes();
        let [third, fourth] = low.to_be_bytes();
        Ipv4Addr::new(first, second, third, fourth)
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, ..) => {
            vec![join(g, h)]
        }
        (0x2002, ..) => vec![join(b, c)],
        (0x2001, 0, ..) => vec![join(c, d), join(!g, !h)],
        _ => Vec::new(),
    }
}

/// Whether an address is one of the sidecar's own listeners.
pub(super) fn is_own(address: SocketAddr, own: &[SocketAddr]) -> bool {
    own.iter().any(|listener| {
        let same = listener.ip() == address.ip()
            || listener.ip().is_unspecified()
            || address.ip().is_unspecified()
            || (listener.ip().is_loopback() && address.ip().is_loopback());
        same && listener.port() == address.port() && is_local(address.ip(), listener.ip())
    })
}

/// A wildcard listener is only known to be reached by loopback, unspecified and equal addresses.
fn is_local(address: IpAddr, listener: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified() || address == listener
}
