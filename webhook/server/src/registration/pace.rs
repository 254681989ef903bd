//! How often a configuration is restored: at once, then ever more slowly for as long as somebody else keeps changing it.

use std::time::{Duration, Instant};

/// Pause after the second restoration in a row; it doubles up to the longest, which bounds them to 12 a minute. Longer would only serve
/// somebody who keeps changing it.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// After this long without one, the next restoration is the first again.
const CALM: Duration = Duration::from_secs(60);

/// When the next restoration may be.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
    pause: Duration,
}

impl Pace {
    /// How long to wait from now on; nothing if it may be now.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let since = now.saturating_duration_since(self.last?);
        self.pause.checked_sub(since).filter(|left| !left.is_zero())
    }

    /// It was tried.
    pub(super) fn tried(&mut self, now: Instant) {
        let in_a_row = self.last.is_some_and(|last| now.saturating_duration_since(last) < CALM);
        self.pause = if in_a_row {
            self.pause.saturating_mul(2).clamp(PAUSE_MIN, PAUSE_MAX)
        } else {
            Duration::ZERO
        };
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_at_once_and_a_fight_is_slow() {
        let begin = Instant::now();
        let mut pace = Pace::default();
        let mut now = begin;
        let mut tried = 0_u32;
        while now < begin + Duration::from_secs(600) {
            match pace.wait(now) {
                Some(left) => now += left,
                None => {
                    pace.tried(now);
                    tried += 1;
                    now += Duration::from_millis(1);
                }
            }
        }
        assert!((115..=130).contains(&tried), "{tried} in ten minutes");
        let calm = now + CALM + PAUSE_MAX;
        assert_eq!(pace.wait(calm), None);
        pace.tried(calm);
        assert_eq!(pace.wait(calm), None, "the second after a calm time is at once too");
        pace.tried(calm);
        assert_eq!(pace.wait(calm), Some(PAUSE_MIN));
    }
}
