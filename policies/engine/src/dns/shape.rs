//! How much a name below a wildcard can say: what a tunnel through DNS needs, and names that people and clouds give don't have.
//!
//! Bounds of each name here; how many names there may be is [`NEW_NAMES_PER_MINUTE_MAX`]. Together they leave an attacker who serves
//! names below an allowed wildcard some 3 KiB a minute, which is seen in records and metrics long before it is worth it.

use pinfold_model::host::DnsName;
use pinfold_model::policy::agent::EgressRule;
use pinfold_model::reason::{Denial, Reason};

/// Bytes of all labels below the wildcard's suffix, dots included. A service name of AWS has about 60.
pub const BELOW_BYTES_MAX: usize = 100;
/// Bytes of the longest label. DNS itself allows 63, which is what tunnels fill.
pub const LABEL_BYTES_MAX: usize = 56;
/// A run of letters and digits without hyphens is looked at from this length.
pub const DENSE_PIECE_BYTES_MIN: usize = 16;
/// Shannon entropy of all such runs, in bits a character, from which they are dense: hexadecimal has up to 4, base32 up to 5.
pub const DENSE_BITS_MIN: f64 = 3.0;
/// Bytes of dense runs. An account's or function's identifier of 32 characters is one honest run.
pub const DENSE_BYTES_MAX: usize = 32;
/// Names below one wildcard that may be asked for within a minute for the first time.
pub const NEW_NAMES_PER_MINUTE_MAX: u32 = 30;

/// What is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    Below(usize),
    Label(usize),
    Dense(usize),
}

/// Judges the labels below a wildcard's suffix.
pub(super) fn judge(below: &str) -> Result<(), Excess> {
    if below.len() > BELOW_BYTES_MAX {
        return Err(Excess::Below(below.len()));
    }
    let longest = below.split('.').map(str::len).max().unwrap_or_default();
    if longest > LABEL_BYTES_MAX {
        return Err(Excess::Label(longest));
    }
    let dense = dense_bytes(below);
    if dense > DENSE_BYTES_MAX { Err(Excess::Dense(dense)) } else { Ok(()) }
}

/// Bytes of the long runs of letters and digits, if their characters together are as even as chance makes them.
fn dense_bytes(below: &str) -> usize {
    let mut counts = [0_u8; 128];
    let mut bytes = 0_u8;
    let long = |piece: &&str| piece.len() >= DENSE_PIECE_BYTES_MIN;
    for byte in below.split(['.', '-', '_']).filter(long).flat_map(str::bytes) {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count = count.saturating_add(1);
            bytes = bytes.saturating_add(1);
        }
    }
    let share = |count: &u8| f64::from(*count) / f64::from(bytes);
    let used = counts.iter().filter(|count| **count > 0).map(share);
    // Shannon entropy, in bits a character.
    let bits: f64 = used.map(|share| -share * share.log2()).sum();
    if bits >= DENSE_BITS_MIN { bytes.into() } else { 0 }
}

impl Excess {
    pub(super) fn denial(self, name: &DnsName, rule: &EgressRule) -> Denial {
        let (what, found, most) = match self {
            Self::Below(found) => ("bytes below the wildcard", found, BELOW_BYTES_MAX),
            Self::Label(found) => ("bytes in one label", found, LABEL_BYTES_MAX),
            Self::Dense(found) => ("bytes that look random", found, DENSE_BYTES_MAX),
        };
        let message = format!("`{name}` has {found} {what}, at most {most} may leave in a name");
        let remedy = "list this name itself in `spec.egress.allow` if it is meant";
        Denial::new(Reason::Limit, &rule.place, message, remedy)
    }
}
