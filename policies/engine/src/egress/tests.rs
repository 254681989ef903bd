//! Cases of egress: names, ports, addresses and what is spoken inside.

use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;

use super::*;

const POLICY: &str = r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {name: reader}
spec:
  egress:
    allow:
    - {host: api.github.com, ports: [443], protocol: tls}
    - {host: "*.blob.example.net", ports: [443], protocol: tls}
    - {host: pypi.internal, ports: [80], protocol: http, methods: [GET], paths: ["/simple/**"]}
    - {host: db.internal, ports: [5432], protocol: tcp}
    - {cidr: 10.20.0.0/16, ports: [80, 5432], protocol: tcp}
    - {cidr: 192.0.2.0/24, ports: [443], protocol: tls}
  upstreams:
  - {name: web, url: "https://api.example.com", methods: [GET], paths: ["/repos/**"]}
  - {name: local, url: "http://127.0.0.1:8080"}
"#;

fn policy() -> AgentPolicy {
    let file = SourceFile { name: "p.yaml".to_owned(), text: POLICY.to_owned() };
    load(&[file]).expect("a policy").agents.remove(0)
}

fn host(text: &str) -> Host {
    Host::parse(text).expect("a host")
}

fn outcome<T>(result: Result<T, Denial>) -> &'static str {
    match result {
        Ok(_) => "allow",
        Err(denial) => denial.reason.as_str(),
    }
}

#[test]
fn names_and_ports() {
    // Rows 34, 50, 57 of the attack table among them.
    let cases = [
        ("api.github.com", 443, "allow"),
        ("API.GITHUB.COM.", 443, "allow"),
        ("api.github.com", 22, "port"),
        ("github.com", 443, "host"),
        ("api.github.com.evil.example", 443, "host"),
        ("evil-api.github.com", 443, "host"),
        ("a.blob.example.net", 443, "allow"),
        ("a.b.blob.example.net", 443, "host"),
        ("blob.example.net", 443, "host"),
        ("evilblob.example.net", 443, "host"),
        ("10.20.3.4", 5432, "allow"),
        ("10.21.3.4", 5432, "address"),
        ("10.20.3.4", 22, "port"),
        ("169.254.169.254", 80, "address"),
        ("[::1]", 443, "address"),
        ("8.8.8.8", 443, "address"),
        ("metadata.google.internal", 80, "host"),
    ];
    let policy = policy();
    for (name, port, expected) in cases {
        let host = host(name);
        let attempt = Attempt { host: &host, port, channel: Channel::Tunnel };
        assert_eq!(outcome(judge(&policy, &attempt)), expected, "{name}:{port}");
    }
}

#[test]
fn requests_in_the_clear() {
    let cases = [
        ("pypi.internal", 80, "GET", "/simple/x", "allow"),
        ("pypi.internal", 80, "POST", "/simple/x", "method"),
        ("pypi.internal", 80, "GET", "/admin", "path"),
        ("api.github.com", 443, "GET", "/", "protocol"),
        ("db.internal", 5432, "GET", "/", "allow"),
    ];
    let policy = policy();
    for (name, port, method, path, expected) in cases {
        let host = host(name);
        let attempt =
            Attempt { host: &host, port, channel: Channel::Http { method, path: path.into() } };
        assert_eq!(outcome(judge(&policy, &attempt)), expected, "{method} {name}:{port}{path}");
    }
}

#[test]
fn what_would_be_spoken_is_judged_before_it_is() {
    let text = POLICY.replace(
        "    - {host: db.internal",
        "    - {host: web.internal, ports: [443], protocol: https, methods: [GET], paths: [/a/**], websocket: true}\n    - {host: chat.internal, ports: [80], protocol: http, websocket: true}\n    - {host: db.internal",
    );
    let file = SourceFile { name: "p.yaml".to_owned(), text };
    let policy = load(&[file]).expect("a policy").agents.remove(0);
    let https = |method, path: &'static str, websocket| {
        Channel::Https(Asked { method, path: path.into(), websocket })
    };
    let cases = [
        ("web.internal", 443, https("GET", "/a/b", false), "allow"),
        ("web.internal", 443, https("GET", "/a/b", true), "allow"),
        ("web.internal", 443, https("POST", "/a/b", false), "method"),
        ("web.internal", 443, https("GET", "/b", false), "path"),
        // Nothing inside is seen.
        ("api.github.com", 443, https("POST", "/anything", true), "allow"),
        ("db.internal", 5432, https("GET", "/", false), "allow"),
        ("pypi.internal", 80, https("GET", "/simple/x", false), "protocol"),
        ("pypi.internal", 80, Channel::WebSocket { path: "/simple/x".into() }, "protocol"),
        ("chat.internal", 80, Channel::WebSocket { path: "/".into() }, "allow"),
        ("web.internal", 443, Channel::WebSocket { path: "/a/b".into() }, "protocol"),
        ("db.internal", 5432, Channel::Opaque, "allow"),
        ("10.20.1.1", 5432, Channel::Opaque, "allow"),
        ("api.github.com", 443, Channel::Opaque, "protocol"),
        ("web.internal", 443, Channel::Opaque, "protocol"),
    ];
    for (name, port, channel, expected) in cases {
        let attempt = Attempt { host: &host(name), port, channel };
        assert_eq!(outcome(judge(&policy, &attempt)), expected, "{name}:{port} {channel:?}");
    }
}

fn tunnel(policy: &AgentPolicy, name: &str, port: u16) -> NamePermit {
    let host = host(name);
    judge(policy, &Attempt { host: &host, port, channel: Channel::Tunnel }).expect("a name")
}

#[test]
fn resolved_addresses() {
    // Rows 1 to 3, 19, 20, 22, 25 to 29.
    let cases: &[(&str, u16, &[&str], &str)] = &[
        ("api.github.com", 443, &["140.82.112.3"], "allow"),
        ("api.github.com", 443, &["140.82.112.3", "2606:50c0:8000::153"], "allow"),
        ("api.github.com", 443, &[], "resolve"),
        ("api.github.com", 443, &["127.0.0.1"], "address"),
        ("api.github.com", 443, &["140.82.112.3", "10.0.0.1"], "address"),
        ("api.github.com", 443, &["10.20.0.1"], "address"),
        ("api.github.com", 443, &["192.0.2.1"], "allow"),
        ("api.github.com", 443, &["::ffff:140.82.112.3"], "address"),
        ("api.github.com", 443, &["64:ff9b::a9fe:a9fe"], "address"),
        ("api.github.com", 443, &["2002:7f00:1::"], "address"),
        ("api.github.com", 443, &["2001:0:1::1"], "address"),
        ("api.github.com", 443, &["::127.0.0.1"], "address"),
        ("api.github.com", 443, &["100.64.0.1"], "address"),
        ("api.github.com", 443, &["0.0.0.0"], "address"),
        ("api.github.com", 443, &["198.18.0.1"], "address"),
        ("api.github.com", 443, &["255.255.255.255"], "address"),
        ("api.github.com", 443, &["224.0.0.1"], "address"),
        ("api.github.com", 443, &["fe80::1"], "address"),
        ("api.github.com", 443, &["fd00:ec2::254"], "address"),
        ("api.github.com", 443, &["168.63.129.16"], "address"),
        ("api.github.com", 443, &["4000::1"], "address"),
        ("db.internal", 5432, &["10.20.0.9"], "allow"),
        ("db.internal", 5432, &["10.21.0.9"], "address"),
    ];
    let policy = policy();
    for (name, port, found, expected) in cases {
        let found: Vec<IpAddr> =
            found.iter().map(|text| text.parse().expect("an address")).collect();
        let result = tunnel(&policy, name, *port).addresses(&found, &[]);
        assert_eq!(outcome(result), *expected, "{name} {found:?}");
    }
}

#[test]
fn metadata_is_refused_even_where_a_range_lifts_the_check() {
    let text = POLICY.replace("10.20.0.0/16", "0.0.0.0/0").replace("[80, 5432]", "[80]");
    let file = SourceFile { name: "p.yaml".to_owned(), text };
    let policy = load(&[file]).expect("a policy").agents.remove(0);
    let permit = tunnel(&policy, "169.254.169.254", 80);
    let denial =
        permit.addresses(&["169.254.169.254".parse().expect("ip")], &[]).expect_err("never");
    assert!(denial.message.contains("metadata"), "{denial}");
}

#[test]
fn own_listeners_are_refused() {
    let policy = policy();
    let upstream = policy.upstream("local").expect("an upstream");
    let own = ["127.0.0.1:8080".parse().expect("an address")];
    for address in ["127.0.0.1", "127.0.0.2", "0.0.0.0"] {
        let permit = judge_upstream(upstream, "GET", "/").expect("a request");
        let found = permit.addresses(&[address.parse().expect("ip")], &own);
        assert_eq!(outcome(found), "address", "{address}");
    }
    let permit = judge_upstream(upstream, "GET", "/").expect("a request");
    assert_eq!(outcome(permit.addresses(&["127.0.0.1".parse().expect("ip")], &[])), "allow");
}

#[test]
fn what_is_spoken_inside() {
    let policy = policy();
    let public: [IpAddr; 1] = ["140.82.112.3".parse().expect("ip")];
    let name = |text: &str| DnsName::parse(text).expect("a name");
    let github = tunnel(&policy, "api.github.com", 443).addresses(&public, &[]).expect("addresses");
    let tls = |server_name: Option<&DnsName>| github.tls(Hello { server_name, has_ech: false });
    // Rows 31 to 33.
    assert_eq!(outcome(tls(Some(&name("api.github.com")))), "allow");
    assert_eq!(outcome(tls(Some(&name("evil.example")))), "name");
    assert_eq!(outcome(tls(None)), "name");
    assert_eq!(outcome(github.opaque()), "protocol");
    assert_eq!(outcome(github.http("GET", "/")), "protocol");
    assert!(!github.is_opaque());

    let pypi = tunnel(&policy, "pypi.internal", 80).addresses(&public, &[]).expect("addresses");
    assert_eq!(outcome(pypi.http("GET", "/simple/x")), "allow");
    assert_eq!(outcome(pypi.http("DELETE", "/simple/x")), "method");
    assert_eq!(outcome(pypi.tls(Hello::default())), "protocol");

    let literal: [IpAddr; 1] = ["192.0.2.9".parse().expect("ip")];
    let by_address = tunnel(&policy, "192.0.2.9", 443).addresses(&literal, &[]).expect("addresses");
    assert_eq!(outcome(by_address.tls(Hello::default())), "allow");
    assert_eq!(
        outcome(by_address.tls(Hello { server_name: Some(&name("x.example")), has_ech: false })),
        "name"
    );

    let private: [IpAddr; 1] = ["10.20.0.1".parse().expect("ip")];
    let database =
        tunnel(&policy, "db.internal", 5432).addresses(&private, &[]).expect("addresses");
    assert!(database.is_opaque());
    let permit = database.opaque().expect("tcp");
    assert_eq!(permit.addresses(), ["10.20.0.1:5432".parse().expect("an address")]);
    assert_eq!(permit.rule(), "spec.egress.allow[3]");
}

#[test]
fn upstreams() {
    let policy = policy();
    let web = policy.upstream("web").expect("an upstream");
    let cases =
        [("GET", "/repos/a", "allow"), ("POST", "/repos/a", "method"), ("GET", "/user", "path")];
    for (method, path, expected) in cases {
        assert_eq!(outcome(judge_upstream(web, method, path)), expected, "{method} {path}");
    }
    let permit = judge_upstream(web, "GET", "/repos/a").expect("a request");
    assert_eq!(outcome(permit.addresses(&["10.0.0.1".parse().expect("ip")], &[])), "address");
}

#[test]
fn denials_say_what_would_be_accepted() {
    let policy = policy();
    let evil = host("evil.example");
    let denial = judge(&policy, &Attempt { host: &evil, port: 443, channel: Channel::Tunnel })
        .expect_err("not listed");
    assert_eq!(denial.message, "`evil.example` is not in the egress rules of policy `reader`");
    assert!(denial.remedy.contains(r#"{host: "evil.example", ports: [443], protocol: tls}"#));
}

#[test]
fn every_range_of_the_table_is_special_at_both_ends() {
    for row in address::V4.iter().chain(address::V6) {
        for end in [row.range.network(), row.range.broadcast()] {
            assert!(special(end).is_some(), "{end}");
        }
    }
    for public in ["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "2606:4700::1111", "2a00::1"] {
        assert_eq!(special(public.parse().expect("ip")), None, "{public}");
    }
}

#[test]
fn nobody_is_told_to_allow_the_metadata_service() {
    let metadata = host("169.254.169.254");
    let attempt = Attempt { host: &metadata, port: 80, channel: Channel::Tunnel };
    let denial = judge(&policy(), &attempt).expect_err("never");
    assert!(denial.remedy.starts_with("no rule allows this"), "{denial}");
}

#[test]
fn through_a_proxy_on_the_way_out() {
    let text =
        POLICY.replace("    allow:", "    via: {url: \"http://proxy.corp:3128\"}\n    allow:");
    let file = SourceFile { name: "p.yaml".to_owned(), text };
    let policy = load(&[file]).expect("a policy").agents.remove(0);
    // host, port, what it resolves to, the outcome
    let cases: &[(&str, u16, &[&str], &str)] = &[
        ("db.internal", 5432, &["10.20.0.9"], "allow"),
        // What only the proxy can resolve is the proxy's to judge; what we can resolve, we judge.
        ("db.internal", 5432, &[], "allow"),
        ("db.internal", 5432, &["10.21.0.9"], "address"),
        ("10.20.0.9", 5432, &["10.20.0.9"], "allow"),
    ];
    for (name, port, found, expected) in cases {
        let found: Vec<IpAddr> =
            found.iter().map(|text| text.parse().expect("an address")).collect();
        let permit = tunnel(&policy, name, *port).addresses(&found, &[]);
        let permit = permit.and_then(|permit| permit.opaque());
        assert_eq!(outcome(permit.clone()), *expected, "{name} {found:?}");
        if let Ok(permit) = permit {
            assert_eq!((permit.host().to_string().as_str(), permit.port()), (*name, *port));
            assert_eq!(permit.via(), policy.via.as_ref());
        }
    }
    // The proxy itself may be private, and nothing worse.
    let via = policy.via.as_ref().expect("a proxy");
    for (address, expected) in
        [("10.0.0.1", "allow"), ("127.0.0.1", "allow"), ("169.254.169.254", "address")]
    {
        let found = judge_via(via).addresses(&[address.parse().expect("ip")], &[]);
        assert_eq!(outcome(found), expected, "{address}");
    }
    // Named upstreams that may be private are inside.
    for (name, goes_through) in [("web", true), ("local", false)] {
        let upstream = policy.upstream(name).expect("an upstream");
        let permit = judge_upstream(upstream, "GET", "/repos/a").expect("a request");
        let found = permit.through(&policy).addresses(&["1.1.1.1".parse().expect("ip")], &[]);
        let permit = found.expect("an address").opaque().expect("a permit");
        assert_eq!(permit.via().is_some(), goes_through, "{name}");
    }
}
