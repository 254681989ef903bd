//! Messages of netlink: padding, lengths, and what an answer says.

use super::*;

fn request(attributes: Attributes) -> Request {
    let what = "the rule `x`".to_owned();
    Request {
        kind: 0xa06,
        flags: CREATE,
        header: vec![1, 0, 0, 0],
        attributes,
        what,
        needs: "CONFIG_X",
    }
}

#[cfg(target_endian = "little")]
#[test]
fn messages_are_padded_and_measured() {
    let inner = Attributes::new().bytes(1, &[7]);
    let bytes = request(Attributes::new().text(2, "ab").nested(4, &inner)).bytes(9);
    let wanted = [
        &[44, 0, 0, 0, 6, 10, 1, 4, 9, 0, 0, 0, 0, 0, 0, 0][..], // header
        &[1, 0, 0, 0],                                           // fixed part
        &[7, 0, 2, 0, b'a', b'b', 0, 0],                         // text, padded
        &[12, 0, 4, 0x80, 5, 0, 1, 0, 7, 0, 0, 0],               // nested, padded
    ];
    // The header counts all of it.
    let wanted = wanted.concat();
    assert_eq!(bytes.len(), 40);
    assert_eq!(bytes.get(4..), wanted.get(4..));
    assert_eq!(bytes.first(), Some(&40));
}

#[test]
fn what_the_kernel_says_is_read_within_bounds() {
    let whole = request(Attributes::new().big(3, 5).text(2, "lo")).bytes(1);
    let read = messages(&[whole.clone(), whole.clone()].concat());
    assert_eq!(read.len(), 2);
    let first = read.first().expect("a message");
    assert_eq!(first.attributes(4), [(3, &[0, 0, 0, 5][..]), (2, &b"lo\0"[..])]);
    // Cut anywhere, with any lengths: no message more than is there, and no panic.
    for end in 0..whole.len() {
        assert!(messages(whole.get(..end).expect("a part")).is_empty());
    }
    for length in [0_u32, 1, 15, 17, u32::MAX] {
        let mut lying = whole.clone();
        lying.splice(..4, length.to_ne_bytes());
        for message in messages(&lying) {
            let _ = message.attributes(4);
        }
    }
    for length in [0_u16, 3, 4, u16::MAX] {
        let mut lying = whole.clone();
        lying.splice(20..22, length.to_ne_bytes());
        for message in messages(&lying) {
            assert!(message.attributes(4).len() <= 8);
        }
    }
}

#[test]
fn refusals_say_what_was_refused_and_what_to_do() {
    // (errno, parts of the error)
    let cases: [(i32, &[&str]); 3] = [
        (1, &["the rule `x`", "NET_ADMIN"]),
        (2, &["the rule `x`", "CONFIG_X", "docs/guard.md"]),
        (95, &["the rule `x`", "CONFIG_X", "not supported"]),
    ];
    for (errno, parts) in cases {
        let text = request(Attributes::new()).refused(errno, "").to_string();
        for part in parts {
            assert!(text.contains(part), "{errno}: no `{part}` in `{text}`");
        }
    }
}
