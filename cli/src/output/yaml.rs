//! YAML for people to review: block style, and every text quoted that could be read as anything but itself.

use std::io::{self, Write};

use serde_json::Value;

use super::is_unprintable;

/// Writes one document.
pub(crate) fn write(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "---")?;
    block(value, 0, out)
}

/// A value below a key or a dash, each line indented by `depth` steps.
fn block(value: &Value, depth: usize, out: &mut dyn Write) -> io::Result<()> {
    let indent = depth.saturating_mul(STEP);
    if let Value::Object(members) = value {
        return members.iter().try_for_each(|(key, value)| {
            write!(out, "{:indent$}{}:", "", text(key))?;
            below(value, depth, out)
        });
    }
    let Value::Array(items) = value else {
        return writeln!(out, "{:indent$}{}", "", inline(value));
    };
    items.iter().try_for_each(|item| {
        write!(out, "{:indent$}-", "")?;
        let opens = item.as_object().is_some_and(|members| !members.is_empty());
        if opens { first_on_line(item, depth, out) } else { below(item, depth, out) }
    })
}

/// Spaces of one level.
const STEP: usize = 2;

/// What stands behind `key:`; a list stands no deeper than its key, as `kubectl` writes it.
fn below(value: &Value, depth: usize, out: &mut dyn Write) -> io::Result<()> {
    let opens = value.as_object().is_some_and(|members| !members.is_empty());
    let lists = value.as_array().is_some_and(|items| items.iter().any(is_nested));
    if !opens && !lists {
        return writeln!(out, " {}", inline(value));
    }
    writeln!(out)?;
    block(value, if opens { depth.saturating_add(1) } else { depth }, out)
}

/// An object in a list begins on the line of its dash.
fn first_on_line(value: &Value, depth: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut buffer = Vec::new();
    block(value, depth.saturating_add(1), &mut buffer)?;
    let indent = depth.saturating_add(1).saturating_mul(STEP).saturating_sub(1);
    out.write_all(buffer.get(indent..).unwrap_or_default())
}

fn is_nested(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::Array(_))
}

/// A value on one line; of lists only flat ones come here.
fn inline(value: &Value) -> String {
    match value {
        Value::String(own) => text(own),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A text as JSON writes it, with nothing in it that a reader couldn't see.
fn quoted(own: &str) -> String {
    let mut quoted = String::new();
    for character in Value::String(own.to_owned()).to_string().chars() {
        if is_unprintable(character) {
            // All of them are below U+10000.
            quoted.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            quoted.push(character);
        }
    }
    quoted
}

/// A text: plain where it is only letters, digits, dots, dashes and slashes and no word or number of YAML; else as in JSON, which YAML 1.2
/// reads the same.
fn text(own: &str) -> String {
    const WORDS: [&str; 8] = ["true", "false", "null", "yes", "no", "on", "off", "y"];
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '/' | '_');
    let begins = own.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '/');
    let word = |word: &&str| own.eq_ignore_ascii_case(word);
    let is_plain = begins && own.chars().all(plain) && !WORDS.iter().any(word) && own.len() > 1;
    if is_plain { own.to_owned() } else { quoted(own) }
}

#[cfg(test)]
mod tests {
    use pinfold_model::document::{self, Dialect};
    use serde_json::{Value, json};

    /// What is written is read as what it was.
    #[test]
    fn what_is_written_is_read_back() {
        let texts = [
            "",
            "a",
            "y",
            "no",
            "on",
            "1",
            "1.5",
            "1e3",
            "0x1f",
            "~",
            "null",
            "True",
            "-",
            "- a",
            "a: b",
            "a #b",
            "*",
            "&a",
            "!t",
            "@x",
            "`x`",
            "'",
            "\"",
            "\\",
            "line\nline",
            "\t",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "é",
            "system:serviceaccounts",
            "{}",
            "[]",
            ".inf",
            "2026-11-21",
            "<<",
            "%",
            "?",
            "/api/*",
            "a.b/c",
            "=",
        ];
        for text in texts {
            let value = json!({"k": text, "l": [text, "x"], "m": [{"a": text, "b": [text]}]});
            let mut out = Vec::new();
            super::write(&value, &mut out).expect("written");
            let out = String::from_utf8(out).expect("text");
            let nodes = document::read("f", &out, Dialect::Manifest).expect(&out);
            let read: Vec<Value> = nodes.iter().map(document::Node::to_json).collect();
            assert_eq!(read, [value], "{out}");
        }
    }

    #[test]
    fn it_reads_like_kubectl() {
        let value = json!({
            "kind": "Role", "metadata": {"name": "a"}, "empty": [], "none": {},
            "rules": [{"apiGroups": [""], "verbs": ["get", "list"]}, {"verbs": ["*"]}],
        });
        let mut out = Vec::new();
        super::write(&value, &mut out).expect("written");
        let expected = "---\nempty: []\nkind: Role\nmetadata:\n  name: \"a\"\nnone: {}\nrules:\n- apiGroups: [\"\"]\n  verbs: [get, list]\n- verbs: [\"*\"]\n";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
