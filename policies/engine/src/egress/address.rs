//! Addresses that a name must not lead to: everything but global unicast, with the document that says so.
//!
//! Sources: the IANA special-purpose address registries (RFC 6890 and its updates), those that are "globally reachable" there as well: nothing
//! that an agent needs is behind them. A v4 address inside a v6 address counts as special as a whole, because what the packet reaches is
//! decided by somebody else's gateway. Not to be known here: prefixes that a network chose itself for NAT64 (RFC 6052) or 6rd (RFC 5969).

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

const TRANSLATED: Special = Special {
    range: IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96)),
    what: "an IPv4 address in IPv6 (translated)",
    source: "RFC 2765",
};

const DUMMY: Special = Special {
    range: IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 0), 64)),
    what: "a dummy prefix",
    source: "RFC 9780",
};

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
    v4([192, 31, 196, 0], 24, "AS112 (reverse DNS of private addresses)", "RFC 7535"),
    v4([192, 52, 193, 0], 24, "a multicast tunnel (AMT)", "RFC 7450"),
    v4([192, 88, 99, 0], 24, "6to4 relay", "RFC 7526"),
    v4([192, 168, 0, 0], 16, "private", "RFC 1918"),
    v4([192, 175, 48, 0], 24, "AS112 (reverse DNS of private addresses)", "RFC 7534"),
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
    TRANSLATED,
    v6([0x64, 0xff9b, 0], 96, "an IPv4 address in IPv6 (NAT64)", "RFC 6052"),
    v6([0x64, 0xff9b, 0x1], 48, "an IPv4 address in IPv6 (local NAT64)", "RFC 8215"),
    v6([0x100, 0, 0], 64, "discard-only", "RFC 6666"),
    DUMMY,
    v6([0x2001, 0, 0], 32, "an IPv4 address in IPv6 (Teredo)", "RFC 4380"),
    v6([0x2001, 0, 0], 23, "reserved for protocols", "RFC 2928"),
    v6([0x2001, 0xdb8, 0], 32, "documentation", "RFC 3849"),
    v6([0x2002, 0, 0], 16, "an IPv4 address in IPv6 (6to4)", "RFC 3056"),
    v6([0x2620, 0x4f, 0x8000], 48, "AS112 (reverse DNS of private addresses)", "RFC 7534"),
    v6([0x3fff, 0, 0], 20, "documentation", "RFC 9637"),
    v6([0x5f00, 0, 0], 16, "segment routing", "RFC 9602"),
    v6([0xfc00, 0, 0], 7, "private (unique local)", "RFC 4193"),
    v6([0xfe80, 0, 0], 10, "link-local", "RFC 4291"),
    v6([0xfec0, 0, 0], 10, "site-local", "RFC 3879"),
    v6([0xff00, 0, 0], 8, "multicast", "RFC 4291"),
];

/// An interface identifier that stands for a v4 address, under whatever prefix.
const ISATAP: (&str, &str) = ("an IPv4 address in IPv6 (ISATAP)", "RFC 5214");

const NOT_GLOBAL: Special = low([0, 0, 0], 0, "not global unicast (2000::/3)", "RFC 4291");

/// Metadata and credential services of clouds; no rule ever allows them. Sources are the vendors' documents.
pub(super) const METADATA: &[(IpAddr, &str)] = &[
    (metadata_v4(169, 254, 169, 254), "AWS, Azure, Google Cloud, most others"),
    (metadata_v4(169, 254, 170, 2), "AWS, credentials of ECS tasks"),
    (metadata_v4(169, 254, 170, 23), "AWS, credentials of EKS pods"),
    (metadata_v4(169, 254, 42, 42), "Scaleway"),
    (metadata_v4(169, 254, 0, 23), "Tencent Cloud"),
    (metadata_v4(168, 63, 129, 16), "Azure, the host's agent"),
    (metadata_v4(100, 100, 100, 200), "Alibaba Cloud"),
    (metadata_v4(192, 0, 0, 192), "Oracle Cloud Classic"),
    (metadata_v6([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254]), "AWS"),
    (metadata_v6([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023]), "AWS, credentials of EKS pods"),
    (metadata_v6([0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254]), "Google Cloud"),
    (metadata_v6([0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042]), "Scaleway"),
    (metadata_v6([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1]), "Akamai (Linode)"),
    (metadata_v6([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe]), "OpenStack"),
];

const fn metadata_v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn metadata_v6(segments: [u16; 8]) -> IpAddr {
    let [a, b, c, d, e, f, g, h] = segments;
    IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h))
}

/// Why an address is special; `None` for global unicast.
#[must_use]
pub fn special(address: IpAddr) -> Option<Special> {
    let find =
        |table: &[Special]| table.iter().copied().find(|special| special.range.contains(&address));
    match address {
        IpAddr::V4(_) => find(V4),
        IpAddr::V6(v6) => {
            let [first, ..] = v6.segments();
            let global = first & 0xe000 == 0x2000;
            find(V6).or((!global).then_some(NOT_GLOBAL)).or(isatap(v6))
        }
    }
}

fn isatap(address: Ipv6Addr) -> Option<Special> {
    let (what, source) = ISATAP;
    let range = IpNet::from(IpAddr::V6(address));
    is_isatap(address).then_some(Special { range, what, source })
}

/// `::0:5efe:a.b.c.d`, with the universal bit or without (RFC 5214 section 6.1).
fn is_isatap(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, _, _])
}

/// Whether an address is a metadata service, also when it is written inside an IPv6 address.
#[must_use]
pub fn is_metadata(address: IpAddr) -> bool {
    let listed = |address: IpAddr| METADATA.iter().any(|(known, _)| *known == address);
    match address {
        IpAddr::V4(_) => listed(address),
        IpAddr::V6(v6) => {
            listed(address) || embedded(v6).iter().any(|inner| listed(IpAddr::V4(*inner)))
        }
    }
}

/// The IPv4 addresses that an IPv6 address may stand for.
fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    if is_isatap(address) {
        return vec![join(g, h)];
    }
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, ..) => {
            vec![join(g, h)]
        }
        (0x64, 0xff9b, ..) => nat64(address),
        (0x2002, ..) => vec![join(b, c)],
        (0x2001, 0, ..) => vec![join(c, d), join(!g, !h)],
        _ => Vec::new(),
    }
}

/// Where RFC 6052 section 2.2 puts the v4 address for a prefix of 48, 56, 64 or 96 bits; the byte at 64 bits is left out.
fn nat64(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let [_, _, _, _, _, _, b6, b7, _, b9, b10, b11, b12, b13, b14, b15] = address.octets();
    vec![
        Ipv4Addr::new(b6, b7, b9, b10),
        Ipv4Addr::new(b7, b9, b10, b11),
        Ipv4Addr::new(b9, b10, b11, b12),
        Ipv4Addr::new(b12, b13, b14, b15),
    ]
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

#[cfg(test)]
mod tests;
