//! JSON values as YAML in block style. What isn't a plain word is written as JSON writes it, which every YAML reader reads as the same text.

use std::io::{self, Write};

use serde_json::Value;

/// Words that YAML readers of some version take for something else than text.
const WORDS: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf"];
/// Longest word without quotes.
const WORD_BYTES_MAX: usize = 64;

/// Writes one document, with the line that begins it.
pub(super) fn write(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "---")?;
    block(value, 0, false, out)
}

/// Writes a value from the beginning of a line, or (`inline`) after `- `.
fn block(value: &Value, depth: usize, inline: bool, out: &mut dyn Write) -> io::Result<()> {
    let indent = "  ".repeat(depth);
    let before = |first: bool| if first && inline { "" } else { indent.as_str() };
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (position, (name, value)) in members.iter().enumerate() {
                write!(out, "{}{}:", before(position == 0), text(name))?;
                if is_scalar(value) {
                    write!(out, " ")?;
                    block(value, 0, true, out)?;
                } else {
                    writeln!(out)?;
                    let list = value.is_array();
                    block(value, if list { depth } else { depth.saturating_add(1) }, false, out)?;
                }
            }
            Ok(())
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().try_for_each(|(position, item)| {
                write!(out, "{}- ", before(position == 0))?;
                block(item, depth.saturating_add(1), true, out)
            })
        }
        Value::String(string) => writeln!(out, "{}{}", before(true), text(string)),
        Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {
            writeln!(out, "{}{value}", before(true))
        }
    }
}

fn is_scalar(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn text(text: &str) -> String {
    let is_word = text.len() <= WORD_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_word { text.to_owned() } else { printable(&Value::from(text).to_string()) }
}

/// JSON leaves DEL, the C1 controls and the line separators as they are; YAML wants them escaped.
fn printable(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        let separates = matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}');
        if character.is_control() || separates {
            text.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use pinfold_model::document::{Dialect, Node, read};
    use serde_json::json;

    use super::write;

    #[test]
    fn what_is_written_is_read_back() {
        let value = json!({
            "apiVersion": "v1", "a b": "x: y # z", "true": [], "none": {}, "n": null, "number": "1e3",
            "list": [1, "two\n\u{7f}\u{85}\u{2028}\"", {"a": {"b": [true, -1]}, "c": "On"}, ["nested", {}, [[0]]]],
            "pinfold.dev/cut": "- no", "é": "ü", "long": "a".repeat(99),
        });
        let mut out = Vec::new();
        write(&value, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let nodes = read("t.yaml", &text, Dialect::Manifest)
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        let found: Vec<_> = nodes.iter().map(Node::to_json).collect();
        assert_eq!(found, [value], "{text}");
        assert!(text.starts_with("---\n") && text.contains("\napiVersion: v1\n"), "{text}");
        assert!(text.contains("\nlist:\n- 1\n- "), "{text}");
    }
}
