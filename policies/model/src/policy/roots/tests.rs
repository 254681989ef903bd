//! Cases of `spec.tls.roots`: what is an authority, and what is told of everything else.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use crate::host::Host;
use crate::policy::agent::AgentPolicy;
use crate::policy::compile::compile;
use crate::policy::{PolicySet, load};
use crate::sources::SourceFile;

fn certificate(ca: bool) -> (String, String) {
    let mut params = CertificateParams::new(["a.example".to_owned()]).expect("a name");
    if ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let key = KeyPair::generate().expect("a key");
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

fn document(name: &str, roots: &serde_json::Value) -> SourceFile {
    let document = serde_json::json!({"apiVersion": "pinfold.dev/v1alpha1", "kind": "AgentPolicy", "metadata": {"name": name},
        "spec": {"tls": {"roots": roots}}});
    SourceFile { name: format!("{name}.json"), text: format!("{document:#}") }
}

fn read(roots: &serde_json::Value) -> Result<PolicySet, Vec<String>> {
    load(&[document("p", roots)]).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn authorities_count_for_their_hosts() {
    let (one, two) = (certificate(true).0, certificate(true).0);
    let roots = serde_json::json!([{"pem": format!("# the company's\n{one}\n{two}")}, {"hosts": ["**.corp.example", "git.example"], "pem": one}]);
    let set = read(&roots).expect("a policy");
    let [all, some] = set.agents[0].roots.as_slice() else { panic!("two entries") };
    assert_eq!((all.certificates.len(), some.certificates.len()), (2, 1));
    assert_eq!(
        (all.place.as_str(), &all.certificates[0]),
        ("spec.tls.roots[0]", &some.certificates[0])
    );
    for (host, by_all, by_some) in [
        ("a.corp.example", true, true),
        ("corp.example", true, false),
        ("git.example", true, true),
        ("api.github.com", true, false),
        ("10.0.0.1", true, false),
    ] {
        let host = Host::parse(host).expect("a host");
        assert_eq!((all.counts_for(&host), some.counts_for(&host)), (by_all, by_some), "{host}");
    }
}

#[test]
fn what_is_no_authority_is_refused_with_its_place() {
    let ((ca, key), (leaf, _)) = (certificate(true), certificate(false));
    let entry = |pem: &str| serde_json::json!([{"pem": pem}]);
    let broken = ca.replacen("MII", "!!!", 1);
    let torn: String = ca.lines().take(3).collect::<Vec<_>>().join("\n");
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let many = serde_json::Value::from(vec![serde_json::json!({"pem": ca}); 17]);
    let long = "# ".repeat(40_000) + &ca;
    let together = serde_json::json!([{"pem": ca.repeat(65)}]);
    let cases = [
        (entry(""), "spec.tls.roots[0].pem", "found none"),
        (entry("MIIB"), "spec.tls.roots[0].pem", "found none"),
        (entry(&leaf), "spec.tls.roots[0].pem", "certificate 1 is no authority's"),
        (entry(&format!("{ca}{leaf}")), "spec.tls.roots[0].pem", "certificate 2 is no authority's"),
        (entry(&format!("{ca}{key}")), "spec.tls.roots[0].pem", "block 2 is a private key"),
        (
            entry(&ca.replace("CERTIFICATE", "TRUSTED CERTIFICATE")),
            "spec.tls.roots[0].pem",
            "block 1 is no certificate",
        ),
        (entry(&broken), "spec.tls.roots[0].pem", "block 1 can't be read"),
        (entry(&torn), "spec.tls.roots[0].pem", "block 1 can't be read"),
        (entry(junk), "spec.tls.roots[0].pem", "block 1 can't be read"),
        (many, "spec.tls.roots", "at most 16 entries"),
        (entry(&long), "spec.tls.roots", "bytes of PEM"),
        (together, "spec.tls.roots", "at most 64 certificates, found 65"),
        (serde_json::json!([{"hosts": [], "pem": ca}]), "spec.tls.roots[0].hosts", "1 to 64 hosts"),
        (serde_json::json!([{"hosts": ["*"], "pem": ca}]), "spec.tls.roots[0].hosts[0]", "`*`"),
        (serde_json::json!([{"file": "/ca"}]), "spec.tls.roots[0]", "file"),
    ];
    for (roots, place, text) in cases {
        let errors = read(&roots).expect_err(text).join("\n");
        assert!(errors.contains(place) && errors.contains(text), "{text}: {errors}");
        // File, line and column; never the key.
        assert!(errors.starts_with("p.json:") && !errors.contains("PRIVATE KEY-----"), "{errors}");
    }
}

#[test]
fn policies_of_one_pod_bring_all_their_authorities() {
    let (one, two) = (certificate(true).0, certificate(true).0);
    let entry = |pem: &str| serde_json::json!({"hosts": ["a.example"], "pem": pem});
    let files = [
        document("p", &serde_json::json!([entry(&one)])),
        document("q", &serde_json::json!([entry(&two), entry(&one)])),
    ];
    let set = load(&files).expect("policies");
    let policies: Vec<&AgentPolicy> = set.agents.iter().collect();
    let compiled = compile(&policies, &[]).expect("one policy");
    assert_eq!(compiled.policy.roots.len(), 2);
    assert_eq!(compiled.policy.roots[0].digest, set.agents[0].roots[0].digest);
}
