//! `pinfold-sidecar guard`: what the init container does, and ends.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use pinfold_guard::{GuardError, Plan, RouteMode};
use pinfold_model::policy::inject;

pub use super::check::CheckFlags;

/// Flags of `pinfold-sidecar guard`.
#[derive(Debug, Args)]
pub struct GuardFlags {
    /// Print the rules and routes, in nft's syntax, and load nothing
    #[arg(long)]
    dry_run: bool,
    /// UID of the sidecar: the only one that gets out
    #[arg(long, env = "PINFOLD_GUARD_UID", value_name = "UID", default_value_t = inject::UID_DEFAULT)]
    uid: u32,
    /// Port of loopback that agents may use too; may be repeated
    #[arg(
        long = "loopback-port",
        env = "PINFOLD_GUARD_LOOPBACK_PORTS",
        value_name = "PORT",
        value_delimiter = ','
    )]
    loopback_ports: Vec<u16>,
    /// Load the rules although this looks like a machine's own network namespace: everything on it but the sidecar's UID is then cut off
    #[arg(long)]
    whole_machine: bool,
    /// Routes as a second layer, for when the rules are flushed from outside
    #[arg(long, env = "PINFOLD_GUARD_ROUTES", value_enum, default_value = "required")]
    routes: Routes,
}

/// Whether the routes of the guard must work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Routes {
    /// They must.
    Required,
    /// There are none.
    Off,
}

impl From<Routes> for RouteMode {
    fn from(routes: Routes) -> Self {
        match routes {
            Routes::Required => Self::Required,
            Routes::Off => Self::Off,
        }
    }
}

/// Loads or prints: 0, 1 if the kernel can't, 2 for flags that can't be meant.
pub(crate) fn run(flags: &GuardFlags) -> ExitCode {
    match load(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("pinfold-sidecar guard: {error}"));
            ExitCode::from(if matches!(error, GuardError::Settings(_)) { 2 } else { 1 })
        }
    }
}

fn load(flags: &GuardFlags) -> Result<(), GuardError> {
    let plan = Plan::new(flags.uid, &flags.loopback_ports, flags.routes.into())?;
    if flags.dry_run {
        // Nobody reads any more.
        let _ = std::io::stdout().write_all(plan.text().as_bytes());
        return Ok(());
    }
    if !flags.whole_machine && is_machines_own() {
        let text = "this is the network namespace of process 1, so it looks like the machine's own: all of it but the sidecar's UID would be cut off; run the guard in the pod's namespace (`--dry-run` prints what it would load, `--whole-machine` loads it all the same)";
        return Err(GuardError::Settings(text.to_owned()));
    }
    let loaded = plan.load()?;
    for warning in loaded.warnings() {
        say(&format!("pinfold-sidecar guard: warning: {warning}"));
    }
    let routes = match flags.routes {
        Routes::Required => "rules and routes are loaded",
        Routes::Off => {
            "rules are loaded; WITHOUT ROUTES (--routes off): if the rules are flushed, nothing holds packets back"
        }
    };
    say(&format!("pinfold-sidecar guard: {routes}: nothing but UID {} gets out", flags.uid));
    Ok(())
}

/// Whether the rules would be for the machine instead of for a pod: a container's guard is process 1 itself, and a namespace that was made for
/// a pod isn't the one of the machine's init.
fn is_machines_own() -> bool {
    let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
    std::process::id() != 1 && of("self").is_some_and(|own| of("1") == Some(own))
}

/// To stderr, which may be closed.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
