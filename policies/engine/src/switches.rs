//! What stands between an allowed call and its being forwarded: kill switch, budgets and rates, breakers.
//!
//! Counts, times and latches come in as plain data, with the time that it is; nothing here keeps or changes what others see, so that a
//! denial leaves everything as it was.

pub mod breaker;
pub mod budget;
pub mod kill;

use std::time::Duration;

/// A time for people: the two largest units that count, rounded up, so that nobody comes back too early.
fn shown(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        return format!("{} ms", time.as_millis().saturating_add(1));
    }
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    let units = [("d", 86_400_u64), ("h", 3_600), ("min", 60), ("s", 1)];
    let mut rest = seconds;
    let mut parts: Vec<String> = Vec::new();
    for (name, size) in units {
        let count = rest.checked_div(size).unwrap_or(0);
        rest = rest.checked_rem(size).unwrap_or(0);
        if count > 0 {
            parts.push(format!("{count} {name}"));
        }
    }
    parts.truncate(2);
    parts.join(" ")
}
