//! What tunnels cost: new ones per second, bytes per second, added latency, memory, CPU, beside haproxy, squid, tinyproxy and no proxy at all.
//!
//! Server, clients and proxies are a process each, in the places that `run.sh` made: the server outside, the others in a pod, the
//! redirected ones in a pod with the guard's rules. Without places all of it is on loopback, and nothing is redirected.

mod client;
mod figures;
mod legs;
mod memory;
mod rounds;
mod server;
mod usage;

use std::error::Error;
use std::net::SocketAddr;

/// What a bench can fail with.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        // `cargo test --benches` starts every bench without arguments; there is nothing to try without a sidecar.
        [] => Ok(()),
        ["server", address] => server::run(address.parse()?),
        ["client", first, connect] => client::run(client::Way::parse(first, connect)?),
        [sidecar, rounds, outside, server, wanted @ ..] => {
            let server: SocketAddr = server.parse()?;
            let setting = legs::Setting::new(sidecar.as_ref(), outside, server)?;
            let report = rounds::run(&setting, rounds.parse()?, wanted)?;
            Ok(std::io::Write::write_all(&mut std::io::stdout(), report.as_bytes())?)
        }
        _ => Err("expected SIDECAR ROUNDS PLACES|- SERVER [LEG...]".into()),
    }
}
