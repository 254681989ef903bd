//! How many questions there may be: a token bucket for all, and the names that were never asked for before below each wildcard.
//!
//! Counts only; what is too much is the engine's to say.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pinfold_engine::dns::NEW_NAMES_PER_MINUTE_MAX;
use pinfold_model::host::DnsName;

/// Questions that may come at once even if the policy allows fewer a second: one page's look-ups, A and AAAA.
const BURST_MIN: u32 = 10;
/// Names of one wildcard that are remembered.
const KNOWN_MAX: usize = 1024;
/// The time in which new names are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Wildcards that are counted for; a policy of 200 KiB has fewer.
const WILDCARDS_MAX: usize = 8192;

/// Counts of questions.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    bucket: Mutex<Option<Bucket>>,
    wildcards: Mutex<HashMap<String, Wildcard>>,
    hasher: RandomState,
}

/// Tokens, in parts of which one question takes as many as a second has nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    parts: u64,
    filled: Instant,
}

const QUESTION: u64 = 1_000_000_000;

#[derive(Debug, Default)]
struct Wildcard {
    known: HashSet<u64>,
    order: VecDeque<u64>,
    new: VecDeque<Instant>,
}

impl Budgets {
    /// Takes the token of one question, if there is one.
    pub(super) fn take(&self, per_second: u32, now: Instant) -> bool {
        let most = u64::from(per_second.max(BURST_MIN)).saturating_mul(QUESTION);
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let Bucket { parts, filled } = bucket.unwrap_or(Bucket { parts: most, filled: now });
        let passed = now.saturating_duration_since(filled).as_nanos();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        let parts = parts.saturating_add(passed.saturating_mul(per_second.into())).min(most);
        let left = parts.checked_sub(QUESTION);
        *bucket = Some(Bucket { parts: left.unwrap_or(parts), filled: now });
        left.is_some()
    }

    /// How many names below this wildcard were new within the last minute, this one included; 0 if it isn't new.
    pub(super) fn new_names(&self, rule: &str, name: &DnsName, now: Instant) -> u32 {
        let hash = self.hasher.hash_one(name);
        let mut wildcards = self.wildcards.lock().unwrap_or_else(PoisonError::into_inner);
        if !wildcards.contains_key(rule) {
            if wildcards.len() >= WILDCARDS_MAX {
                // Rules of policies that were replaced.
                wildcards.clear();
            }
            wildcards.insert(rule.to_owned(), Wildcard::default());
        }
        wildcards.get_mut(rule).map_or(u32::MAX, |wildcard| wildcard.note(hash, now))
    }
}

impl Wildcard {
    fn note(&mut self, name: u64, now: Instant) -> u32 {
        if self.known.contains(&name) {
            return 0;
        }
        let old = |at: &Instant| now.saturating_duration_since(*at) >= WINDOW;
        while self.new.front().is_some_and(old) {
            self.new.pop_front();
        }
        let count = u32::try_from(self.new.len()).unwrap_or(u32::MAX).saturating_add(1);
        if count > NEW_NAMES_PER_MINUTE_MAX {
            // Not remembered: it is refused, and asking again must not help.
            return count;
        }
        self.new.push_back(now);
        self.known.insert(name);
        self.order.push_back(name);
        if self.order.len() > KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(index: u32) -> DnsName {
        DnsName::parse(&format!("a{index}.example")).expect("a name")
    }

    #[test]
    fn a_second_has_so_many_tokens() {
        let budgets = Budgets::default();
        let start = Instant::now();
        let takes = |count: u32, after: u64| {
            let now = start + Duration::from_millis(after);
            (0..count).filter(|_| budgets.take(50, now)).count()
        };
        assert_eq!(takes(60, 0), 50, "a burst of one second's worth");
        assert_eq!(takes(60, 100), 5);
        assert_eq!(takes(60, 100), 0);
        assert_eq!(takes(60, 60_000), 50, "never more than that");
    }

    #[test]
    fn a_small_rate_still_lets_one_page_resolve() {
        let budgets = Budgets::default();
        let start = Instant::now();
        assert_eq!((0..20).filter(|_| budgets.take(1, start)).count(), 10);
        assert!(!budgets.take(1, start + Duration::from_millis(900)));
        assert!(budgets.take(1, start + Duration::from_millis(1_000)));
    }

    #[test]
    fn row_6_new_names_are_counted_for_a_minute_each_wildcard_for_itself() {
        let budgets = Budgets::default();
        let start = Instant::now();
        for index in 0..NEW_NAMES_PER_MINUTE_MAX {
            assert_eq!(budgets.new_names("w", &name(index), start), index + 1);
        }
        let more = NEW_NAMES_PER_MINUTE_MAX + 1;
        assert_eq!(budgets.new_names("w", &name(99), start), more);
        assert_eq!(budgets.new_names("w", &name(99), start), more, "asking again doesn't help");
        assert_eq!(budgets.new_names("w", &name(3), start), 0, "known");
        assert_eq!(budgets.new_names("v", &name(99), start), 1, "another wildcard");
        assert_eq!(budgets.new_names("w", &name(99), start + WINDOW), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let budgets = Budgets::default();
        let mut now = Instant::now();
        for index in 0..5_000 {
            now += WINDOW;
            budgets.new_names("w", &name(index), now);
        }
        let wildcards = budgets.wildcards.lock().expect("a lock");
        assert_eq!(wildcards["w"].known.len(), KNOWN_MAX);
        assert_eq!(wildcards["w"].order.len(), KNOWN_MAX);
    }
}
