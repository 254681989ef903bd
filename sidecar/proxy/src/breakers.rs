//! The breakers of a sidecar: what failed lately, kept in memory. A new process begins with all of them closed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pinfold_engine::switches::breaker::{self, Breaks, Seen, State};
use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::switches::BreakerLimit;
use pinfold_model::reason::{Denial, Reason};

use crate::metrics::Metrics;
use crate::quota::uptime;

/// Breakers kept; policies name fewer. Beyond it none is added, and what has none passes.
const BREAKERS_MAX: usize = 4096;

/// All of them; those that saw nothing aren't here.
#[derive(Debug, Default)]
pub(crate) struct Breakers(Mutex<BTreeMap<Breaks, Seen>>);

/// One call's way past one breaker. Dropped without a word, nobody knows how it ended.
#[derive(Debug)]
#[must_use]
pub(crate) struct Pass<'b> {
    watched: Option<Watched<'b>>,
    worked: bool,
}

#[derive(Debug)]
struct Watched<'b> {
    breakers: &'b Breakers,
    of: Breaks,
    limit: BreakerLimit,
    /// Whether it is the one that tries.
    tries: bool,
}

impl Breakers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Breaks, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes a breaker, if it has a limit in this policy and isn't open.
    ///
    /// # Errors
    /// A denial of reason `breaker`.
    pub(crate) fn pass(&self, policy: &AgentPolicy, of: Breaks) -> Result<Pass<'_>, Denial> {
        let Some((limit, place)) = breaker::limit(policy, &of) else {
            return Ok(Pass { watched: None, worked: false });
        };
        let mut all = self.lock();
        let mut tries = false;
        if let Some(seen) = all.get_mut(&of) {
            breaker::judge(&of, &place, seen, uptime())?;
            seen.enter();
            tries = seen.trying;
        }
        Ok(Pass { watched: Some(Watched { breakers: self, of, limit, tries }), worked: false })
    }

    fn settle(&self, watched: &Watched<'_>, settle: impl FnOnce(&mut Seen)) {
        let mut all = self.lock();
        if !all.contains_key(&watched.of) && all.len() >= BREAKERS_MAX {
            return;
        }
        let seen = all.entry(watched.of.clone()).or_default();
        let before = seen.open_until.is_some();
        settle(seen);
        let after = seen.open_until.is_some();
        if before != after {
            let of = &watched.of;
            tracing::warn!(?of, open = after, "a breaker changed");
        }
        if *seen == Seen::default() {
            all.remove(&watched.of);
        }
    }

    /// Shows what each of the policy's breakers does.
    pub(crate) fn report(&self, policy: &AgentPolicy, metrics: &Metrics) {
        metrics.breaker_state.reset();
        let (all, now) = (self.lock(), uptime());
        for (of, seen) in all.iter().filter(|(of, _)| breaker::limit(policy, of).is_some()) {
            let state = match seen.state(now) {
                State::Closed => 0,
                State::HalfOpen => 1,
                State::Open => 2,
            };
            let (upstream, server, tool) = match of {
                Breaks::Upstream(name) => (name.as_str(), "", ""),
                Breaks::Requests(name) => (name.as_str(), "", "requests"),
                Breaks::Tool { server, tool } => ("", server.as_str(), tool.as_str()),
            };
            metrics.breaker_state.with_label_values(&[upstream, server, tool]).set(state);
        }
    }
}

impl Pass<'_> {
    /// Passes a result on, and remembers one that says that the upstream can't be reached.
    ///
    /// # Errors
    /// The same as it got.
    pub(crate) fn reachable<T>(&mut self, result: Result<T, Denial>) -> Result<T, Denial> {
        if let Err(denial) = &result
            && [Reason::Upstream, Reason::Resolve].contains(&denial.reason)
        {
            self.failed();
        }
        result
    }

    /// Whether it worked.
    pub(crate) fn has_worked(&self) -> bool {
        self.worked
    }

    /// It worked.
    pub(crate) fn worked(&mut self) {
        self.worked = true;
        if let Some(watched) = self.watched.take() {
            watched.breakers.settle(&watched, |seen| seen.worked(watched.tries));
        }
    }

    /// It failed.
    pub(crate) fn failed(&mut self) {
        if let Some(watched) = self.watched.take() {
            let now = uptime();
            watched
                .breakers
                .settle(&watched, |seen| seen.failed(watched.tries, watched.limit, now));
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(watched) = self.watched.take().filter(|watched| watched.tries) {
            watched.breakers.settle(&watched, |seen| seen.left(true));
        }
    }
}
