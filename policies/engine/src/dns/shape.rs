//! How much a name below a wildcard can say: what a tunnel through DNS needs, and names that people and clouds give don't have.
//!
//! Bounds of each name here; how many names there may be is [`NEW_NAMES_PER_MINUTE_MAX`]. Together they leave an attacker who serves
//! names below an allowed wildcard some 3 KiB a minute, which is seen in records and metrics long before it is worth it.

use pinfold_model::host::DnsName;
use pinfold_model::policy::agent::EgressRule;
use pinfold_model::reason::{Denial, Reason};

use super::denial;

/// Bytes of all labels below the wildcard's suffix, dots included. A service name of AWS has about 60.
pub const BELOW_BYTES_MAX: usize = 100;
/// Bytes of the longest label. DNS itself allows 63, which is what tunnels fill.
pub const LABEL_BYTES_MAX: usize = 56;
/// A run of letters and digits without hyphens is looked at from this length.
pub const DENSE_PIECE_BYTES_MIN: usize = 16;
/// Shannon entropy, in bits a character, from which such a run is dense: hexadecimal has 4, base32 5, words less than 3.5.
pub const DENSE_BITS_MIN: f64 = 3.0;
/// Bytes of all dense runs. An account's or function's identifier of 32 characters is one honest run.
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
    let pieces = below.split(['.', '-', '_']).filter(|piece| is_dense(piece));
    let dense = pieces.fold(0_usize, |sum, piece| sum.saturating_add(piece.len()));
    if dense > DENSE_BYTES_MAX { Err(Excess::Dense(dense)) } else { Ok(()) }
}

fn is_dense(piece: &str) -> bool {
    piece.len() >= DENSE_PIECE_BYTES_MIN && bits_per_character(piece) >= DENSE_BITS_MIN
}

/// Shannon entropy of the characters of a text.
fn bits_per_character(text: &str) -> f64 {
    let mut counts = [0_u8; 128];
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count = count.saturating_add(1);
        }
    }
    let length = f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX));
    let share = |count: &u8| f64::from(*count) / length;
    let used = counts.iter().filter(|count| **count > 0).map(share);
    used.map(|share| -share * share.log2()).sum()
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
        denial(Reason::Limit, &rule.place, message, remedy)
    }
}
