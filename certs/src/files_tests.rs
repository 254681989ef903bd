//! Cases of reading pairs from files: each fault is named with its file.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::Issued;
use crate::bench::{NAME, authority, hours, names, serving};

/// Files with this content; none where there is none.
fn load(certificate: Option<&[u8]>, key: Option<&[u8]>) -> (TempDir, Result<Pair, FileError>) {
    let directory = TempDir::new().unwrap();
    let files = PairFiles {
        certificate: directory.path().join("tls.crt"),
        key: directory.path().join("tls.key"),
    };
    for (path, content) in [(&files.certificate, certificate), (&files.key, key)] {
        if let Some(content) = content {
            fs::write(path, content).unwrap();
        }
    }
    let provider = rustls::crypto::ring::default_provider();
    let result = files.load(SystemTime::now(), &names(), &provider);
    (directory, result)
}

fn load_issued(issued: &Issued) -> Result<Pair, FileError> {
    load(Some(issued.certificate.as_bytes()), Some(issued.key.expose().as_bytes())).1
}

#[test]
fn a_good_pair_is_taken() {
    let authority = authority();
    let issued = serving(&authority);
    let pair = load_issued(&issued).unwrap();
    let distance = issued.validity.not_after().duration_since(pair.not_after()).unwrap();
    assert!(distance.as_secs() <= 1);
    // With the authority behind it, and text between as OpenSSL writes it.
    let chain = format!("subject=x\n{}\nissuer=y\n{}", issued.certificate, authority.certificate());
    let key = issued.key.expose().as_bytes();
    let pair = load(Some(chain.as_bytes()), Some(key)).1.unwrap();
    assert_eq!(pair.certified().cert.len(), 2);
}

#[test]
fn a_bad_file_is_named_with_what_is_wrong() {
    let issued = serving(&authority());
    let (certificate, key) = (issued.certificate.as_bytes(), issued.key.expose().as_bytes());
    let huge = vec![b'x'; usize::try_from(MAX_FILE_BYTES).unwrap() + 1];
    let shell = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let sick = b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    let secret = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    let rest = [certificate, b"-----BEGIN CERTIFICATE-----\nMIIB"].concat();
    type Case<'a> = (&'a str, Option<&'a [u8]>, Option<&'a [u8]>, &'a str, &'a str);
    let cases: [Case<'_>; 14] = [
        ("certificate absent", None, Some(key), "tls.crt", "can't read"),
        ("key absent", Some(certificate), None, "tls.key", "can't read"),
        ("certificate empty", Some(b""), Some(key), "tls.crt", "empty"),
        ("certificate blank", Some(b" \n"), Some(key), "tls.crt", "empty"),
        ("key empty", Some(certificate), Some(b""), "tls.key", "empty"),
        ("certificate cut", Some(&certificate[..200]), Some(key), "tls.crt", "cut off"),
        ("key cut", Some(certificate), Some(&key[..100]), "tls.key", "cut off"),
        ("second certificate cut", Some(&rest), Some(key), "tls.crt", "cut off"),
        ("no PEM", Some(b"garbage"), Some(key), "tls.crt", "found none"),
        ("no DER", Some(shell), Some(key), "tls.crt", "found"),
        ("no base64", Some(sick), Some(key), "tls.crt", "broken PEM"),
        ("swapped", Some(key), Some(certificate), "tls.crt", "found none"),
        ("no key", Some(certificate), Some(secret), "tls.key", "can't use"),
        ("huge", Some(&huge), Some(key), "tls.crt", "at most"),
    ];
    for (name, certificate, key, file, says) in cases {
        let error = load(certificate, key).1.expect_err(name).to_string();
        assert!(error.contains(file) && error.contains(says), "{name}: {error}");
        assert!(!error.contains("c2VjcmV0"), "{name}: {error}");
    }
}

#[test]
fn halves_of_two_pairs_are_refused() {
    let authority = authority();
    let (one, two) = (serving(&authority), serving(&authority));
    let (certificate, key) = (one.certificate.as_bytes(), two.key.expose().as_bytes());
    let error = load(Some(certificate), Some(key)).1.unwrap_err();
    assert!(matches!(error, FileError::Mismatch { .. }), "{error}");
    assert!(error.to_string().contains("tls.crt") && error.to_string().contains("tls.key"));
}

#[test]
fn what_is_not_valid_now_is_refused() {
    let authority = authority();
    let issue = |from, to| authority.issue_serving(&[NAME], hours(from, to)).unwrap();
    let expired = load_issued(&issue(-3, -1)).unwrap_err();
    assert!(matches!(expired, FileError::Expired { .. }), "{expired}");
    let early = load_issued(&issue(1, 3)).unwrap_err();
    assert!(matches!(early, FileError::NotYetValid { .. }), "{early}");
    assert!(load_issued(&issue(-1, 1)).is_ok());

    // An intermediate that is over makes the chain useless too.
    let (leaf, over) = (issue(-1, 1), issue(-3, -1));
    let chain = [leaf.certificate.as_bytes(), over.certificate.as_bytes()].concat();
    let error = load(Some(&chain), Some(leaf.key.expose().as_bytes())).1.unwrap_err();
    assert!(matches!(error, FileError::Expired { .. }), "{error}");
}

#[test]
fn other_names_are_refused_and_listed() {
    let authority = authority();
    let issued = authority.issue_serving(&["other.example", "10.0.0.1"], hours(-1, 1)).unwrap();
    let error = load_issued(&issued).unwrap_err();
    assert!(matches!(error, FileError::WrongName { .. }), "{error}");
    for part in [NAME, "`other.example`, `10.0.0.1`", "tls.crt"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn an_unreadable_file_is_named() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("tls.crt");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let error = read_bounded(&path).unwrap_err();
    assert!(matches!(&error, FileError::Unreadable { path: named, .. } if *named == path));
}

#[test]
fn a_swap_between_the_two_reads_is_noticed() {
    let files = PairFiles { certificate: "tls.crt".into(), key: "tls.key".into() };
    let mut reads = ["certificate 1", "key 2", "certificate 2", "key 2", "certificate 2"].iter();
    let content = files.read_with(|_| Ok(reads.next().unwrap().as_bytes().to_vec())).unwrap();
    assert_eq!((content.certificate, content.key), (b"certificate 2".to_vec(), b"key 2".to_vec()));
    assert!(reads.next().is_none());

    // Files that change with each look are not read for ever.
    let mut looks = 0_u8;
    let endless = files.read_with(|_| {
        looks = looks.checked_add(1).unwrap();
        Ok(vec![looks])
    });
    assert!(endless.is_ok());
    assert_eq!(u32::from(looks), 2 * READ_ATTEMPTS);
}
