//! What the authority signs, for whom, and how much of it is kept.

use std::net::IpAddr;

use pinfold_engine::egress::{Attempt, Channel, Hello, judge};
use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::*;

fn permit(host: &str) -> EndPermit {
    let rule = match Host::parse(host).expect("a host") {
        Host::Name(name) => format!("host: {name}"),
        Host::Address(address) => {
            format!("cidr: \"{address}/{}\"", if address.is_ipv4() { 32 } else { 128 })
        }
    };
    let text = format!(
        "apiVersion: pinfold.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {{name: a}}\nspec:\n  egress:\n    allow:\n    - {{{rule}, ports: [443], protocol: https}}\n"
    );
    let file = SourceFile { name: "p.yaml".to_owned(), text };
    let policy = load(&[file]).expect("a policy").agents.remove(0);
    let host = Host::parse(host).expect("a host");
    let found = match host {
        Host::Address(address) => address,
        Host::Name(_) => IpAddr::from([1, 1, 1, 1]),
    };
    let name = match &host {
        Host::Name(name) => Some(name.clone()),
        Host::Address(_) => None,
    };
    let attempt = Attempt { host: &host, port: 443, channel: Channel::Tunnel };
    let permit = judge(&policy, &attempt).expect("a permit").addresses(&[found], &[]);
    let hello = Hello { server_name: name.as_ref(), has_ech: false };
    permit.expect("a permit").end_tls(hello).expect("a permit")
}

/// Whether a client that trusts the authority takes a certificate for a name.
fn holds(root: &Certificate, leaf: &CertificateDer<'_>, name: &str, at: SystemTime) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(root.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = verifier.build().expect("a verifier");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let since = at.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let now = UnixTime::since_unix_epoch(since);
    verifier.verify_server_cert(leaf, &[], &name, &[], now).is_ok()
}

fn leaf(authority: &Authority, host: &str, now: SystemTime) -> Certificate {
    authority.leaf_for(permit(host).host(), now).expect("a certificate")
}

#[test]
fn a_certificate_is_for_exactly_its_host_and_for_a_day() {
    let authority = Authority::new().expect("an authority");
    let now = SystemTime::now();
    let root = authority.certificate(now).expect("a certificate");
    let cases = [
        ("api.example.com", "api.example.com", true),
        ("api.example.com", "www.api.example.com", false),
        ("api.example.com", "example.com", false),
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.8", false),
        ("[2001:db8::7]", "2001:db8::7", true),
    ];
    for (host, name, expected) in cases {
        let leaf = leaf(&authority, host, now);
        assert_eq!(holds(&root, leaf.der(), name, now), expected, "{host} as {name}");
    }
    let leaf = leaf(&authority, "api.example.com", now);
    for (later, expected) in
        [(0, true), (NAME_LIFE.as_secs() - 1, true), (NAME_LIFE.as_secs() + 1, false)]
    {
        let at = now + Duration::from_secs(later);
        assert_eq!(holds(&root, leaf.der(), "api.example.com", at), expected, "{later}");
    }
    let before = now - CLOCK_SKEW - Duration::from_secs(1);
    assert!(!holds(&root, leaf.der(), "api.example.com", before));
    let stranger = Authority::new().expect("an authority").certificate(now).expect("a root");
    assert!(!holds(&stranger, leaf.der(), "api.example.com", now));
}

#[test]
fn a_process_that_read_the_bundle_before_a_renewal_goes_on() {
    let authority = Authority::new().expect("an authority");
    let now = SystemTime::now();
    let later = now + AUTHORITY_RENEWAL;
    let made = leaf(&authority, "a.example.com", later);
    for issued in [now, later] {
        let root = authority.certificate(issued).expect("a root");
        assert!(holds(&root, made.der(), "a.example.com", later));
    }
    // Who read the bundle at any time has it for two thirds of its life at least.
    assert!(AUTHORITY_LIFE - AUTHORITY_RENEWAL >= AUTHORITY_LIFE * 2 / 3);
}

#[test]
fn an_authority_signs_servers_only() {
    let authority = Authority::new().expect("an authority");
    let now = SystemTime::now();
    let leaf = leaf(&authority, "a.example.com", now);
    // A certificate that the leaf's key signs is worth nothing.
    let mut params = CertificateParams::new(vec!["b.example.com".to_owned()]).expect("names");
    (params.not_before, params.not_after) = validity(now, NAME_LIFE);
    let own = authority.issuing().expect("parameters");
    let issuer = Issuer::from_params(&own, &authority.leaf);
    let forged = params.signed_by(&authority.leaf, &issuer).expect("a certificate");
    let root = authority.certificate(now).expect("a root");
    assert!(!holds(&root, forged.der(), "b.example.com", now));
    assert!(!holds(&leaf, forged.der(), "b.example.com", now));
}

#[test]
fn certificates_are_kept_for_a_bounded_number_of_names_and_renewed_in_time() {
    let authority = Authority::new().expect("an authority");
    let now = SystemTime::now();
    let name = |at: usize| permit(&format!("n{at}.example.com"));
    let config = |permit: &EndPermit, at| authority.config(permit, at).expect("a configuration");
    let first = config(&name(0), now);
    assert!(Arc::ptr_eq(&first, &config(&name(0), now)), "made once");
    for at in 1..NAMES_MAX {
        config(&name(at), now);
    }
    assert!(Arc::ptr_eq(&first, &config(&name(0), now)), "in use, so kept");
    let second = config(&name(1), now);
    config(&name(2), now);
    for at in NAMES_MAX..NAMES_MAX + NAMES_MAX - 2 {
        config(&name(at), now);
        assert!(authority.lock().names.len() <= NAMES_MAX);
    }
    assert!(Arc::ptr_eq(&second, &config(&name(1), now)), "used later than the others");
    assert!(!Arc::ptr_eq(&first, &config(&name(0), now)), "the one unused for longest went");
    let renewed = config(&name(1), now + NAME_LIFE - NAME_LEFT_MIN);
    assert!(!Arc::ptr_eq(&second, &renewed));
    assert!(renewed.send_tls13_tickets == 0 && renewed.max_early_data_size == 0);
    assert_eq!(renewed.alpn_protocols, SPOKEN);
}

#[test]
fn serial_numbers_differ() {
    let authority = Authority::new().expect("an authority");
    let leaves: Vec<Vec<u8>> = (0..8)
        .map(|_| {
            leaf(&authority, "a.example.com", SystemTime::UNIX_EPOCH + CLOCK_SKEW).der().to_vec()
        })
        .collect();
    // Everything but the serial number and the signature is the same.
    let bodies: std::collections::HashSet<&[u8]> = leaves.iter().map(|der| &der[..40]).collect();
    assert_eq!(bodies.len(), leaves.len());
}
