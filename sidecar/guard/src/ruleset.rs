//! nftables as data: what `text` prints and `encode` sends. Only what the rules use.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A table of family `inet` with one set of ports.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) set: PortSet,
    pub(crate) timeouts: Vec<Timeouts>,
    pub(crate) chains: Vec<Chain>,
}

/// How long connection tracking remembers connections that rules give these times to.
#[derive(Debug, Clone)]
pub(crate) struct Timeouts {
    pub(crate) name: &'static str,
    pub(crate) protocol: Protocol,
    /// Seconds for states; others keep the system's.
    pub(crate) seconds: Vec<(State, u32)>,
}

/// A state of connection tracking, by its number for the protocol (`linux/netfilter/nfnetlink_cttimeout.h`) and nft's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) number: u16,
    pub(crate) name: &'static str,
}

/// A named set of ports.
#[derive(Debug, Clone)]
pub(crate) struct PortSet {
    pub(crate) name: &'static str,
    /// Most elements that it may ever have.
    pub(crate) size: u32,
    pub(crate) ports: Vec<u16>,
}

/// A chain; with a hook the kernel calls it.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) name: &'static str,
    pub(crate) hook: Option<Hook>,
    pub(crate) rules: Vec<Rule>,
}

/// Where the kernel calls a chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hook {
    pub(crate) kind: ChainKind,
    pub(crate) place: Place,
    pub(crate) priority: i32,
    /// What happens to a packet that no rule decided: dropped, else accepted.
    pub(crate) drops: bool,
}

/// What a chain may do to packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChainKind {
    Filter,
    Route,
    Nat,
}

/// On its way, where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Prerouting,
    Forward,
    Output,
    Postrouting,
}

/// All matches hold, then the actions are done in turn.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) matches: Vec<Match>,
    pub(crate) actions: Vec<Action>,
}

/// What a packet is asked. None holds for a packet that hasn't the property at all.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Match {
    /// Its socket's file was opened by this UID.
    Uid(u32),
    /// It has a socket with a file, which another UID opened.
    OtherUid(u32),
    /// It came from outside the pod.
    NotFromLoopback,
    /// It was routed to loopback, or was before it was redirected: the kernel keeps that for chains of output.
    ToLoopback,
    /// It leaves the pod.
    NotToLoopback,
    Protocol(Protocol),
    To4(Ipv4Addr),
    /// 127.0.0.0/8.
    ToLoopback4,
    /// Its source is in 127.0.0.0/8.
    FromLoopback4,
    /// Its source is `::1`.
    FromLoopback6,
    To6(Ipv6Addr),
    Port(Protocol, u16),
    PortIn(Protocol, &'static str),
    Icmp(IcmpKind),
    New,
    Invalid,
    Reply,
    /// The rules redirected the connection.
    Redirected,
    ConnectionMark(u32),
    /// There were more than so many a second, and so many at once; counted for the rule.
    Over {
        per_second: u32,
        burst: u32,
    },
}

/// A protocol of layer 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Icmp,
    Tcp,
    Udp,
    Icmp6,
}

/// ICMP messages that the kernel sends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IcmpKind {
    Unreachable,
    Unreachable6,
    RouterSolicitation,
    NeighborSolicitation,
    NeighborAdvertisement,
    MulticastReport,
    MulticastReport2,
}

/// What is done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    Accept,
    Drop,
    Return,
    Goto(&'static str),
    MarkConnection(u32),
    MarkPacket(u32),
    Redirect(u16),
    /// The connection gets these [`Timeouts`].
    Timeout(&'static str),
    Reset,
    Prohibit,
}
