//! Cases of `crate::client_hello`; "row" is a row of the attack table.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::pki_types::ServerName;

use super::*;

fn short(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("short");
    [&length.to_be_bytes(), bytes].concat()
}

fn host_name(name: &[u8]) -> Vec<u8> {
    [&[HOST_NAME], short(name).as_slice()].concat()
}

fn sni(name: &[u8]) -> (u16, Vec<u8>) {
    (EXTENSION_SERVER_NAME, short(&host_name(name)))
}

/// The handshake message of a hello with these extensions.
fn handshake(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let block: Vec<u8> = extensions
        .iter()
        .flat_map(|(kind, body)| [kind.to_be_bytes().to_vec(), short(body)].concat())
        .collect();
    let body = [&[3, 3], &[7; 32][..], &[0], &[0, 2, 0x13, 1], &[1, 0], &short(&block)].concat();
    let length = u32::try_from(body.len()).expect("short").to_be_bytes();
    [&[CLIENT_HELLO, length[1], length[2], length[3]], body.as_slice()].concat()
}

fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[HANDSHAKE, 3, 1], short(part).as_slice()].concat();
    message.chunks(size).flat_map(record).collect()
}

fn hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    records(&handshake(extensions), RECORD_BYTES_MAX)
}

fn peek(bytes: &[u8], step: usize) -> Result<Peek, HelloError> {
    let mut reader = ClientHelloReader::new();
    for piece in bytes.chunks(step) {
        match reader.feed(piece)? {
            Peek::NeedMore => {}
            done @ Peek::Done(_) => return Ok(done),
        }
    }
    Ok(Peek::NeedMore)
}

fn name_in(bytes: &[u8], step: usize) -> Result<Option<String>, HelloError> {
    match peek(bytes, step)? {
        Peek::NeedMore => panic!("the hello is complete"),
        Peek::Done(hello) => Ok(hello.sni.map(|name| name.as_str().to_owned())),
    }
}

#[test]
fn rows_33_37_43_46_what_is_refused() {
    let two = [host_name(b"a.example"), host_name(b"b.example")].concat();
    let cut = |at: usize| {
        let mut message = handshake(&[sni(b"a.example")]);
        let length = u8::try_from(message.len() - 4 - at).expect("short");
        message.truncate(message.len() - at);
        message[3] = length;
        records(&message, 9999)
    };
    let trailing = [handshake(&[]), vec![0]].concat();
    let large_record =
        [&[HANDSHAKE, 3, 1, 0x40, 1, CLIENT_HELLO, 0, 0x50], [0; 16_382].as_slice()].concat();
    let endless = records(&[&[CLIENT_HELLO, 1, 0, 0], [0; 65_530].as_slice()].concat(), 9999);
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("ssh", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), "not-tls"),
        ("http", b"GET / HTTP/1.1\r\n".to_vec(), "not-tls"),
        ("socks", vec![5, 1, 0], "not-tls"),
        ("alert", vec![21, 3, 1, 0, 2, 1, 0], "not-tls"),
        ("application data", vec![23, 3, 3, 0, 1, 0], "not-tls"),
        ("handshake of SSL 2.0", vec![0x80, 0x2e, 1, 0, 2], "tls-version"),
        ("version 4", vec![22, 4, 0, 0, 1, 1], "not-tls"),
        ("version 3.9", vec![22, 3, 9, 0, 1, 1], "hello-malformed"),
        ("empty record", vec![22, 3, 1, 0, 0], "hello-malformed"),
        ("large record", large_record, "hello-malformed"),
        ("server hello", vec![22, 3, 1, 0, 4, 2, 0, 0, 0], "hello-malformed"),
        ("hello of 16 MiB", vec![22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff], "hello-limit"),
        ("never complete", endless, "hello-limit"),
        ("bytes behind the hello", records(&trailing, 9999), "hello-malformed"),
        ("cut", cut(1), "hello-malformed"),
        ("cut in the header", cut(30), "hello-malformed"),
        ("two extensions", hello(&[sni(b"a.example"), sni(b"b.example")]), "sni-invalid"),
        ("two names", hello(&[(EXTENSION_SERVER_NAME, short(&two))]), "sni-invalid"),
        ("no name", hello(&[(EXTENSION_SERVER_NAME, short(b""))]), "sni-invalid"),
        ("no list", hello(&[(EXTENSION_SERVER_NAME, Vec::new())]), "hello-malformed"),
        (
            "another type",
            hello(&[(EXTENSION_SERVER_NAME, short(&[1, 0, 1, b'a']))]),
            "hello-malformed",
        ),
        ("empty name", hello(&[sni(b"")]), "sni-invalid"),
        ("NUL", hello(&[sni(b"a.example\0.evil")]), "sni-invalid"),
        ("v4", hello(&[sni(b"10.0.0.1")]), "sni-invalid"),
        ("v6", hello(&[sni(b"::1")]), "sni-invalid"),
        ("bracketed v6", hello(&[sni(b"[::1]")]), "sni-invalid"),
        ("decimal", hello(&[sni(b"2130706433")]), "sni-invalid"),
        ("trailing dot", hello(&[sni(b"a.example.")]), "sni-invalid"),
        ("wildcard", hello(&[sni(b"*.example")]), "sni-invalid"),
        ("UTF-8", hello(&[sni("b\u{fc}cher.example".as_bytes())]), "sni-invalid"),
        ("not UTF-8", hello(&[sni(b"\xff.example")]), "sni-invalid"),
        ("an extension twice", hello(&[(5, vec![]), (5, vec![])]), "hello-malformed"),
        ("empty ALPN name", hello(&[(EXTENSION_ALPN, short(&[0]))]), "hello-malformed"),
    ];
    for (case, bytes, reason) in cases {
        for step in [1, 100_000] {
            let error = peek(bytes, step).expect_err(case);
            assert_eq!(error.reason(), *reason, "{case} by {step}: {error}");
        }
    }
    let nul = name_in(&hello(&[sni(b"a\0")]), 99);
    assert_eq!(nul, Err(HelloError::NulInName));
    assert_eq!(name_in(&hello(&[sni(b"10.1")]), 99), Err(HelloError::AddressInName));
    assert_eq!(peek(&hello(&[sni(b"a"), sni(b"b")]), 99), Err(HelloError::TwoServerNames));
}

#[test]
fn rows_32_35_36_38_what_is_read() {
    let large = (0x0a0a, vec![0; 20_000]);
    let ech = (EXTENSION_ECH, vec![0; 200]);
    let alpn = (EXTENSION_ALPN, short(b"\x02h2\x08http/1.1"));
    let versions = (EXTENSION_SUPPORTED_VERSIONS, vec![4, 0x0a, 0x0a, 3, 4]);
    let message = handshake(&[large, versions, ech, sni(b"API.Example"), alpn]);
    for (record, step) in [(1, 1), (7, 3), (1000, 1400), (RECORD_BYTES_MAX, 100_000)] {
        let bytes = records(&message, record);
        if bytes.len() >= HELLO_BYTES_MAX {
            assert_eq!(peek(&bytes, step), Err(HelloError::TooLarge), "records of {record}");
            continue;
        }
        let Ok(Peek::Done(hello)) = peek(&bytes, step) else { panic!("records of {record}") };
        assert_eq!(hello.sni.as_ref().map(DnsName::as_str), Some("api.example"));
        assert_eq!(hello.alpn, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert_eq!(hello.supported_versions, [0x0a0a, TLS_1_3]);
        assert!(hello.has_ech && hello.offers_modern_version());
    }
    assert_eq!(name_in(&hello(&[]), 1), Ok(None), "row 32");
}

#[test]
fn row_43_versions() {
    // legacy version, supported versions, modern
    let cases: &[(u16, &[u16], bool)] = &[
        (0x0301, &[], false),
        (0x0302, &[], false),
        (TLS_1_2, &[], true),
        (TLS_1_2, &[0x0301, 0x0302], false),
        (TLS_1_2, &[0x0a0a, TLS_1_3], true),
        (TLS_1_2, &[TLS_1_2], true),
    ];
    for (legacy_version, supported_versions, modern) in cases {
        let hello = ClientHello {
            sni: None,
            alpn: Vec::new(),
            legacy_version: *legacy_version,
            supported_versions: supported_versions.to_vec(),
            has_ech: false,
            length: 0,
        };
        assert_eq!(hello.offers_modern_version(), *modern, "{hello:?}");
    }
}

#[test]
fn row_45_all_bytes_are_given_back() {
    let bytes = [hello(&[sni(b"a.example")]), b"early data".to_vec()].concat();
    let mut reader = ClientHelloReader::new();
    let (first, second) = bytes.split_at(20);
    assert_eq!(reader.feed(first), Ok(Peek::NeedMore));
    let Ok(Peek::Done(read)) = reader.feed(second) else { panic!("a hello") };
    assert_eq!(read.length, bytes.len() - b"early data".len());
    reader.feed(b"x").expect_err("the hello was read");
    assert_eq!(reader.into_bytes(), bytes);
}

fn client_config(record: Option<usize>) -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.max_fragment_size = record;
    Arc::new(config)
}

/// The first flight of a real client.
fn real_hello(name: &str, record: Option<usize>) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = rustls::ClientConnection::new(client_config(record), name).expect("a client");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("a hello");
    bytes
}

/// What rustls reads: the server name, or an error.
fn oracle(mut bytes: &[u8]) -> Option<Option<String>> {
    let mut acceptor = rustls::server::Acceptor::default();
    while !bytes.is_empty() {
        acceptor.read_tls(&mut bytes).ok()?;
        if let Some(accepted) = acceptor.accept().ok()? {
            return Some(accepted.client_hello().server_name().map(str::to_ascii_lowercase));
        }
    }
    None
}

fn payloads(bytes: &[u8]) -> Vec<u8> {
    let mut rest = bytes;
    let mut message = Vec::new();
    while let [_, _, _, high, low, after @ ..] = rest {
        let (payload, next) = after.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        message.extend_from_slice(payload);
        rest = next;
    }
    message
}

proptest! {
    /// Row 35, and target D7: the same name as rustls, however records and segments are cut.
    #[test]
    fn agrees_with_rustls(
        name in "([a-zA-Z0-9]([a-zA-Z0-9_-]{0,20}[a-zA-Z0-9])?\\.){0,4}[a-zA-Z]{2,20}",
        record in prop_oneof![Just(1_usize), 2_usize..400, Just(16_384)],
        step in 1_usize..600,
    ) {
        let real = real_hello(&name, None);
        let cut = records(&payloads(&real), record);
        for bytes in [&real, &cut] {
            prop_assert_eq!(name_in(bytes, step), Ok(Some(name.to_ascii_lowercase())));
        }
        let Ok(Peek::Done(hello)) = peek(&cut, step) else { panic!("a hello") };
        prop_assert_eq!(&hello.alpn, &[b"h2".to_vec(), b"http/1.1".to_vec()]);
        prop_assert!(hello.offers_modern_version() && !hello.has_ech);
        prop_assert_eq!(oracle(&cut), Some(Some(name.to_ascii_lowercase())));
    }

    #[test]
    fn agrees_with_rustls_on_its_own_fragments(record in 32_usize..300) {
        let bytes = real_hello("fragments.example", Some(record));
        prop_assert_eq!(name_in(&bytes, 50), Ok(Some("fragments.example".to_owned())));
    }

    /// Mutated hellos never panic, and where both accept, both read the same name.
    #[test]
    fn never_another_name_than_rustls(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        step in 1_usize..600,
    ) {
        let mut bytes = real_hello("name.example", None);
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        if let (Ok(Peek::Done(hello)), Some(theirs)) = (peek(&bytes, step), oracle(&bytes)) {
            prop_assert_eq!(hello.sni.map(|name| name.as_str().to_owned()), theirs);
        }
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), step in 1_usize..50) {
        let framed = records(&[&[CLIENT_HELLO, 0, 0, 200], bytes.as_slice()].concat(), 100);
        let whole = peek(&framed, 1000);
        prop_assert_eq!(peek(&framed, step), whole);
        drop(peek(&bytes, step));
    }
}
