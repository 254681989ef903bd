//! Authorities of the policy's own: upstreams are verified by them where they count, beside the public ones, and by nothing that was taken away.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use super::https::{bundle, inside};
use super::support::{Raw, Setup, Sidecar, Upstream};

const LOADED: &str = r#"pinfold_policy_reloads_total{result="success"}"#;

/// A company's authority, which no browser knows.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "private");
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server with a certificate for these names.
    fn server(&self, names: &[&str]) -> TlsAcceptor {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.der().clone()], key)
            .expect("a pair");
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A policy with two hosts and an upstream at one port, and these authorities: hosts and PEM.
fn policy(port: u16, roots: &[(&str, &str)]) -> String {
    let roots: Vec<serde_json::Value> = roots
        .iter()
        .map(|(hosts, pem)| match *hosts {
            "" => serde_json::json!({"pem": pem}),
            hosts => serde_json::json!({"hosts": hosts.split(' ').collect::<Vec<_>>(), "pem": pem}),
        })
        .collect();
    serde_json::json!({
        "apiVersion": "pinfold.dev/v1alpha1", "kind": "AgentPolicy", "metadata": {"name": "tester"},
        "spec": {
            "tls": {"roots": roots},
            "egress": {"allow": [
                {"host": "**.corp.internal", "ports": [port], "protocol": "https"},
                {"host": "api.public.internal", "ports": [port], "protocol": "https"},
                {"cidr": "127.0.0.0/8", "ports": [port], "protocol": "tcp"},
            ]},
            "upstreams": [{"name": "code", "url": format!("https://code.corp.internal:{port}"), "allowPrivate": true}],
        },
    })
    .to_string()
}

async fn sidecar(policy: &str) -> Sidecar {
    let setup = Setup::new(policy).await;
    let trust = setup.files.path().join("trust");
    std::fs::create_dir(&trust).expect("a directory");
    let names = ["api.corp.internal", "code.corp.internal", "api.public.internal"];
    let setup = names.iter().fold(setup, |setup, name| setup.name(name, &["127.0.0.1"]));
    setup.with(|config| config.trust = Some(trust)).start().await
}

/// What an agent's request to a host is answered with: the status, and the reason of a refusal.
async fn asked(sidecar: &Sidecar, host: &str, port: u16) -> (u16, String) {
    let mut agent = inside(sidecar, host, port, &["http/1.1"]).await;
    let reply = agent.ask(format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")).await;
    (reply.status, if reply.status == 200 { String::new() } else { reply.reason() })
}

async fn through_gateway(sidecar: &Sidecar) -> u16 {
    let request = "GET /upstreams/code/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_owned();
    Raw::connect(sidecar.gateway()).await.ask(request).await.status
}

fn ok() -> (u16, String) {
    (200, String::new())
}

fn unverified() -> (u16, String) {
    (502, "upstream".to_owned())
}

const NAMES: [&str; 3] = ["api.corp.internal", "code.corp.internal", "api.public.internal"];

#[tokio::test]
async fn upstreams_of_a_private_authority_are_verified_where_it_counts() {
    let (private, stranger) = (Authority::new(), Authority::new());
    let upstream = Upstream::secure(private.server(&NAMES), |_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
    })
    .await;
    let port = upstream.port();
    let (pem, other) = (private.pem(), stranger.pem());
    // Authorities; what is answered for the company's host, for another host, and by the gateway.
    let cases = [
        (vec![], unverified(), unverified(), 502),
        (vec![("", other.as_str())], unverified(), unverified(), 502),
        (vec![("", pem.as_str())], ok(), ok(), 200),
        (vec![("**.corp.internal", pem.as_str())], ok(), unverified(), 200),
        (vec![("code.corp.internal", pem.as_str())], unverified(), unverified(), 200),
        (vec![("**.corp.internal", &other), ("", &pem)], ok(), ok(), 200),
    ];
    for (roots, company, public, gateway) in cases {
        let sidecar = sidecar(&policy(port, &roots)).await;
        let hosts: Vec<&str> = roots.iter().map(|(hosts, _)| *hosts).collect();
        assert_eq!(asked(&sidecar, "api.corp.internal", port).await, company, "{hosts:?}");
        assert_eq!(asked(&sidecar, "api.public.internal", port).await, public, "{hosts:?}");
        assert_eq!(through_gateway(&sidecar).await, gateway, "{hosts:?}");
        // The agent's own TLS, of `tls` rules, finds them in its bundle.
        let known = String::from_utf8(bundle(&sidecar)).expect("PEM");
        let holds =
            |pem: &str| known.replace("\r\n", "\n").contains(pem.replace("\r\n", "\n").trim());
        for (text, wanted) in [
            (&pem, roots.iter().any(|root| root.1 == pem)),
            (&other, roots.iter().any(|root| root.1 == other)),
        ] {
            assert_eq!(holds(text), wanted, "{hosts:?}");
        }
    }
}

#[tokio::test]
async fn an_authority_that_is_taken_away_counts_no_more() {
    let private = Authority::new();
    let upstream = Upstream::secure(private.server(&NAMES), |_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
    })
    .await;
    let (port, pem) = (upstream.port(), private.pem());
    let sidecar = sidecar(&policy(port, &[])).await;
    assert_eq!(through_gateway(&sidecar).await, 502);
    sidecar.rewrite(&policy(port, &[("**.corp.internal", &pem)]));
    sidecar.until_metric(LOADED, 1.0).await;
    // The gateway keeps its connection, and the agent's stays open.
    assert_eq!(through_gateway(&sidecar).await, 200);
    assert_eq!(asked(&sidecar, "api.corp.internal", port).await, ok());
    let followed = async {
        while !String::from_utf8_lossy(&bundle(&sidecar)).contains(pem.replace("\r\n", "\n").trim())
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::support::PATIENCE, followed)
        .await
        .expect("the agent's bundle follows");
    sidecar.rewrite(&policy(port, &[]));
    sidecar.until_metric(LOADED, 2.0).await;
    assert_eq!(through_gateway(&sidecar).await, 502, "by a kept connection");
    assert_eq!(asked(&sidecar, "api.corp.internal", port).await, unverified());
}
