//! What can go wrong in the harness, said so that whoever runs the tests knows what to do next.

use std::io;
use std::path::PathBuf;

/// Why the harness could not do what a test asked for.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// A file, directory or process could not be used.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The file, directory or program.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// `KUBEBUILDER_ASSETS` names a directory that lacks a program.
    #[error(
        "KUBEBUILDER_ASSETS is `{directory}`, which has no executable `{program}`: point it at a \
         directory with etcd, kube-apiserver and kubectl, or unset it to use the cache"
    )]
    AssetMissing {
        /// The directory that was named.
        directory: PathBuf,
        /// The program that is not in it.
        program: &'static str,
    },
    /// The programs are in no place and there is no Go to build them with.
    #[error(
        "the tests need etcd, kube-apiserver and kubectl {version}, found none in `{cache}`, and \
         cannot run `{go}` to build them ({source}); either install Go 1.25 or later and run the \
         tests again (they build it once, about 8 minutes on two cores), or set \
         KUBEBUILDER_ASSETS to a directory that has the three programs, or set \
         PINFOLD_ASSETS_CACHE to a cache that another machine filled"
    )]
    NoGo {
        /// The Kubernetes version that is wanted.
        version: String,
        /// Where the cache was looked for.
        cache: PathBuf,
        /// The Go command that was tried.
        go: PathBuf,
        /// Why it did not start.
        source: io::Error,
    },
    /// `go build` ran and failed.
    #[error("`go build {package}` failed with {status}; what it said is on stderr above")]
    GoBuild {
        /// The Go package.
        package: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// Neither the cache variables nor HOME say where the cache is.
    #[error("no place for the cache: set PINFOLD_ASSETS_CACHE, XDG_CACHE_HOME or HOME")]
    NoCachePlace,
    /// The tool module does not say which Kubernetes it pins.
    #[error("tests/kube-assets/go.mod requires no `k8s.io/kubernetes vX.Y.Z`")]
    NoVersion,
    /// A certificate could not be made.
    #[error("cannot make the certificate of `{name}`: {source}")]
    Certificate {
        /// The common name.
        name: String,
        /// What rcgen said.
        source: rcgen::Error,
    },
    /// A started process ended before it was ready, or did not get ready in time.
    #[error("`{name}` did not get ready: {reason}; the end of its log:\n{log}")]
    NotReady {
        /// The process.
        name: String,
        /// Exit code or time limit.
        reason: String,
        /// The tail of its output.
        log: String,
    },
    /// A command ended with an error where the test needs success.
    #[error("`{command}` failed with exit code {code:?}:\n{stderr}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit code; none when a signal ended it.
        code: Option<i32>,
        /// Its standard error.
        stderr: String,
    },
    /// An HTTP answer that is none.
    #[error("no HTTP answer from `{address}{path}`: {reason}")]
    Http {
        /// Host and port.
        address: String,
        /// The path asked for.
        path: String,
        /// What came instead.
        reason: String,
    },
}

impl HarnessError {
    /// For `map_err`: names what was tried and on which path.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
