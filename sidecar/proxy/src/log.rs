//! Log lines on stderr, as JSON or for people. `RUST_LOG` narrows or widens them.

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Installs the log for the process. A second call changes nothing.
pub(crate) fn install(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,hickory_resolver=warn,hickory_net=warn"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = match format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.with_ansi(false).try_init(),
    };
    // Somebody else's log is as good.
    let _ = installed;
    std::panic::set_hook(Box::new(|panic| {
        // The payload may quote a request; the place is enough.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}
