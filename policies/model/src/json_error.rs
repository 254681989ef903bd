//! What a JSON error says to whoever sent the document: the shape that was expected and the shape that was found, never a value. serde repeats the
//! value, and where a reference belongs people write the credential itself.

use serde_json::Error;
use serde_json::error::Category;

/// Serde's words for what was found, each followed by the value if it has one, and ours.
const FOUND: [(&str, &str); 10] = [
    ("string ", "a string"),
    ("character ", "a string"),
    ("integer ", "an integer"),
    ("floating point ", "a number"),
    ("boolean ", "a boolean"),
    ("null", "null"),
    ("unit value", "null"),
    ("sequence", "a list"),
    ("map", "an object"),
    ("byte array", "bytes"),
];

/// Said of what is known to repeat something, or isn't known not to.
const UNKNOWN: &str = "expected the shape that the API documents";

/// The reason of an error, without any value of the document.
#[must_use]
pub fn reason(error: &Error) -> String {
    let text = error.to_string();
    match error.classify() {
        // These are serde_json's own, and fixed.
        Category::Syntax | Category::Eof | Category::Io => text,
        Category::Data => {
            let place = format!(" at line {} column {}", error.line(), error.column());
            shape(text.strip_suffix(&place).unwrap_or(&text)).unwrap_or_else(|| UNKNOWN.to_owned())
        }
    }
}

/// Expected and found; `None` for any message of another form.
fn shape(text: &str) -> Option<String> {
    // Names of fields, from our own structs.
    if text.starts_with("missing field `") || text.starts_with("duplicate field `") {
        return Some(text.to_owned());
    }
    let rest = ["invalid type: ", "invalid value: "].iter().find_map(|p| text.strip_prefix(p))?;
    // What was expected comes last, in our own words; the value before it may hold any text.
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let (_, found) = FOUND.iter().find(|(word, _)| found.starts_with(word))?;
    Some(format!("expected {expected}, found {found}"))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::reason;

    const CANARY: &str = "ghp_canary, expected a list at line 1 column 2";

    #[derive(Debug, Deserialize)]
    enum Choice {
        #[serde(rename = "one")]
        _One,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Closed {
        #[serde(rename = "known")]
        _known: u8,
    }

    fn of<T: DeserializeOwned>(json: &str) -> String {
        reason(&serde_json::from_str::<T>(json).err().expect("an error"))
    }

    #[test]
    fn the_shapes_are_told_and_the_values_are_not() {
        let text = serde_json::to_string(CANARY).expect("a string");
        let cases = [
            (of::<Vec<String>>(&text), "expected a sequence, found a string"),
            (of::<bool>(&text), "expected a boolean, found a string"),
            (of::<String>("5150515051"), "expected a string, found an integer"),
            (of::<String>("5150.5"), "expected a string, found a number"),
            (of::<u8>("5150"), "expected u8, found an integer"),
            (of::<String>("true"), "expected a string, found a boolean"),
            (of::<String>("null"), "expected a string, found null"),
            (of::<String>("[\"ghp_canary\"]"), "expected a string, found a list"),
            (of::<String>("{\"ghp_canary\": 1}"), "expected a string, found an object"),
            (of::<Choice>(&text), super::UNKNOWN),
            (of::<Closed>("{\"ghp_canary\": 1}"), super::UNKNOWN),
            (of::<Closed>("{}"), "missing field `known`"),
            (of::<Closed>("{\"known\": 1, \"known\": 2}"), "duplicate field `known`"),
            (of::<String>("\"ghp_canary"), "EOF while parsing a string at line 1 column 11"),
        ];
        for (said, expected) in cases {
            assert_eq!(said, expected);
        }
    }
}
