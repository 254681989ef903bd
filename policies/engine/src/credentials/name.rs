//! Names of fields, variables and keys that say what their value is: `DB_PASSWORD`, `apiKey`, `--auth-token`.

/// What a name says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A password: chosen by people, so it needs little to be one.
    Password,
    /// A secret, token or key: made by machines.
    Secret,
    /// Some key. Most are of caches, tables and events, so only what has a form of its own is a credential.
    Key,
}

/// Words of such names, for the automaton; each name ends with one.
pub(super) const WORDS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "key",
    "credential",
    "_pass",
    "-pass",
    ".pass",
    "_auth",
];

/// Names that have one of these are of something public.
const PUBLIC: [&str; 12] = [
    "public",
    "checksum",
    "hash",
    "digest",
    "fingerprint",
    "sha256",
    "nexttoken",
    "pagetoken",
    "pubkey",
    "pub_key",
    "pub-key",
    "continuetoken",
];

/// Longest name that is looked at, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 96;

/// What a name says of its value; `None` if nothing.
pub(super) fn kind_of(name: &str) -> Option<Kind> {
    let name = core(name);
    let last = name.bytes().last()?.to_ascii_lowercase();
    let ends = |word: &str| ends_with(name, word);
    let apart = |word: &str| ends_apart(name, word);
    let kind = match last {
        b'd' if ends("password") || ends("passwd") || apart("pwd") => Kind::Password,
        b'e' if ends("passphrase") => Kind::Password,
        b's' if apart("pass") => Kind::Password,
        b's' if ends("credentials") => Kind::Secret,
        b't' if ends("secret") => Kind::Secret,
        b'n' if ends("token") => Kind::Secret,
        b'l' if ends("credential") => Kind::Secret,
        b'h' if apart("auth") && name.len() > "auth".len() => Kind::Secret,
        b'y' if is_secret_key(name) => Kind::Secret,
        b'y' if apart("key") && name.len() > "key".len() => Kind::Key,
        _ => return None,
    };
    let public = name.len() > NAME_BYTES_MAX || PUBLIC.iter().any(|word| contains(name, word));
    (!public).then_some(kind)
}

/// A name without what doesn't change its meaning: dashes of a flag, quotes, a number at its end.
fn core(name: &str) -> &str {
    let name = name.trim_start_matches(['-', '"', '\'', '.', '_']);
    name.trim_end_matches(|last: char| {
        last.is_ascii_digit() || matches!(last, '_' | '-' | '"' | '\'')
    })
}

fn is_secret_key(name: &str) -> bool {
    const BEFORE_KEY: [&str; 18] = [
        "api",
        "access",
        "secret",
        "private",
        "auth",
        "account",
        "master",
        "signing",
        "encryption",
        "license",
        "shared",
        "fernet",
        "hmac",
        "jwt",
        "cookie",
        "webhook",
        "ingest",
        "storage",
    ];
    let Some(before) = strip_end(name, "key") else { return false };
    let before = before.trim_end_matches(['_', '-', '.', ' ']);
    BEFORE_KEY.iter().any(|word| ends_with(before, word))
}

/// The name without a word that it ends with, in any case.
fn strip_end<'n>(name: &'n str, word: &str) -> Option<&'n str> {
    let start = name.len().checked_sub(word.len())?;
    let (before, end) = name.split_at_checked(start)?;
    end.eq_ignore_ascii_case(word).then_some(before)
}

fn ends_with(name: &str, word: &str) -> bool {
    strip_end(name, word).is_some()
}

/// Whether a name ends with a word of its own: `db_pass`, `dbPass`, not `bypass`.
fn ends_apart(name: &str, word: &str) -> bool {
    let Some(before) = strip_end(name, word) else { return false };
    let Some(last) = before.bytes().last() else { return true };
    let first = name.as_bytes().get(before.len()).copied().unwrap_or_default();
    !last.is_ascii_alphanumeric() || (first.is_ascii_uppercase() && last.is_ascii_lowercase())
}

/// Whether a name has a word anywhere, in any case.
fn contains(name: &str, word: &str) -> bool {
    name.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

/// A name in lower case without separators, as patterns by name are written.
pub(super) fn folded(name: &str) -> String {
    let kept = core(name).bytes().filter(u8::is_ascii_alphanumeric);
    kept.map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}

#[cfg(test)]
mod tests {
    use super::{Kind, folded, kind_of};

    #[test]
    fn names() {
        let cases = [
            ("DB_PASSWORD", Some(Kind::Password)),
            ("--redis-password", Some(Kind::Password)),
            ("spring.datasource.password", Some(Kind::Password)),
            ("MYSQL_PASS", Some(Kind::Password)),
            ("dbPass", Some(Kind::Password)),
            ("PASSWORD_2", Some(Kind::Password)),
            ("bypass", None),
            ("compass", None),
            ("oldpwd", None),
            ("API_KEY", Some(Kind::Secret)),
            ("apiKey", Some(Kind::Secret)),
            ("x-api-key", Some(Kind::Secret)),
            ("GITHUB_TOKEN", Some(Kind::Secret)),
            ("clientSecret", Some(Kind::Secret)),
            ("REDIS_AUTH", Some(Kind::Secret)),
            ("auth", None),
            ("FERNET_KEY", Some(Kind::Secret)),
            ("fernetKey", Some(Kind::Secret)),
            ("idempotencyKey", Some(Kind::Key)),
            ("CACHE_KEY", Some(Kind::Key)),
            ("monkey", None),
            ("key", None),
            ("DB_PASSWORD_FILE", None),
            ("passwordSecretRef", None),
            ("secretName", None),
            ("tokenExpirationSeconds", None),
            ("checksum/secret", None),
            ("PUBLIC_KEY", None),
            ("passwordHash", None),
            ("", None),
            ("é", None),
        ];
        for (name, expected) in cases {
            assert_eq!(kind_of(name), expected, "{name}");
        }
        assert_eq!(folded("--AWS_SECRET-Access.Key"), "awssecretaccesskey");
    }
}
