//! Takes credentials out of what upstreams answer: those that the sidecar injected by their values, others by their form.
//!
//! Pure functions of text: no clock, no sockets, nothing waits. Never tells a value: findings are kinds and numbers. It is a net for what
//! leaks by accident (an echo, an error page, a file that was read), not a wall against a server that means to tell: `docs/results.md`
//! says what isn't found.

mod cleaner;
mod known;
mod machine;
mod marker;
mod message;
mod parts;
mod schema;
mod spans;
mod stream;

pub use cleaner::{Findings, Uncleanable};
pub use known::{Known, VALUE_BYTES_MAX};
pub use machine::GAP_BYTES_MAX;
pub use marker::{Marker, Markers, markers, without_hidden};
pub use message::{CleaningRules, clean_message};
pub use parts::PART_BYTES_MIN;
pub use stream::Redactor;

/// Stands where an injected credential stood.
pub const REDACTED: &str = "[redacted]";
/// The kind of a finding by an injected credential's value; others are ids of patterns.
pub const CREDENTIAL: &str = "credential";
