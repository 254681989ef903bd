//! Why the webhook doesn't start. At run time nothing here happens: then requests are denied, with reasons.

use std::net::SocketAddr;
use std::path::PathBuf;

use pinfold_model::document::DocumentError;
use pinfold_model::sources::SourceError;

/// Why the webhook doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A policy or cluster path can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Policy or cluster files are wrong; one line each.
    #[error("{}", lines(.0))]
    Documents(Vec<DocumentError>),
    /// An address can't be bound.
    #[error(
        "can't listen on `{address}` for {purpose}: {source}; choose another address or end the process that holds it"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What for.
        purpose: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Certificates can't be used.
    #[error("{0}")]
    Certificates(String),
    /// The kubeconfig or the pod's own configuration can't be used.
    #[error("can't use the cluster configuration {place}: {message}")]
    Cluster {
        /// The file.
        place: String,
        /// The reason.
        message: String,
    },
    /// The audit directory can't be used.
    #[error(transparent)]
    Audit(#[from] pinfold_ledger::OpenError),
    /// The registration that is to be kept can't be used.
    #[error("{0}")]
    Registration(String),
    /// A file can't be written.
    #[error("can't write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The system refused something that isn't configuration.
    #[error("can't {action}: {message}")]
    System {
        /// What was tried, a verb.
        action: &'static str,
        /// The reason.
        message: String,
    },
}

impl StartError {
    /// 2 for what a user can correct, 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Source(_)
            | Self::Documents(_)
            | Self::Bind { .. }
            | Self::Certificates(_)
            | Self::Cluster { .. }
            | Self::Audit(_)
            | Self::Registration(_)
            | Self::Write { .. } => 2,
            Self::System { .. } => 1,
        }
    }
}

/// Most errors of documents in one message.
const ERRORS_MAX: usize = 100;

pub(crate) fn lines(errors: &[DocumentError]) -> String {
    let mut lines: Vec<String> = errors.iter().take(ERRORS_MAX).map(ToString::to_string).collect();
    if errors.len() > ERRORS_MAX {
        lines.push(format!("and {} more", errors.len().saturating_sub(ERRORS_MAX)));
    }
    lines.join("\n")
}
