//! The description as messages of nf_tables (`linux/netfilter/nf_tables.h`): what `nft` would send for the same text.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::netlink::{ACKNOWLEDGE, APPEND, Attributes, CREATE, Request};
use crate::ruleset::{
    Action, Chain, ChainKind, Hook, IcmpKind, Match, Place, PortSet, Protocol, Rule, Table,
    Timeouts,
};
use crate::text;

/// The subsystem of nf_tables, in the upper byte of a message's kind.
const NFTABLES: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_TABLE: u16 = NFTABLES;
const DELETE_TABLE: u16 = NFTABLES | 2;
const NEW_CHAIN: u16 = NFTABLES | 3;
const NEW_RULE: u16 = NFTABLES | 6;
const NEW_SET: u16 = NFTABLES | 9;
const NEW_ELEMENTS: u16 = NFTABLES | 12;
const NEW_OBJECT: u16 = NFTABLES | 18;
/// `NFT_OBJECT_CT_TIMEOUT`.
const OBJECT_TIMEOUT: u32 = 7;
/// `NFPROTO_INET`: IPv4 and IPv6 in one table.
const INET: u8 = 1;
const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// Register that holds a verdict, and the first of 16 bytes.
const VERDICT: u32 = 0;
const REGISTER: u32 = 1;
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;
/// Keys of `meta`.
const META_MARK: u32 = 3;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_UID: u32 = 10;
const META_FAMILY: u32 = 15;
const META_PROTOCOL: u32 = 16;
/// Keys of `ct`, and bits of its state and status.
const CT_STATE: u32 = 0;
const CT_DIRECTION: u32 = 1;
const CT_STATUS: u32 = 2;
const CT_MARK: u32 = 3;
const STATE_INVALID: u32 = 1;
const STATE_NEW: u32 = 8;
const STATUS_DNAT: u32 = 1 << 5;
const DIRECTION_REPLY: u8 = 1;
/// Where a payload begins.
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const DESTINATION_V4: u32 = 16;
const SOURCE_V4: u32 = 12;
const SOURCE_V6: u32 = 8;
const DESTINATION_V6: u32 = 24;
const DESTINATION_PORT: u32 = 2;
/// nft's own number for the type `inet_service`; the kernel only keeps it.
const TYPE_PORT: u32 = 13;
/// nft's note to itself that the set's keys are big-endian: kind 0, four bytes, 2.
const KEYS_BIG_ENDIAN: [u8; 6] = [0, 4, 2, 0, 0, 0];
/// `IFNAMSIZ`.
const INTERFACE_NAME_BYTES: usize = 16;
/// What [`Timeouts`] need; rules do without them where it is missing.
pub(crate) const NEEDS_TIMEOUTS: &str = "CONFIG_NF_CONNTRACK_TIMEOUT";
const NEEDS_TABLES: &str = "CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET (Linux 5.2 or newer)";

/// One transaction that replaces the table by what is described, whether there was one or not.
pub(crate) fn batch(table: &Table) -> Vec<Request> {
    let edge = |kind| Request {
        kind,
        flags: 0,
        header: vec![0, 0, 0, 10],
        attributes: Attributes::new(),
        what: "a transaction of nf_tables".to_owned(),
        needs: NEEDS_TABLES,
    };
    let name = || Attributes::new().text(1, table.name);
    let whole = |kind, what: &str| change(kind, name(), format!("to {what}"), NEEDS_TABLES);
    let mut requests = vec![
        edge(BATCH_BEGIN),
        // Deleting what isn't there would fail: it is made first.
        whole(NEW_TABLE, "make the table"),
        whole(DELETE_TABLE, "replace the table"),
        whole(NEW_TABLE, "make the table"),
    ];
    requests.extend(set(table));
    requests.extend(table.timeouts.iter().map(|one| timeouts(table.name, one)));
    requests.extend(table.chains.iter().map(|one| chain(table.name, one)));
    for one in &table.chains {
        requests.extend(one.rules.iter().map(|rule| rule_request(table.name, one.name, rule)));
    }
    requests.push(edge(BATCH_END));
    requests
}

fn change(kind: u16, attributes: Attributes, what: String, needs: &'static str) -> Request {
    let flags = ACKNOWLEDGE | CREATE | if kind == NEW_RULE { APPEND } else { 0 };
    // A deletion that creates is none.
    let flags = if kind == DELETE_TABLE { ACKNOWLEDGE } else { flags };
    Request { kind, flags, header: vec![INET, 0, 0, 0], attributes, what, needs }
}

fn set(table: &Table) -> [Request; 2] {
    let PortSet { name, size, ports } = &table.set;
    let named = Attributes::new()
        .text(1, table.name)
        .text(2, name)
        .big(3, 0)
        .big(4, TYPE_PORT)
        .big(5, 2)
        .nested(9, &Attributes::new().big(1, *size))
        .big(10, 1)
        .bytes(13, &KEYS_BIG_ENDIAN);
    let elements = ports.iter().fold(Attributes::new(), |elements, port| {
        let key = Attributes::new().nested(1, &value(&port.to_be_bytes()));
        elements.nested(1, &key)
    });
    let filled = Attributes::new().text(1, table.name).text(2, name).nested(3, &elements);
    [
        change(NEW_SET, named, format!("the set `{name}`"), NEEDS_TABLES),
        change(NEW_ELEMENTS, filled, format!("the ports of the set `{name}`"), NEEDS_TABLES),
    ]
}

fn timeouts(table: &str, timeouts: &Timeouts) -> Request {
    let Timeouts { name, protocol, seconds } = timeouts;
    let states = seconds
        .iter()
        .fold(Attributes::new(), |states, (state, seconds)| states.big(state.number, *seconds));
    let data = Attributes::new().bytes(2, &[protocol_number(*protocol)]).nested(3, &states);
    let object =
        Attributes::new().text(1, table).text(2, name).big(3, OBJECT_TIMEOUT).nested(4, &data);
    change(NEW_OBJECT, object, format!("the timeouts `{name}`"), NEEDS_TIMEOUTS)
}

fn chain(table: &str, chain: &Chain) -> Request {
    let mut attributes = Attributes::new().text(1, table).text(3, chain.name);
    let mut needs = NEEDS_TABLES;
    if let Some(Hook { kind, place, priority, drops }) = chain.hook {
        let number = match place {
            Place::Prerouting => 0,
            Place::Forward => 2,
            Place::Output => 3,
            Place::Postrouting => 4,
        };
        let hook = Attributes::new().big(1, number).bytes(2, &priority.to_be_bytes());
        attributes =
            attributes.nested(4, &hook).big(5, u32::from(!drops)).text(7, text::kind_name(kind));
        needs = match kind {
            ChainKind::Filter | ChainKind::Route => NEEDS_TABLES,
            ChainKind::Nat => {
                "CONFIG_NF_NAT and CONFIG_NFT_NAT (Linux 5.2 or newer, for both families)"
            }
        };
    }
    change(NEW_CHAIN, attributes, format!("the chain `{}`", chain.name), needs)
}

fn rule_request(table: &str, chain: &str, rule: &Rule) -> Request {
    let mut expressions = Vec::new();
    for one in &rule.matches {
        expressions.extend(match_expressions(*one));
    }
    for one in &rule.actions {
        expressions.extend(action_expressions(*one));
    }
    let list = expressions.iter().fold(Attributes::new(), |list, one| list.nested(1, one));
    let attributes = Attributes::new().text(1, table).text(2, chain).nested(4, &list);
    let what = format!("the rule `{}` of chain `{chain}`", text::rule(rule));
    change(NEW_RULE, attributes, what, needs(rule))
}

fn needs(rule: &Rule) -> &'static str {
    if rule.matches.iter().any(|one| matches!(one, Match::Over { .. })) {
        return "CONFIG_NFT_LIMIT and CONFIG_NFT_REJECT_INET";
    }
    let action = |wanted: fn(&Action) -> bool| rule.actions.iter().any(wanted);
    if action(|action| matches!(action, Action::Redirect(_))) {
        return "CONFIG_NFT_REDIR and CONFIG_NFT_NAT";
    }
    if action(|action| matches!(action, Action::Reset | Action::Prohibit)) {
        return "CONFIG_NFT_REJECT and CONFIG_NFT_REJECT_INET";
    }
    if rule.matches.iter().any(|one| matches!(one, Match::Uid(_) | Match::OtherUid(_))) {
        return "CONFIG_NF_TABLES with `meta skuid` (and CONFIG_NFT_CT)";
    }
    "CONFIG_NFT_CT and CONFIG_NF_CONNTRACK_MARK"
}

fn expression(name: &str, data: &Attributes) -> Attributes {
    Attributes::new().text(1, name).nested(2, data)
}

/// Data to compare or load.
fn value(bytes: &[u8]) -> Attributes {
    Attributes::new().bytes(1, bytes)
}

fn meta(key: u32) -> Attributes {
    expression("meta", &Attributes::new().big(2, key).big(1, REGISTER))
}

fn ct(key: u32) -> Attributes {
    expression("ct", &Attributes::new().big(2, key).big(1, REGISTER))
}

fn compare(operation: u32, bytes: &[u8]) -> Attributes {
    let data = Attributes::new().big(1, REGISTER).big(2, operation).nested(3, &value(bytes));
    expression("cmp", &data)
}

fn payload(base: u32, offset: u32, length: u32) -> Attributes {
    let data = Attributes::new().big(1, REGISTER).big(2, base).big(3, offset).big(4, length);
    expression("payload", &data)
}

/// Any of the bits of what is in the register.
fn any_bit(bits: u32) -> [Attributes; 2] {
    let data = Attributes::new()
        .big(1, REGISTER)
        .big(2, REGISTER)
        .big(3, 4)
        .nested(4, &value(&bits.to_ne_bytes()))
        .nested(5, &value(&[0; 4]));
    [expression("bitwise", &data), compare(NOT_EQUAL, &[0; 4])]
}

fn of_family(family: u8) -> [Attributes; 2] {
    [meta(META_FAMILY), compare(EQUAL, &[family])]
}

fn of_protocol(protocol: Protocol) -> [Attributes; 2] {
    [meta(META_PROTOCOL), compare(EQUAL, &[protocol_number(protocol)])]
}

fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Icmp => 1,
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Icmp6 => 58,
    }
}

fn interface_name() -> [u8; INTERFACE_NAME_BYTES] {
    let mut name = [0; INTERFACE_NAME_BYTES];
    for (place, byte) in name.iter_mut().zip(*b"lo") {
        *place = byte;
    }
    name
}

fn match_expressions(one: Match) -> Vec<Attributes> {
    let port = || payload(TRANSPORT_HEADER, DESTINATION_PORT, 2);
    match one {
        Match::Uid(uid) => vec![meta(META_UID), compare(EQUAL, &uid.to_ne_bytes())],
        Match::OtherUid(uid) => vec![meta(META_UID), compare(NOT_EQUAL, &uid.to_ne_bytes())],
        Match::NotFromLoopback => vec![meta(META_IIFNAME), compare(NOT_EQUAL, &interface_name())],
        Match::ToLoopback => vec![meta(META_OIFNAME), compare(EQUAL, &interface_name())],
        Match::NotToLoopback => vec![meta(META_OIFNAME), compare(NOT_EQUAL, &interface_name())],
        Match::Protocol(protocol) => of_protocol(protocol).to_vec(),
        Match::To4(address) => destination_v4(4, &address.octets()),
        Match::ToLoopback4 => {
            let [first, ..] = Ipv4Addr::LOCALHOST.octets();
            destination_v4(1, &[first])
        }
        Match::FromLoopback4 => {
            let [first, ..] = Ipv4Addr::LOCALHOST.octets();
            let load = payload(NETWORK_HEADER, SOURCE_V4, 1);
            joined(of_family(IPV4), [load, compare(EQUAL, &[first])])
        }
        Match::FromLoopback6 => {
            let load = payload(NETWORK_HEADER, SOURCE_V6, 16);
            joined(of_family(IPV6), [load, compare(EQUAL, &Ipv6Addr::LOCALHOST.octets())])
        }
        Match::To6(address) => {
            let load = payload(NETWORK_HEADER, DESTINATION_V6, 16);
            joined(of_family(IPV6), [load, compare(EQUAL, &address.octets())])
        }
        Match::Port(protocol, number) => {
            joined(of_protocol(protocol), [port(), compare(EQUAL, &number.to_be_bytes())])
        }
        Match::PortIn(protocol, set) => {
            let lookup = expression("lookup", &Attributes::new().text(1, set).big(2, REGISTER));
            joined(of_protocol(protocol), [port(), lookup])
        }
        Match::Icmp(kind) => icmp(kind),
        Match::New => joined([ct(CT_STATE)], any_bit(STATE_NEW)),
        Match::Invalid => joined([ct(CT_STATE)], any_bit(STATE_INVALID)),
        Match::Reply => vec![ct(CT_DIRECTION), compare(EQUAL, &[DIRECTION_REPLY])],
        Match::Redirected => joined([ct(CT_STATUS)], any_bit(STATUS_DNAT)),
        Match::ConnectionMark(mark) => vec![ct(CT_MARK), compare(EQUAL, &mark.to_ne_bytes())],
        Match::Over { per_second, burst } => vec![over(per_second, burst)],
    }
}

fn joined<const A: usize, const B: usize>(
    first: [Attributes; A],
    then: [Attributes; B],
) -> Vec<Attributes> {
    first.into_iter().chain(then).collect()
}

fn destination_v4(length: u32, bytes: &[u8]) -> Vec<Attributes> {
    let load = payload(NETWORK_HEADER, DESTINATION_V4, length);
    joined(of_family(IPV4), [load, compare(EQUAL, bytes)])
}

fn icmp(kind: IcmpKind) -> Vec<Attributes> {
    let (family, protocol, number) = match kind {
        IcmpKind::Unreachable => (IPV4, Protocol::Icmp, 3),
        IcmpKind::Unreachable6 => (IPV6, Protocol::Icmp6, 1),
        IcmpKind::RouterSolicitation => (IPV6, Protocol::Icmp6, 133),
        IcmpKind::NeighborSolicitation => (IPV6, Protocol::Icmp6, 135),
        IcmpKind::NeighborAdvertisement => (IPV6, Protocol::Icmp6, 136),
        IcmpKind::MulticastReport => (IPV6, Protocol::Icmp6, 131),
        IcmpKind::MulticastReport2 => (IPV6, Protocol::Icmp6, 143),
    };
    let mut expressions = joined(of_family(family), of_protocol(protocol));
    expressions.extend([payload(TRANSPORT_HEADER, 0, 1), compare(EQUAL, &[number])]);
    expressions
}

fn action_expressions(action: Action) -> Vec<Attributes> {
    match action {
        Action::Accept => vec![verdict(1, None)],
        Action::Drop => vec![verdict(0, None)],
        Action::Return => vec![verdict(-5, None)],
        Action::Goto(chain) => vec![verdict(-4, Some(chain))],
        Action::MarkConnection(mark) => {
            let store = Attributes::new().big(2, CT_MARK).big(4, REGISTER);
            vec![load(&mark.to_ne_bytes()), expression("ct", &store)]
        }
        Action::MarkPacket(mark) => {
            let store = Attributes::new().big(2, META_MARK).big(3, REGISTER);
            vec![load(&mark.to_ne_bytes()), expression("meta", &store)]
        }
        Action::Redirect(port) => {
            // NF_NAT_RANGE_PROTO_SPECIFIED.
            let to = Attributes::new().big(1, REGISTER).big(3, 2);
            vec![load(&port.to_be_bytes()), expression("redir", &to)]
        }
        Action::Timeout(name) => {
            // Without an end, as nft writes it.
            let object = Attributes::new().big(1, OBJECT_TIMEOUT).bytes(2, name.as_bytes());
            vec![expression("objref", &object)]
        }
        Action::Reset => vec![reject(1, 0)],
        Action::Prohibit => vec![reject(2, 3)],
    }
}

/// Packets by the second; the last attribute says "over", not "up to".
fn over(per_second: u32, burst: u32) -> Attributes {
    let limit = Attributes::new()
        .bytes(1, &u64::from(per_second).to_be_bytes())
        .bytes(2, &1_u64.to_be_bytes())
        .big(3, burst)
        .big(4, 0)
        .big(5, 1);
    expression("limit", &limit)
}

fn load(bytes: &[u8]) -> Attributes {
    expression("immediate", &Attributes::new().big(1, REGISTER).nested(2, &value(bytes)))
}

fn reject(kind: u32, code: u8) -> Attributes {
    expression("reject", &Attributes::new().big(1, kind).bytes(2, &[code]))
}

fn verdict(code: i32, chain: Option<&str>) -> Attributes {
    let mut inner = Attributes::new().bytes(1, &code.to_be_bytes());
    if let Some(chain) = chain {
        inner = inner.text(2, chain);
    }
    let data = Attributes::new().nested(2, &inner);
    expression("immediate", &Attributes::new().big(1, VERDICT).nested(2, &data))
}

#[cfg(test)]
mod tests;
