//! Cases of redirected connections: by address, by what the pod's DNS bound to it, and by the name that is said.

use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;

use super::*;
use crate::egress::Hello;

const POLICY: &str = r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {name: reader}
spec:
  egress:
    ech: refuse
    allow:
    - {host: git.example.com, ports: [22, 443], protocol: tcp}
    - {host: api.example.com, ports: [443], protocol: tls}
    - {host: web.example.com, ports: [443], protocol: https}
    - {host: db.internal, ports: [5432], protocol: tcp}
    - {cidr: 10.20.0.0/16, ports: [5432], protocol: tcp}
    - {cidr: 10.30.0.0/16, ports: [443], protocol: tls}
    - {cidr: 8.0.0.0/8, ports: [9000], protocol: tcp}
    - {cidr: 127.0.0.0/8, ports: [9000], protocol: tcp}
    - {cidr: 169.254.0.0/16, ports: [9000], protocol: tcp}
"#;

fn policy() -> AgentPolicy {
    let file = SourceFile { name: "p.yaml".to_owned(), text: POLICY.to_owned() };
    load(&[file]).expect("a policy").agents.remove(0)
}

fn names(texts: &[&str]) -> Vec<DnsName> {
    texts.iter().map(|text| DnsName::parse(text).expect("a name")).collect()
}

#[test]
fn what_is_decided_before_a_byte() {
    // destination, names that the DNS gave it for, the host that decides or the reason
    let cases: &[(&str, &[&str], Result<&str, &str>)] = &[
        ("140.82.112.3:22", &["git.example.com"], Ok("git.example.com")),
        ("140.82.112.3:22", &[], Err("address")),
        ("140.82.112.3:22", &["api.example.com"], Err("port")),
        ("140.82.112.3:22", &["evil.example"], Err("host")),
        ("140.82.112.3:25", &["git.example.com"], Err("port")),
        // Several names on one address: one is enough, whichever comes first.
        ("140.82.112.3:443", &["api.example.com", "git.example.com"], Ok("git.example.com")),
        ("140.82.112.3:443", &["git.example.com", "api.example.com"], Ok("git.example.com")),
        ("140.82.112.3:443", &["api.example.com"], Err("protocol")),
        ("140.82.112.3:443", &["evil.example", "api.example.com"], Err("protocol")),
        ("140.82.112.3:443", &["evil.example"], Err("host")),
        // By range.
        ("10.20.1.1:5432", &[], Ok("10.20.1.1")),
        ("10.20.1.1:5432", &["db.internal"], Ok("10.20.1.1")),
        ("10.20.1.1:22", &[], Err("port")),
        ("10.30.1.1:443", &[], Err("protocol")),
        // A name's address is checked all the same.
        ("10.40.1.1:5432", &["db.internal"], Err("address")),
        ("140.82.112.9:5432", &["db.internal"], Ok("db.internal")),
        ("[fd00::1]:5432", &["db.internal"], Err("address")),
        ("[2606:50c0::1]:5432", &["db.internal"], Ok("db.internal")),
        ("[::ffff:140.82.112.9]:5432", &["db.internal"], Err("address")),
        ("169.254.169.254:9000", &[], Err("address")),
        ("8.8.8.8:9000", &[], Ok("8.8.8.8")),
        ("127.0.0.1:9000", &[], Err("address")),
    ];
    let policy = policy();
    let own = ["127.0.0.1:9000".parse().expect("an address")];
    for (to, bound, expected) in cases {
        let bound = names(bound);
        let to = to.parse().expect("an address");
        let found = Redirected { to, names: &bound }.opaque(&policy, &own);
        let found = match &found {
            Ok((host, permit)) => {
                assert_eq!(permit.addresses(), [to]);
                Ok(host.to_string())
            }
            Err(denial) => Err(denial.reason.as_str()),
        };
        assert_eq!(found.as_deref().map_err(|reason| *reason), *expected, "{to} {bound:?}");
    }
}

#[test]
fn where_looking_can_help() {
    let policy = policy();
    for (port, expected) in [(443, true), (22, false), (5432, false), (80, false)] {
        let to = SocketAddr::from(([8, 8, 8, 8], port));
        assert_eq!(Redirected { to, names: &[] }.may_be_seen(&policy), expected, "{port}");
    }
}

fn named(policy: &AgentPolicy, name: &str) -> NamePermit {
    let host = Host::parse(name).expect("a host");
    judge(policy, &Attempt { host: &host, port: 443, channel: Channel::Tunnel }).expect("a name")
}

/// What is found for the name, where the connection was going, the addresses that may be dialled or the reason.
type RedirectedCase<'a> = (&'a [&'a str], &'a str, Result<&'a [&'a str], &'a str>);

#[test]
fn row_40_a_name_counts_together_with_its_address() {
    let cases: &[RedirectedCase<'_>] = &[
        (&["140.82.112.3"], "140.82.112.3", Ok(&["140.82.112.3"])),
        (&["140.82.112.4", "140.82.112.3"], "140.82.112.3", Ok(&["140.82.112.3", "140.82.112.4"])),
        (&["140.82.112.4"], "140.82.112.3", Err("name")),
        (&[], "140.82.112.3", Err("name")),
        (&["140.82.112.3", "10.0.0.1"], "140.82.112.3", Err("address")),
        (&["10.0.0.1"], "10.0.0.1", Err("address")),
        (&["169.254.169.254"], "169.254.169.254", Err("address")),
        (&["10.30.0.1"], "10.30.0.1", Ok(&["10.30.0.1"])),
        (&["140.82.112.3"], "::ffff:140.82.112.3", Err("name")),
    ];
    let policy = policy();
    for (found, to, expected) in cases {
        let parse = |text: &&str| text.parse::<IpAddr>().expect("an address");
        let found: Vec<IpAddr> = found.iter().map(parse).collect();
        let to = SocketAddr::new(parse(to), 443);
        let permit = named(&policy, "api.example.com").redirected(to, &found, &[]);
        let dialled = permit.and_then(|permit| {
            let name = DnsName::parse("api.example.com").expect("a name");
            permit.tls(Hello { server_name: Some(&name), has_ech: false })
        });
        let shown = dialled.as_ref().map(|permit| {
            permit.addresses().iter().map(|address| address.ip().to_string()).collect::<Vec<_>>()
        });
        let shown = shown.as_deref().map_err(|denial| denial.reason.as_str());
        let expected =
            expected.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(shown, expected.as_deref().map_err(|reason| *reason), "{found:?} {to}");
    }
}

#[test]
fn rows_38_39_encrypted_hellos_are_judged_as_the_policy_says() {
    let refusing = policy();
    let mut judging = policy();
    judging.ech = pinfold_model::policy::agent::Ech::JudgeOuter;
    let found: [IpAddr; 1] = ["140.82.112.3".parse().expect("an address")];
    // policy, host, whether there is an encrypted hello, the reason
    let cases = [
        (&refusing, "api.example.com", false, "allow"),
        (&refusing, "api.example.com", true, "name"),
        (&refusing, "web.example.com", true, "name"),
        (&refusing, "web.example.com", false, "allow"),
        // Anything may be spoken there.
        (&refusing, "git.example.com", true, "allow"),
        (&judging, "api.example.com", true, "allow"),
        (&judging, "web.example.com", true, "allow"),
    ];
    for (policy, host, has_ech, expected) in cases {
        let permit = named(policy, host).addresses(&found, &[]).expect("addresses");
        let name = DnsName::parse(host).expect("a name");
        let hello = Hello { server_name: Some(&name), has_ech };
        let judged =
            if permit.is_terminated() { permit.hello(hello) } else { permit.tls(hello).map(drop) };
        let found = judged.map_or_else(|denial| denial.reason.as_str(), |()| "allow");
        assert_eq!(found, expected, "{host} {has_ech} {:?}", policy.ech);
    }
}

#[test]
fn https_rules_end_tls_unless_a_wider_rule_is_there() {
    let found: [IpAddr; 1] = ["140.82.112.3".parse().expect("an address")];
    let mut policy = policy();
    let ended = |policy: &AgentPolicy| {
        named(policy, "web.example.com").addresses(&found, &[]).expect("addresses").is_terminated()
    };
    assert!(ended(&policy));
    let mut wider = policy.egress.clone();
    wider[1].target = wider[2].target.clone();
    policy.egress = wider;
    assert!(!ended(&policy));
}
