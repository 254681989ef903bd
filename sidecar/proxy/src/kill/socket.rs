//! The admin socket: a UNIX socket in the sidecar's own directory, for whoever runs a command in the sidecar's container.
//!
//! One line of JSON is asked, one is answered. Agents have another UID and another file system; the kernel is asked for the UID all the
//! same, and only the sidecar's own and root's are heard.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pinfold_engine::switches::kill::{Latch, Scope, Way};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::drain::{DrainWatch, Phase};
use crate::error::StartError;
use crate::gate::Gate;

use super::{pull, release};

/// Bytes of a question, and of an answer.
pub(super) const LINE_BYTES_MAX: u64 = 64 * 1024;
/// From the connection to the end of its question, and from there to the end of the answer.
const TALK_MAX: Duration = Duration::from_secs(5);
/// Only the owner.
const MODE: u32 = 0o600;

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "do", deny_unknown_fields)]
pub(super) enum Question {
    /// Set it.
    Kill {
        /// Of what.
        of: Scope,
    },
    /// Take it off.
    Release {
        /// Of what; all if it isn't said.
        of: Option<Scope>,
    },
    /// What is set?
    Status,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reply {
    /// Why it wasn't done.
    pub(super) error: Option<String>,
    /// What is set now.
    pub(super) set: Vec<Latch>,
}

/// The bound socket. Its file stays when it ends, and the next one takes its place.
#[derive(Debug)]
pub(crate) struct Socket(UnixListener);

impl Socket {
    /// Binds it, in the place of one that a former process left.
    ///
    /// # Errors
    /// The path and the system's reason.
    pub(crate) fn bind(path: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::Write { path: path.to_owned(), source };
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => {
                std::fs::remove_file(path).map_err(failed)?;
            }
            Ok(_) => return Err(failed(ErrorKind::AlreadyExists.into())),
            Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(failed)?;
        Ok(Self(listener))
    }
}

/// Serves it until the sidecar stops, one question after the other.
pub(crate) async fn serve(gate: Arc<Gate>, socket: Socket, mut drain: DrainWatch) {
    loop {
        tokio::select! {
            () = drain.reached(Phase::Cut) => return,
            accepted = socket.0.accept() => match accepted {
                Ok((stream, _)) => {
                    if tokio::time::timeout(TALK_MAX, talk(&gate, stream)).await.is_err() {
                        tracing::warn!("a question at the admin socket took too long");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "can't accept at the admin socket");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn talk(gate: &Arc<Gate>, mut stream: UnixStream) {
    let own = rustix::process::geteuid().as_raw();
    let peer = stream.peer_cred().map(|peer| peer.uid());
    if !peer.as_ref().is_ok_and(|peer| [0, own].contains(peer)) {
        tracing::warn!(?peer, "somebody else is at the admin socket");
        return;
    }
    let (read, mut write) = stream.split();
    let mut line = Vec::new();
    let asked = BufReader::new(read.take(LINE_BYTES_MAX)).read_until(b'\n', &mut line).await;
    if asked.is_err() {
        return;
    }
    let error = match serde_json::from_slice(&line) {
        Ok(question) => answer(gate, question).await.err(),
        Err(error) => Some(error.to_string()),
    };
    let reply = Reply { error, set: gate.kills.latches().as_ref().clone() };
    let mut bytes = serde_json::to_vec(&reply).unwrap_or_default();
    bytes.push(b'\n');
    // Whoever asked may be gone.
    let _ = write.write_all(&bytes).await;
}

async fn answer(gate: &Arc<Gate>, question: Question) -> Result<(), String> {
    match question {
        Question::Kill { of } => {
            pull(gate, vec![Latch { of, way: Way::Socket }]).await;
            Ok(())
        }
        Question::Release { of } => release(gate, of).await.map(drop),
        Question::Status => Ok(()),
    }
}
