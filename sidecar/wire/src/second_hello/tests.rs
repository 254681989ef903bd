//! Cases of `crate::second_hello`, with both sides of rustls where they can make the bytes.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::crypto::ring::kx_group::{SECP384R1, X25519};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use super::*;

fn record(content: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
    [&[content, 3, 3, length[0], length[1]], payload].concat()
}

/// A message of the handshake in records of so many bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| record(HANDSHAKE, part)).collect()
}

fn server_hello(random: [u8; 32]) -> Vec<u8> {
    let body = [&[3, 3], random.as_slice(), &[0, 0x13, 1, 0, 0, 2, 0, 43]].concat();
    let length = u8::try_from(body.len()).expect("short");
    [&[SERVER_HELLO, 0, 0, length], body.as_slice()].concat()
}

/// What is found until no other hello is awaited.
fn answers(bytes: &[u8], step: usize) -> Vec<Answer> {
    let mut reader = AnswerReader::default();
    let mut found = Vec::new();
    for piece in bytes.chunks(step) {
        found.extend(reader.feed(piece));
        if found.last() == Some(&Answer::Other) {
            break;
        }
    }
    found
}

#[test]
fn what_a_server_answers() {
    let retry = server_hello(RETRY_RANDOM);
    let mut near = RETRY_RANDOM;
    near[31] ^= 1;
    let warning = record(ALERT, &[1, 112]);
    let dummy = record(CHANGE_CIPHER_SPEC, &[1]);
    let other = server_hello(near);
    let cases: &[(&str, Vec<u8>, &[Answer])] = &[
        ("nothing", vec![], &[]),
        ("a server hello", records(&other, 9999), &[Answer::Other]),
        ("a retry", records(&retry, 9999), &[Answer::Retry]),
        ("a retry in pieces", records(&retry, 7), &[Answer::Retry]),
        (
            "a retry behind a warning",
            [warning.clone(), records(&retry, 99)].concat(),
            &[Answer::Retry],
        ),
        (
            "behind an empty record",
            [record(HANDSHAKE, &[]), records(&retry, 99)].concat(),
            &[Answer::Retry],
        ),
        (
            "a retry, then a server hello",
            [records(&retry, 99), dummy.clone(), records(&other, 99)].concat(),
            &[Answer::Retry, Answer::Other],
        ),
        (
            "a retry, then another",
            [records(&retry, 5), dummy, records(&retry, 99)].concat(),
            &[Answer::Retry, Answer::Retry],
        ),
        ("a fatal alert", record(ALERT, &[2, 40]), &[Answer::Other]),
        ("a warning of code 2", record(ALERT, &[1, 2]), &[]),
        ("a warning alone", warning, &[]),
        ("less than a server hello", records(&other, 99)[..42].to_vec(), &[]),
        ("another message", record(HANDSHAKE, &[0]), &[Answer::Other]),
        ("a banner", b"S".to_vec(), &[Answer::Other]),
        ("an HTTP answer", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), &[Answer::Other]),
        ("another version", vec![HANDSHAKE, 4], &[Answer::Other]),
        ("encrypted data", record(APPLICATION_DATA, &[0; 9]), &[Answer::Other]),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(answers(bytes, 1), *expected, "{name}");
        // In one piece, the first answer is the one that counts.
        assert_eq!(answers(bytes, 9999).first(), expected.first(), "{name}");
    }
}

fn provider(groups: &[&'static dyn rustls::crypto::SupportedKxGroup]) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { kx_groups: groups.to_vec(), ..ring::default_provider() })
}

/// A client that offers a share of X25519, and a server that wants one of P-384 or takes it.
fn pair(retries: bool) -> (ClientConnection, ServerConnection) {
    let client = ClientConfig::builder_with_provider(provider(&[X25519, SECP384R1]))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let wanted = if retries { SECP384R1 } else { X25519 };
    let server = ServerConfig::builder_with_provider(provider(&[wanted]))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a pair");
    let name = ServerName::try_from("a.example").expect("a name");
    let client = ClientConnection::new(Arc::new(client), name).expect("a client");
    (client, ServerConnection::new(Arc::new(server)).expect("a server"))
}

fn said_by(connection: &mut rustls::Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes).expect("written");
    }
    bytes
}

fn told(connection: &mut rustls::Connection, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        connection.read_tls(&mut bytes).expect("read");
        connection.process_new_packets().expect("understood");
    }
}

/// What the server answers to a real hello, and what the client says then.
fn real(retries: bool) -> (Vec<u8>, Vec<u8>) {
    let (client, server) = pair(retries);
    let (mut client, mut server) =
        (rustls::Connection::from(client), rustls::Connection::from(server));
    told(&mut server, &said_by(&mut client));
    let answer = said_by(&mut server);
    if retries {
        told(&mut client, &answer);
    }
    (answer, said_by(&mut client))
}

/// How many bytes passed, and what the second hello says.
fn second(bytes: &[u8], step: usize) -> Result<(usize, Option<ClientHello>), HelloError> {
    let mut reader = SecondHelloReader::default();
    let (mut held, mut passed) = (Vec::new(), 0_usize);
    for piece in bytes.chunks(step) {
        held.extend_from_slice(piece);
        loop {
            match reader.read(&held)? {
                Part::NeedMore => break,
                Part::Pass(count) => {
                    held.drain(..count);
                    passed = passed.saturating_add(count);
                }
                Part::Hello(hello) => return Ok((passed, Some(hello))),
            }
        }
    }
    Ok((passed, None))
}

#[test]
fn real_servers_and_clients() {
    let (answer, _) = real(false);
    let (retry, flight) = real(true);
    for step in [1, 7, 9999] {
        assert_eq!(answers(&answer, step), [Answer::Other], "by {step}");
        assert_eq!(answers(&retry, step), [Answer::Retry], "by {step}");
        let (passed, hello) = second(&flight, step).expect("a hello");
        let hello = hello.expect("a hello");
        assert_eq!(hello.sni.expect("a name").as_str(), "a.example");
        // A change_cipher_spec for middleboxes comes before it.
        assert_eq!((passed, passed + hello.length), (6, flight.len()), "by {step}");
    }
}

#[test]
fn what_comes_before_a_second_hello() {
    let (_, flight) = real(true);
    let hello = &flight[6..];
    let early = record(APPLICATION_DATA, &[7; 16_000]);
    let cases = [
        ("alone", hello.to_vec(), 0),
        ("early data", [early.clone(), hello.to_vec()].concat(), early.len()),
        ("and more", [early.clone(), early.clone(), flight.clone()].concat(), 2 * early.len() + 6),
        ("in records of one byte", records(&hello[5..], 1), 0),
    ];
    for (name, bytes, expected) in cases {
        for step in [1, 4096, 99_999] {
            let (passed, found) = second(&bytes, step).expect(name);
            assert_eq!(passed, expected, "{name}");
            let found = found.expect(name);
            assert_eq!(found.length, bytes.len() - passed, "{name}");
        }
    }
    assert_eq!(second(&record(ALERT, &[2, 47]), 1), Ok((7, None)), "a client that gives up");
}

#[test]
fn what_is_refused_there() {
    let (_, flight) = real(true);
    let hello = &flight[6..];
    let (first, last) = hello[5..].split_at(20);
    let interleaved =
        [record(HANDSHAKE, first), record(CHANGE_CIPHER_SPEC, &[1]), record(HANDSHAKE, last)];
    let endless: Vec<u8> = (0..9).flat_map(|_| record(APPLICATION_DATA, &[0; 16_000])).collect();
    let cases = [
        ("not TLS", b"GET / HTTP/1.1\r\n".to_vec()),
        ("another message", record(HANDSHAKE, &[20, 0, 0, 1, 0])),
        ("another version", vec![APPLICATION_DATA, 2, 0, 0, 1]),
        ("a record too large", vec![APPLICATION_DATA, 3, 3, 0xff, 0xff]),
        ("a hello with something inside", interleaved.concat()),
        ("early data without an end", endless),
    ];
    for (name, bytes) in cases {
        for step in [1, 99_999] {
            second(&bytes, step).expect_err(name);
        }
    }
}

proptest! {
    /// However either side's bytes are cut, the same is found; other bytes never panic.
    #[test]
    fn cuts_change_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300), step in 1_usize..50) {
        let framed = record(HANDSHAKE, &bytes);
        for bytes in [&bytes, &framed] {
            let (cut, bytewise) = (answers(bytes, step), answers(bytes, 1));
            prop_assert_eq!(cut.first(), bytewise.first());
            let (cut, whole) = (second(bytes, step), second(bytes, 9999));
            prop_assert_eq!(cut.is_ok(), whole.is_ok());
        }
    }
}
