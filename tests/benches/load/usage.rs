//! CPU time: of the processes of this bench, and of whoever else is on the machine.

use std::fs;
use std::time::Duration;

use crate::material::Outcome;

/// Linux counts process times in this unit (`USER_HZ`), on every architecture that the project ships for.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of a process and its threads.
pub(crate) fn of_process(process: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in brackets, may hold spaces; user and system time are the 12th and 13th field after it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = sum(fields.split_whitespace().skip(11).take(2))?;
    Ok(TICK.saturating_mul(u32::try_from(ticks)?))
}

/// Time of all cores, as far as they did something for anybody, or for another guest of the host.
pub(crate) fn of_machine() -> Outcome<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let fields: Vec<&str> = line.split_whitespace().skip(1).take(8).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    let busy = fields.iter().enumerate().filter(|(at, _)| !matches!(at, 3 | 4));
    let ticks = sum(busy.map(|(_, field)| *field))?;
    Ok(TICK.saturating_mul(u32::try_from(ticks)?))
}

fn sum<'a>(fields: impl Iterator<Item = &'a str>) -> Outcome<u64> {
    let mut ticks = 0_u64;
    for field in fields {
        ticks = ticks.saturating_add(field.parse()?);
    }
    Ok(ticks)
}
