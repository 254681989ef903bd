//! The rules themselves.
//!
//! Everything is closed unless a rule opens it: the chain that packets leave through drops by policy, so that a set of rules in which
//! one is missing is closed too. A packet without a socket (a reset, an acknowledgement after the socket was closed, an ICMP error) has
//! no UID that could be asked: of these only replies go, and the rest of connections that the sidecar opened itself.

use crate::plan::{PROBE_V4, PROBE_V6};
use crate::ruleset::{
    Action, Chain, ChainKind, Hook, IcmpKind, Match, Place, PortSet, Protocol, Rule, State, Table,
    Timeouts,
};
use pinfold_model::policy::inject::{self, LOOPBACK_PORTS_MAX};
use std::net::Ipv6Addr;

use Action::{
    Accept, Drop, Goto, MarkConnection, MarkPacket, Prohibit, Redirect, Reset, Return, Timeout,
};
use Match::{
    ConnectionMark, FromLoopback4, FromLoopback6, Icmp, Invalid, New, NotFromLoopback,
    NotToLoopback, OtherUid, Over, Port, PortIn, Redirected, Reply, To4, To6, ToLoopback,
    ToLoopback4, Uid,
};

/// Name of the table.
pub(crate) const TABLE: &str = "pinfold";
/// Connections that began outside the pod.
pub(crate) const MARK_INBOUND: u32 = 0x5046_0001;
/// Connections that the sidecar opened.
pub(crate) const MARK_SIDECAR: u32 = 0x5046_0002;
/// Packets that may take the pod's own routes although they aren't the sidecar's (see `routes`).
pub(crate) const MARK_OUT: u32 = 0x5046_0003;

const DNS: u16 = 53;
const PORTS: &str = "loopback_ports";
/// As `mangle` of iptables: before addresses are rewritten.
const BEFORE_NAT: i32 = -150;
/// As `dstnat`.
const NAT: i32 = -100;
/// As `filter`: after it, where the address is what it will be.
const AFTER_NAT: i32 = 0;

/// Names of the times that redirected connections are remembered for.
const TCP_TIMES: &str = "redirected_tcp";
const UDP_TIMES: &str = "redirected_udp";

/// Whether redirected connections that have ended are soon forgotten, which not every kernel can do.
///
/// After redirection they all lead to one port of the sidecar, so connection tracking tells them apart by the agent's port alone: of 64,512 there
/// may be, those of the last two minutes included. An agent that opens and closes 540 a second would use them up, for the whole pod and for the
/// guard's probes too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// After seconds: nothing is late on loopback.
    Short,
    /// When the system says so; then fewer may come.
    Systems,
}

impl Memory {
    /// New connections of agents a second, and at once: as many as leave a third of the ports free, whatever becomes of them.
    fn rate(self) -> Match {
        match self {
            // 8,000 and 4 times 8,000: times `redirected_tcp`, the longest of an ended connection.
            Self::Short => Over { per_second: 8_000, burst: 8_000 },
            // 3,000 and 120 times 300.
            Self::Systems => Over { per_second: 300, burst: 3_000 },
        }
    }

    fn timeouts(self) -> Vec<Timeouts> {
        let state = |number, name, seconds| (State { number, name }, seconds);
        match self {
            Self::Short => vec![
                Timeouts {
                    name: TCP_TIMES,
                    protocol: Protocol::Tcp,
                    // That of an opening that isn't answered: the next attempt is tracked anew. Of an end that isn't acknowledged: four
                    // retransmissions. One side alone may end for as long as the system says.
                    seconds: vec![
                        state(1, "syn_sent", 4),
                        state(4, "fin_wait", 4),
                        state(6, "last_ack", 4),
                        state(7, "time_wait", 2),
                        state(8, "close", 2),
                    ],
                },
                Timeouts {
                    name: UDP_TIMES,
                    protocol: Protocol::Udp,
                    // Longer than the sidecar takes for an answer.
                    seconds: vec![state(1, "unreplied", 6), state(2, "replied", 6)],
                },
            ],
            Self::Systems => Vec::new(),
        }
    }

    /// Redirects to a port of the sidecar.
    fn redirected(self, protocol: Protocol, port: u16) -> Vec<Action> {
        let times = match (self, protocol) {
            (Self::Short, Protocol::Tcp) => Some(TCP_TIMES),
            (Self::Short, Protocol::Udp) => Some(UDP_TIMES),
            (Self::Short, Protocol::Icmp | Protocol::Icmp6) | (Self::Systems, _) => None,
        };
        times.map(Timeout).into_iter().chain([Redirect(port)]).collect()
    }
}

/// The table for a sidecar of this UID.
pub(crate) fn table(uid: u32, ports: Vec<u16>, memory: Memory) -> Table {
    // The proxy's and the gateway's come on top.
    let size = u32::try_from(LOOPBACK_PORTS_MAX).unwrap_or(u32::MAX).saturating_add(2);
    let chains = vec![
        inbound(),
        through(),
        reroute(uid),
        steer(uid),
        steered(memory),
        egress(uid),
        agents(memory),
        leaving(),
    ];
    let set = PortSet { name: PORTS, size, ports };
    Table { name: TABLE, set, timeouts: memory.timeouts(), chains }
}

fn rule(matches: &[Match], actions: &[Action]) -> Rule {
    Rule { matches: matches.to_vec(), actions: actions.to_vec() }
}

fn hooked(kind: ChainKind, place: Place, priority: i32, drops: bool) -> Option<Hook> {
    Some(Hook { kind, place, priority, drops })
}

/// Remembers which connections began outside: their replies leave the pod.
fn inbound() -> Chain {
    Chain {
        name: "inbound",
        hook: hooked(ChainKind::Filter, Place::Prerouting, BEFORE_NAT, false),
        rules: vec![rule(&[NotFromLoopback, New], &[MarkConnection(MARK_INBOUND)])],
    }
}

/// A pod is no router: nothing goes through it past the rules for what it sends itself.
fn through() -> Chain {
    Chain {
        name: "through",
        hook: hooked(ChainKind::Filter, Place::Forward, AFTER_NAT, true),
        rules: Vec::new(),
    }
}

/// A socket that is bound to an interface takes it even to 127.0.0.1, where its connection was redirected to. And what answers on loopback
/// must never go out: an agent that binds any address (`IPV6_FREEBIND`) and connects to the sidecar would choose where the answer goes.
fn leaving() -> Chain {
    Chain {
        name: "leaving",
        hook: hooked(ChainKind::Filter, Place::Postrouting, AFTER_NAT, false),
        rules: vec![
            rule(&[NotToLoopback, Redirected], &[Drop]),
            rule(&[NotToLoopback, FromLoopback4], &[Drop]),
            rule(&[NotToLoopback, FromLoopback6], &[Drop]),
        ],
    }
}

/// Chooses routes (see `routes`). A mark that an agent set itself (`SO_MARK`) is wiped first.
fn reroute(uid: u32) -> Chain {
    let out = MarkPacket(MARK_OUT);
    Chain {
        name: "reroute",
        hook: hooked(ChainKind::Route, Place::Output, BEFORE_NAT, false),
        rules: vec![
            rule(&[Uid(uid), New], &[MarkConnection(MARK_SIDECAR)]),
            rule(&[Uid(uid)], &[Return]),
            rule(&[], &[MarkPacket(0)]),
            rule(&[ConnectionMark(MARK_INBOUND), Reply], &[out, Return]),
            rule(&[OtherUid(uid)], &[Return]),
            rule(&[ConnectionMark(MARK_SIDECAR)], &[out]),
        ],
    }
}

/// Whose connections are redirected: everybody's but the sidecar's, and its probes, by which it sees that they are.
fn steer(uid: u32) -> Chain {
    Chain {
        name: "steer",
        hook: hooked(ChainKind::Nat, Place::Output, NAT, false),
        rules: vec![
            rule(&[To4(PROBE_V4)], &[Goto("steered")]),
            rule(&[To6(PROBE_V6)], &[Goto("steered")]),
            rule(&[Uid(uid)], &[Return]),
            rule(&[], &[Goto("steered")]),
        ],
    }
}

/// DNS first, because resolvers on loopback (127.0.0.53, 127.0.0.11) are no way around it.
fn steered(memory: Memory) -> Chain {
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    Chain {
        name: "steered",
        hook: None,
        rules: vec![
            rule(&[Port(udp, DNS)], &memory.redirected(udp, inject::DNS_PORT)),
            rule(&[Port(tcp, DNS)], &memory.redirected(tcp, inject::DNS_PORT)),
            rule(&[ToLoopback4], &[Return]),
            rule(&[To6(Ipv6Addr::LOCALHOST)], &[Return]),
            rule(&[Match::Protocol(tcp)], &memory.redirected(tcp, inject::TRANSPARENT_PORT)),
        ],
    }
}

/// What leaves a process, after redirection.
fn egress(uid: u32) -> Chain {
    let protocol = Match::Protocol;
    let mut rules = vec![
        rule(&[To4(PROBE_V4)], &[Goto("agents")]),
        rule(&[To6(PROBE_V6)], &[Goto("agents")]),
        rule(&[Uid(uid)], &[Accept]),
        // Not rejected: a reset for a segment that is merely late would end an honest connection.
        rule(&[Invalid], &[Drop]),
        rule(&[OtherUid(uid)], &[Goto("agents")]),
        // From here on without a socket.
        rule(&[protocol(Protocol::Tcp), Reply], &[Accept]),
        rule(&[protocol(Protocol::Icmp), Reply], &[Accept]),
        rule(&[protocol(Protocol::Icmp6), Reply], &[Accept]),
        // TCP alone: nobody can take over a TCP connection that ended without conntrack seeing it; of UDP, where an ended
        // exchange lives on for minutes, an agent could.
        rule(&[protocol(Protocol::Tcp), ConnectionMark(MARK_SIDECAR)], &[Accept]),
    ];
    // What a refused packet is answered with inside the pod.
    let unreachable = [IcmpKind::Unreachable, IcmpKind::Unreachable6];
    rules.extend(unreachable.map(|kind| rule(&[ToLoopback, Icmp(kind)], &[Accept])));
    // Without these there is no IPv6: the kernel asks for its neighbours.
    let neighbours = [
        IcmpKind::RouterSolicitation,
        IcmpKind::NeighborSolicitation,
        IcmpKind::NeighborAdvertisement,
        IcmpKind::MulticastReport,
        IcmpKind::MulticastReport2,
    ];
    rules.extend(neighbours.map(|kind| rule(&[Icmp(kind)], &[Accept])));
    rules.push(rule(&[], &[Goto("agents")]));
    Chain { name: "egress", hook: hooked(ChainKind::Filter, Place::Output, AFTER_NAT, true), rules }
}

/// What agents may: come where they were redirected to, use open ports of loopback, answer connections. All else is refused at once,
/// so that a client falls back or fails without waiting.
fn agents(memory: Memory) -> Chain {
    let tcp = Protocol::Tcp;
    Chain {
        name: "agents",
        hook: None,
        rules: vec![
            // The sidecar's probes don't come here: by now they lead to loopback, and are the sidecar's.
            rule(&[Match::Protocol(tcp), Redirected, New, memory.rate()], &[Reset]),
            rule(&[Redirected, Port(tcp, inject::TRANSPARENT_PORT)], &[Accept]),
            rule(&[Redirected, Port(tcp, inject::DNS_PORT)], &[Accept]),
            rule(&[Redirected, Port(Protocol::Udp, inject::DNS_PORT)], &[Accept]),
            rule(&[ToLoopback4, PortIn(tcp, PORTS)], &[Accept]),
            rule(&[To6(Ipv6Addr::LOCALHOST), PortIn(tcp, PORTS)], &[Accept]),
            // TCP alone: one spoofed datagram from outside would open a way out.
            rule(&[Match::Protocol(tcp), Reply], &[Accept]),
            rule(&[Match::Protocol(tcp)], &[Reset]),
            rule(&[], &[Prohibit]),
        ],
    }
}

#[cfg(test)]
mod tests;
