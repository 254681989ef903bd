//! `pinfold-sidecar check-guard`: asks the running sidecar what it saw last, which is at most some seconds old, and says so with its exit code.
//!
//! The sidecar's probes need its transparent listener, so a second process beside it could not make any: it asks at the admin port.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use pinfold_model::policy::inject;

use super::command::say;

/// How long each step may take.
const STEP_MAX: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// Flags of `pinfold-sidecar check-guard`.
#[derive(Debug, Args)]
pub struct CheckFlags {
    /// Address of the sidecar's /guardz
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from(([127, 0, 0, 1], inject::ADMIN_PORT)))]
    admin: SocketAddr,
}

/// 0 if the guard is intact, else 1; a sentence in both cases.
pub(crate) fn run(flags: &CheckFlags) -> ExitCode {
    let admin = flags.admin;
    let failed = |error: std::io::Error| {
        format!("the sidecar can't be asked at {admin} ({error}): run this in its container")
    };
    match ask(admin).map_err(failed).and_then(|answer| verdict(&answer)) {
        Ok(text) => {
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            say(&text);
            ExitCode::FAILURE
        }
    }
}

fn ask(admin: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, STEP_MAX)?;
    stream.set_read_timeout(Some(STEP_MAX))?;
    stream.set_write_timeout(Some(STEP_MAX))?;
    stream.write_all(b"GET /guardz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The body; an error unless the status is 200.
fn verdict(answer: &str) -> Result<String, String> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let body = body.trim();
    let body = if body.is_empty() { "the sidecar gave no answer" } else { body };
    if head.starts_with("HTTP/1.1 200 ") { Ok(body.to_owned()) } else { Err(body.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_status_200_is_intact() {
        // (answer, what is said, whether it is intact)
        let cases = [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nintact\n", "intact", true),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\nbroken\n", "broken", false),
            ("HTTP/1.1 2000 OK\r\n\r\nintact\n", "intact", false),
            ("HTTP/1.1 404 Not Found\r\n\r\n", "the sidecar gave no answer", false),
            ("", "the sidecar gave no answer", false),
        ];
        for (answer, text, intact) in cases {
            let found = verdict(answer);
            assert_eq!(found.is_ok(), intact, "{answer}");
            assert_eq!(found.unwrap_or_else(|text| text), text);
        }
    }
}
