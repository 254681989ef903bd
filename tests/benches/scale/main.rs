//! Whether a big cluster costs more than a small one: decisions and changes in process, and the webhook beside a real API server.
//!
//! `decisions` needs no cluster. `webhook` starts etcd, kube-apiserver and the webhook on loopback and fills them; it takes minutes. Without
//! a name both run. Not part of `cargo test`.

#[path = "../material/generated.rs"]
mod generated;
#[path = "../material/mod.rs"]
mod material;
#[path = "../report.rs"]
mod report;

mod client;
mod cluster;
mod decisions;
mod requests;
mod webhook;

use material::Outcome;
use report::Asked;

fn main() -> Outcome<()> {
    let named = |part: &str| std::env::args().any(|argument| argument == part);
    let asked = Asked::of_arguments();
    if named("decisions") || !named("webhook") {
        report::publish(asked, "scale of decisions", &decisions::run(asked)?)?;
    }
    if named("webhook") || (!named("decisions") && asked != Asked::Try) {
        report::publish(asked, "scale of the webhook", &cluster::run()?)?;
    }
    Ok(())
}
