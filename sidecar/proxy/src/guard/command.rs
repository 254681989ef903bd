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

/// To stderr, which may be closed.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
