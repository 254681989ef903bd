//! The second layer: routes by which packets of any UID but the sidecar's lead to loopback, should the rules be gone.
//!
//! Rules can be flushed from outside (`nft flush ruleset` of another agent on the node, Kuma #16766); routes are another thing that
//! nobody flushes along. `ip rule` has ranges of UIDs: all but the sidecar's use a table whose only way is loopback. The firewall's
//! redirection happens after this choice and makes it anew, so it isn't in the way. Replies to connections from outside get a mark from
//! the rules, with which they use the main table: without rules no mark, and no reply.
//!
//! A socket bound to an interface (`SO_BINDTODEVICE` needs no right) asks for routes of that interface alone, and IPv4 sends on the link if there is
//! none: so each interface has a route of its own here, of kind `local`, which leads to loopback whatever interface it names.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::GuardError;
use crate::netlink::{
    ACKNOWLEDGE, Attributes, CREATE, DUMP, EXCLUSIVE, Family, Message, Netlink, REPLACE, Request,
};
use crate::plan::{PROBE_V4, PROBE_V6};
use crate::rules::MARK_OUT;

/// The table's number; that of the transparent port.
const TABLE: u32 = 15_001;
/// `main`.
const MAIN: u32 = 254;
/// Before all but the table of the pod's own addresses (0), and so before any rules of a network plugin (`main` is 32766).
const PRIORITIES: [u32; 4] = [1, 2, 3, 4];
/// Rules that may stand at one of our places, to be replaced.
const RULES_MAX: usize = 64;
/// Interfaces that a pod may have.
const LINKS_MAX: usize = 64;
/// Kinds of messages (`linux/rtnetlink.h`).
const GET_LINK: u16 = 18;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;
const NEW_RULE: u16 = 32;
const DELETE_RULE: u16 = 33;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `lo` is the first interface of every network namespace.
const LOOPBACK: u32 = 1;
const IFF_UP: u32 = 1;
const NEEDS: &str = "CONFIG_IP_MULTIPLE_TABLES, CONFIG_IPV6_MULTIPLE_TABLES and uidrange rules (Linux 4.10 or newer)";
const REMEDY: &str = ", or the guard `--routes off`, which gives up the second layer";
/// Where routes are asked for: addresses of documentation (RFC 5737, RFC 3849) that have no rule of their own.
const ANYWHERE_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const ANYWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);

/// Version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V4,
    V6,
}

impl Version {
    fn number(self) -> u8 {
        match self {
            Self::V4 => AF_INET,
            Self::V6 => AF_INET6,
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::V4 => "-4",
            Self::V6 => "-6",
        }
    }

    fn probe(self) -> IpAddr {
        match self {
            Self::V4 => PROBE_V4.into(),
            Self::V6 => PROBE_V6.into(),
        }
    }
}

/// What one `ip rule` is about.
#[derive(Debug, Clone, Copy)]
enum Selector {
    Mark,
    To(IpAddr),
    Uids(u32, u32),
}

/// A line of `ip rule`.
#[derive(Debug, Clone, Copy)]
struct Line {
    priority: u32,
    selector: Selector,
    table: u32,
}

/// The lines for one version; `first` is the lowest UID that is held.
fn lines(version: Version, uid: u32, first: u32) -> Vec<Line> {
    let [mark, probe, below, above] = PRIORITIES;
    // 2^32-1 is no UID.
    let last = u32::MAX.saturating_sub(1);
    let line = |priority, selector, table| Line { priority, selector, table };
    let mut lines =
        vec![line(mark, Selector::Mark, MAIN), line(probe, Selector::To(version.probe()), TABLE)];
    if first < uid {
        lines.push(line(below, Selector::Uids(first, uid.saturating_sub(1)), TABLE));
    }
    lines.push(line(above, Selector::Uids(uid.saturating_add(1), last), TABLE));
    lines
}

fn line_text(version: Version, line: Line) -> String {
    let Line { priority, selector, table } = line;
    let selector = match selector {
        Selector::Mark => format!("fwmark 0x{MARK_OUT:08x}"),
        Selector::To(address) => format!("to {address}"),
        Selector::Uids(first, last) => format!("uidrange {first}-{last}"),
    };
    format!("ip {} rule add pref {priority} {selector} lookup {table}", version.flag())
}

/// The routes as commands of `ip`, commented out.
pub(crate) fn text(uid: u32) -> String {
    let mut text = "# Routes, for when these rules are gone:\n".to_owned();
    for version in [Version::V4, Version::V6] {
        for line in lines(version, uid, 0) {
            // Writing to a String can't fail.
            let _ = writeln!(text, "# {}", line_text(version, line));
        }
    }
    let _ = writeln!(
        text,
        "# ip -4 route replace default dev lo scope link table {TABLE} mtu SMALLEST"
    );
    let _ = writeln!(
        text,
        "# ip -6 route replace local default dev lo metric 1 table {TABLE} mtu SMALLEST"
    );
    let _ = writeln!(text, "# and for each interface that is up, N its number:");
    let _ = writeln!(
        text,
        "# ip -4 route replace local default dev INTERFACE src ITS-ADDRESS metric N table {TABLE}"
    );
    let _ =
        writeln!(text, "# ip -6 route replace local default dev INTERFACE metric N table {TABLE}");
    text
}

/// An interface that is up.
#[derive(Debug, Clone)]
struct Link {
    index: u32,
    name: String,
    mtu: u32,
}

fn question(kind: u16, flags: u16, header: Vec<u8>, attributes: Attributes) -> Request {
    Request { kind, flags, header, attributes, what: "a question".to_owned(), needs: NEEDS }
}

fn refused(what: &str, errno: i32) -> GuardError {
    GuardError::Refused {
        what: what.to_owned(),
        needs: NEEDS,
        remedy: REMEDY,
        source: std::io::Error::from_raw_os_error(errno),
    }
}

fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn attribute(message: &Message, header: usize, kind: u16) -> Option<&[u8]> {
    let found = message.attributes(header);
    found.into_iter().find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// Every interface that is up but loopback. `struct ifinfomsg`: family, type, index, flags, change.
fn links(socket: &mut Netlink) -> Result<Vec<Link>, GuardError> {
    let dump = question(GET_LINK, DUMP, vec![0; 16], Attributes::new());
    let messages = socket.ask(&dump)?.map_err(|errno| refused("to list interfaces", errno))?;
    let link = |message: &Message| {
        let index = number(message.body.get(4..)?)?;
        let flags = number(message.body.get(8..)?)?;
        let name = attribute(message, 16, 3)?;
        let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
        let mtu = number(attribute(message, 16, 4)?)?;
        (index != LOOPBACK && flags & IFF_UP != 0).then_some(Link { index, name, mtu })
    };
    let found: Vec<_> = messages.iter().filter_map(link).collect();
    if found.len() > LINKS_MAX {
        let count = found.len();
        return Err(GuardError::Settings(format!(
            "the pod has {count} network interfaces: expected at most {LINKS_MAX}"
        )));
    }
    Ok(found)
}

/// Addresses with their interfaces. `struct ifaddrmsg`: family, prefix, flags, scope, index.
fn addresses(socket: &mut Netlink, version: Version) -> Result<Vec<(u32, IpAddr)>, GuardError> {
    let header = vec![version.number(), 0, 0, 0, 0, 0, 0, 0];
    let dump = question(GET_ADDRESS, DUMP, header, Attributes::new());
    // A kernel without this version has no addresses of it.
    let messages = socket.ask(&dump)?.unwrap_or_default();
    let address = |message: &Message| {
        // Without IPv6, the kernel answers with what it has.
        (message.body.first() == Some(&version.number())).then_some(())?;
        let index = number(message.body.get(4..)?)?;
        // IFA_LOCAL is the own one of a point-to-point link, IFA_ADDRESS the peer's; IPv6 has the second alone.
        let value = attribute(message, 8, 2).or_else(|| attribute(message, 8, 1))?;
        let address = match version {
            Version::V4 => IpAddr::from(*value.first_chunk::<4>()?),
            Version::V6 => IpAddr::from(*value.first_chunk::<16>()?),
        };
        Some((index, address))
    };
    Ok(messages.iter().filter_map(address).collect())
}

/// The lowest UID whose IPv4 packets the routes hold.
///
/// Where the kernel checks the source of what comes in strictly (`rp_filter` 1), it asks as UID 0 for the way back: that must not be
/// loopback, or nothing would come in. No container of an agent runs as UID 0 (PF-POD-006 and others), and the rules hold it anyway.
fn first_uid_v4(links: &[Link]) -> u32 {
    let read = |name: &str| {
        let path = format!("/proc/sys/net/ipv4/conf/{name}/rp_filter");
        std::fs::read_to_string(path).map(|text| text.trim().to_owned())
    };
    let all = read("all");
    let strict = |link: &Link| match (&all, read(&link.name)) {
        // The larger one counts; 2 is loose.
        (Ok(all), Ok(own)) => all.max(&own) == "1",
        // Can't tell.
        (Err(_), _) | (_, Err(_)) => true,
    };
    u32::from(links.iter().any(strict))
}

/// Loads the routes. What stood at our places is replaced.
///
/// # Errors
/// What the kernel refused, or that it has no effect.
pub(crate) fn load(uid: u32) -> Result<Vec<String>, GuardError> {
    let mut socket = Netlink::open(Family::Route)?;
    let links = links(&mut socket)?;
    let mut warnings = Vec::new();
    let first = first_uid_v4(&links);
    if first > 0 {
        warnings.push(
            "rp_filter is strict: routes don't hold UID 0 over IPv4, only the rules do".to_owned(),
        );
    }
    let mtu = links.iter().map(|link| link.mtu).min();
    let own = addresses(&mut socket, Version::V4)?;
    must_route(&mut socket, &to_loopback(Version::V4, mtu))?;
    for link in &links {
        let source = own.iter().find(|(index, _)| *index == link.index).map(|(_, own)| *own);
        must_route(&mut socket, &by_link(Version::V4, link, source))?;
    }
    choose(&mut socket, Version::V4, uid, first)?;
    if addresses(&mut socket, Version::V6)?.is_empty() {
        warnings.push("the pod has no IPv6: no routes for it were loaded".to_owned());
    } else {
        must_route(&mut socket, &to_loopback(Version::V6, mtu))?;
        for link in &links {
            must_route(&mut socket, &by_link(Version::V6, link, None))?;
        }
        choose(&mut socket, Version::V6, uid, 0)?;
    }
    match routes_hold(uid)? {
        None => Ok(warnings),
        Some(leak) => Err(GuardError::NoEffect(leak.to_string())),
    }
}

fn must_route(socket: &mut Netlink, request: &Request) -> Result<(), GuardError> {
    socket.must(request, REMEDY)
}

/// `struct rtmsg`: family, lengths of destination and source, tos, table, protocol, scope, kind, flags.
fn route(version: Version, kind: (u8, u8), what: String, attributes: Attributes) -> Request {
    const STATIC: u8 = 4;
    let (kind, scope) = kind;
    let header = vec![version.number(), 0, 0, 0, 0, STATIC, scope, kind, 0, 0, 0, 0];
    let attributes = attributes.native(15, TABLE);
    let flags = ACKNOWLEDGE | CREATE | REPLACE;
    Request { kind: NEW_ROUTE, flags, header, attributes, what, needs: NEEDS }
}

const UNICAST_LINK: (u8, u8) = (1, 253);
const LOCAL_HOST: (u8, u8) = (2, 254);

/// Everywhere by loopback. Connections that are redirected are measured by this route, so it is no wider than the real one.
///
/// Of kind `local` for IPv6, where the kernel takes others by loopback for unreachable and refuses before there is a packet to redirect; not for
/// IPv4, where it would take every sender outside for one of the pod's own addresses.
fn to_loopback(version: Version, mtu: Option<u32>) -> Request {
    let metrics = mtu.map(|mtu| Attributes::new().native(2, mtu));
    let mut attributes = Attributes::new().native(4, LOOPBACK);
    if let Some(metrics) = metrics {
        attributes = attributes.nested(8, &metrics);
    }
    let what = format!("the route `ip {} default dev lo table {TABLE}`", version.flag());
    match version {
        Version::V4 => route(version, UNICAST_LINK, what, attributes),
        Version::V6 => route(version, LOCAL_HOST, what, attributes.native(6, 1)),
    }
}

fn by_link(version: Version, link: &Link, source: Option<IpAddr>) -> Request {
    let mut attributes = Attributes::new().native(4, link.index).native(6, link.index);
    if let Some(IpAddr::V4(source)) = source {
        attributes = attributes.bytes(7, &source.octets());
    }
    let (flag, name) = (version.flag(), &link.name);
    let what = format!("the route `ip {flag} local default dev {name} table {TABLE}`");
    route(version, LOCAL_HOST, what, attributes)
}

/// `struct fib_rule_hdr`: family, lengths of destination and source, tos, table, two unused, action, flags.
fn rule(kind: u16, version: Version, length: u8, attributes: Attributes, what: String) -> Request {
    const LOOKUP: u8 = 1;
    let header = vec![version.number(), length, 0, 0, 0, 0, 0, LOOKUP, 0, 0, 0, 0];
    let flags = ACKNOWLEDGE | if kind == NEW_RULE { CREATE | EXCLUSIVE } else { 0 };
    Request { kind, flags, header, attributes, what, needs: NEEDS }
}

fn choose(socket: &mut Netlink, version: Version, uid: u32, first: u32) -> Result<(), GuardError> {
    for priority in PRIORITIES {
        let place = Attributes::new().native(6, priority);
        let delete = rule(DELETE_RULE, version, 0, place, format!("to clear place {priority}"));
        // Until there is none; another error shows when ours is made.
        let mut left = RULES_MAX;
        while left > 0 && socket.change(&delete)? == 0 {
            left = left.saturating_sub(1);
        }
    }
    for line in lines(version, uid, first) {
        socket.must(&rule_of(version, line), REMEDY)?;
    }
    Ok(())
}

fn rule_of(version: Version, line: Line) -> Request {
    let attributes = Attributes::new().native(6, line.priority).native(15, line.table);
    let (length, attributes) = match line.selector {
        Selector::Mark => (0, attributes.native(10, MARK_OUT).native(16, u32::MAX)),
        Selector::To(IpAddr::V4(to)) => (32, attributes.bytes(1, &to.octets())),
        Selector::To(IpAddr::V6(to)) => (128, attributes.bytes(1, &to.octets())),
        Selector::Uids(first, last) => {
            let mut range = first.to_ne_bytes().to_vec();
            range.extend(last.to_ne_bytes());
            (0, attributes.bytes(20, &range))
        }
    };
    rule(NEW_RULE, version, length, attributes, format!("`{}`", line_text(version, line)))
}

/// A way out that the routes leave open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    uid: u32,
    to: IpAddr,
    interface: Option<String>,
}

impl std::fmt::Display for Leak {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { uid, to, interface } = self;
        write!(formatter, "packets of UID {uid} to {to} would leave the pod")?;
        match interface {
            Some(name) => write!(formatter, " by {name}"),
            None => Ok(()),
        }
    }
}

/// Whether the routes lead all UIDs but the sidecar's to loopback, by asking the kernel for those of several; `None` if they do. Needs no
/// capability.
///
/// # Errors
/// The kernel could not be asked, so nothing can be said.
pub fn routes_hold(uid: u32) -> Result<Option<Leak>, GuardError> {
    let mut socket = Netlink::open(Family::Route)?;
    let links = links(&mut socket)?;
    let first = first_uid_v4(&links);
    let around = [uid.saturating_sub(1), uid.saturating_add(1), 65_534, u32::MAX.saturating_sub(1)];
    let ways = || std::iter::once(None).chain(links.iter().map(Some));
    for to in [IpAddr::from(ANYWHERE_V4), IpAddr::from(ANYWHERE_V6)] {
        let lowest = if to.is_ipv4() { first } else { 0 };
        let asked = std::iter::once(lowest).chain(around);
        let asked = asked.filter(|asked| *asked != uid && *asked >= lowest);
        for (asked, link) in asked.flat_map(|asked| ways().map(move |link| (asked, link))) {
            if !leads_to_loopback(&mut socket, asked, to, link)? {
                let interface = link.map(|link| link.name.clone());
                return Ok(Some(Leak { uid: asked, to, interface }));
            }
        }
    }
    Ok(None)
}

fn leads_to_loopback(
    socket: &mut Netlink,
    uid: u32,
    to: IpAddr,
    link: Option<&Link>,
) -> Result<bool, GuardError> {
    let (version, length, octets) = match to {
        IpAddr::V4(to) => (Version::V4, 32, to.octets().to_vec()),
        IpAddr::V6(to) => (Version::V6, 128, to.octets().to_vec()),
    };
    let mut attributes = Attributes::new().bytes(1, &octets).native(25, uid);
    if let Some(link) = link {
        attributes = attributes.native(4, link.index);
    }
    let header = vec![version.number(), length, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let answer = socket.ask(&question(GET_ROUTE, 0, header, attributes))?;
    // No route is no way out.
    let Ok(messages) = answer else { return Ok(true) };
    let out = messages.first().and_then(|message| attribute(message, 12, 4)).and_then(number);
    Ok(out == Some(LOOPBACK))
}

#[cfg(test)]
mod tests;
