//! The hash-chained record of decisions: encoder, writer with group commit, independent verifier.
//!
//! A gate hands an [`Event`] to a [`Ledger`] and answers its client only after the [`Receipt`] came back: from then on
//! no crash loses the record. [`verify`] reads what was written without sharing code with the writer.
//! Nothing here decides anything, and nothing here may hold the value of a Secret.

mod chain;
mod clock;
mod disk;
mod encode;
mod error;
mod event;
#[cfg(test)]
mod faults;
pub mod format;
mod key;
mod ledger;
mod mirror;
mod recover;
mod ticket;
pub mod verify;
mod writer;

pub use clock::{Clock, Reading, SystemClock};
pub use error::{LedgerError, OpenError};
pub use event::{Actor, Decision, Event, EventKind, Gate, Object};
pub use ledger::{
    DEFAULT_CHECKPOINT_EVERY, DEFAULT_QUEUE_RECORDS, DEFAULT_ROTATE_BYTES, Ledger, MAX_QUEUE_BYTES,
    Settings, Stats,
};
pub use ticket::{Receipt, Ticket};
