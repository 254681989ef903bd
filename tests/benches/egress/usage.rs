//! CPU time and memory of a proxy and of the processes that it started, as the kernel counts them.

use std::fs;
use std::time::Duration;

use crate::Outcome;

/// Linux counts process times in this unit (`USER_HZ`), on every architecture that the project ships for.
const TICK: Duration = Duration::from_millis(10);

/// A process and its descendants.
fn family(process: u32) -> Outcome<Vec<u32>> {
    let mut found = vec![process];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        let path = format!("/proc/{parent}/task/{parent}/children");
        let children = fs::read_to_string(path).unwrap_or_default();
        for child in children.split_whitespace() {
            found.push(child.parse()?);
        }
        at = at.saturating_add(1);
    }
    Ok(found)
}

/// User and system time.
pub(crate) fn cpu(process: u32) -> Outcome<Duration> {
    let mut ticks = 0_u64;
    for process in family(process)? {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name, in brackets, may hold spaces; user and system time are the 12th and 13th field after it.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        for field in fields.split_whitespace().skip(11).take(2) {
            ticks = ticks.saturating_add(field.parse()?);
        }
    }
    Ok(TICK.saturating_mul(u32::try_from(ticks)?))
}

/// Resident memory in KiB, the pages of the program's file included.
pub(crate) fn memory(process: u32) -> Outcome<u64> {
    let mut sum = 0_u64;
    for process in family(process)? {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let text = line.and_then(|line| line.split_whitespace().next()).unwrap_or("0");
        sum = sum.saturating_add(text.parse()?);
    }
    Ok(sum)
}
