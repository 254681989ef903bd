//! The kill switch: whether what an agent does is ended, and what of it.
//!
//! A latch stays until a person takes it off. Who pulled it, and by which way, doesn't matter to what it ends.

use std::fmt;

use pinfold_model::reason::{Denial, Reason};
use serde::{Deserialize, Serialize};

/// What a latch ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "scope", deny_unknown_fields)]
pub enum Scope {
    /// Everything: calls, connections, names.
    All,
    /// Everything of the agent whose policy has this name.
    Agent {
        /// The policy.
        agent: String,
    },
    /// An MCP server.
    Server {
        /// The server.
        server: String,
    },
    /// One tool.
    Tool {
        /// The server.
        server: String,
        /// The tool.
        tool: String,
    },
    /// An MCP session.
    Session {
        /// Its id.
        session: String,
    },
}

impl Scope {
    /// Its kind, for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Agent { .. } => "agent",
            Self::Server { .. } => "server",
            Self::Tool { .. } => "tool",
            Self::Session { .. } => "session",
        }
    }
}

/// All kinds of scope, for metrics.
pub const SCOPE_KINDS: [&str; 5] = ["all", "agent", "server", "tool", "session"];

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => formatter.write_str("everything"),
            Self::Agent { agent } => write!(formatter, "agent `{}`", agent.escape_debug()),
            Self::Server { server } => write!(formatter, "server `{}`", server.escape_debug()),
            Self::Tool { server, tool } => {
                let (server, tool) = (server.escape_debug(), tool.escape_debug());
                write!(formatter, "tool `{tool}` of `{server}`")
            }
            // The id is what a session is used by; nobody else is told.
            Self::Session { .. } => formatter.write_str("one session"),
        }
    }
}

/// How a latch was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// A file of `killSwitch.file` was there.
    File,
    /// A signal.
    Signal,
    /// The admin socket.
    Socket,
    /// `killSwitch.active` of a policy.
    Policy,
    /// What was set before can't be read, so it is taken for everything.
    Unreadable,
}

impl Way {
    /// The name in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "a file of `killSwitch.file`",
            Self::Signal => "a signal",
            Self::Socket => "the admin socket",
            Self::Policy => "`killSwitch.active` of the policy",
            Self::Unreadable => "its own state, which can't be read",
        }
    }
}

/// A kill switch that is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Latch {
    /// What it ends.
    pub of: Scope,
    /// How it was set.
    pub way: Way,
}

/// What somebody does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Act<'a> {
    /// The policy's name.
    pub agent: &'a str,
    /// The MCP server.
    pub server: Option<&'a str>,
    /// The tool.
    pub tool: Option<&'a str>,
    /// The MCP session.
    pub session: Option<&'a str>,
}

fn ends(scope: &Scope, act: &Act<'_>) -> bool {
    match scope {
        Scope::All => true,
        // Several policies that apply to one agent are compiled to one that has their names, and the agent is each of them.
        Scope::Agent { agent } => {
            act.agent == agent || act.agent.split('+').any(|one| one == agent)
        }
        Scope::Server { server } => act.server == Some(server),
        Scope::Tool { server, tool } => act.server == Some(server) && act.tool == Some(tool),
        Scope::Session { session } => act.session == Some(session),
    }
}

/// Whether nothing that is set ends this.
///
/// # Errors
/// A denial of reason `kill-switch`.
pub fn judge(latches: &[Latch], act: &Act<'_>) -> Result<(), Denial> {
    let Some(latch) = latches.iter().find(|latch| ends(&latch.of, act)) else { return Ok(()) };
    let message = format!("the kill switch is set for {}, by {}", latch.of, latch.way.as_str());
    let remedy = "an operator takes it off: `pinfold-sidecar release`, once the reason is gone";
    Err(Denial::new(Reason::KillSwitch, "spec.killSwitch", message, remedy))
}

#[cfg(test)]
mod tests;
