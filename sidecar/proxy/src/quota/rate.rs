//! A token bucket in whole numbers: it holds as many connections as the rate says, and fills at the rate.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pinfold_model::policy::values::Rate;

/// A bucket; full at first.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    level: Mutex<Option<Level>>,
}

/// Credit is counted so that nothing is rounded: a nanosecond earns `events`, a connection costs the nanoseconds of `per`.
#[derive(Debug)]
struct Level {
    rate: Rate,
    credit: u128,
    at: Duration,
}

impl Bucket {
    /// Takes one.
    ///
    /// # Errors
    /// How long until there is one again.
    pub(crate) fn take(&self, rate: Rate, now: Duration) -> Result<(), Duration> {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let full = Level { rate, credit: capacity(rate), at: now };
        let level = level.get_or_insert(full);
        level.change_to(rate);
        level.fill(now);
        let cost = rate.per.as_nanos();
        match level.credit.checked_sub(cost) {
            Some(left) => {
                level.credit = left;
                Ok(())
            }
            None => {
                let missing = cost.saturating_sub(level.credit);
                let wait = missing.div_ceil(u128::from(rate.events).max(1));
                Err(Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)))
            }
        }
    }
}

impl Level {
    /// A reload gives no new bucket: whole connections that are left stay, as far as the new rate holds them.
    fn change_to(&mut self, rate: Rate) {
        if self.rate == rate {
            return;
        }
        let left = self.credit.checked_div(self.rate.per.as_nanos()).unwrap_or(0);
        let left = left.min(u128::from(rate.events));
        self.credit = left.saturating_mul(rate.per.as_nanos());
        self.rate = rate;
    }

    fn fill(&mut self, now: Duration) {
        let earned = now.saturating_sub(self.at).as_nanos();
        let earned = earned.saturating_mul(u128::from(self.rate.events));
        self.credit = self.credit.saturating_add(earned).min(capacity(self.rate));
        self.at = self.at.max(now);
    }
}

fn capacity(rate: Rate) -> u128 {
    rate.per.as_nanos().saturating_mul(u128::from(rate.events))
}
