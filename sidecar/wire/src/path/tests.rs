//! Cases of `crate::path`; "row" is a row of the attack table.

use proptest::prelude::*;

use super::{PathError, RequestPath};

#[test]
fn row_54_what_is_judged_and_what_is_forwarded() {
    // raw, judged, forwarded
    let cases = [
        ("/", "/", "/"),
        ("/a/b", "/a/b", "/a/b"),
        ("/a/b/", "/a/b/", "/a/b/"),
        ("/a/./b", "/a/b", "/a/b"),
        ("/a/../b", "/b", "/b"),
        ("/a/..", "/", "/"),
        ("/a/b/.", "/a/b/", "/a/b/"),
        ("/public/%2e%2e/private", "/private", "/private"),
        ("/public/.%2E/private", "/private", "/private"),
        ("/%61bc", "/abc", "/abc"),
        ("/a%20b", "/a b", "/a%20b"),
        ("/a%2bb+c", "/a+b+c", "/a%2Bb+c"),
        ("/%e2%82%ac", "/\u{20ac}", "/%E2%82%AC"),
        ("/@scope/name:1,2=3", "/@scope/name:1,2=3", "/@scope/name:1,2=3"),
        ("/...", "/...", "/..."),
        ("/a%3Fb%23c", "/a?b#c", "/a%3Fb%23c"),
        ("/a?x=%2F..%2F&y=[1]|;", "/a", "/a?x=%2F..%2F&y=[1]|;"),
        ("/a?", "/a", "/a?"),
        ("/a?b?c", "/a", "/a?b?c"),
    ];
    for (raw, judged, forwarded) in cases {
        let path = RequestPath::parse(raw).expect(raw);
        assert_eq!((path.decoded(), path.to_wire().as_str()), (judged, forwarded), "{raw}");
    }
}

#[test]
fn row_54_what_is_ambiguous() {
    let cases = [
        ("", PathError::NotAbsolute),
        ("a", PathError::NotAbsolute),
        ("*", PathError::NotAbsolute),
        ("/a%2fb", PathError::EncodedSlash),
        ("/a/..%2F..%2Fetc", PathError::EncodedSlash),
        ("/a\\..\\b", PathError::Backslash),
        ("/a%5C..", PathError::Backslash),
        ("/a%252e%252e/", PathError::DoubleEncoding),
        ("/100%25", PathError::DoubleEncoding),
        ("/a;v=1/b", PathError::Parameter),
        ("/a/..;/b", PathError::Parameter),
        ("/a%3bv", PathError::Parameter),
        ("//a", PathError::EmptySegment),
        ("/a//../b", PathError::EmptySegment),
        ("/..", PathError::EscapesRoot),
        ("/a/../../b", PathError::EscapesRoot),
        ("/%2e%2e/b", PathError::EscapesRoot),
        ("/a%00", PathError::Control),
        ("/a%0d%0aX:", PathError::Control),
        ("/a%7f", PathError::Control),
        ("/a%c2%85", PathError::Control),
        ("/a\tb", PathError::Control),
        ("/a b", PathError::Character),
        ("/a|b", PathError::Character),
        ("/a#b", PathError::Character),
        ("/\u{ff0e}\u{ff0e}/", PathError::Character),
        ("/a%", PathError::Escape),
        ("/a%2", PathError::Escape),
        ("/a%zz", PathError::Escape),
        ("/a%+1", PathError::Escape),
        ("/%u002e", PathError::Escape),
        ("/%c0%ae%c0%ae/", PathError::Utf8),
        ("/%ff", PathError::Utf8),
        ("/a?x#y", PathError::Character),
        ("/a?%zz", PathError::Escape),
        ("/a?x y", PathError::Control),
        ("/a?\r\nX: y", PathError::Control),
    ];
    for (raw, expected) in cases {
        assert_eq!(RequestPath::parse(raw), Err(expected), "{raw:?}");
    }
}

/// What is only ambiguous passes as it was written, if it is a request target at all.
#[test]
fn row_54_what_passes_as_it_was_written() {
    let cases = [
        ("/@scope%2fname", "an encoded slash"),
        ("/api/v4/projects/a%2Fb?x=%2F", "an encoded slash"),
        ("//a", "an empty segment"),
        ("/a//b/../c", "an empty segment"),
        ("/a;v=1/b", "a semicolon"),
        ("/a%3bv", "a semicolon"),
        ("/100%25", "an encoded percent sign"),
        ("/a%5C..", "a backslash"),
        ("/../a", "`..` above the root"),
        ("/%ff", "escapes that aren't UTF-8"),
    ];
    for (raw, ambiguity) in cases {
        let path = RequestPath::read(raw).expect(raw);
        assert_eq!((path.to_wire().as_str(), path.ambiguity()), (raw, Some(ambiguity)), "{raw}");
        let text = raw.split('?').next().expect("a path");
        assert_eq!(path.decoded(), text);
        assert!(RequestPath::parse(raw).is_err(), "{raw}");
    }
    for raw in ["/", "/a%20b?c", "/a/../b"] {
        assert_eq!(RequestPath::read(raw), RequestPath::parse(raw));
        assert_eq!(RequestPath::read(raw).expect(raw).ambiguity(), None);
    }
    let refused = [
        "",
        "a",
        "a//b",
        "*",
        "//a b",
        "//a\tb",
        "//a\r\nX: y",
        "//a%00",
        "//a%0d",
        "//a%7F",
        "//a#b",
        "//a|b",
        "/a\\b",
        "//a%",
        "//a%2",
        "//a%zz",
        "//\u{e9}",
        "//a?b c",
        "//a?b#c",
        "//a?%z",
    ];
    for raw in refused {
        assert!(RequestPath::read(raw).is_err(), "{raw:?}");
    }
}

proptest! {
    /// What is ambiguous isn't touched, and nothing that ends a request line or a target gets through.
    #[test]
    fn ambiguous_paths_are_not_touched(raw in "/(([a-z.;/#?\\\\ \\x00]|%[0-9a-fA-F]{2}){0,6}/){0,4}") {
        if let Ok(path) = RequestPath::read(&raw)
            && path.ambiguity().is_some()
        {
            prop_assert_eq!(path.to_wire(), raw.clone());
            prop_assert!(raw.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
        }
    }

    /// Whoever reads the forwarded form reads what was judged, and reading it again changes nothing.
    #[test]
    fn forwarding_is_stable(raw in "/(([a-z.]|%[0-9a-fA-F]{2}|[+,:@;%\\\\]){0,6}/){0,5}[a-z.%0-9]{0,5}") {
        if let Ok(path) = RequestPath::parse(&raw) {
            let again = RequestPath::parse(&path.to_wire()).expect("the forwarded form is valid");
            prop_assert_eq!(&again, &path);
            let dots = path.decoded().split('/').any(|segment| segment == "." || segment == "..");
            prop_assert!(!dots);
        }
    }
}
