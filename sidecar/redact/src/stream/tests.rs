//! Chunked equals whole, for any text and any pieces; and what is held back is bounded.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::Redactor;
use crate::GAP_BYTES_MAX;
use crate::known::Known;

const VALUE: &str = "s3cr\"et/t0ken+42";

fn whole(known: &Arc<Known>, text: &[u8]) -> (Vec<u8>, u64) {
    known.clean_bytes(text).unwrap_or_else(|| (text.to_vec(), 0))
}

fn pieces(known: &Arc<Known>, text: &[u8], cuts: &[usize]) -> (Vec<u8>, u64) {
    let most = known.longest().saturating_mul(GAP_BYTES_MAX.saturating_add(6));
    let mut redactor = Redactor::new(Arc::clone(known));
    let mut passed = Vec::new();
    let mut rest = text;
    for cut in cuts.iter().cycle().take(text.len().saturating_add(1)) {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        passed.extend(redactor.feed(piece));
        assert!(redactor.held_bytes() <= most);
        rest = after;
    }
    passed.extend(redactor.feed(rest));
    passed.extend(redactor.finish());
    (passed, redactor.found())
}

/// Pieces of values and of what is around them, so that half of a value, escapes and blanks meet often.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let encoded = STANDARD.encode(format!("xy{VALUE}"));
    let (left, right) = VALUE.split_at(7);
    let (begun, ended) = encoded.split_at(9);
    let pieces = vec![
        VALUE.to_owned(),
        left.to_owned(),
        right.to_owned(),
        "s3cr\\\"et\\/t0ken+42".to_owned(),
        "s3cr%22et%2ft0ken%2b42".to_owned(),
        "\\u0073\\u0033cr".to_owned(),
        begun.to_owned(),
        ended.to_owned(),
        "%".to_owned(),
        "%2".to_owned(),
        "\\".to_owned(),
        "\\u00".to_owned(),
        "\n".to_owned(),
        "\r\n ".to_owned(),
        " ".repeat(GAP_BYTES_MAX),
        "s".to_owned(),
        "é".to_owned(),
        "text ".to_owned(),
    ];
    let piece = prop_oneof![
        4 => proptest::sample::select(pieces).prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn row_99_any_segmentation_gives_the_same(text in text(), cuts in proptest::collection::vec(1_usize..40, 1..8)) {
        let known = Arc::new(Known::new(&[VALUE.as_bytes()]).expect("a value"));
        let (expected, times) = whole(&known, &text);
        prop_assert_eq!(pieces(&known, &text, &cuts), (expected.clone(), times));
        // Nothing of the value is left as it stands.
        let value = VALUE.as_bytes();
        prop_assert!(!expected.windows(value.len()).any(|window| window == value));
    }
}

#[test]
fn row_99_every_cut_of_every_form() {
    let known = Arc::new(Known::new(&[VALUE.as_bytes()]).expect("a value"));
    let encoded = STANDARD.encode(VALUE);
    let text =
        format!("a {VALUE} b {encoded} c s3cr%22et%2Ft0ken%2B42 d s3cr\\\"et\\/t0\nken+42 e");
    let (expected, times) = whole(&known, text.as_bytes());
    assert_eq!(times, 4);
    for size in 1..=text.len() {
        assert_eq!(pieces(&known, text.as_bytes(), &[size]), (expected.clone(), 4), "{size}");
    }
}

#[test]
fn what_cannot_begin_a_value_passes_at_once() {
    let known = Arc::new(Known::new(&[VALUE.as_bytes()]).expect("a value"));
    let mut redactor = Redactor::new(Arc::clone(&known));
    assert_eq!(redactor.feed(b"data: {\"a\": 1}\n\n"), b"data: {\"a\": 1}\n\n");
    assert_eq!(redactor.feed(b"data: s3cr"), b"data: ");
    assert_eq!((redactor.feed(b"\n"), redactor.feed(b"\n")), (vec![], b"s3cr\n\n".to_vec()));
}
