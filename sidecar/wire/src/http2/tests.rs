//! Pseudo-header fields that agree, and that don't.

use http::Request;

use super::*;

fn parts(method: &str, uri: &str, fields: &[(&str, &str)]) -> request::Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

#[test]
fn row_59_authority_and_target() {
    type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);
    let cases: &[(Case, Result<&str, HeadError>)] = &[
        (("GET", "https://a.example/x?y", &[]), Ok("a.example")),
        (("GET", "https://A.Example.:443/", &[("host", "a.example")]), Ok("a.example:443")),
        (("GET", "https://a.example/", &[("host", "b.example")]), Err(HeadError::HostMismatch)),
        (("GET", "https://a.example/", &[("host", "a.example:80")]), Err(HeadError::HostMismatch)),
        (
            ("GET", "https://a.example/", &[("host", "a.example"), ("host", "a.example")]),
            Err(HeadError::HostRepeated),
        ),
        (("GET", "http://a.example/", &[]), Err(HeadError::PseudoFields)),
        (("GET", "/x", &[("host", "a.example")]), Err(HeadError::PseudoFields)),
        (("CONNECT", "b.example:22", &[]), Ok("b.example:22")),
        (
            ("POST", "https://a.example/", &[("content-length", "1"), ("content-length", "1")]),
            Err(HeadError::Framing),
        ),
    ];
    for ((method, uri, fields), expected) in cases {
        let read = head(&parts(method, uri, fields), BodyFraming::None);
        let read = read.map(|head| head.authority.to_string());
        assert_eq!(read, expected.map(str::to_owned), "{method} {uri} {fields:?}");
    }
    let userinfo = head(&parts("GET", "https://u@a.example/", &[]), BodyFraming::None);
    assert!(matches!(userinfo, Err(HeadError::TargetAuthority(_))), "row 53: {userinfo:?}");
    let numeric = head(&parts("GET", "https://2130706433/", &[]), BodyFraming::None);
    assert!(matches!(numeric, Err(HeadError::TargetAuthority(_))), "row 18: {numeric:?}");
    let many: Vec<(&str, &str)> = vec![("x-a", "b"); HEADERS_MAX + 1];
    let many = head(&parts("GET", "https://a.example/", &many), BodyFraming::None);
    assert_eq!(many.err(), Some(HeadError::TooManyHeaders));
}

#[test]
fn what_is_read_is_what_an_http1_head_would_be() {
    let fields = [("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"), ("accept", "*/*")];
    let parts = parts("POST", "https://a.example/p/../q?r=%2F", &fields);
    let head = head(&parts, BodyFraming::Length(3)).expect("a head");
    assert_eq!(head.headers["cookie"], "a=1; b=2");
    assert_eq!(head.body, BodyFraming::Length(3));
    assert!(head.keep_alive && head.upgrade.is_none() && !head.expect_continue);
    let Target::Origin(path) = &head.target else { panic!("{:?}", head.target) };
    let path = path.normalize().expect("one reading");
    assert_eq!((path.decoded(), path.to_wire().as_str()), ("/q", "/q?r=%2F"));
}
