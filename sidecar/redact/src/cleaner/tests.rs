//! Values of every shape: what is replaced, what stays, what can't be passed on.

use serde_json::{Value, json};

use super::{At, Cleaner, Findings, Uncleanable};
use crate::known::Known;
use crate::schema::Schema;

const TOKEN: &str = "injected-t0ken-value";
/// One that is valid base64 as it stands.
const HEX_TOKEN: &str = "deadbeef00112233445566778899aabbccddeeff";

/// A token of GitHub's form, its checksum included, put together so that no scanner takes it for a real one.
pub(crate) fn github() -> String {
    ["gh", "p_a8F3kd92Lq71Zx0PvT4mWc6RbN5yHs", "1w8Lo3"].concat()
}

fn clean(value: &Value, schema: Option<&Value>) -> Result<(Value, Findings), Uncleanable> {
    let known =
        Known::new(&[TOKEN.as_bytes(), HEX_TOKEN.as_bytes(), b"4815162342"]).expect("values");
    let mut cleaner = Cleaner::new(Some(&known), true, false);
    let mut value = value.clone();
    cleaner.value(&mut value, At { schema: Schema::of(schema), ..At::TOP })?;
    Ok((value, cleaner.findings))
}

#[test]
fn strings_become_strings_and_all_else_stays() {
    let value =
        json!({"a": [TOKEN, 1, true, null, 1.5], TOKEN: {"b": TOKEN}, "n": -0.0, "honest": "text"});
    let (cleaned, findings) = clean(&value, None).expect("cleaned");
    let expected = json!({"a": ["[redacted]", 1, true, null, 1.5], "[redacted]": {"b": "[redacted]"}, "n": -0.0, "honest": "text"});
    assert_eq!(cleaned, expected);
    assert_eq!(findings.to_words(), ["credential=3"]);
}

#[test]
fn keys_that_become_the_same_are_kept_apart() {
    let value =
        json!({format!("a{TOKEN}"): 1, format!("a {TOKEN}").replace(' ', ""): 1, "a[redacted]": 2});
    let (cleaned, _) = clean(&value, None).expect("cleaned");
    assert_eq!(cleaned, json!({"a[redacted]": 2, "a[redacted]-2": 1}));
}

#[test]
fn what_has_the_form_of_a_credential_is_taken_out_by_form_and_by_name() {
    let cases = [
        (
            json!({"text": format!("use {} now", github())}),
            json!({"text": "use [redacted:github-token] now"}),
        ),
        (
            json!({"db_password": "hunter2!Hunter2"}),
            json!({"db_password": "[redacted:named-password]"}),
        ),
        (
            json!({"text": "password=hunter2!Hunter2;x=1"}),
            json!({"text": "password=[redacted:named-password];x=1"}),
        ),
        (
            json!({"tokens": ["a", "b"], "password": "changeme"}),
            json!({"tokens": ["a", "b"], "password": "changeme"}),
        ),
        (json!({github(): 1}), json!({"[redacted:github-token]": 1})),
        // What messages are told apart by stays.
        (
            json!({"progressToken": "8f14e45fceea167a5a36dedd4bea2543"}),
            json!({"progressToken": "8f14e45fceea167a5a36dedd4bea2543"}),
        ),
        (json!({"nextCursor": github()}), json!({"nextCursor": github()})),
        (json!({"nextCursor": TOKEN}), json!({"nextCursor": "[redacted]"})),
    ];
    for (value, expected) in cases {
        assert_eq!(clean(&value, None).expect("cleaned").0, expected, "{value}");
    }
}

#[test]
fn row_100_blobs_are_decoded_and_honest_ones_stay_as_they_are() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let told = STANDARD.encode(format!("\u{1}PNG {TOKEN} end"));
    let honest = STANDARD.encode(b"\x89PNG\r\n\x1a\n honest");
    for (member, around) in [
        ("data", json!({"type": "image", "mimeType": "image/png"})),
        ("data", json!({"type": "audio", "mimeType": "audio/wav"})),
        ("blob", json!({"uri": "file:///a"})),
    ] {
        let with = |text: &str| {
            let mut value = around.clone();
            value[member] = json!(text);
            value
        };
        let (cleaned, findings) = clean(&with(&told), None).expect("cleaned");
        let bytes = STANDARD.decode(cleaned[member].as_str().expect("text")).expect("base64");
        assert_eq!(bytes, b"\x01PNG [redacted] end");
        assert_eq!(findings.to_words(), ["credential=1"]);
        assert_eq!(clean(&with(&honest), None).expect("cleaned").0, with(&honest));
        let (cleaned, findings) = clean(&with(HEX_TOKEN), None).expect("cleaned");
        assert_eq!(cleaned[member], "[redacted]", "decoded, it is noise");
        assert_eq!(findings.to_words(), ["credential=1"]);
        // What isn't base64 is a text like any other.
        let (cleaned, _) = clean(&with(&format!("<{}>", github())), None).expect("cleaned");
        assert_eq!(cleaned[member], "<[redacted:github-token]>");
    }
}

#[test]
fn what_would_break_the_schema_is_not_passed_on() {
    let schema = json!({"properties": {"free": {"type": "string"}, "id": {"type": "string", "maxLength": 30}, "n": {"type": "number"}}, "required": ["id"]});
    let free = json!({"free": TOKEN, "id": "x", "n": 1});
    let (cleaned, _) = clean(&free, Some(&schema)).expect("cleaned");
    assert_eq!(cleaned, json!({"free": "[redacted]", "id": "x", "n": 1}));
    let cases = [
        (json!({"id": TOKEN}), Uncleanable::Constrained),
        (json!({"id": "x", TOKEN: 1}), Uncleanable::Constrained),
        (json!({"id": "x", "n": 4_815_162_342_u64}), Uncleanable::Number),
    ];
    for (value, expected) in cases {
        assert_eq!(clean(&value, Some(&schema)), Err(expected), "{value}");
    }
    assert!(clean(&json!({"n": 4_815_162_343_u64}), Some(&schema)).is_ok());
}

#[test]
fn more_than_is_looked_at_is_not_passed_on() {
    let mut much = json!(["x".repeat(2 << 20), "x".repeat(2 << 20)]);
    assert_eq!(clean(&much, None), Err(Uncleanable::TooMuch));
    let mut cleaner = Cleaner::new(None, false, false);
    assert_eq!(cleaner.value(&mut much, At::TOP), Ok(()), "where nothing is looked for");
}
