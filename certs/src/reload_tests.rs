//! Cases of reloading: what is served after each way in which files change.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::Issued;
use crate::bench::{
    HOUR, Mounted, NAME, authority, client, client_speaking, der, handshake, hours, names, serving,
    shown,
};

fn load(mounted: &Mounted) -> Arc<ServingCertificate> {
    let serving = ServingCertificate::load(mounted.files(), names(), SystemTime::now());
    Arc::new(serving.unwrap())
}

fn reload(serving: &ServingCertificate) -> Result<Reload, FileError> {
    serving.reload_if_changed(SystemTime::now())
}

#[test]
fn the_kubelets_swap_is_followed_every_time() {
    let authority = authority();
    let mut issued = serving(&authority);
    let mut mounted = Mounted::of(&issued);
    let certificate = load(&mounted);
    let server = server_config(Arc::clone(&certificate), None).unwrap();
    for _ in 0..5 {
        assert_eq!(shown(&server, &authority), der(&issued.certificate));
        assert_eq!(reload(&certificate).unwrap(), Reload::Unchanged);
        issued = serving(&authority);
        mounted.swap(&issued.certificate, issued.key.expose());
        assert_ne!(shown(&server, &authority), der(&issued.certificate), "not before the look");
        assert_eq!(reload(&certificate).unwrap(), Reload::Replaced);
    }
    assert_eq!(shown(&server, &authority), der(&issued.certificate));
}

/// What the files may hold for a while, or for good, without anybody noticing at the door.
fn doubtful(authority: &crate::Authority, next: &Issued) -> Vec<(&'static str, String, String)> {
    let (certificate, key) = (next.certificate.clone(), next.key.expose().to_owned());
    let issue = |names: &[&str], from, to| {
        let issued = authority.issue_serving(names, hours(from, to)).unwrap();
        (issued.certificate, issued.key.expose().to_owned())
    };
    let pairs = [
        ("expired", issue(&[NAME], -3, -1)),
        ("not yet valid", issue(&[NAME], 1, 3)),
        ("wrong name", issue(&["other.example"], -1, 3)),
        ("garbage", ("garbage".to_owned(), "garbage".to_owned())),
        ("empty", (String::new(), String::new())),
        ("empty key", (certificate.clone(), String::new())),
        ("half a certificate", (certificate.chars().take(300).collect(), key.clone())),
        ("half a key", (certificate.clone(), key.chars().take(90).collect())),
        ("another's key", (certificate, serving(authority).key.expose().to_owned())),
    ];
    pairs.into_iter().map(|(name, (certificate, key))| (name, certificate, key)).collect()
}

#[test]
fn a_doubtful_pair_is_never_served_and_the_old_one_stays() {
    let authority = authority();
    let first = serving(&authority);
    let next = serving(&authority);
    let mut mounted = Mounted::of(&first);
    let certificate = load(&mounted);
    let server = server_config(Arc::clone(&certificate), None).unwrap();
    let until = certificate.not_after();
    for (name, bad_certificate, bad_key) in doubtful(&authority, &next) {
        mounted.swap(&bad_certificate, &bad_key);
        for _ in 0..2 {
            let error = reload(&certificate).expect_err(name).to_string();
            assert!(error.contains("tls."), "{name}: {error}");
            assert_eq!(shown(&server, &authority), der(&first.certificate), "{name}");
        }
        let started = ServingCertificate::load(mounted.files(), names(), SystemTime::now());
        assert!(started.is_err(), "{name}: a server would start with it");
    }
    assert_eq!(certificate.not_after(), until);
    mounted.swap(&next.certificate, next.key.expose());
    assert_eq!(reload(&certificate).unwrap(), Reload::Replaced);
    assert_eq!(shown(&server, &authority), der(&next.certificate));
}

#[test]
fn files_rewritten_in_place_one_after_the_other_are_taken_once_both_fit() {
    let authority = authority();
    let (first, next) = (serving(&authority), serving(&authority));
    let directory = TempDir::new().unwrap();
    let files = PairFiles {
        certificate: directory.path().join("tls.crt"),
        key: directory.path().join("tls.key"),
    };
    fs::write(&files.certificate, &first.certificate).unwrap();
    fs::write(&files.key, first.key.expose()).unwrap();
    let certificate = ServingCertificate::load(files.clone(), names(), SystemTime::now()).unwrap();
    fs::write(&files.certificate, &next.certificate).unwrap();
    assert!(matches!(reload(&certificate), Err(FileError::Mismatch { .. })));
    fs::remove_file(&files.key).unwrap();
    assert!(matches!(reload(&certificate), Err(FileError::Unreadable { .. })));
    fs::write(&files.key, next.key.expose()).unwrap();
    assert_eq!(reload(&certificate).unwrap(), Reload::Replaced);
    // Back to the first is a change too.
    fs::write(&files.certificate, &first.certificate).unwrap();
    fs::write(&files.key, first.key.expose()).unwrap();
    assert_eq!(reload(&certificate).unwrap(), Reload::Replaced);
}

#[test]
fn what_expires_while_it_is_served_goes_on_being_served() {
    let mounted = Mounted::of(&serving(&authority()));
    let certificate = load(&mounted);
    let later = SystemTime::now() + HOUR * 48;
    assert_eq!(certificate.reload_if_changed(later).unwrap(), Reload::Unchanged);
    assert!(certificate.not_after() < later);
    let early = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    assert_eq!(certificate.reload_if_changed(early).unwrap(), Reload::Unchanged);
}

#[test]
fn the_metric_follows_the_pair_served() {
    let authority = authority();
    let mut mounted = Mounted::of(&serving(&authority));
    let certificate = load(&mounted);
    let before = certificate.not_after();
    let next = authority.issue_serving(&[NAME], hours(-1, 100)).unwrap();
    mounted.swap(&next.certificate, next.key.expose());
    reload(&certificate).unwrap();
    let gained = certificate.not_after().duration_since(before).unwrap();
    assert!(gained > HOUR * 75 && gained < HOUR * 77, "{gained:?}");
}

fn guarded(client_ca: &crate::Authority, authority: &crate::Authority) -> Arc<ServerConfig> {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("client-ca.crt");
    fs::write(&path, client_ca.certificate()).unwrap();
    let mounted = Mounted::of(&serving(authority));
    server_config(load(&mounted), Some(client_authorities(&path).unwrap())).unwrap()
}

#[test]
fn only_clients_of_the_client_authority_get_in() {
    let (ours, theirs, clients) = (authority(), authority(), authority());
    let server = guarded(&clients, &ours);
    let issue = |by: &crate::Authority, from, to| by.issue_client("api", hours(from, to)).unwrap();
    let own = issue(&clients, -1, 1);
    handshake(&server, client(&ours, Some(&own)), NAME).unwrap();
    let refused = [
        ("nothing shown", None),
        ("of another authority", Some(issue(&theirs, -1, 1))),
        ("of the serving authority", Some(issue(&ours, -1, 1))),
        ("expired", Some(issue(&clients, -3, -1))),
        ("not yet valid", Some(issue(&clients, 1, 3))),
        ("for serving", Some(serving(&clients))),
    ];
    for (name, shows) in refused {
        let result = handshake(&server, client(&ours, shows.as_ref()), NAME);
        assert!(result.is_err(), "{name} got in");
    }
    let open = server_config(load(&Mounted::of(&serving(&ours))), None).unwrap();
    handshake(&open, client(&ours, None), NAME).unwrap();
}

#[test]
fn client_authorities_must_be_there() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("client-ca.crt");
    for content in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
        fs::write(&path, content).unwrap();
        let error = client_authorities(&path).unwrap_err().to_string();
        assert!(error.contains("client-ca.crt"), "{error}");
    }
    let mounted = Mounted::of(&serving(&authority()));
    let empty = server_config(load(&mounted), Some(RootCertStore::empty()));
    assert!(matches!(empty, Err(ServingError::ClientAuthorities(_))));
}

#[test]
fn http_2_is_preferred() {
    let authority = authority();
    let mounted = Mounted::of(&serving(&authority));
    let server = server_config(load(&mounted), None).unwrap();
    for (offers, chosen) in
        [(vec!["http/1.1", "h2"], Some("h2")), (vec!["http/1.1"], Some("http/1.1")), (vec![], None)]
    {
        let mut config = client(&authority, None);
        config.alpn_protocols = offers.iter().map(|offer| offer.as_bytes().to_vec()).collect();
        let connection = handshake(&server, config, NAME).unwrap();
        assert_eq!(connection.alpn_protocol(), chosen.map(str::as_bytes));
    }
    let mut config = client(&authority, None);
    config.alpn_protocols = vec![b"spdy/3".to_vec()];
    assert!(handshake(&server, config, NAME).is_err());
}

#[test]
fn tls_1_2_and_1_3_are_spoken() {
    let authority = authority();
    let server = server_config(load(&Mounted::of(&serving(&authority))), None).unwrap();
    for version in [&TLS12, &TLS13] {
        let config = client_speaking(&authority, &[version]);
        let connection = handshake(&server, config, NAME).unwrap();
        assert_eq!(connection.protocol_version(), Some(version.version));
    }
}

#[test]
fn an_issued_pair_is_served_and_replaced_without_files() {
    let authority = authority();
    let (first, second) = (serving(&authority), serving(&authority));
    let certificate = ServingCertificate::from_issued(&first, SystemTime::now()).unwrap();
    let certificate = Arc::new(certificate);
    let server = server_config(Arc::clone(&certificate), None).unwrap();
    assert_eq!(shown(&server, &authority), der(&first.certificate));
    assert_eq!(reload(&certificate).unwrap(), Reload::Unchanged);
    certificate.replace(&second, SystemTime::now()).unwrap();
    assert_eq!(shown(&server, &authority), der(&second.certificate));
    let mixed = Issued { key: first.key, ..second.clone() };
    assert!(certificate.replace(&mixed, SystemTime::now()).is_err());
    let expired = authority.issue_serving(&[NAME], hours(-3, -1)).unwrap();
    assert!(certificate.replace(&expired, SystemTime::now()).is_err());
    assert_eq!(shown(&server, &authority), der(&second.certificate), "the old pair stays");
}
