//! Addresses that a name must not lead to: everything but global unicast, with the document that says so.
//!
//! Sources: the IANA special-purpose address registries (RFC 6890 and its updates). A v4 address inside a v6 address counts as special
//! as a whole, because what the packet reaches is decided by somebody else's gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Why an address is special.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Special {
    /// The range.
    pub range: IpNet,
    /// What it is for.
    pub what: &'static str,
    /// The document.
    pub source: &'static str,
}

const fn v4(octets: [u8; 4], prefix: u8, what: &'static str, source: &'static str) -> Special {
    let [a, b, c, d] = octets;
    let range = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix));
    Special { range, what, source }
}

/// `head` are the first segments; the rest is zero.
const fn v6(head: [u16; 3], prefix: u8, what: &'static str, source: &'static str) -> Special {
    let [a, b, c] = head;
    let range = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix));
    Special { range, what, source }
}

/// Ranges at the bottom of the address space, by their last segments.
const fn low(tail: [u16; 3], prefix: u8, what: &'static str, source: &'static str) -> Special {
    let [a, b, c] = tail;
    let range = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, a, b, c), prefix));
    Special { range, what, source }
}

/// Special IPv4 ranges.
pub(super) const V4: &[Special] = &[
    v4([0, 0, 0, 0], 8, "this network", "RFC 791"),
    v4([10, 0, 0, 0], 8, "private", "RFC 1918"),
    v4([100, 64, 0, 0], 10, "carrier NAT", "RFC 6598"),
    v4([127, 0, 0, 0], 8, "loopback", "RFC 1122"),
    v4([169, 254, 0, 0], 16, "link-local", "RFC 3927"),
    v4([172, 16, 0, 0], 12, "private", "RFC 1918"),
    v4([192, 0, 0, 0], 24, "reserved for protocols", "RFC 6890"),
    v4([192, 0, 2, 0], 24, "documentation", "RFC 5737"),
    v4([192, 88, 99, 0], 24, "6to4 relay", "RFC 7526"),
    v4([192, 168, 0, 0], 16, "private", "RFC 1918"),
    v4([198, 18, 0, 0], 15, "benchmarking", "RFC 2544"),
    v4([198, 51, 100, 0], 24, "documentation", "RFC 5737"),
    v4([203, 0, 113, 0], 24, "documentation", "RFC 5737"),
    v4([224, 0, 0, 0], 4, "multicast", "RFC 5771"),
    v4([240, 0, 0, 0], 4, "reserved or broadcast", "RFC 1112"),
];

/// Special IPv6 ranges; whatever else lies outside 2000::/3 is special too.
pub(super) const V6: &[Special] = &[
    low([0, 0, 0x1], 128, "loopback", "RFC 4291"),
    low([0, 0, 0], 128, "unspecified", "RFC 4291"),
    low([0, 0, 0], 96, "an IPv4 address in IPv6 (compatible)", "RFC 4291"),
    low([0xffff, 0, 0], 96, "an IPv4 address in IPv6 (mapped)", "RFC 4291"),
    v6([0x64, 0xff9b, 0], 96, "an IPv4 address in IPv6 (NAT64)", "RFC 6052"),
    v6([0x64, 0xff9b, 0x1], 48, "an IPv4 address in IPv6 (local NAT64)", "RFC 8215"),
    v6([0x100, 0, 0], 64, "discard-only", "RFC 6666"),
    v6([0x2001, 0, 0], 32, "an IPv4 address in IPv6 (Teredo)", "RFC 4380"),
    v6([0x2001, 0, 0], 23, "reserved for protocols", "RFC 2928"),
    v6([0x2001, 0xdb8, 0], 32, "documentation", "RFC 3849"),
    v6([0x2002, 0, 0], 16, "an IPv4 address in IPv6 (6to4)", "RFC 3056"),
    v6([0x3fff, 0, 0], 20, "documentation", "RFC 9637"),
    v6([0x5f00, 0, 0], 16, "segment routing", "RFC 9602"),
    v6([0xfc00, 0, 0], 7, "private (unique local)", "RFC 4193"),
    v6([0xfe80, 0, 0], 10, "link-local", "RFC 4291"),
    v6([0xfec0, 0, 0], 10, "site-local", "RFC 3879"),
    v6([0xff00, 0, 0], 8, "multicast", "RFC 4291"),
];

const NOT_GLOBAL: Special = low([0, 0, 0], 0, "not global unicast (2000::/3)", "RFC 4291");

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
    let find =
        |table: &[Special]| table.iter().copied().find(|special| special.range.contains(&address));
    match address {
        IpAddr::V4(_) => find(V4),
        IpAddr::V6(v6) => {
            let [first, ..] = v6.segments();
            find(V6).or((first & 0xe000 != 0x2000).then_some(NOT_GLOBAL))
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
