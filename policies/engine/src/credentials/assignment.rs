//! Assignments in text: `password: x`, `TOKEN=x`, `"apiKey": "x"`, `--auth-token x`, `<password>x</password>`, `?access_token=x`.
//!
//! Reads a bounded piece around one word, so that many words cost no more than the text is long.

use super::name::NAME_BYTES_MAX;
use super::value::VALUE_BYTES_MAX;

/// What is assigned to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Assignment<'t> {
    /// The name.
    pub(super) name: &'t str,
    /// Where the value begins in the text.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
}

/// The assignment whose name has its last word at `start..end`; `None` if nothing is assigned there.
pub(super) fn at(text: &str, start: usize, end: usize) -> Option<Assignment<'_>> {
    let bytes = text.as_bytes();
    let after = |at: usize| bytes.get(at).copied();
    let mut name_end = end;
    while after(name_end).is_some_and(|byte| byte.is_ascii_digit() || byte == b'_') {
        name_end = name_end.checked_add(1)?;
    }
    // `password_file`, `tokenUrl` are other names.
    if after(name_end).is_some_and(|byte| is_name(byte) && byte != b'.') {
        return None;
    }
    let name_start = back(bytes, start);
    let name = text.get(name_start..name_end)?;
    let value = value_start(bytes, name_end, name.starts_with("--"))?;
    let (start, end) = value_span(bytes, value)?;
    text.get(start..end)?;
    Some(Assignment { name, start, end })
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Where the name begins that goes on at `start`.
fn back(bytes: &[u8], start: usize) -> usize {
    let before = bytes.get(..start).unwrap_or_default();
    let length =
        before.iter().rev().take(NAME_BYTES_MAX).take_while(|byte| is_name(**byte)).count();
    start.saturating_sub(length)
}

/// Where the value begins, behind quotes, spaces and the sign that assigns.
fn value_start(bytes: &[u8], name_end: usize, flag: bool) -> Option<usize> {
    let mut at = skip(bytes, name_end, |byte| matches!(byte, b'"' | b'\'' | b'\\' | b']'));
    let spaced = skip(bytes, at, |byte| matches!(byte, b' ' | b'\t'));
    let sign = skip(bytes, spaced, |byte| matches!(byte, b':' | b'=' | b'>'));
    if sign > spaced {
        at = skip(bytes, sign, |byte| matches!(byte, b' ' | b'\t'));
        return Some(at);
    }
    // A flag and its value: `--token x`.
    (flag && spaced > name_end && bytes.get(spaced) != Some(&b'-')).then_some(spaced)
}

fn skip(bytes: &[u8], from: usize, wanted: impl Fn(u8) -> bool) -> usize {
    const SKIPPED_MAX: usize = 32;
    let rest = bytes.get(from..).unwrap_or_default();
    from.saturating_add(rest.iter().take(SKIPPED_MAX).take_while(|byte| wanted(**byte)).count())
}

/// The value from `at` on, without its quotes; `None` if it is too long, or code.
fn value_span(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut start = at;
    while bytes.get(start) == Some(&b'\\') {
        start = start.checked_add(1)?;
    }
    let quote = bytes.get(start).copied().filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
    if quote.is_some() {
        start = start.checked_add(1)?;
    }
    let rest = bytes.get(start..)?;
    let length =
        rest.iter().take(VALUE_BYTES_MAX.saturating_add(1)).take_while(|byte| match quote {
            Some(quote) => **byte != quote && **byte != b'\n' && **byte != b'\\',
            None => !ends_bare(**byte),
        });
    let length = length.count();
    let end = start.checked_add(length)?;
    // A call, or a tag, an anchor or an alias of YAML.
    let tag = bytes.get(start).is_some_and(|byte| matches!(byte, b'!' | b'&' | b'*'));
    let code = quote.is_none() && (tag || bytes.get(end) == Some(&b'('));
    (length > 0 && length <= VALUE_BYTES_MAX && !code).then_some((start, end))
}

fn ends_bare(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || matches!(
            byte,
            b'"' | b'\''
                | b'`'
                | b','
                | b';'
                | b'&'
                | b'('
                | b')'
                | b'}'
                | b']'
                | b'<'
                | b'>'
                | b'|'
                | b'\\'
        )
}

#[cfg(test)]
mod tests {
    use super::at;

    #[test]
    fn assignments() {
        let cases = [
            ("password: hunter2", Some(("password", "hunter2"))),
            ("DB_PASSWORD=hunter2;x", Some(("DB_PASSWORD", "hunter2"))),
            (r#"{"db_password": "hunter2"}"#, Some(("db_password", "hunter2"))),
            (r#"{\"password\":\"hunter2\"}"#, Some(("password", "hunter2"))),
            ("--redis-password hunter2 --x", Some(("--redis-password", "hunter2"))),
            ("--password=hunter2", Some(("--password", "hunter2"))),
            ("<password>hunter2</password>", Some(("password", "hunter2"))),
            ("?a=b&password=hunter2&c=d", Some(("password", "hunter2"))),
            ("spring.password = 'a b'", Some(("spring.password", "a b"))),
            ("password2: hunter2", Some(("password2", "hunter2"))),
            ("config['password'] = 'x1'", Some(("password", "x1"))),
            ("password: ", None),
            ("password_file=x", None),
            ("the password is x", None),
            ("passwordRef: x", None),
            ("password = get(x)", None),
            ("--password --other", None),
            ("password", None),
        ];
        for (text, expected) in cases {
            let start = text.to_lowercase().find("password").expect("the word");
            let found = at(text, start, start + "password".len());
            let found = found
                .map(|found| (found.name, text.get(found.start..found.end).unwrap_or_default()));
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(at("é: password=é", 4, 12).map(|found| found.start), Some(13));
    }
}
