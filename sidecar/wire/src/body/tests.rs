//! Cases of `crate::body`; "row" is a row of the attack table.

use proptest::prelude::*;

use super::*;
use crate::field::FieldError;

/// Decodes `input` in pieces of at most `step` bytes: the data, and how many bytes were used when the body ended.
fn decode(
    framing: BodyFraming,
    input: &[u8],
    step: usize,
) -> Result<(Vec<u8>, Option<usize>), BodyError> {
    let mut decoder = BodyDecoder::new(framing);
    let (mut data, mut total) = (Vec::new(), 0_usize);
    for piece in std::iter::once(&input[..0]).chain(input.chunks(step)) {
        let mut rest = piece;
        loop {
            let (used, event) = decoder.feed(rest)?;
            rest = &rest[used..];
            total = total.saturating_add(used);
            match event {
                BodyEvent::NeedMore => break,
                BodyEvent::Data(part) => data.extend_from_slice(part),
                BodyEvent::End => return Ok((data, Some(total))),
            }
        }
        assert!(rest.is_empty(), "all is used when more is needed");
    }
    Ok((data, None))
}

#[test]
fn bodies_at_any_segmentation() {
    use BodyFraming::{Chunked, Length, None as Nothing};
    let many_trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(TRAILERS_MAX));
    let extension = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(EXTENSION_BYTES_MAX));
    // framing, input, data, bytes used (none: incomplete)
    let cases: &[(BodyFraming, &str, &str, Option<usize>)] = &[
        (Nothing, "GET", "", Some(0)),
        (Length(0), "GET", "", Some(0)),
        (Length(3), "abcGET", "abc", Some(3)),
        (Length(3), "ab", "ab", None),
        (Chunked, "3\r\nabc\r\n0\r\n\r\nGET", "abc", Some(13)),
        (Chunked, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde", Some(20)),
        (Chunked, "0A\r\n0123456789\r\n0\r\n\r\n", "0123456789", Some(21)),
        (Chunked, "3;a=b;c=\"d\"\r\nabc\r\n000\r\n\r\n", "abc", Some(25)),
        (Chunked, "0\r\nX-Sum: 1\r\n\r\nGET", "", Some(15)),
        (Chunked, "3\r\nabc\r\n", "abc", None),
        (Chunked, "0\r\n", "", None),
        (Chunked, &many_trailers, "", Some(many_trailers.len())),
        (Chunked, &extension, "x", Some(extension.len())),
    ];
    for (framing, input, data, used) in cases {
        for step in [1, 2, 3, 7, 5000] {
            let found = decode(*framing, input.as_bytes(), step);
            assert_eq!(found, Ok((data.as_bytes().to_vec(), *used)), "{input:?} by {step}");
        }
    }
}

#[test]
fn rows_49_58_malformed_chunks() {
    let extension = format!("1;{}", "e".repeat(EXTENSION_BYTES_MAX + 1));
    let spread = format!("1;{}\r\nx\r\n", "e".repeat(64)).repeat(17);
    let trailer = format!("0\r\nx: {}", "v".repeat(TRAILER_BYTES_MAX));
    let trailers = format!("0\r\n{}", "a: b\r\n".repeat(TRAILERS_MAX + 1));
    let cases: &[(&str, BodyError)] = &[
        ("\r\n", BodyError::Size),
        (";a\r\n", BodyError::Size),
        ("-1\r\n", BodyError::Size),
        ("+1\r\n", BodyError::Size),
        ("0x1\r\n", BodyError::Size),
        ("1 \r\n", BodyError::Size),
        (" 1\r\n", BodyError::Size),
        ("1 ;a\r\n", BodyError::Size),
        ("g\r\n", BodyError::Size),
        ("1\n", BodyError::Size),
        ("00000000000000001\r\n", BodyError::Size),
        ("10000000000000000\r\n", BodyError::Size),
        ("1\rx", BodyError::LineEnding),
        ("1;a\nx", BodyError::Extension),
        ("1;a\0\r\n", BodyError::Extension),
        ("1;a\rx", BodyError::LineEnding),
        ("3\r\nabcd\r\n", BodyError::LineEnding),
        ("3\r\nabc\n0\r\n", BodyError::LineEnding),
        ("3\r\nabc\rx", BodyError::LineEnding),
        ("0\r\nx: y\rz", BodyError::LineEnding),
        ("0\r\nx: y\nz: a\r\n", BodyError::Trailer(FieldError::Value)),
        ("0\r\nx y: z\r\n", BodyError::Trailer(FieldError::Name)),
        ("0\r\nGET / HTTP/1.1\r\n", BodyError::Trailer(FieldError::NoColon)),
        ("0\r\n x: z\r\n", BodyError::Trailer(FieldError::Folded)),
        ("0\r\nTransfer-Encoding: chunked\r\n", BodyError::ForbiddenTrailer),
        ("0\r\nContent-Length: 4\r\n", BodyError::ForbiddenTrailer),
        ("0\r\nHost: other\r\n", BodyError::ForbiddenTrailer),
        ("0\r\nAuthorization: x\r\n", BodyError::ForbiddenTrailer),
        ("0\r\nX-Pinfold-Agent: x\r\n", BodyError::ForbiddenTrailer),
        (&extension, BodyError::ExtensionTooLarge),
        (&spread, BodyError::ExtensionTooLarge),
        (&trailer, BodyError::TrailersTooLarge),
        (&trailers, BodyError::TrailersTooLarge),
    ];
    for (input, expected) in cases {
        for step in [1, 5000] {
            let found = decode(BodyFraming::Chunked, input.as_bytes(), step);
            assert_eq!(found, Err(*expected), "{} by {step}", input.escape_debug());
        }
    }
}

#[test]
fn an_error_is_final() {
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked);
    assert_eq!(decoder.feed(b"x"), Err(BodyError::Size));
    assert_eq!(decoder.feed(b"0\r\n\r\n"), Err(BodyError::Failed));
    assert!(!decoder.is_done());
}

proptest! {
    #[test]
    fn segmentation_never_matters(input in "[0-3a;\r\n:x]{0,40}", step in 1_usize..8) {
        let whole = decode(BodyFraming::Chunked, input.as_bytes(), 1000);
        prop_assert_eq!(decode(BodyFraming::Chunked, input.as_bytes(), step), whole);
    }
}
