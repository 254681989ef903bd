//! Cases of SOCKS5: greetings and requests, whole, cut anywhere, and wrong.

use super::*;

/// Bytes, and what is read of them.
type Greeting<'b> = (&'b [u8], Result<Option<(bool, usize)>, SocksError>);

#[test]
fn greetings() {
    let cases: &[Greeting<'_>] = &[
        (&[], Ok(None)),
        (&[5], Ok(None)),
        (&[5, 1], Ok(None)),
        (&[5, 2, 2], Ok(None)),
        (&[5, 1, 0], Ok(Some((true, 3)))),
        (&[5, 2, 2, 0, 5, 1], Ok(Some((true, 4)))),
        (&[5, 1, 2], Ok(Some((false, 3)))),
        (&[5, 0], Err(SocksError::NoMethods)),
        (&[4, 1], Err(SocksError::Version)),
        (b"GET ", Err(SocksError::Version)),
    ];
    for (bytes, expected) in cases {
        assert_eq!(greeting(bytes), *expected, "{bytes:?}");
    }
    let longest = [&[5, 255][..], &[1; 255]].concat();
    assert_eq!(greeting(&longest), Ok(Some((false, GREETING_BYTES_MAX))));
}

fn named(name: &[u8]) -> Vec<u8> {
    let length = u8::try_from(name.len()).expect("short");
    [&[5, 1, 0, 3, length], name, &[1, 187]].concat()
}

#[test]
fn rows_18_to_24_46_requests() {
    let v6 = |address: &str| {
        let octets = address.parse::<Ipv6Addr>().expect("an address").octets();
        [&[5, 1, 0, 4], &octets[..], &[0, 80]].concat()
    };
    let long = format!("{}.example", "a.".repeat(123));
    let longest = format!("{}example", "a.".repeat(123));
    let cases: Vec<(Vec<u8>, Result<&str, SocksError>)> = vec![
        (named(b"api.internal"), Ok("api.internal:443")),
        (named(b"API.Internal."), Ok("api.internal:443")),
        (vec![5, 1, 0, 1, 192, 0, 2, 1, 0, 80], Ok("192.0.2.1:80")),
        (v6("2001:db8::1"), Ok("[2001:db8::1]:80")),
        (v6("::ffff:127.0.0.1"), Ok("[::ffff:127.0.0.1]:80")),
        (named(longest.as_bytes()), Ok("")),
        // Not as text what has a form of its own.
        (named(b"127.0.0.1"), Err(SocksError::Name(HostError::Numeric))),
        (named(b"2130706433"), Err(SocksError::Name(HostError::Numeric))),
        (named(b"0x7f.1"), Err(SocksError::Name(HostError::Numeric))),
        (named(b"0177.0.0.1"), Err(SocksError::Name(HostError::Numeric))),
        (named(b"127.1"), Err(SocksError::Name(HostError::Numeric))),
        (named(b"::1"), Err(SocksError::Name(HostError::Character))),
        (named(b"[::1]"), Err(SocksError::Name(HostError::Character))),
        (named(b"a@b.example"), Err(SocksError::Name(HostError::Character))),
        (named(b"a.example:443"), Err(SocksError::Name(HostError::Character))),
        (named("\u{ff11}27.0.0.1".as_bytes()), Err(SocksError::Name(HostError::NotAscii))),
        (named(&[b'a', 0xff]), Err(SocksError::Name(HostError::NotAscii))),
        (named(long.as_bytes()), Err(SocksError::Name(HostError::Length))),
        (named(b"api.internal\0.evil.example"), Err(SocksError::NulInName)),
        (named(b"\0"), Err(SocksError::NulInName)),
        (named(b""), Err(SocksError::EmptyName)),
        (vec![5, 1, 0, 1, 192, 0, 2, 1, 0, 0], Err(SocksError::Port)),
        (vec![5, 2, 0, 1, 192, 0, 2, 1, 0, 80], Err(SocksError::Command)),
        (vec![5, 3, 0, 1, 0, 0, 0, 0, 0, 0], Err(SocksError::Command)),
        (vec![5, 1, 1, 1, 192, 0, 2, 1, 0, 80], Err(SocksError::Reserved)),
        (vec![5, 1, 0, 2, 192, 0, 2, 1, 0, 80], Err(SocksError::AddressType)),
        (vec![4, 1, 0, 80, 192, 0, 2, 1, 0], Err(SocksError::Version)),
    ];
    for (bytes, expected) in cases {
        // Pipelined bytes are left alone.
        let more = [&bytes[..], b"\x16\x03\x01"].concat();
        let found = request(&more);
        match (found, expected) {
            (Ok(Some((read, length))), Ok(text)) => {
                assert_eq!(length, bytes.len(), "{text}");
                let shown = format!("{}:{}", read.host, read.port);
                assert!(text.is_empty() || shown == text, "{shown} {text}");
                for cut in 0..bytes.len() {
                    assert_eq!(request(&bytes[..cut]), Ok(None), "{text} {cut}");
                }
            }
            (found, expected) => {
                assert_eq!(found.err(), expected.err(), "{}", bytes.escape_ascii());
            }
        }
    }
}

#[test]
fn replies_have_ten_bytes_and_a_code() {
    let cases = [
        (Reply::Succeeded, 0),
        (Reply::Failure, 1),
        (Reply::NotAllowed, 2),
        (Reply::HostUnreachable, 4),
        (Reply::Refused, 5),
        (SocksError::Command.reply(), 7),
        (SocksError::AddressType.reply(), 8),
        (SocksError::NulInName.reply(), 1),
    ];
    for (reply, code) in cases {
        assert_eq!(reply.encode(), [5, code, 0, 1, 0, 0, 0, 0, 0, 0], "{reply:?}");
    }
}
