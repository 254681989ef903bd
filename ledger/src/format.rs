//! What the writer and the verifier agree on, and nothing else: names of files, bounds, and the words that are signed.
//!
//! A record is one line of canonical JSON: ASCII only (everything else as `\uXXXX`), keys sorted, no white space, no
//! floats. It is what Python prints with `json.dumps(record, sort_keys=True, separators=(",", ":"))`. `entry_hash` is
//! the SHA-256 of that line without the `entry_hash` member, `prev_hash` the `entry_hash` of the record before.

/// The version of this format, in the genesis record.
pub const FORMAT_VERSION: u64 = 1;

/// `prev_hash` of the genesis record: there is nothing before it.
pub const GENESIS_PREV_HASH: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";

/// `event` of the first record of the first file.
pub const GENESIS_EVENT: &str = "genesis";

/// `purpose` of a checkpoint, so that its signature can't be taken for one over something else.
pub const CHECKPOINT_PURPOSE: &str = "pinfold-ledger-checkpoint/1";

/// `purpose` of a retention anchor: everything up to its record was deleted by the writer.
pub const ANCHOR_PURPOSE: &str = "pinfold-ledger-anchor/1";

/// Signed checkpoints and anchors, one a line.
pub const CHECKPOINTS_FILE: &str = "checkpoints";

/// The public half of the signing key, PEM (`openssl pkey -pubin` reads it).
pub const PUBLIC_KEY_FILE: &str = "key.pub";

/// The private half, PEM, mode 0600, unless the settings name another place.
pub const PRIVATE_KEY_FILE: &str = "key";

/// Held locked by the one writer of a directory.
pub const LOCK_FILE: &str = "lock";

/// Longest line of a log file in bytes. The bounds below keep every record under it.
pub const MAX_RECORD_BYTES: usize = 2 * 1024 * 1024;

/// Longest line of the checkpoints file in bytes.
pub const MAX_CHECKPOINT_BYTES: usize = 4096;

/// Longest single string in bytes, before escaping.
pub const MAX_STRING_BYTES: usize = 1024;

/// Longest `message` in bytes, before escaping.
pub const MAX_MESSAGE_BYTES: usize = 4096;

/// Longest string in a list in bytes: a namespaced Kubernetes name (63 + 1 + 253) fits.
pub const MAX_ITEM_BYTES: usize = 320;

/// Most strings in one list.
pub const MAX_LIST_ITEMS: usize = 64;

/// How an Ed25519 public key starts in DER (RFC 8410, SubjectPublicKeyInfo); its 32 bytes follow.
pub const ED25519_SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const SEGMENT_PREFIX: &str = "audit-";
const SEGMENT_SUFFIX: &str = ".jsonl";
const SEGMENT_DIGITS: usize = 8;

/// The name of log file `number`; the first is 1.
#[must_use]
pub fn segment_name(number: u32) -> String {
    format!("{SEGMENT_PREFIX}{number:0SEGMENT_DIGITS$}{SEGMENT_SUFFIX}")
}

/// The number in the name of a log file; `None` for any other file.
#[must_use]
pub fn segment_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix(SEGMENT_PREFIX)?.strip_suffix(SEGMENT_SUFFIX)?.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_each_others_inverse() {
        for number in [1, 42, 99_999_999, 100_000_000, u32::MAX] {
            assert_eq!(segment_number(&segment_name(number)), Some(number));
        }
        for other in ["audit-1.jsonl", "audit-+0000001.jsonl", "audit-00000001.json", "checkpoints"]
        {
            assert_eq!(segment_number(other), None, "{other}");
        }
    }
}
