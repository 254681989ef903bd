//! What tunnels cost: new ones per second, bytes per second, added latency, memory, CPU, beside haproxy, squid, tinyproxy and no proxy at all.
//!
//! Client and server are this process, the same for every leg; each proxy is a process of its own. Everything is on loopback. `run.sh` builds
//! the sidecar as it is shipped and starts this; it takes the sidecar's path, and the number of rounds.

mod client;
mod figures;
mod legs;
mod server;
mod usage;

use std::error::Error;

/// What a bench can fail with.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Rounds if the command line doesn't say.
const ROUNDS: usize = 5;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(sidecar) = arguments.next() else {
        // `cargo test --benches` starts every bench without arguments; there is nothing to try without a sidecar.
        return Ok(());
    };
    let rounds = arguments.next().map_or(Ok(ROUNDS), |text| text.parse())?;
    let report = figures::run(sidecar.as_ref(), rounds)?;
    std::io::Write::write_all(&mut std::io::stdout(), report.as_bytes())?;
    Ok(())
}
