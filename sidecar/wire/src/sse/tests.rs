//! Cases of `crate::sse`; "row" is a row of the attack table.

use proptest::prelude::*;

use super::*;

const MAX: usize = 64;

fn read(stream: &[u8], step: usize) -> Result<Vec<SseItem>, SseError> {
    let mut reader = SseReader::new(MAX);
    let mut items: Vec<SseItem> = Vec::new();
    for piece in stream.chunks(step) {
        for item in reader.feed(piece)? {
            if item != SseItem::Comment || items.last() != Some(&SseItem::Comment) {
                items.push(item);
            }
        }
    }
    Ok(items)
}

/// `id|name|retry|data`, each `-` when absent; `:` for a comment.
fn show(items: &[SseItem]) -> Vec<String> {
    let show = |item: &SseItem| match item {
        SseItem::Comment => ":".to_owned(),
        SseItem::Event(event) => {
            let retry = event.retry_ms().map(|ms| ms.to_string());
            let parts = [event.id(), event.name(), retry.as_deref(), event.data()];
            parts.map(|part| part.unwrap_or("-")).join("|")
        }
    };
    items.iter().map(show).collect()
}

#[test]
fn rows_98a_99_streams_at_any_segmentation() {
    let cases: &[(&[u8], &[&str])] = &[
        (b"data: x\n\n", &["-|-|-|x"]),
        (b"data: x\r\r", &["-|-|-|x"]),
        (b"data: x\r\n\r\n", &["-|-|-|x"]),
        (b"data: x\r\ndata: y\r\n\r\n", &["-|-|-|x\ny"]),
        (b"data: x\rdata: y\r\r", &["-|-|-|x\ny"]),
        (b"data: x\r\n\ndata: y\n\r", &["-|-|-|x", "-|-|-|y"]),
        (b"\xEF\xBB\xBFdata: x\n\n", &["-|-|-|x"]),
        (b"\n\xEF\xBB\xBFdata: x\n\n", &[]),
        (b"data:x\ndata: y\ndata\n\n", &["-|-|-|x\ny\n"]),
        (b"data:  x\n\n", &["-|-|-| x"]),
        (b"id: 7\nevent: message\nretry: 100\ndata: x\n\n", &["7|message|100|x"]),
        (b"id: 7\ndata:\n\n", &["7|-|-|"]),
        (b"id: 7\n\n", &["7|-|-|-"]),
        (b"id: a\0b\ndata: x\n\n", &["-|-|-|x"]),
        (b"retry: 1x\ndata: x\n\n", &["-|-|-|x"]),
        (b"retry: 99999999999999999999\ndata: x\n\n", &["-|-|-|x"]),
        (b": ping\n\n:\n\ndata: x\n\n", &[":", "-|-|-|x"]),
        (b": inside\ndata: x\n\n", &[":", "-|-|-|x"]),
        (b"other: x\nDATA: y\n\n", &[]),
        (b"data : x\n\n", &[]),
        (b"\n\n\n", &[]),
        (b"data: x\n", &[]),
        (b"data: x", &[]),
        (b"data: caf\xc3\xa9\n\n", &["-|-|-|caf\u{e9}"]),
        (b"data: [{\"jsonrpc\":1}]\n\n", &["-|-|-|[{\"jsonrpc\":1}]"]),
    ];
    for (stream, expected) in cases {
        for step in 1..stream.len().saturating_add(1) {
            let items = read(stream, step).expect("a stream");
            assert_eq!(show(&items), *expected, "{} by {step}", stream.escape_ascii());
        }
    }
}

#[test]
fn bounds_and_encoding() {
    let fits = format!("data: {}\n\n", "x".repeat(MAX - 6));
    let large = format!("data: {}\n\n", "x".repeat(MAX - 5));
    let spread = "data: 12345678\n".repeat(5);
    let cases: &[(&[u8], Option<SseError>)] = &[
        (fits.as_bytes(), None),
        (large.as_bytes(), Some(SseError::TooLarge { max: MAX })),
        (&[b'x'; 65], Some(SseError::TooLarge { max: MAX })),
        (spread.as_bytes(), Some(SseError::TooLarge { max: MAX })),
        (b"data: \xff\n\n", Some(SseError::Utf8)),
    ];
    for (stream, expected) in cases {
        for step in [1, 7, 1000] {
            assert_eq!(read(stream, step).err(), *expected, "{}", stream.escape_ascii());
        }
    }
}

#[test]
fn many_comments_and_events_are_no_large_event() {
    let mut reader = SseReader::new(MAX);
    for _ in 0..1000 {
        reader.feed(b": keep-alive comment\n").expect("a comment");
        reader.feed(b"data: 123456789\n\n").expect("an event");
    }
    assert!(!reader.is_inside_event());
}

#[test]
fn an_error_is_final_and_the_end_of_a_stream_is_seen() {
    let mut reader = SseReader::new(MAX);
    reader.feed(b"data: \xff\n").expect_err("not UTF-8");
    reader.feed(b"data: x\n\n").expect_err("stays refused");
    let mut reader = SseReader::new(MAX);
    reader.feed(b"data: x\n").expect("half an event");
    assert!(reader.is_inside_event());
}

proptest! {
    /// No data can forge a field, an event or a line (row 99).
    #[test]
    fn written_events_read_the_same(data in "[a-z:\r\n \u{e9}]{0,30}", id in "[a-z0-9]{1,5}") {
        let mut reader = SseReader::new(1000);
        let read = reader.feed(format!("id: {id}\ndata: old\n\n").as_bytes()).expect("an event");
        let [SseItem::Event(event)] = read.as_slice() else { panic!("one event: {read:?}") };
        let event = event.clone().with_data(data.clone());
        let again = SseReader::new(1000).feed(&event.encode()).expect("an event");
        let unified = data.replace("\r\n", "\n").replace('\r', "\n");
        prop_assert_eq!(again, vec![SseItem::Event(event.with_data(unified))]);
    }
}
