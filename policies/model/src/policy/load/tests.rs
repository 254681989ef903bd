//! Cases of the loader: whole documents, and the errors that users meet.

mod placement;
mod rbac;

use super::*;

fn files(texts: &[&str]) -> Vec<SourceFile> {
    let file = |(index, text): (usize, &&str)| SourceFile {
        name: format!("p{index}.yaml"),
        text: (*text).to_owned(),
    };
    texts.iter().enumerate().map(file).collect()
}

fn errors(texts: &[&str]) -> Vec<String> {
    match load(&files(texts)) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

const ADMISSION: &str = "
apiVersion: pinfold.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: baseline}
spec:
";

const AGENT: &str = "
apiVersion: pinfold.dev/v1alpha1
kind: AgentPolicy
metadata: {name: reader}
spec:
";

fn admission(spec: &str) -> String {
    format!("{ADMISSION}{spec}")
}

fn agent_document(spec: &str) -> String {
    format!("{AGENT}{spec}")
}

#[test]
fn an_admission_policy_with_every_enforced_section_is_read() {
    let text = admission(
        r#"  mode: warn
  organizations:
    namespaceLabel: example.org/team
    platformAdmins: {groups: [admins], users: [root]}
    platformNamespaces: [kube-system]
  agents:
    namespaceSelector: {matchLabels: {agents: "on"}}
    serviceAccounts: ["*/agent-*"]
  trust:
    controllers: [{serviceAccount: krate-system/krate-controller, uid: u1}, {user: ci}]
    trustedRefs: [refs/heads/main]
    untrustedRefs: [refs/pull/*]
    pools:
    - name: trusted-linux
      tier: trusted
      nodeSelector: {pool: trusted}
      taints: [{key: pool, value: trusted, effect: NoSchedule}]
      serviceAccounts: [ci/runner-trusted]
    onUntrusted: force
    provenance:
    - match: {apiGroups: [tekton.dev], kinds: [PipelineRun]}
      repository: $.metadata.annotations['a/repository']
      ref: $.metadata.annotations['a/branch']
  references:
  - match: {apiGroups: [external-secrets.io], kinds: [ExternalSecret]}
    kind: Secret
    name: $.spec.target.name
  rules:
  - {id: PF-SEC-001, mode: audit}
  - {id: no-latest, mode: enforce}
  custom:
  - id: no-latest
    match: {kinds: [Pod]}
    deny: {path: "$.spec.containers[*].image", endsWith: ":latest", message: "pin the image"}
  exceptions:
  - {rules: [PF-TRU-001], match: {namespaces: [legacy]}, until: 2027-01-31, owner: team-x, reason: "migration"}
"#,
    );
    let set = load(&files(&[&text])).expect("a policy");
    let policy = set.admission.expect("an admission policy");
    assert_eq!(policy.mode, crate::finding::Mode::Warn);
    assert_eq!(
        policy.mode_of(&crate::finding::RuleId::SEC_CROSS_ORGANIZATION),
        Some(crate::finding::Mode::Audit)
    );
    assert_eq!(policy.organizations.namespace_labels, ["example.org/team"]);
    assert_eq!(policy.trust.pools[0].taints[0].effect, "NoSchedule");
    assert_eq!(policy.trust.controllers.len(), 2);
    let key = crate::object::ObjectKey::new("", "Pod", "legacy", "x");
    let day = |text: &str| format!("{text}T23:59:59Z").parse().expect("a time");
    let rule = crate::finding::RuleId::TRU_PLACEMENT;
    assert!(policy.exceptions[0].exempts(&rule, &key, day("2027-01-31")));
    assert!(!policy.exceptions[0].exempts(&rule, &key, day("2027-02-01")));
}

#[test]
fn defaults_are_the_documented_ones() {
    let set = load(&files(&[&admission("  {}\n")])).expect("a policy");
    let policy = set.admission.expect("an admission policy");
    assert_eq!(policy.mode, crate::finding::Mode::Enforce);
    assert_eq!(policy.organizations.namespace_labels, ["krate.a5c.ai/org", "kradle.a5c.ai/org"]);
    assert!(policy.organizations.admin_groups.contains("system:masters"));
    assert!(policy.organizations.platform_namespaces.contains("kube-system"));
    assert_eq!(
        policy.agents.namespace_labels,
        [("pinfold.dev/agents".to_owned(), "true".to_owned())]
    );
    assert!(policy.trust.untrusted_refs[0].matches("refs/pull/7/merge"));
    assert!(load(&[]).expect("nothing").admission.is_none());
}

#[test]
fn an_agent_policy_is_read() {
    let text = agent_document(
        r#"  appliesTo: {namespaces: [acme-*], agentStacks: [s], selector: {matchLabels: {a: b}}}
  egress:
    default: deny
    allow:
    - {host: api.github.com, ports: [443], protocol: tls}
    - {host: pypi.internal, ports: [80], protocol: http, methods: [GET], paths: ["/simple/**"]}
    - {cidr: 10.20.0.0/16, ports: [80, 5432], protocol: tcp}
    limits: {connections: 7}
  upstreams:
  - name: github-mcp
    url: https://mcp.example.com/base/
    credential: {header: Authorization, format: "Bearer {}", from: {file: /run/token}}
    methods: [POST]
  - {name: local, url: "http://127.0.0.1:8080"}
  tools:
    default: deny
    servers:
    - name: github
      upstream: github-mcp
      allow:
      - tool: get_file_contents
        tier: read
        arguments:
          closed: true
          rules:
          - {path: $.owner, in: [acme]}
          - {path: $.path, glob: "src/**", pathSafe: true, optional: true}
      deny: [merge_pull_request]
    results: {maxBytes: 1Mi}
  audit: {required: [tool-call, approval, egress-deny], onFailure: deny}
  mode: enforce
"#,
    );
    let set = load(&files(&[&text])).expect("a policy");
    let policy = set.agent(None).expect("the only one");
    assert_eq!(policy.connections_max, 7);
    assert_eq!(policy.egress[1].place, "spec.egress.allow[1]");
    let upstream = policy.upstream("github-mcp").expect("an upstream");
    assert_eq!((upstream.tls, upstream.port, upstream.base_path.as_str()), (true, 443, "/base"));
    assert!(!upstream.allow_private);
    assert!(policy.upstream("local").expect("an upstream").allow_private);
    assert_eq!(policy.server("github").expect("a server").allow[0].rules.len(), 2);
    assert_eq!(set.warnings.len(), 1, "not pinned");
    assert!(set.agent(Some("other")).is_none());
}

#[test]
fn admission_errors_say_where_and_what() {
    let cases = [
        ("  mdoe: warn\n", "p0.yaml:6:3: spec: unknown field `mdoe`: did you mean `mode`?"),
        (
            "  mode: deny\n",
            "p0.yaml:6:9: spec.mode: unknown value `deny`: expected one of `enforce`, `warn`, `audit`",
        ),
        (
            "  rules: [{id: PF-SEC-01, mode: warn}]\n",
            "p0.yaml:6:16: spec.rules[0].id: no rule `PF-SEC-01` in this version; did you mean `PF-SEC-001`?",
        ),
        (
            "  rules: [{id: PF-REQ-001, mode: warn}]\n",
            "p0.yaml:6:16: spec.rules[0].id: requests that can't be read are always denied",
        ),
        (
            "  images: {requireDigest: true}\n",
            "p0.yaml:6:11: spec.images: is part of the format, but this version does not enforce it, so it is refused rather than ignored; take it out",
        ),
        (
            "  references: [{match: {}, kind: Secret, name: '$..a..b'}]\n",
            "p0.yaml:6:48: spec.references[0].name: `$..a..b`: expected at most one descendant step `..`",
        ),
        (
            "  exceptions: [{rules: [PF-TRU-001], match: {}, owner: a, reason: b}]\n",
            "p0.yaml:6:45: spec.exceptions[0].match: would exempt everything; name kinds, namespaces or names",
        ),
        (
            "  exceptions: [{rules: [PF-TRU-001], match: {kinds: [Pod]}, until: soon, owner: a, reason: b}]\n",
            "p0.yaml:6:68: spec.exceptions[0].until: `soon`: expected a day such as `2027-01-31`",
        ),
        (
            "  trust: {pools: [{name: a, tier: trusted}]}\n",
            "p0.yaml:6:19: spec.trust.pools[0]: nothing says what is in the pool; give `nodeSelector`, `taints` or `serviceAccounts`",
        ),
        (
            "  trust: {controllers: [{serviceAccount: x}]}\n",
            "p0.yaml:6:42: spec.trust.controllers[0].serviceAccount: expected `namespace/name`, found `x`",
        ),
        (
            "  agents: {namespaceSelector: {matchLabels: {}}}\n",
            "p0.yaml:6:31: spec.agents.namespaceSelector: an empty selector would guard every namespace; name a label",
        ),
        (
            "  custom: [{id: x, match: {}, deny: {path: $.a, message: m}}]\n",
            "p0.yaml:6:37: spec.custom[0].deny: expected at least one test such as `equals` or `in`",
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(errors(&[&admission(spec)]), [expected], "{spec}");
    }
}

#[test]
fn agent_errors_say_where_and_what() {
    let cases = [
        (
            "  egress: {default: allow}\n",
            "p0.yaml:6:21: spec.egress.default: unknown value `allow`: expected one of `deny`",
        ),
        (
            "  egress: {allow: [{hots: a.b, ports: [1], protocol: tls}]}\n",
            "p0.yaml:6:21: spec.egress.allow[0]: unknown field `hots`: did you mean `host`?",
        ),
        (
            "  egress: {allow: [{host: '*.com', ports: [1], protocol: tls}]}\n",
            "p0.yaml:6:27: spec.egress.allow[0].host: `*.com`: expected at least two labels after the wildcard",
        ),
        (
            "  egress: {allow: [{host: a.b, ports: [], protocol: tls}]}\n",
            "p0.yaml:6:39: spec.egress.allow[0].ports: expected ports from 1 to 65535",
        ),
        (
            "  egress: {allow: [{host: a.b, ports: [1], protocol: tls, paths: [/x]}]}\n",
            "p0.yaml:6:20: spec.egress.allow[0]: `methods`, `paths` and `websocket` need `protocol: http` or `https`: nothing else can be seen",
        ),
        (
            "  egress: {allow: [{ports: [1], protocol: tcp}]}\n",
            "p0.yaml:6:20: spec.egress.allow[0]: expected `host` or `cidr`",
        ),
        (
            "  egress: {limits: {connectRate: 5/w}}\n",
            "p0.yaml:6:34: spec.egress.limits.connectRate: `5/w`: expected a rate such as `50/s`, `5/m`, `5/h` or `100/d`",
        ),
        (
            "  upstreams: [{name: a, url: 'ftp://x'}]\n",
            "p0.yaml:6:30: spec.upstreams[0].url: expected `https://` or `http://`, found `ftp://x`",
        ),
        (
            "  upstreams: [{name: a, url: 'http://x.y', credential: {header: A, from: {file: f}}}]\n",
            "p0.yaml:6:56: spec.upstreams[0].credential: a credential needs an `https` URL",
        ),
        (
            "  upstreams: [{name: aa, url: 'http://x.y'}]\n  tools: {servers: [{name: s, upstream: ab}]}\n",
            "p0.yaml:7:41: spec.tools.servers[0].upstream: no upstream `ab` in this policy; did you mean `aa`?",
        ),
        (
            "  tools: {servers: [{name: s, stdio: {command: [x]}}]}\n",
            "p0.yaml:6:38: spec.tools.servers[0].stdio: is part of the format, but this version does not enforce it, so it is refused rather than ignored; take it out",
        ),
        (
            "  killSwitch: {file: x}\n",
            "p0.yaml:6:22: spec.killSwitch.file: expected an absolute path of at most 255 bytes, found `x`",
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(errors(&[&agent_document(spec)]), [expected], "{spec}");
    }
}

#[test]
fn documents_combine_in_any_order_and_disagreement_names_both_places() {
    let one = admission("  mode: warn\n  trust: {trustedRefs: [a]}\n");
    let two = admission("  trust: {trustedRefs: [b]}\n");
    let both = load(&files(&[&one, &two])).expect("both");
    let turned = load(&files(&[&two, &one])).expect("both");
    assert_eq!(both.digest, turned.digest);
    assert_eq!(both.admission.expect("one").trust.trusted_refs.len(), 2);

    let other = admission("  mode: audit\n");
    let found = errors(&[&one, &other]);
    assert_eq!(
        found,
        ["p1.yaml:6:9: spec.mode: `mode` is set to another value at p0.yaml:6:9; keep one of them"]
    );
}

#[test]
fn other_documents_are_errors_and_all_errors_are_reported() {
    let found = errors(&[
        "apiVersion: v1\nkind: Pod\n",
        "apiVersion: pinfold.dev/v1alpha1\nkind: AgentPolcy\n",
        "a: [\n",
    ]);
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(
        found[0],
        "p0.yaml:1:13: apiVersion: not a policy document: expected `pinfold.dev/v1alpha1`, found `v1`"
    );
    assert_eq!(
        found[1],
        "p1.yaml:2:7: kind: unknown kind `AgentPolcy`: did you mean `AgentPolicy`?"
    );
}

#[test]
fn schemas_exist_for_every_kind_and_close_their_objects() {
    for kind in KINDS {
        let schema = super::super::schema::schema(kind).expect(kind);
        let text = serde_json::to_string(&schema).expect("JSON");
        assert!(text.contains("apiVersion"), "{kind}");
    }
}

#[test]
fn resolvers_are_servers_that_no_agent_can_be() {
    let read = |resolvers: &str| {
        let text = agent_document(&format!("  egress:\n    dns:\n      resolvers: {resolvers}\n"));
        load(&files(&[&text]))
            .map(|set| set.agents[0].dns.resolvers.clone())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    };
    let good = [
        ("[]", vec![]),
        // A cluster's, a node's cache, a cloud's: none of them is anything but a server of names.
        ("['10.96.0.10:53', '169.254.20.10:53']", vec!["10.96.0.10:53", "169.254.20.10:53"]),
        ("['[fd00::a]:5353']", vec!["[fd00::a]:5353"]),
        ("['[::ffff:10.0.0.1]:53']", vec!["10.0.0.1:53"]),
    ];
    for (text, expected) in good {
        let found: Vec<String> =
            read(text).expect("a policy").iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{text}");
    }
    let many = format!("[{}]", ["'10.0.0.1:53'"; 9].join(", "));
    let bad = [
        ("[10.96.0.10]", "resolvers[0]", "expected an address and a port"),
        ("['dns.example:53']", "resolvers[0]", "expected an address and a port"),
        ("['10.0.0.1:53', '127.0.0.1:53']", "resolvers[1]", "the pod itself"),
        ("['[::1]:53']", "resolvers[0]", "the pod itself"),
        ("['[::ffff:127.0.0.1]:53']", "resolvers[0]", "the pod itself"),
        ("['0.0.0.0:53']", "resolvers[0]", "the pod itself"),
        ("['224.0.0.251:5353']", "resolvers[0]", "one server"),
        ("['255.255.255.255:53']", "resolvers[0]", "one server"),
        ("['10.0.0.1:0']", "resolvers[0]", "one server"),
        (many.as_str(), "dns.resolvers", "at most 8"),
    ];
    for (text, place, said) in bad {
        let errors = read(text).expect_err(text);
        assert!(errors.starts_with("p0.yaml:") && errors.contains(place), "{text}: {errors}");
        assert!(errors.contains(said), "{text}: {errors}");
    }
}
