//! The program around the sidecar: flags, log, signals, exit codes.

use std::process::ExitCode;

use clap::Parser as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Arguments, Command, Config};
use crate::error::StartError;
use crate::guard;
use crate::kill;
use crate::log;
use crate::server::start;

/// Threads for files: policies, audit at the end.
const BLOCKING_THREADS_MAX: usize = 4;

/// Runs `pinfold-sidecar`: 0 after a clean stop, 2 for a bad configuration, 1 otherwise.
#[must_use]
pub fn main() -> ExitCode {
    let flags = match Arguments::parse().command {
        Command::Run(flags) => flags,
        Command::Guard(flags) => return guard::command::run(&flags),
        Command::CheckGuard(flags) => return guard::check(&flags),
        Command::Kill(flags) => return kill::command::kill(flags),
        Command::Release(flags) => return kill::command::release(flags),
        Command::Switches(flags) => return kill::command::switches(&flags),
    };
    log::install(flags.log());
    raise_descriptor_limit();
    // One thread: with two, each new tunnel cost as much for waking the other one as for everything else, and none used more than one core.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(flags.into_config())),
        Err(error) => Err(system("start the runtime", &error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(reason = %error, "pinfold-sidecar ends");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(config: Config) -> Result<(), StartError> {
    let failed = |error: std::io::Error| system("listen for signals", &error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut kill = signal(SignalKind::user_defined1()).map_err(failed)?;
    let running = start(config).await?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(()) = kill.recv() => running.kill().await,
        }
    }
    running.shutdown().await;
    Ok(())
}

/// Two sockets for each connection that a policy allows: as many descriptors as the system lets this process have.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn system(action: &'static str, error: &std::io::Error) -> StartError {
    StartError::System { action, message: error.to_string() }
}
