//! The description in nft's own syntax.

use std::fmt::Write as _;

use crate::ruleset::{
    Action, Chain, ChainKind, Hook, IcmpKind, Match, Place, PortSet, Protocol, Rule, Table,
    Timeouts,
};

/// A file for `nft -f`: replaces the table in one transaction.
pub(crate) fn table(table: &Table) -> String {
    let name = table.name;
    let mut text = format!("table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n");
    text.push_str(&set(&table.set));
    for one in &table.timeouts {
        text.push_str(&timeouts(one));
    }
    for one in &table.chains {
        text.push_str(&chain(one));
    }
    text.push_str("}\n");
    text
}

fn set(set: &PortSet) -> String {
    let ports: Vec<String> = set.ports.iter().map(u16::to_string).collect();
    let (name, size, ports) = (set.name, set.size, ports.join(", "));
    format!(
        "\tset {name} {{\n\t\ttype inet_service\n\t\tsize {size}\n\t\telements = {{ {ports} }}\n\t}}\n"
    )
}

fn timeouts(timeouts: &Timeouts) -> String {
    let Timeouts { name, protocol, seconds } = timeouts;
    let states = seconds.iter().map(|(state, seconds)| format!("{} : {seconds}", state.name));
    let states = states.collect::<Vec<_>>().join(", ");
    let protocol = protocol_name(*protocol);
    format!("\tct timeout {name} {{\n\t\tprotocol {protocol}\n\t\tpolicy = {{ {states} }}\n\t}}\n")
}

fn chain(chain: &Chain) -> String {
    let mut text = format!("\tchain {} {{\n", chain.name);
    if let Some(Hook { kind, place, priority, drops }) = chain.hook {
        let (kind, place) = (kind_name(kind), place_name(place));
        let policy = if drops { "drop" } else { "accept" };
        // Writing to a String can't fail.
        let _ =
            writeln!(text, "\t\ttype {kind} hook {place} priority {priority}; policy {policy};");
    }
    for one in &chain.rules {
        let _ = writeln!(text, "\t\t{}", rule(one));
    }
    text.push_str("\t}\n");
    text
}

/// As the kernel knows it, too.
pub(crate) fn kind_name(kind: ChainKind) -> &'static str {
    match kind {
        ChainKind::Filter => "filter",
        ChainKind::Route => "route",
        ChainKind::Nat => "nat",
    }
}

fn place_name(place: Place) -> &'static str {
    match place {
        Place::Prerouting => "prerouting",
        Place::Forward => "forward",
        Place::Output => "output",
        Place::Postrouting => "postrouting",
    }
}

/// One rule.
pub(crate) fn rule(rule: &Rule) -> String {
    let matches = rule.matches.iter().copied().map(match_text);
    let parts: Vec<_> = matches.chain(rule.actions.iter().copied().map(action)).collect();
    parts.join(" ")
}

fn match_text(one: Match) -> String {
    match one {
        Match::Uid(uid) => format!("meta skuid {uid}"),
        Match::OtherUid(uid) => format!("meta skuid != {uid}"),
        Match::NotFromLoopback => "iifname != \"lo\"".to_owned(),
        Match::ToLoopback => "oifname \"lo\"".to_owned(),
        Match::NotToLoopback => "oifname != \"lo\"".to_owned(),
        Match::Protocol(protocol) => format!("meta l4proto {}", protocol_name(protocol)),
        Match::To4(address) => format!("ip daddr {address}"),
        Match::ToLoopback4 => "ip daddr 127.0.0.0/8".to_owned(),
        Match::FromLoopback4 => "ip saddr 127.0.0.0/8".to_owned(),
        Match::FromLoopback6 => "ip6 saddr ::1".to_owned(),
        Match::To6(address) => format!("ip6 daddr {address}"),
        Match::Port(protocol, port) => format!("{} dport {port}", protocol_name(protocol)),
        Match::PortIn(protocol, set) => format!("{} dport @{set}", protocol_name(protocol)),
        Match::Icmp(kind) => icmp(kind).to_owned(),
        Match::New => "ct state new".to_owned(),
        Match::Invalid => "ct state invalid".to_owned(),
        Match::Reply => "ct direction reply".to_owned(),
        Match::Redirected => "ct status dnat".to_owned(),
        Match::ConnectionMark(mark) => format!("ct mark 0x{mark:08x}"),
        Match::Over { per_second, burst } => {
            format!("limit rate over {per_second}/second burst {burst} packets")
        }
    }
}

fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Icmp => "icmp",
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Icmp6 => "ipv6-icmp",
    }
}

fn icmp(kind: IcmpKind) -> &'static str {
    match kind {
        IcmpKind::Unreachable => "icmp type destination-unreachable",
        IcmpKind::Unreachable6 => "icmpv6 type destination-unreachable",
        IcmpKind::RouterSolicitation => "icmpv6 type nd-router-solicit",
        IcmpKind::NeighborSolicitation => "icmpv6 type nd-neighbor-solicit",
        IcmpKind::NeighborAdvertisement => "icmpv6 type nd-neighbor-advert",
        IcmpKind::MulticastReport => "icmpv6 type mld-listener-report",
        IcmpKind::MulticastReport2 => "icmpv6 type mld2-listener-report",
    }
}

fn action(action: Action) -> String {
    match action {
        Action::Accept => "accept".to_owned(),
        Action::Drop => "drop".to_owned(),
        Action::Return => "return".to_owned(),
        Action::Goto(chain) => format!("goto {chain}"),
        Action::MarkConnection(mark) => format!("ct mark set 0x{mark:08x}"),
        Action::MarkPacket(mark) => format!("meta mark set 0x{mark:08x}"),
        Action::Redirect(port) => format!("redirect to :{port}"),
        Action::Timeout(name) => format!("ct timeout set \"{name}\""),
        Action::Reset => "reject with tcp reset".to_owned(),
        Action::Prohibit => "reject with icmpx admin-prohibited".to_owned(),
    }
}
