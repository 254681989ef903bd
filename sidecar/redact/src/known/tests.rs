//! Values in every listed form, at every offset, and what is not to be taken for one.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Known, VALUE_BYTES_MAX};
use crate::{GAP_BYTES_MAX, PART_BYTES_MIN, REDACTED};

/// One with characters that every encoding changes.
const VALUE: &str = "t0p/S3cret+\"quo~ted\"?value=%/\\_42";

fn known() -> Known {
    Known::new(&[VALUE.as_bytes()]).expect("a value")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text broken into lines of so many characters.
fn lines(text: &str, width: usize, ending: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let lines: Vec<String> = chars.chunks(width).map(|line| line.iter().collect()).collect();
    lines.join(ending)
}

/// Whether nothing that is left could be a core of the value: neither it nor 8 characters in a row of the form.
fn is_gone(text: &str, form: &str) -> bool {
    let cleaned = known().clean(text).map(|(text, _)| text);
    let Some(cleaned) = cleaned else { return false };
    assert!(cleaned.contains(REDACTED), "{cleaned}");
    !form.as_bytes().windows(8).any(|part| cleaned.as_bytes().windows(8).any(|other| other == part))
}

#[test]
fn rows_100_112_every_listed_form_is_found() {
    let json = serde_json::to_string(VALUE).expect("JSON");
    let escaped: String = VALUE.chars().map(|c| format!("\\u{:04X}", u32::from(c))).collect();
    let every: String = VALUE.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let forms = [
        ("plain", VALUE.to_owned()),
        ("JSON", json.trim_matches('"').to_owned()),
        ("JSON, every character", escaped),
        ("percent", utf8_percent_encode(VALUE, NON_ALPHANUMERIC).to_string()),
        ("percent, every character", every),
        ("hex", hex(VALUE.as_bytes())),
        ("hex, capitals", hex(VALUE.as_bytes()).to_uppercase()),
    ];
    for (name, form) in forms {
        assert!(is_gone(&form, &form), "{name}");
        assert!(is_gone(&format!("before {form} after"), &form), "{name} within");
        // No line is broken within an escape.
        let breaks = !form.contains(['\\', '%']) || form == VALUE;
        for ending in ["\n", "\r\n", "\n    ", " "].into_iter().filter(|_| breaks) {
            let broken = lines(&form, 7, ending);
            assert!(is_gone(&broken, &broken), "{name} in lines by {ending:?}");
        }
    }
}

#[test]
fn row_100_base64_at_every_offset_in_both_alphabets() {
    for before in 0..7 {
        for after in 0..4 {
            let text = format!("{}{VALUE}{}", "x".repeat(before), "y".repeat(after));
            for form in [
                STANDARD.encode(&text),
                STANDARD_NO_PAD.encode(&text),
                URL_SAFE.encode(&text),
                URL_SAFE_NO_PAD.encode(&text),
            ] {
                let core = form.get(before * 4 / 3 + 2..(before + VALUE.len()) * 4 / 3 - 1);
                assert!(is_gone(&form, core.expect("a core")), "{before} {after} {form}");
                let mail = lines(&form, 76, "\r\n");
                assert!(known().is_in(mail.as_bytes()));
                let narrow = lines(&form, 5, "\\n");
                assert!(known().is_in(narrow.as_bytes()), "line breaks of a JSON text");
            }
        }
    }
}

#[test]
fn what_is_near_a_value_stays() {
    let known = known();
    let other = VALUE.replace("42", "43");
    let (left, right) = VALUE.split_at(10);
    let far = format!("{left}{}{right}", " ".repeat(GAP_BYTES_MAX + 1));
    let apart = format!("{left}\n\n{right}");
    for text in ["", "honest text", right, other.as_str(), far.as_str(), apart.as_str()] {
        assert_eq!(known.clean(text), None, "{text}");
    }
    let short = Known::new(&[b"n3w"]).expect("a value");
    assert_eq!(short.clean("a n3w one").map(|(text, _)| text), Some("a [redacted] one".to_owned()));
    assert_eq!(short.clean("a n 3 w one"), None, "too short to be put together");
    assert_eq!(short.clean("bjN3"), None, "too short for other forms");
}

#[test]
fn occurrences_are_counted_and_overlaps_are_one() {
    let known = Known::new(&[b"abcabcabc"]).expect("a value");
    assert_eq!(known.clean("abcabcabc"), Some((REDACTED.to_owned(), 1)));
    assert_eq!(known.clean("abcabcabcabc"), Some((REDACTED.to_owned(), 1)));
    assert_eq!(known.clean("<abcabcabc>abcabcabc"), Some(("<[redacted]>[redacted]".to_owned(), 2)));
}

#[test]
fn a_basic_credential_is_found_decoded_too() {
    let value = STANDARD.encode("robot:hunter2-hunter2");
    let known = Known::new(&[value.as_bytes()]).expect("a value");
    let text = format!("user=robot:hunter2-hunter2 password hunter2-hunter2 {value}");
    let (cleaned, times) = known.clean(&text).expect("found");
    assert_eq!((cleaned.as_str(), times), ("user=[redacted] password [redacted] [redacted]", 3));
}

#[test]
fn row_99_parts_at_edges_are_taken_out() {
    let known = Known::new(&[b"ghp_0123456789abcdefghijklmnopqrstuvwxyz"]).expect("a value");
    let value = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
    for at in 0..=value.len() {
        let (left, right) = value.split_at(at);
        for (text, part) in [(format!("token {left}"), left), (format!("\n {right} is it"), right)]
        {
            let cleaned = known.clean_edges(&text).map(|(text, _)| text);
            let gone = cleaned.is_some_and(|cleaned| !cleaned.contains(part));
            assert_eq!(gone, part.len() >= PART_BYTES_MIN, "{text}");
        }
    }
    // A text that is a piece of the middle, and the same in base64.
    let encoded = STANDARD.encode(value);
    for piece in [value.get(5..20).expect("a piece"), encoded.get(5..25).expect("a piece")] {
        assert_eq!(known.clean_edges(piece), Some((REDACTED.to_owned(), 1)));
        assert_eq!(known.clean_edges(&format!("{piece}, and more")), None);
    }
    assert_eq!(known.clean_edges("tokens begin with ghp_"), None);
}

#[test]
fn what_cannot_be_looked_for_is_said() {
    assert!(Known::new(&[]).is_none() && Known::new(&[b""]).is_none());
    assert!(Known::new(&[&vec![b'a'; VALUE_BYTES_MAX + 1]]).is_none());
    assert!(Known::new(&[&vec![b'a'; VALUE_BYTES_MAX]]).is_some());
    assert_eq!(format!("{:?}", known()), "Known(hidden)");
    let digits = Known::new(&[b"1234567890"]).expect("a value");
    assert!(digits.is_in_number("1234567890") && !known().is_in_number("1234567890"));
}
