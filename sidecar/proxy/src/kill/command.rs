//! `pinfold-sidecar kill`, `release` and `switches`: what an operator runs in the sidecar's container, through its admin socket.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use pinfold_engine::switches::kill::Scope;

use super::socket::{LINE_BYTES_MAX, Question, Reply};

/// The sidecar answers in this time, or it doesn't.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Flags of `pinfold-sidecar switches`.
#[derive(Debug, Args)]
pub struct SocketFlags {
    /// The admin socket of the running sidecar
    #[arg(
        long,
        env = "PINFOLD_ADMIN_SOCKET",
        value_name = "FILE",
        default_value = "/var/lib/pinfold/admin.sock"
    )]
    admin_socket: PathBuf,
}

/// Flags of `pinfold-sidecar kill` and `release`; without any, everything.
#[derive(Debug, Args)]
pub struct ScopeFlags {
    #[command(flatten)]
    socket: SocketFlags,
    /// Everything of the agent whose policy has this name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["server", "tool", "session"])]
    agent: Option<String>,
    /// All tools of an MCP server
    #[arg(long, value_name = "NAME", conflicts_with = "session")]
    server: Option<String>,
    /// One tool of `--server`
    #[arg(long, value_name = "NAME", requires = "server")]
    tool: Option<String>,
    /// One MCP session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
}

impl ScopeFlags {
    fn split(self) -> (SocketFlags, Option<Scope>) {
        let Self { socket, agent, server, tool, session } = self;
        let scope = match (agent, server, tool, session) {
            (Some(agent), ..) => Some(Scope::Agent { agent }),
            (None, Some(server), Some(tool), _) => Some(Scope::Tool { server, tool }),
            (None, Some(server), None, _) => Some(Scope::Server { server }),
            (None, None, _, Some(session)) => Some(Scope::Session { session }),
            (None, None, _, None) => None,
        };
        (socket, scope)
    }
}

/// `pinfold-sidecar kill`: 0 if the switch is set, else 1.
pub(crate) fn kill(flags: ScopeFlags) -> ExitCode {
    let (socket, scope) = flags.split();
    ask(&socket.admin_socket, &Question::Kill { of: scope.unwrap_or(Scope::All) })
}

/// `pinfold-sidecar release`: 0 if the switch is off, else 1.
pub(crate) fn release(flags: ScopeFlags) -> ExitCode {
    let (socket, of) = flags.split();
    ask(&socket.admin_socket, &Question::Release { of })
}

/// `pinfold-sidecar switches`: 0 if it could be asked.
pub(crate) fn switches(flags: &SocketFlags) -> ExitCode {
    ask(&flags.admin_socket, &Question::Status)
}

fn ask(path: &Path, question: &Question) -> ExitCode {
    let failed = |text: &str| {
        // Nothing helps if stderr is gone.
        let _ = writeln!(std::io::stderr(), "pinfold-sidecar: {text}");
        ExitCode::FAILURE
    };
    let reply = match talk(path, question) {
        Ok(reply) => reply,
        Err(error) => {
            return failed(&format!("can't ask the sidecar at `{}`: {error}", path.display()));
        }
    };
    let mut text = String::new();
    for latch in &reply.set {
        text.push_str(&format!("set for {}, by {}\n", latch.of, latch.way.as_str()));
    }
    if reply.set.is_empty() {
        text.push_str("nothing is set\n");
    }
    if std::io::stdout().write_all(text.as_bytes()).is_err() {
        return ExitCode::FAILURE;
    }
    match reply.error {
        Some(error) => failed(&error),
        None => ExitCode::SUCCESS,
    }
}

fn talk(path: &Path, question: &Question) -> std::io::Result<Reply> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut text = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}
