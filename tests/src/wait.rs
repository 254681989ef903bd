//! Waiting for an event that only shows by asking, with a limit; never a fixed pause.

use std::time::{Duration, Instant};

/// The pause between two questions.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Asks `probe` until it answers `Some`, at most for `limit`; `None` when the time is up. Asks at
/// least once, and once more after the limit, so that a slow machine is not called a failure.
pub fn until<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(answer) = probe() {
            return Some(answer);
        }
        std::thread::sleep(ASK_EVERY);
    }
    probe()
}
