//! How many calls of a tool, of a server and by the agent are left: of the whole run, and in a time.
//!
//! A rate is a bucket that holds as many calls as it says and fills at its pace. It is kept as one number, the time at which it is full again,
//! which is the generic cell rate algorithm (GCRA, ITU-T I.371) in whole nanoseconds. Times are of a clock that nobody can set.

use std::collections::BTreeMap;
use std::time::Duration;

use pinfold_model::policy::agent::AgentPolicy;
use pinfold_model::policy::switches::CallLimits;
use pinfold_model::policy::values::Rate;
use pinfold_model::reason::{Denial, Reason};

use super::shown;

/// What one tool, server or agent has used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// Calls that were forwarded, or are about to be.
    pub calls: u64,
    /// One for each of its rates.
    pub buckets: Vec<Bucket>,
}

/// The state of one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// The rate.
    pub rate: Rate,
    /// When it is full again; in the past if it is.
    pub full_at: Duration,
}

/// What a pod has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Whether this is all: `false` if what a former process counted can't be read.
    pub known: bool,
    /// All tools together.
    pub agent: Used,
    /// By server.
    pub servers: BTreeMap<String, Used>,
    /// By server and tool.
    pub tools: BTreeMap<(String, String), Used>,
}

/// Servers and tools that are counted; policies name fewer, and what no policy names any more stays counted.
pub const COUNTED_MAX: usize = 4096;

impl Default for Counts {
    fn default() -> Self {
        Self {
            known: true,
            agent: Used::default(),
            servers: BTreeMap::new(),
            tools: BTreeMap::new(),
        }
    }
}

/// The right to charge one call, and what was left after it. Made here alone, and good for the counts that it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Reservation {
    server: String,
    tool: String,
    at: Duration,
    limits: [CallLimits; 3],
    /// What is left after it.
    pub left: Left,
}

/// What is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// Calls of the run, if there is a budget.
    pub of_run: Option<u64>,
    /// Calls that could follow at once, if there is a rate.
    pub at_once: Option<u64>,
}

impl Left {
    /// In words for records; empty if there is no limit.
    #[must_use]
    pub fn describe(&self) -> String {
        let run = self.of_run.map(|calls| format!("{calls} calls left of the run"));
        let now = self.at_once.map(|calls| format!("{calls} at once"));
        run.into_iter().chain(now).collect::<Vec<_>>().join(", ")
    }

    fn least(self, other: Self) -> Self {
        let least = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            of_run: least(self.of_run, other.of_run),
            at_once: least(self.at_once, other.at_once),
        }
    }
}

impl Reservation {
    /// Whether any limit concerns the call, so that its charge must be durable before it is forwarded.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limits.iter().any(CallLimits::is_limited)
    }
}

/// One of the three that a call is charged to.
struct Party<'a> {
    /// What it is, for messages.
    name: String,
    /// Where its limits are.
    place: String,
    limits: &'a CallLimits,
    used: Option<&'a Used>,
}

/// Judges one more call of an allowed tool at `now`, by the limits of the tool, its server and the agent: all of them, or it isn't made.
///
/// # Errors
/// The denial, which is an answer: of reason `budget` or `rate`, or `tool` for what the policy doesn't allow anyway.
pub fn reserve(
    policy: &AgentPolicy,
    (server, tool): (&str, &str),
    counts: &Counts,
    now: Duration,
) -> Result<Reservation, Denial> {
    let listed = policy.server(server);
    let allowed = listed.and_then(|listed| listed.allow.iter().find(|known| known.name == tool));
    let (Some(listed), Some(allowed)) = (listed, allowed) else {
        let message = "the policy has no such tool";
        return Err(Denial::new(Reason::Tool, "spec.tools", message, "use another tool"));
    };
    let key = (server.to_owned(), tool.to_owned());
    let parties = [
        Party {
            name: format!("tool `{tool}` of `{server}`"),
            place: allowed.place.clone(),
            limits: &allowed.call_limits,
            used: counts.tools.get(&key),
        },
        Party {
            name: format!("server `{server}`"),
            place: listed.place.clone(),
            limits: &listed.call_limits,
            used: counts.servers.get(server),
        },
        Party {
            name: format!("agent `{}`", policy.name),
            place: "spec.tools".to_owned(),
            limits: &policy.call_limits,
            used: Some(&counts.agent),
        },
    ];
    counted(&parties, counts)?;
    for party in &parties {
        party.budget()?;
    }
    for party in &parties {
        party.rates(now)?;
    }
    let left = parties.iter().map(|party| party.left(now)).fold(Left::default(), Left::least);
    let limits = parties.map(|party| party.limits.clone());
    Ok(Reservation { server: key.0, tool: key.1, at: now, limits, left })
}

/// Refuses what would be limited by counts that nobody has.
fn counted(parties: &[Party<'_>; 3], counts: &Counts) -> Result<(), Denial> {
    let Some(limited) = parties.iter().find(|party| party.limits.is_limited()) else {
        return Ok(());
    };
    if !counts.known {
        let message = "nobody can tell how many calls the pod has made: what the sidecar wrote down can't be read";
        let remedy = "see the sidecar's log; a new pod begins anew";
        return Err(Denial::new(Reason::Budget, limited.place.clone(), message, remedy));
    }
    let kept = counts.servers.len().saturating_add(counts.tools.len());
    if kept >= COUNTED_MAX && parties.iter().any(|party| party.used.is_none()) {
        let message = format!("{COUNTED_MAX} servers and tools are counted already");
        let remedy = "the policy has had too many names in this pod's life; begin a new pod";
        return Err(Denial::new(Reason::Budget, limited.place.clone(), message, remedy));
    }
    Ok(())
}

impl Party<'_> {
    fn budget(&self) -> Result<(), Denial> {
        let used = self.used.map_or(0, |used| used.calls);
        let Some(most) = self.limits.calls_max.filter(|most| used >= *most) else {
            return Ok(());
        };
        let place = format!("{}.budget.calls", self.place);
        let message = format!("the {most} calls of {} are used up: 0 are left", self.name);
        let remedy = format!("they don't refill while this pod lives; ask for more in `{place}`");
        Err(Denial::new(Reason::Budget, place, message, remedy))
    }

    fn rates(&self, now: Duration) -> Result<(), Denial> {
        for rate in &self.limits.rates {
            let bucket = bucket_of(self.used, *rate, now);
            let Some(wait) = bucket.wait(now) else { continue };
            let place = format!("{}.rate", self.place);
            let (calls, per) = (rate.events, per(*rate));
            let wait = shown(wait);
            let message = format!(
                "{} may be called {calls} times {per}, and 0 are left: the next in {wait}",
                self.name
            );
            let remedy = format!("try again in {wait}, or ask for more in `{place}`");
            return Err(Denial::new(Reason::Rate, place, message, remedy));
        }
        Ok(())
    }

    /// What is left once this call is charged.
    fn left(&self, now: Duration) -> Left {
        let used = self.used.map_or(0, |used| used.calls).saturating_add(1);
        let of_run = self.limits.calls_max.map(|most| most.saturating_sub(used));
        let held = |rate: &Rate| bucket_of(self.used, *rate, now).charged(now).held(now);
        Left { of_run, at_once: self.limits.rates.iter().map(held).min() }
    }
}

fn per(rate: Rate) -> String {
    match rate.per.as_secs() {
        1 => "a second".to_owned(),
        60 => "a minute".to_owned(),
        3_600 => "an hour".to_owned(),
        86_400 => "a day".to_owned(),
        _ => format!("in {}", shown(rate.per)),
    }
}

/// The state of a rate. A rate that is new takes over what the others say was used: a changed policy refills nothing.
fn bucket_of(used: Option<&Used>, rate: Rate, now: Duration) -> Bucket {
    let buckets = || used.into_iter().flat_map(|used| &used.buckets);
    if let Some(known) = buckets().find(|bucket| bucket.rate == rate) {
        return *known;
    }
    let missing = buckets().map(|bucket| bucket.missing(now)).max().unwrap_or(0);
    let missing = u32::try_from(missing).unwrap_or(u32::MAX).min(rate.events);
    Bucket { rate, full_at: now.saturating_add(pace(rate).saturating_mul(missing)) }
}

/// What one call costs in time, rounded up.
fn pace(rate: Rate) -> Duration {
    let nanos = rate.per.as_nanos().div_ceil(u128::from(rate.events).max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl Bucket {
    fn capacity(&self) -> Duration {
        pace(self.rate).saturating_mul(self.rate.events)
    }

    /// The time that it lacks; never more than it holds, whatever the clock did.
    fn lacks(&self, now: Duration) -> Duration {
        self.full_at.saturating_sub(now).min(self.capacity())
    }

    /// Whole calls that it lacks, one that is half refilled included.
    fn missing(&self, now: Duration) -> u64 {
        let missing = self.lacks(now).as_nanos().div_ceil(pace(self.rate).as_nanos().max(1));
        u64::try_from(missing).unwrap_or(u64::MAX)
    }

    /// Whole calls that it holds.
    fn held(&self, now: Duration) -> u64 {
        u64::from(self.rate.events).saturating_sub(self.missing(now))
    }

    /// How long until it holds one; none if it does.
    fn wait(&self, now: Duration) -> Option<Duration> {
        let after = self.lacks(now).saturating_add(pace(self.rate));
        let wait = after.saturating_sub(self.capacity());
        (!wait.is_zero()).then_some(wait)
    }

    fn charged(self, now: Duration) -> Self {
        let after = self.lacks(now).saturating_add(pace(self.rate));
        Self { full_at: now.saturating_add(after), ..self }
    }

    /// As if a call that was charged at `at` had not been. What has refilled since is not given back again: that would be a call more.
    fn returned(self, at: Duration, now: Duration) -> Self {
        let refilled = now.saturating_sub(at);
        let rest = pace(self.rate).saturating_sub(refilled);
        Self { full_at: self.full_at.saturating_sub(rest), ..self }
    }
}

impl Used {
    fn charge(&mut self, limits: &CallLimits, now: Duration) {
        let charged = |rate: &Rate| bucket_of(Some(self), *rate, now).charged(now);
        // Only those that the policy has now.
        self.buckets = limits.rates.iter().map(charged).collect();
        self.calls = self.calls.saturating_add(1);
    }

    fn give_back(&mut self, limits: &CallLimits, at: Duration, now: Duration) {
        self.calls = self.calls.saturating_sub(1);
        for bucket in &mut self.buckets {
            if limits.rates.contains(&bucket.rate) {
                *bucket = bucket.returned(at, now);
            }
        }
    }
}

impl Counts {
    /// Charges a call.
    pub fn charge(&mut self, reservation: &Reservation) {
        let Reservation { server, tool, at, limits: [of_tool, of_server, of_agent], .. } =
            reservation;
        let key = (server.clone(), tool.clone());
        let kept = self.servers.len().saturating_add(self.tools.len());
        // Beyond the bound only what has no limit gets here.
        if kept < COUNTED_MAX || self.tools.contains_key(&key) {
            self.tools.entry(key).or_default().charge(of_tool, *at);
        }
        if kept < COUNTED_MAX || self.servers.contains_key(server) {
            self.servers.entry(server.clone()).or_default().charge(of_server, *at);
        }
        self.agent.charge(of_agent, *at);
    }

    /// Takes the charge of a call back of which nothing was sent.
    pub fn give_back(&mut self, reservation: &Reservation, now: Duration) {
        let Reservation { server, tool, at, limits: [of_tool, of_server, of_agent], .. } =
            reservation;
        if let Some(used) = self.tools.get_mut(&(server.clone(), tool.clone())) {
            used.give_back(of_tool, *at, now);
        }
        if let Some(used) = self.servers.get_mut(server) {
            used.give_back(of_server, *at, now);
        }
        self.agent.give_back(of_agent, *at, now);
    }
}

#[cfg(test)]
mod tests;
