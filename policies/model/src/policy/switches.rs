//! What an AgentPolicy says of how much may be called, what is left alone after failures, and what ends everything: as written, and ready.
//!
//! A limit is never read as less than it says: what can't be kept is refused.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{IntoDeserializer as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::place::Place;
use super::values::{Rate, RateText, TimeSpan};
use crate::document::DocumentError;

/// Most calls of a budget.
pub const BUDGET_CALLS_MAX: u64 = 1_000_000_000;
/// Most calls of a rate, in its time.
pub const RATE_CALLS_MAX: u32 = 1_000_000;
/// Most rates of one tool, server or agent.
pub const RATES_MAX: usize = 8;
/// Most failures that a breaker waits for; it remembers when each was.
pub const BREAKER_FAILURES_MAX: u32 = 100;
/// Longest window, and longest time open, of a breaker.
pub const BREAKER_TIME_MAX: Duration = Duration::from_secs(3_600);
/// Most kill switch files.
pub const KILL_FILES_MAX: usize = 8;
/// Longest path of one, in bytes.
const KILL_FILE_BYTES_MAX: usize = 255;

/// One value, or a list of them.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several, all of which count.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

// Not derived: of an untagged enum serde can't say what is wrong with the value.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData))
    }
}

struct OneOrManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text, or a list of them")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        T::deserialize(text.into_deserializer()).map(OneOrMany::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element()? {
            values.push(value);
        }
        Ok(OneOrMany::Many(values))
    }
}

/// How many calls in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawBudget {
    /// Forwarded calls of one run: as long as the pod lives.
    pub calls: u64,
}

/// A circuit breaker.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawBreaker {
    /// So many failures
    pub failures: u32,
    /// in this time open it,
    pub window: TimeSpan,
    /// for this time; then one call tries.
    pub open: TimeSpan,
}

/// What ends everything.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RawKillSwitch {
    /// Once the file is there, everything is refused; its text may name scopes instead.
    pub file: Option<OneOrMany<String>>,
    /// Everything is refused.
    pub active: Option<bool>,
}

/// How much may be called: of a tool, a server, or by the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallLimits {
    /// Calls per time; all must hold.
    pub rates: Vec<Rate>,
    /// Forwarded calls of one run.
    pub calls_max: Option<u64>,
}

impl CallLimits {
    /// Whether there is a limit.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        !self.rates.is_empty() || self.calls_max.is_some()
    }
}

/// When a service is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerLimit {
    /// So many failures
    pub failures: u32,
    /// in this time open it,
    pub window: Duration,
    /// for this time.
    pub open: Duration,
}

/// What ends everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KillSwitch {
    /// Files whose presence does.
    pub files: Vec<String>,
    /// Whether the policy itself does.
    pub active: bool,
}

/// Readies `rate` and `budget` of the thing at `place`.
pub(super) fn call_limits(
    rate: Option<&OneOrMany<RateText>>,
    budget: Option<&RawBudget>,
    place: &Place<'_>,
) -> Result<CallLimits, DocumentError> {
    let rates: Vec<Rate> =
        rate.map(OneOrMany::as_slice).unwrap_or_default().iter().map(|rate| rate.0).collect();
    if rate.is_some() && !(1..=RATES_MAX).contains(&rates.len()) {
        let found = rates.len();
        let text = format!("expected 1 to {RATES_MAX} rates such as `5/h`, found {found}");
        return Err(place.field("rate").error(text));
    }
    if let Some(rate) = rates.iter().find(|rate| rate.events > RATE_CALLS_MAX) {
        let text = format!("expected at most {RATE_CALLS_MAX} calls, found {}", rate.events);
        return Err(place.field("rate").error(text));
    }
    let calls_max = budget.map(|budget| budget.calls);
    if calls_max.is_some_and(|calls| !(1..=BUDGET_CALLS_MAX).contains(&calls)) {
        let text = format!(
            "expected 1 to {BUDGET_CALLS_MAX} calls; what may not be called at all belongs in no `allow`"
        );
        return Err(place.field("budget").field("calls").error(text));
    }
    Ok(CallLimits { rates, calls_max })
}

/// Readies `breaker` of the thing at `place`.
pub(super) fn breaker(
    raw: Option<&RawBreaker>,
    place: &Place<'_>,
) -> Result<Option<BreakerLimit>, DocumentError> {
    let Some(raw) = raw else { return Ok(None) };
    let place = place.field("breaker");
    if !(1..=BREAKER_FAILURES_MAX).contains(&raw.failures) {
        let text = format!("expected 1 to {BREAKER_FAILURES_MAX}, found {}", raw.failures);
        return Err(place.field("failures").error(text));
    }
    for (name, time) in [("window", raw.window.0), ("open", raw.open.0)] {
        if time > BREAKER_TIME_MAX {
            return Err(place.field(name).error("expected at most `1h`"));
        }
    }
    let (window, open) = (raw.window.0, raw.open.0);
    Ok(Some(BreakerLimit { failures: raw.failures, window, open }))
}

/// Readies `killSwitch`.
pub(super) fn kill_switch(
    raw: Option<&RawKillSwitch>,
    place: &Place<'_>,
) -> Result<KillSwitch, DocumentError> {
    let Some(raw) = raw else { return Ok(KillSwitch::default()) };
    let place = place.field("killSwitch");
    if raw.file.is_none() && raw.active.is_none() {
        return Err(place.error("expected `file` or `active`"));
    }
    let files = raw.file.as_ref().map(OneOrMany::as_slice).unwrap_or_default();
    if raw.file.is_some() && !(1..=KILL_FILES_MAX).contains(&files.len()) {
        let text = format!("expected 1 to {KILL_FILES_MAX} files, found {}", files.len());
        return Err(place.field("file").error(text));
    }
    let plain = |file: &String| {
        file.len() <= KILL_FILE_BYTES_MAX
            && file.starts_with('/')
            && !file.ends_with('/')
            && !file.chars().any(char::is_control)
    };
    if let Some(file) = files.iter().find(|file| !plain(file)) {
        let text = format!(
            "expected an absolute path of at most {KILL_FILE_BYTES_MAX} bytes, found `{}`",
            file.escape_debug()
        );
        return Err(place.field("file").error(text));
    }
    Ok(KillSwitch { files: files.to_vec(), active: raw.active.unwrap_or(false) })
}

#[cfg(test)]
mod tests;
