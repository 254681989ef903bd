//! Why the sidecar denies: an enumeration that metrics, records and users share. `docs/reasons.md` explains each.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $slug:literal;)*) => {
        /// Why something was denied.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $name,)* }
        impl Reason {
            /// All of them.
            pub const ALL: &'static [Reason] = &[$(Reason::$name),*];
            /// The name in answers, metrics and records.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }
        }
    };
}

reasons! {
    /// No rule lists the host.
    Host = "host";
    /// A rule lists the host, but not this port.
    Port = "port";
    /// A rule lists host and port, but for another protocol.
    Protocol = "protocol";
    /// The rule doesn't list the HTTP method.
    Method = "method";
    /// The rule doesn't list the HTTP path.
    Path = "path";
    /// A literal or resolved address is private, loopback, link-local, metadata or otherwise special.
    Address = "address";
    /// CONNECT name, TLS server name or Host don't agree, or the server name is missing.
    Name = "name";
    /// The name has no address, or the resolver doesn't answer.
    Resolve = "resolve";
    /// The upstream can't be reached.
    Upstream = "upstream";
    /// A limit of the policy is reached.
    Limit = "limit";
    /// The request can't be read in one way only.
    Malformed = "malformed";
    /// No such MCP server in the policy.
    Server = "server";
    /// The tool isn't allowed on this server.
    Tool = "tool";
    /// An argument breaks a rule.
    Argument = "argument";
    /// The MCP method isn't allowed.
    RpcMethod = "rpc-method";
    /// A reply could not be read or is too large, so it isn't passed on.
    Reply = "reply";
    /// The decision could not be recorded.
    Audit = "audit";
    /// A DNS record type, class or operation that is never answered.
    RecordType = "record-type";
    /// A name that only the search list of a resolver made: there is none such, and nobody tried anything.
    SearchSuffix = "search-suffix";
    /// The pod's firewall rules are gone or not as they should be.
    Guard = "guard";
    /// The calls of a run are used up, or nobody can tell how many were made.
    Budget = "budget";
    /// More calls in a time than the policy allows.
    Rate = "rate";
    /// The service failed too often lately, and is left alone for a while.
    Breaker = "breaker";
    /// Somebody pulled the kill switch.
    KillSwitch = "kill-switch";
    /// There is no valid policy to decide by.
    NoPolicy = "no-policy";
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A denial of the sidecar, complete enough to act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The kind of reason.
    pub reason: Reason,
    /// The place in the policy that decided, such as `spec.egress.allow[0]`; the section if nothing in it matched.
    pub rule: String,
    /// JSON path of the argument at fault, empty where there is none.
    pub path: String,
    /// What was found and why it is refused.
    pub message: String,
    /// What would be accepted.
    pub remedy: String,
}

impl Denial {
    /// A denial that concerns no argument; see [`Denial::at`].
    #[must_use]
    pub fn new(
        reason: Reason,
        rule: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (rule, message, remedy) = (rule.into(), message.into(), remedy.into());
        Self { reason, rule, path: String::new(), message, remedy }
    }

    /// The same, at the argument that `path`, a JSON path, names.
    #[must_use]
    pub fn at(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, rule, path, message, remedy } = self;
        write!(formatter, "{reason} ({rule}): ")?;
        if !path.is_empty() {
            write!(formatter, "{path}: ")?;
        }
        write!(formatter, "{message}; fix: {remedy}")
    }
}
