//! Requests per second of `/validate` over TLS, beside a server that does nothing but parse the body.
//!
//! The servers are processes of their own, so that what each costs is told apart from the client. Everything is on loopback, on ports
//! that the system chooses; `docs/performance.md` is written with `--write` only.

mod client;
mod figures;
#[path = "../material/mod.rs"]
mod material;
mod peers;
mod reference;
#[path = "../report.rs"]
mod report;
mod rounds;
mod usage;

use material::Outcome;
use report::Asked;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, kind, folder] = arguments.as_slice()
        && flag == peers::SERVE
    {
        return peers::serve(kind, folder.as_ref());
    }
    let asked = Asked::of_arguments();
    let report = rounds::run(asked)?;
    report::publish(asked, "load", &report)
}
