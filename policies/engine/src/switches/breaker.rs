//! When a service that fails is left alone: closed, open after so many failures in a time, and half open while one call tries.
//!
//! What failed decides whose breaker counts it. That a connection can't be had, or ends before anything was sent, is nobody's doing in the
//! pod and counts against the upstream. What fails after a request was sent may have been asked for, and counts against what was called
//! alone: an agent that makes one tool fail on purpose closes no other one (row 110 of the attack table).

use std::time::Duration;

use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::switches::BreakerLimit;
use pinfold_model::reason::{Denial, Reason};

use super::shown;

/// Whose breaker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Breaks {
    /// Connections to an upstream.
    Upstream(String),
    /// Plain requests to an upstream.
    Requests(String),
    /// Calls of a tool; of an empty name, the other messages to the server.
    Tool {
        /// The server.
        server: String,
        /// The tool.
        tool: String,
    },
}

/// What a breaker has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// When there was a failure, the last ones in their order; at most as many as open it.
    pub failures: Vec<Duration>,
    /// Until when it is open; it stays half open until a call worked.
    pub open_until: Option<Duration>,
    /// Whether the one call that tries is under way.
    pub trying: bool,
}

/// What a breaker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everything passes.
    Closed,
    /// Nothing does.
    Open,
    /// One call tries.
    HalfOpen,
}

impl Seen {
    /// What it does at a time.
    #[must_use]
    pub fn state(&self, now: Duration) -> State {
        match self.open_until {
            None => State::Closed,
            Some(until) if now < until => State::Open,
            Some(_) => State::HalfOpen,
        }
    }

    /// A call passes; see [`judge`].
    pub fn enter(&mut self) {
        self.trying = self.open_until.is_some();
    }

    /// A call worked. One that began before the breaker opened closes nothing.
    pub fn worked(&mut self, was_trying: bool) {
        if was_trying {
            *self = Self::default();
        }
    }

    /// A call failed.
    pub fn failed(&mut self, was_trying: bool, limit: BreakerLimit, now: Duration) {
        if was_trying {
            self.trying = false;
            self.open_until = Some(now.saturating_add(limit.open));
            return;
        }
        if self.open_until.is_some() {
            return;
        }
        self.failures.retain(|at| now.saturating_sub(*at) < limit.window);
        self.failures.push(now);
        if self.failures.len() >= usize::try_from(limit.failures).unwrap_or(usize::MAX) {
            self.failures.clear();
            self.open_until = Some(now.saturating_add(limit.open));
        }
    }

    /// Nobody knows how the call ended: the agent went away, or it was cut. Another one may try.
    pub fn left(&mut self, was_trying: bool) {
        if was_trying {
            self.trying = false;
        }
    }
}

/// The limit of a breaker and its place in the policy; none if there is none. A tool without one has its upstream's.
#[must_use]
pub fn limit(policy: &AgentPolicy, of: &Breaks) -> Option<(BreakerLimit, String)> {
    let of_upstream = |name: &str| {
        let upstream = policy.upstream(name)?;
        Some((upstream.breaker?, format!("{}.breaker", upstream.place)))
    };
    match of {
        Breaks::Upstream(name) | Breaks::Requests(name) => of_upstream(name),
        Breaks::Tool { server, tool } => {
            let server = policy.server(server)?;
            let own = server
                .allow
                .iter()
                .find(|known| known.name == *tool)
                .and_then(|known| Some((known.breaker?, format!("{}.breaker", known.place))));
            own.or_else(|| of_upstream(&server.upstream))
        }
    }
}

/// Whether a call may pass a breaker now: yes if it is closed, or if it is the one that tries.
///
/// # Errors
/// A denial of reason `breaker`.
pub fn judge(of: &Breaks, place: &str, seen: &Seen, now: Duration) -> Result<(), Denial> {
    let Some(until) = seen.open_until else { return Ok(()) };
    let wait = until.saturating_sub(now);
    if wait.is_zero() && !seen.trying {
        return Ok(());
    }
    let name = match of {
        Breaks::Upstream(name) => format!("upstream `{name}`"),
        Breaks::Requests(name) => format!("requests to upstream `{name}`"),
        Breaks::Tool { server, tool } if tool.is_empty() => format!("server `{server}`"),
        Breaks::Tool { server, tool } => format!("tool `{tool}` of `{server}`"),
    };
    let (message, remedy) = if wait.is_zero() {
        let message = format!("{name} failed too often lately, and one call is trying it now");
        (message, "try again once that one has its reply".to_owned())
    } else {
        let wait = shown(wait);
        let message =
            format!("{name} failed too often lately: it is left alone, and tried again in {wait}");
        (message, format!("check the service; try again in {wait}"))
    };
    Err(Denial::new(Reason::Breaker, place, message, remedy))
}

#[cfg(test)]
mod tests;
