//! Why the sidecar doesn't start. At run time nothing here happens: then requests are denied, with reasons.

use std::net::SocketAddr;
use std::path::PathBuf;

use pinfold_model::document::DocumentError;
use pinfold_model::sources::SourceError;

/// Why the sidecar doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A policy path can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Policy files are wrong; one line each.
    #[error("{}", lines(.0))]
    Documents(Vec<DocumentError>),
    /// No AgentPolicy of that name, or no name where there are several.
    #[error("{0}")]
    Agent(String),
    /// The policy isn't the one whose digest was announced.
    #[error(
        "the policy has the digest `{found}`, but `{announced}` was announced in the file of `--policy-digest`: the mount is torn, or the policy was changed on its way"
    )]
    Digest {
        /// The policy's own.
        found: String,
        /// What the file says.
        announced: String,
    },
    /// A guard that nothing can be seen of.
    #[error(
        "`--guard required` needs a listener to see the guard through: say `--transparent ADDRESS` too"
    )]
    Guard,
    /// A file can't be read.
    #[error("can't read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
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
    /// The system's resolver configuration can't be used.
    #[error(
        "can't read the system's resolver configuration: {0}; give one with `--resolver IP:PORT`"
    )]
    Resolver(String),
    /// The certificates of `--upstream-ca` can't be used.
    #[error("certificates of `{}`: {message}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The audit directory can't be used.
    #[error(transparent)]
    Audit(#[from] pinfold_ledger::OpenError),
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
    /// Whether an address can't be bound because the machine doesn't have it, or nothing of its family.
    pub(crate) fn is_missing_address(&self) -> bool {
        let Self::Bind { source, .. } = self else { return false };
        let no_family = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
        source.kind() == std::io::ErrorKind::AddrNotAvailable
            || source.raw_os_error() == Some(no_family)
    }

    /// 2 for what a user can correct, 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Source(_)
            | Self::Documents(_)
            | Self::Agent(_)
            | Self::Digest { .. }
            | Self::Guard
            | Self::Read { .. }
            | Self::Bind { .. }
            | Self::Resolver(_)
            | Self::Certificates { .. }
            | Self::Audit(_)
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
