//! Why rules could not be loaded, and what to do.

use std::io;

/// Why rules could not be loaded, or routes not be read.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The settings can't be meant.
    #[error("{0}")]
    Settings(String),
    /// The kernel has no such netlink family.
    #[error(
        "this kernel has no {family} ({source}); use a node whose kernel has {needs} (docs/guard.md)"
    )]
    NoFamily {
        /// nf_tables or rtnetlink.
        family: &'static str,
        /// Options of the kernel.
        needs: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// No right to.
    #[error(
        "no right to load {what} ({source}); run the guard as root with the capability NET_ADMIN, in the pod's network namespace"
    )]
    NoRight {
        /// Rule, chain or route.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The kernel can't.
    #[error("the kernel refused {what} ({source}); it has to have {needs}{remedy} (docs/guard.md)")]
    Refused {
        /// Rule, chain or route.
        what: String,
        /// Options of the kernel.
        needs: &'static str,
        /// What else helps, from a semicolon on.
        remedy: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The kernel did not answer as it should.
    #[error("netlink could not be {action} ({source})")]
    Netlink {
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// Loaded, and without effect.
    #[error(
        "the routes were loaded, but {0}; the kernel may lack uidrange rules: use another node, or `--routes off` and read docs/guard.md on what that gives up"
    )]
    NoEffect(String),
}
