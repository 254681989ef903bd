//! What each proxy has resident, idle and with silent tunnels open.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use crate::client::Task;
use crate::legs::{Leg, Setting};
use crate::rounds::note;
use crate::{Outcome, usage};

/// Tunnels that the issue asks for; two descriptors of the proxy each.
const MOST: u64 = 10_000;
const SOME: u64 = 1_000;
/// Descriptors that a proxy needs for other things; squid keeps a hundred.
const OTHER_DESCRIPTORS: u64 = 400;
/// Until what was just used is given back.
const PAUSE: Duration = Duration::from_millis(500);

/// KiB of each leg, by the number of tunnels.
pub(crate) struct Memory {
    pub(crate) tunnels: [u64; 3],
    pub(crate) legs: Vec<(Leg, Vec<u64>)>,
}

/// Measures one leg after the other, each just started.
pub(crate) fn all(setting: &Setting, legs: &[Leg]) -> Outcome<Memory> {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = descriptors.saturating_sub(OTHER_DESCRIPTORS).checked_div(2).unwrap_or(0).min(MOST);
    let tunnels = [0, SOME, most];
    let mut all = Vec::new();
    for leg in legs.iter().copied().filter(|leg| *leg != Leg::Direct) {
        let mut running = setting.start(leg)?;
        let process = running.process().ok_or("no process")?;
        let mut found = Vec::new();
        for count in tunnels {
            running.client.ask(Task::Hold { tunnels: count })?;
            std::thread::sleep(PAUSE);
            found.push(usage::memory(process)?);
        }
        note(&format!("memory, {}: {found:?} KiB with {tunnels:?} tunnels", leg.name()))?;
        all.push((leg, found));
    }
    Ok(Memory { tunnels, legs: all })
}
