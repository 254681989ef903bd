//! Cases of the authority: what is issued, for how long, and what is refused.

use std::sync::Arc;

use super::*;
use crate::bench::{Mounted, NAME, YEAR, authority, client, der, handshake, hours, serving};
use crate::{ServingCertificate, server_config};

fn facts(pem: &str) -> x509::Facts {
    x509::read(&der(pem)).unwrap()
}

#[test]
fn a_serving_certificate_says_what_was_asked() {
    let issued = authority().issue_serving(&[NAME, "127.0.0.1", "::1"], hours(-1, 24)).unwrap();
    let facts = facts(&issued.certificate);
    assert_eq!(facts.names, [NAME, "127.0.0.1", "::1"]);
    assert!(!facts.is_ca);
    let within = |a: SystemTime, b: SystemTime| {
        a.duration_since(b).or_else(|_| b.duration_since(a)).unwrap() <= Duration::from_secs(1)
    };
    assert!(within(facts.not_after, issued.validity.not_after()));
    assert!(within(facts.not_before, issued.validity.not_before()));
}

#[test]
fn each_certificate_has_its_own_key_and_serial_number() {
    let authority = authority();
    let (one, two) = (serving(&authority), serving(&authority));
    assert_ne!(one.key, two.key);
    let serial = |issued: &Issued| {
        let der = der(&issued.certificate);
        x509_parser::parse_x509_certificate(&der).unwrap().1.tbs_certificate.raw_serial().to_vec()
    };
    assert_ne!(serial(&one), serial(&two));
}

#[test]
fn a_loaded_authority_signs_as_the_same() {
    let original = authority();
    let loaded = Authority::from_pem(original.certificate(), original.key()).unwrap();
    let mounted = Mounted::of(&serving(&loaded));
    let serving =
        ServingCertificate::load(mounted.files(), crate::bench::names(), SystemTime::now())
            .unwrap();
    let server = server_config(Arc::new(serving), None).unwrap();
    handshake(&server, client(&original, None), NAME).unwrap();
    handshake(&server, client(&original, None), "127.0.0.1").unwrap();
    let strangers = handshake(&server, client(&authority(), None), NAME);
    assert!(strangers.is_err(), "another authority of the same name");
    assert!(handshake(&server, client(&original, None), "example.com").is_err());
}

#[test]
fn what_is_no_authority_is_not_loaded() {
    let (one, two) = (authority(), authority());
    let leaf = serving(&one);
    let cases = [
        ("no certificate", "", one.key()),
        ("garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", one.key()),
        ("another key", one.certificate(), two.key()),
        ("a leaf", &leaf.certificate, &leaf.key),
        ("no key", one.certificate(), &PrivateKey::from_pem("secret".to_owned())),
    ];
    for (name, certificate, key) in cases {
        let error = Authority::from_pem(certificate, key).unwrap_err();
        assert!(matches!(error, AuthorityError::Load { .. }), "{name}: {error}");
        assert!(!error.to_string().contains("secret"), "{name}: {error}");
    }
}

#[test]
fn nothing_outlives_its_authority() {
    let authority = Authority::create("CA", hours(-1, 24)).unwrap();
    assert!(authority.issue_serving(&[NAME], hours(-1, 23)).is_ok());
    for result in [
        authority.issue_serving(&[NAME], hours(-1, 25)),
        authority.issue_client("somebody", hours(-1, 25)),
    ] {
        assert!(matches!(result, Err(AuthorityError::Outlives { .. })), "{result:?}");
    }
    let loaded = Authority::from_pem(authority.certificate(), authority.key()).unwrap();
    assert!(loaded.issue_serving(&[NAME], hours(-1, 25)).is_err());
}

#[test]
fn bad_requests_are_refused() {
    let authority = authority();
    let day = hours(0, 24);
    assert!(matches!(authority.issue_serving(&[], day), Err(AuthorityError::NoName)));
    for name in ["", "a b", "ü.example", "exa\nmple", "https://x", "1.2.3.4/8"] {
        let result = authority.issue_serving(&[NAME, name], day);
        assert!(matches!(result, Err(AuthorityError::Name { .. })), "{name}: {result:?}");
    }
    for name in [String::new(), "x".repeat(65)] {
        let result = authority.issue_client(&name, day);
        assert!(matches!(result, Err(AuthorityError::CommonName { .. })), "{name}: {result:?}");
    }
    let long = format!("{}.example", "x".repeat(60));
    assert_eq!(facts(&authority.issue_serving(&[&long], day).unwrap().certificate).names, [long]);
}

#[test]
fn a_validity_is_a_span_that_a_certificate_can_express() {
    let now = SystemTime::now();
    let past = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    let far = now + YEAR * 9000;
    for (from, to) in [(now, now), (now, now - YEAR), (past, now), (now, far)] {
        assert!(matches!(Validity::new(from, to), Err(AuthorityError::Validity { .. })));
    }
    assert!(Validity::starting(now, YEAR * 9000).is_err());
    let validity = Validity::starting(now, YEAR).unwrap();
    assert_eq!((validity.not_before(), validity.not_after()), (now - CLOCK_SKEW, now + YEAR));
}

#[test]
fn keys_are_hidden_from_debug() {
    let authority = authority();
    let issued = serving(&authority);
    for key in [authority.key(), &issued.key] {
        let secret = key.expose().lines().nth(1).unwrap();
        let shown = format!("{authority:?} {issued:?} {key:?}");
        assert!(!shown.contains(secret) && shown.contains("hidden"), "{shown}");
    }
}

#[test]
fn what_is_issued_points_at_its_authoritys_key() {
    use x509_parser::extensions::ParsedExtension::{AuthorityKeyIdentifier, SubjectKeyIdentifier};
    let identifier = |pem: &str, of_authority: bool| {
        let der = der(pem);
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        let mut parsed = certificate.extensions().iter().map(|found| found.parsed_extension());
        let found = parsed.find_map(|extension| {
            if let AuthorityKeyIdentifier(found) = extension
                && of_authority
            {
                return found.key_identifier.clone();
            }
            let SubjectKeyIdentifier(found) = extension else { return None };
            (!of_authority).then(|| found.clone())
        });
        found.unwrap().0.to_vec()
    };
    // Which tells two authorities of one name apart, while their bundles overlap.
    let original = authority();
    let loaded = Authority::from_pem(original.certificate(), original.key()).unwrap();
    for authority in [&original, &loaded] {
        let issued = serving(authority);
        assert_eq!(
            identifier(&issued.certificate, true),
            identifier(original.certificate(), false)
        );
    }
}
