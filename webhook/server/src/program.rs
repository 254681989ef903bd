//! The program around the server: flags, log, signals, exit codes.

use std::process::ExitCode;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, Flags};
use crate::error::StartError;
use crate::log;
use crate::server::start;

/// Runs `pinfold-webhook`: 0 after a clean stop, 2 for a bad configuration, 1 otherwise.
#[must_use]
pub fn main() -> ExitCode {
    let flags = Flags::parse();
    log::install(flags.log());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(flags.into_config())),
        Err(error) => Err(system("start the runtime", &error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(reason = %error, "pinfold-webhook ends");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(config: Config) -> Result<(), StartError> {
    let failed = |error: std::io::Error| system("listen for signals", &error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let running = start(config).await?;
    let interrupted = tokio::select! {
        _ = terminate.recv() => false,
        _ = interrupt.recv() => true,
    };
    // SIGINT comes from a person at a terminal, who has no other replica to wait for.
    if interrupted {
        running.stop().await;
    } else {
        running.shutdown().await;
    }
    Ok(())
}

fn system(action: &'static str, error: &std::io::Error) -> StartError {
    StartError::System { action, message: error.to_string() }
}
