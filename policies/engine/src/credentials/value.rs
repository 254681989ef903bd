//! Whether a value can be a credential: neither a placeholder nor a reference, a path or a word, and random enough.

use super::check::decode;
use super::name::Kind;

/// Shortest password.
const PASSWORD_BYTES_MIN: usize = 6;
/// Shortest secret that isn't a password.
const SECRET_BYTES_MIN: usize = 8;
/// From here on a secret needs no digit.
const LONG_BYTES_MIN: usize = 16;
/// Longest value that a name is asked about; longer ones are texts.
pub(super) const VALUE_BYTES_MAX: usize = 1024;
/// Least entropy of random text, in bits a character.
const ENTROPY_BITS_MIN: f64 = 2.6;
/// Least entropy of a long secret, in bits a character.
const LONG_ENTROPY_BITS_MIN: f64 = 3.2;
/// As many equal characters in a row are no accident in something random.
const EQUAL_RUN_MAX: usize = 6;

/// What stands for a value, or isn't one, wherever it occurs; in lower case.
const PLACEHOLDERS: [&str; 24] = [
    "example",
    "changeme",
    "change-me",
    "change_me",
    "placeholder",
    "your-",
    "your_",
    "yourp",
    "yours",
    "dummy",
    "sample",
    "redacted",
    "replace",
    "insert",
    "fixme",
    "xxxx",
    "****",
    "....",
    "foobar",
    "abcdef",
    "notused",
    "not-used",
    "ignored",
    "fake",
];

/// What says what a value is rather than being it, unless it is made more complicated, as people do with passwords.
const WEAK_WORDS: [&str; 6] = ["password", "passwd", "secret", "token", "default", "123456"];

/// Begins the account key of every Azurite, the emulator of Azure's storage
/// (<https://learn.microsoft.com/azure/storage/common/storage-connect-azurite>).
const AZURITE_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6";

/// What templates put where a value comes later.
const TEMPLATES: [&str; 9] = ["${", "$(", "{{", "}}", "<%", "%(", "$[", "((", "@@"];

/// What references begin with: paths, variables, secret stores, encrypted values.
const REFERENCES: [&str; 17] = [
    "/",
    "./",
    "../",
    "~/",
    "$",
    "%",
    "vault:",
    "ref+",
    "op://",
    "arn:",
    "file:",
    "env:",
    "projects/",
    "ENC[",
    "{cipher}",
    "secret:",
    "sm://",
];

/// Whether a text stands for a credential rather than being one.
fn is_placeholder(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    PLACEHOLDERS.iter().any(|word| lower.contains(word)) || stands_open(text)
}

/// Whether a text is one that nobody has to keep: filled in later, of one character, or known to all.
fn stands_open(text: &str) -> bool {
    is_template(text) || has_equal_run(text) || text.starts_with(AZURITE_KEY)
}

/// Whether part of a text is filled in later.
fn is_template(text: &str) -> bool {
    let bracketed = text.starts_with('<') && text.ends_with('>');
    bracketed || TEMPLATES.iter().any(|mark| text.contains(mark))
}

fn has_equal_run(text: &str) -> bool {
    let mut run: usize = 0;
    let mut last = None;
    for byte in text.bytes() {
        run = if last == Some(byte) { run.saturating_add(1) } else { 1 };
        last = Some(byte);
        if run >= EQUAL_RUN_MAX {
            return true;
        }
    }
    false
}

/// Whether the part of a token that is random is.
pub(super) fn is_random(text: &str) -> bool {
    !is_token_placeholder(text) && entropy_bits(text) >= ENTROPY_BITS_MIN
}

/// A token's own prefix may have any word, so fewer are placeholders.
fn is_token_placeholder(text: &str) -> bool {
    const WORDS: [&str; 9] = [
        "example",
        "xxxx",
        "placeholder",
        "your",
        "redacted",
        "changeme",
        "1234567890",
        "abcdefgh",
        "dummy",
    ];
    let lower = text.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.contains(word)) || stands_open(text)
}

/// Whether a value of a name of this kind can be a credential.
pub(super) fn is_plausible(kind: Kind, value: &str) -> bool {
    let shape = Shape::of(value);
    let out = value.len() > VALUE_BYTES_MAX || shape.spaces || is_reference(value);
    if out || is_placeholder(value) {
        return false;
    }
    // What is a placeholder in base64 is one too.
    let text = decode(value).and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    if text.is_some_and(|text| is_placeholder(&text) || is_weak(kind, &text))
        || is_weak(kind, value)
    {
        return false;
    }
    match kind {
        Kind::Password => value.len() >= PASSWORD_BYTES_MIN && is_password(value, &shape),
        Kind::Secret => is_secret(value, &shape),
        Kind::Key => false,
    }
}

/// Whether a value says what it is, rather than being it.
fn is_weak(kind: Kind, value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let complicated = kind == Kind::Password && Shape::of(value).is_complicated();
    !complicated && WEAK_WORDS.iter().any(|word| lower.contains(word))
}

fn is_reference(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let word = matches!(
        lower.as_str(),
        "true" | "false" | "null" | "none" | "nil" | "disabled" | "enabled"
    );
    let begins = REFERENCES.iter().any(|prefix| value.starts_with(prefix));
    // Of URLs the password is a matter of their own pattern.
    word || begins || value.contains("://") || value.contains("()")
}

/// What a value is made of.
#[derive(Debug, Default)]
struct Shape {
    letters: usize,
    digits: usize,
    symbols: usize,
    capitals: usize,
    /// Changes between small letters, capitals and digits.
    changes: usize,
    spaces: bool,
}

#[derive(PartialEq, Clone, Copy)]
enum Class {
    Small,
    Capital,
    Digit,
    Separator,
    Symbol,
}

fn class(byte: u8) -> Class {
    match byte {
        b'a'..=b'z' => Class::Small,
        b'A'..=b'Z' => Class::Capital,
        b'0'..=b'9' => Class::Digit,
        b'-' | b'_' | b'.' | b':' | b'/' => Class::Separator,
        _ => Class::Symbol,
    }
}

impl Shape {
    fn of(value: &str) -> Self {
        let mut shape = Self::default();
        let mut last = None;
        for byte in value.bytes() {
            shape.spaces |= byte.is_ascii_whitespace();
            let class = class(byte);
            if class == Class::Capital {
                shape.capitals = shape.capitals.saturating_add(1);
            }
            let count = match class {
                Class::Small | Class::Capital => &mut shape.letters,
                Class::Digit => &mut shape.digits,
                Class::Symbol => &mut shape.symbols,
                Class::Separator => continue,
            };
            *count = count.saturating_add(1);
            if last.is_some_and(|last| last != class) {
                shape.changes = shape.changes.saturating_add(1);
            }
            last = Some(class);
        }
        shape
    }
}

impl Shape {
    /// At least three of small letters, capitals, digits and symbols.
    fn is_complicated(&self) -> bool {
        let small = self.letters.saturating_sub(self.capitals);
        let kinds = [small, self.capitals, self.digits, self.symbols];
        kinds.iter().filter(|count| **count > 0).count() >= 3
    }
}

fn is_password(value: &str, shape: &Shape) -> bool {
    let kinds =
        [shape.letters, shape.digits, shape.symbols].iter().filter(|count| **count > 0).count();
    if is_identifier(value) {
        return false;
    }
    kinds >= 2 || is_mixed(value, shape)
}

fn is_secret(value: &str, shape: &Shape) -> bool {
    if value.len() < SECRET_BYTES_MIN || is_identifier(value) || shape.letters == 0 {
        return false;
    }
    let short = shape.digits >= 2 && shape.changes >= 3;
    if value.len() < LONG_BYTES_MIN {
        return short && entropy_bits(value) >= ENTROPY_BITS_MIN;
    }
    let hex = value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let mixed = is_mixed(value, shape) || (short && shape.changes.saturating_mul(6) >= value.len());
    mixed && (hex || entropy_bits(value) >= LONG_ENTROPY_BITS_MIN)
}

/// Long, and changing between letters and digits or capitals as words don't.
fn is_mixed(value: &str, shape: &Shape) -> bool {
    value.len() >= LONG_BYTES_MIN && shape.changes.saturating_mul(4) >= value.len()
}

/// Names of objects, settings and code: words with separators, each of letters only, or short, or of a number at its end.
fn is_identifier(value: &str) -> bool {
    let parts: Vec<&str> = value.split(['-', '_', '.', '/', ':']).collect();
    let plain = |part: &&str| {
        let body = part.trim_end_matches(|last: char| last.is_ascii_digit());
        let tail = part.len().saturating_sub(body.len());
        let letters = body.bytes().all(|byte| byte.is_ascii_alphabetic());
        letters && tail <= 4 && !is_mixed(body, &Shape::of(body))
    };
    // `name-7f9c4d-x2b4z`: what Kubernetes appends is short, and in small letters.
    let generated = |part: &&str| {
        part.len() <= 10
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let first = parts.first().is_some_and(plain_word);
    match parts.len() {
        0 => true,
        1 => value.bytes().all(|byte| byte.is_ascii_alphabetic()) && parts.iter().all(plain),
        _ => {
            parts.iter().all(plain)
                || (first && parts.iter().all(|part| plain(part) || generated(part)))
        }
    }
}

fn plain_word(part: &&str) -> bool {
    part.len() >= 2 && part.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Shannon's entropy of the bytes of a text, in bits a byte.
pub(super) fn entropy_bits(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    let mut total = 0_u32;
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count = count.saturating_add(1);
        }
        total = total.saturating_add(1);
    }
    let total = f64::from(total);
    let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / total);
    shares.map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests;
