//! Cases of DNS: the rows of attack table D.1 that are decisions, each beside what must work.

use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;

use super::*;

const POLICY: &str = r#"
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {name: reader}
spec:
  egress:
    dns: {searchSuffixes: [corp.example]}
    allow:
    - {host: "*.blob.example.net", ports: [443], protocol: tls}
    - {host: api.example, ports: [443, 8443], protocol: tls}
    - {host: "**.deep.example.net", ports: [443], protocol: tls}
    - {host: listed.blob.example.net, ports: [443], protocol: tls}
    - {host: db.internal, ports: [5432], protocol: tcp}
    - {host: own.ns.svc.cluster.local, ports: [80], protocol: http}
    - {cidr: 10.20.0.0/16, ports: [5432], protocol: tcp}
    - {cidr: 10.40.0.0/16, ports: [8443], protocol: tcp}
    - {cidr: 169.254.0.0/16, ports: [5432], protocol: tcp}
  upstreams:
  - {name: web, url: "https://upstream.example"}
"#;

fn policy() -> AgentPolicy {
    let file = SourceFile { name: "p.yaml".to_owned(), text: POLICY.to_owned() };
    load(&[file]).expect("a policy").agents.remove(0)
}

fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a name")
}

fn ask(policy: &AgentPolicy, text: &str, kind: RecordType) -> Result<QuestionPermit, Denial> {
    let search = [name("ns.svc.cluster.local"), name("svc.cluster.local")];
    judge(policy, &Question { name: &name(text), kind, search: &search })
}

fn outcome<T>(result: Result<T, Denial>) -> &'static str {
    match result {
        Ok(_) => "allow",
        Err(denial) => denial.reason.as_str(),
    }
}

#[test]
fn rows_5_7_12_13_17_questions() {
    let (a, https) = (RecordType::A, RecordType::HTTPS);
    let cases = [
        ("api.example", a, "allow"),
        ("API.Example.", a, "allow"),
        ("api.example", RecordType::AAAA, "allow"),
        ("api.example", https, "allow"),
        ("api.example", RecordType::SVCB, "allow"),
        ("x.blob.example.net", a, "allow"),
        ("x.y.deep.example.net", a, "allow"),
        ("db.internal", a, "allow"),
        ("evil.example", a, "host"),
        ("sub.api.example", a, "host"),
        ("notapi.example", a, "host"),
        ("api.example.evil.org", a, "host"),
        ("blob.example.net", a, "host"),
        ("x.y.blob.example.net", a, "host"),
        ("upstream.example", a, "host"),
        // HTTPS on a port of its own; only with that type, and only in that form.
        ("_8443._https.api.example", https, "allow"),
        ("_8443._https.api.example", a, "host"),
        ("_8443._https.evil.example", https, "host"),
        ("_08443._https.api.example", https, "host"),
        ("_99999._https.api.example", https, "host"),
        ("_data._https.api.example", https, "host"),
        ("x._8443._https.api.example", https, "host"),
        // Search lists: the pod's, the policy's, the cluster's.
        ("api.example.ns.svc.cluster.local", a, "search-suffix"),
        ("api.example.svc.cluster.local", a, "search-suffix"),
        ("api.example.cluster.local", a, "search-suffix"),
        ("api.example.corp.example", a, "search-suffix"),
        ("kubernetes.default.svc.cluster.local", a, "search-suffix"),
        ("corp.example", a, "search-suffix"),
        ("evilcorp.example", a, "host"),
        ("cluster.local.evil.example", a, "host"),
        ("own.ns.svc.cluster.local", a, "allow"),
    ];
    let policy = policy();
    for (text, kind, expected) in cases {
        assert_eq!(outcome(ask(&policy, text, kind)), expected, "{text} {kind}");
    }
}

#[test]
fn row_5_only_types_that_lead_to_hosts_are_asked() {
    let policy = policy();
    for number in 0..=u16::MAX {
        let kind = RecordType(number);
        let expected = if [1, 28, 64, 65].contains(&number) { "allow" } else { "record-type" };
        assert_eq!(outcome(ask(&policy, "api.example", kind)), expected, "{kind}");
    }
    // Also where the name is denied, for it is the type that is seen first in records.
    assert_eq!(outcome(ask(&policy, "secret.evil.example", RecordType(16))), "record-type");
    assert_eq!(refuse_text("\\010.example", RecordType(16)).reason, Reason::RecordType);
    assert_eq!(refuse_text("\\010.example", RecordType::A).reason, Reason::Host);
}

#[test]
fn record_types_have_names() {
    for (number, text) in [(1, "A"), (16, "TXT"), (255, "ANY"), (65_400, "TYPE65400")] {
        assert_eq!(RecordType(number).to_string(), text);
        assert_eq!(RecordType::parse(&text.to_lowercase()), Some(RecordType(number)));
    }
    assert_eq!(RecordType::parse("TYPE28"), Some(RecordType::AAAA));
    assert_eq!(RecordType::parse("TYPE65536"), None);
    assert_eq!(RecordType::parse("B"), None);
}

#[test]
fn rows_1_3_every_address_is_judged_as_a_connection_would_be() {
    let cases: &[(&str, &[&str], &str)] = &[
        ("api.example", &["93.184.216.34", "2606:2800::1"], "allow"),
        ("api.example", &[], "allow"),
        ("api.example", &["127.0.0.1"], "address"),
        ("api.example", &["93.184.216.34", "10.0.0.1"], "address"),
        ("api.example", &["fd00:ec2::254"], "address"),
        ("api.example", &["::ffff:93.184.216.34"], "address"),
        ("api.example", &["64:ff9b::7f00:1"], "address"),
        ("api.example", &["168.63.129.16"], "address"),
        // A range lifts the check on its own ports only.
        ("api.example", &["10.20.0.1"], "address"),
        ("api.example", &["10.40.0.1"], "allow"),
        ("db.internal", &["10.20.0.1"], "allow"),
        ("db.internal", &["10.40.0.1"], "address"),
        ("db.internal", &["10.20.0.1", "10.21.0.1"], "address"),
        // Metadata never, whatever a range says; link-local beside it is what was asked for.
        ("db.internal", &["169.254.169.254"], "address"),
        ("db.internal", &["169.254.1.1"], "allow"),
    ];
    let policy = policy();
    for (text, found, expected) in cases {
        let found: Vec<IpAddr> = found.iter().map(|text| text.parse().expect("ip")).collect();
        let permit = ask(&policy, text, RecordType::A).expect("a question");
        let answer = permit.addresses(&policy, &found);
        assert_eq!(outcome(answer.as_ref().map_err(Clone::clone)), *expected, "{text} {found:?}");
        if let Ok(answer) = answer {
            assert_eq!(answer.addresses(), found);
        }
    }
}

#[test]
fn row_6_shapes_of_names_below_wildcards() {
    let label = |bytes: usize| "a".repeat(bytes);
    let cases = [
        // What clouds and people give.
        ("my-company-production-data-lake-us-east-1".to_owned(), "allow"),
        ("sagemaker-studio-123456789012-abcdefghijk".to_owned(), "allow"),
        ("d41d8cd98f00b204e9800998ecf8427e".to_owned(), "allow"),
        ("abcdefghijklmnopqrstuvwxyz123456.lambda-url.us-east-1".to_owned(), "allow"),
        ("vpce-0123456789abcdef0-abcdefgh.s3.us-east-1.vpce".to_owned(), "allow"),
        ("2f1b8a54-6f0e-4c53-9c1d-7a30b1ffde11".to_owned(), "allow"),
        ("search-logs-abcdefghijklmnopqrstuvwxyz.us-east-1.es".to_owned(), "allow"),
        (format!("{}.{}", label(56), label(43)), "allow"),
        // What carries data.
        (label(57), "limit"),
        (format!("{}.{}", label(56), label(44)), "limit"),
        ("mzxw6ytboi2dgnjvgy3tqojqmfrggzdfmzxw6ytb".to_owned(), "limit"),
        ("d41d8cd98f00b204.e9800998ecf8427e.d41d8cd98f00b204".to_owned(), "limit"),
        ("d41d8cd98f00b204-e9800998ecf8427e-d41d8cd98f00b204".to_owned(), "limit"),
    ];
    let policy = policy();
    for (below, expected) in cases {
        let text = format!("{below}.deep.example.net");
        assert_eq!(outcome(ask(&policy, &text, RecordType::A)), expected, "{text}");
    }
}

#[test]
fn row_6_new_names_below_wildcards_are_few() {
    let policy = policy();
    let below = ask(&policy, "x.blob.example.net", RecordType::A).expect("a question");
    assert!(below.is_wildcard());
    assert_eq!(below.rule(), "spec.egress.allow[0]");
    assert_eq!(outcome(below.novelty(0)), "allow");
    assert_eq!(outcome(below.novelty(NEW_NAMES_PER_MINUTE_MAX)), "allow");
    assert_eq!(outcome(below.novelty(NEW_NAMES_PER_MINUTE_MAX + 1)), "limit");
    // A name that stands in the policy has no budget, also where a wildcard before it covers it.
    let listed = ask(&policy, "listed.blob.example.net", RecordType::A).expect("a question");
    assert!(!listed.is_wildcard());
    assert_eq!(listed.rule(), "spec.egress.allow[3]");
    assert_eq!(outcome(listed.novelty(u32::MAX)), "allow");
}

#[test]
fn row_11_service_records_lead_to_listed_names() {
    let policy = policy();
    let permit = ask(&policy, "api.example", RecordType::HTTPS).expect("a question");
    for (target, expected) in
        [("api.example", true), ("db.internal", true), ("evil.example", false)]
    {
        assert_eq!(permit.may_lead_to(&policy, &name(target)), expected, "{target}");
    }
}

#[test]
fn names_allowed_by_a_cidr_alone_are_never_looked_up() {
    let text = POLICY.replace(
        "{host: db.internal, ports: [5432], protocol: tcp}",
        "{cidr: 0.0.0.0/0, ports: [443], protocol: tls}",
    );
    let file = SourceFile { name: "p.yaml".to_owned(), text };
    let policy = load(&[file]).expect("a policy").agents.remove(0);
    assert_eq!(outcome(ask(&policy, "db.internal", RecordType::A)), "host");
}

#[test]
fn denials_say_what_would_be_accepted() {
    let policy = policy();
    let denial = ask(&policy, "evil.example", RecordType::A).expect_err("not listed");
    assert_eq!(denial.message, "`evil.example` is not in the egress rules of policy `reader`");
    assert!(denial.remedy.contains(r#"{host: "evil.example", ports: [443], protocol: tls}"#));
}
