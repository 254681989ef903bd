//! The `rbac` section: what is read, and every error with its place.

use super::*;

/// The public key of RFC 8032 7.1, test 1.
const PUBLIC_KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

#[test]
fn the_rbac_section_is_read() {
    let text = admission(&format!(
        r#"  rbac:
    agentCeiling: usual
    ceilings:
    - name: usual
      deny: [{{apiGroups: [""], resources: [secrets], verbs: [get]}}, {{nonResourceURLs: ["*"], verbs: ["*"]}}]
    - name: strict
      namespaces: [strict-*]
      deny: [{{apiGroups: ["*"], resources: ["*"], verbs: ["*"], resourceNames: [a]}}]
    deputies:
    - serviceAccount: flux-system/kustomize-controller
      uid: u1
      onBehalfOf:
        extra: {{user: a.org/user}}
        annotation: {{user: b.org/user, groups: b.org/groups, signature: b.org/signature, publicKey: {PUBLIC_KEY}}}
        owner: false
    - user: syncer
      onBehalfOf: {{annotation: {{user: c.org/user, setByDeputy: true}}}}
    roleTemplates:
    - {{name: reader, description: reads, rules: [{{apiGroups: [""], resources: [pods], verbs: [get]}}]}}
"#
    ));
    let policy = load(&files(&[&text])).expect("a policy").admission.expect("an admission policy");
    let names = |place: &str| -> Vec<String> {
        policy.rbac.ceiling_of(place).into_iter().map(|ceiling| ceiling.name.clone()).collect()
    };
    assert_eq!(
        (names("acme"), names("strict-a"), names("")),
        (vec!["usual".to_owned()], vec!["strict".to_owned()], vec!["usual".to_owned()])
    );
    let [flux, syncer] = policy.rbac.deputies.as_slice() else { panic!("two deputies") };
    assert_eq!(flux.extra, Some(("a.org/user".to_owned(), None)));
    assert!(!flux.owner && syncer.owner, "owners count unless it says no");
    let key = flux.annotation.as_ref().and_then(|annotation| annotation.signed.as_ref());
    assert_eq!(key.map(|(name, key)| (name.as_str(), key[0])), Some(("b.org/signature", 0xd7)));
    assert!(syncer.annotation.as_ref().is_some_and(|annotation| annotation.signed.is_none()));
    assert_eq!(policy.rbac.role_templates["reader"].rules.len(), 1);

    let bare = load(&files(&[&admission("  {}\n")])).expect("a policy").admission.expect("one");
    assert!(bare.rbac.ceiling_of("acme").is_empty() && bare.rbac.deputies.is_empty());
}

/// Several ceilings that name one namespace all count, so that the order of files doesn't.
#[test]
fn ceilings_of_several_documents_join() {
    let one = admission(
        "  rbac: {ceilings: [{name: a, namespaces: [acme], deny: [{apiGroups: [x], resources: [y], verbs: [z]}]}]}\n",
    );
    let two = one.replace("name: a,", "name: b,").replace("[acme]", "['a*']");
    for order in [[&one, &two], [&two, &one]] {
        let set = load(&files(&order.map(String::as_str))).expect("both");
        let policy = set.admission.expect("one");
        assert_eq!(policy.rbac.ceiling_of("acme").len(), 2);
        assert_eq!(policy.rbac.ceiling_of("axis").len(), 1);
    }
}

/// What is written in the section, and what is told.
const ERRORS: &[(&str, &[&str])] = &[
    (
        "agentCeling: x",
        &["p0.yaml:6:10: spec.rbac: unknown field `agentCeling`: did you mean `agentCeiling`?"],
    ),
    (
        "agentCeiling: x",
        &["p0.yaml:6:24: spec.rbac.agentCeiling: no ceiling `x` in `rbac.ceilings`"],
    ),
    (
        "agentCeiling: usal, ceilings: [{name: usual, deny: [{apiGroups: [a], resources: [b], verbs: [c]}]}]",
        &[
            "p0.yaml:6:24: spec.rbac.agentCeiling: no ceiling `usal` in `rbac.ceilings`; did you mean `usual`?",
        ],
    ),
    (
        "agentCeiling: [x]",
        &["p0.yaml:6:24: spec.rbac.agentCeiling: invalid type: sequence, expected a string"],
    ),
    ("ceilings: [{deny: []}]", &["p0.yaml:6:21: spec.rbac.ceilings[0]: missing field `name`"]),
    ("ceilings: [{name: a}]", &["p0.yaml:6:21: spec.rbac.ceilings[0]: missing field `deny`"]),
    (
        "ceilings: [{name: a, deny: []}]",
        &["p0.yaml:6:37: spec.rbac.ceilings[0].deny: expected at least one rule"],
    ),
    (
        "ceilings: [{name: '', deny: [{apiGroups: [a], resources: [b], verbs: [c]}]}]",
        &["p0.yaml:6:28: spec.rbac.ceilings[0].name: expected a name"],
    ),
    (
        "ceilings: [{name: a, deny: [{apiGroups: [a], resources: [b]}]}]",
        &[
            "p0.yaml:6:38: spec.rbac.ceilings[0].deny[0]: expected `verbs`, and `apiGroups` with `resources`, or `nonResourceURLs`",
        ],
    ),
    (
        "ceilings: [{name: a, deny: [{resources: [b], verbs: [c]}]}]",
        &[
            "p0.yaml:6:38: spec.rbac.ceilings[0].deny[0]: expected `verbs`, and `apiGroups` with `resources`, or `nonResourceURLs`",
        ],
    ),
    (
        "ceilings: [{name: a, deny: [{apiGroups: [a], resources: [b], nonResourceURLs: [/], verb: [c]}]}]",
        &[
            "p0.yaml:6:93: spec.rbac.ceilings[0].deny[0]: unknown field `verb`: did you mean `verbs`?",
        ],
    ),
    (
        "ceilings: [{name: a, namespace: [x], deny: []}]",
        &[
            "p0.yaml:6:31: spec.rbac.ceilings[0]: unknown field `namespace`: did you mean `namespaces`?",
        ],
    ),
    (
        "deputies: [{}]",
        &[
            "p0.yaml:6:21: spec.rbac.deputies[0]: expected `user`, or `serviceAccount` with an optional `uid`",
        ],
    ),
    (
        "deputies: [{user: a, serviceAccount: b/c}]",
        &[
            "p0.yaml:6:21: spec.rbac.deputies[0]: expected `user`, or `serviceAccount` with an optional `uid`",
        ],
    ),
    (
        "deputies: [{user: a, uid: u}]",
        &[
            "p0.yaml:6:21: spec.rbac.deputies[0]: expected `user`, or `serviceAccount` with an optional `uid`",
        ],
    ),
    (
        "deputies: [{serviceAccount: flux}]",
        &[
            "p0.yaml:6:38: spec.rbac.deputies[0].serviceAccount: expected `namespace/name`, found `flux`",
        ],
    ),
    (
        "deputies: [{user: 'system:serviceaccount:a:b'}, {serviceAccount: a/b, uid: u}]",
        &["p0.yaml:6:58: spec.rbac.deputies[1]: this identity is a deputy already; say it once"],
    ),
    (
        "deputies: [{user: a, onBehalfOf: {annotation: {user: b}}}]",
        &[
            "p0.yaml:6:56: spec.rbac.deputies[0].onBehalfOf.annotation: who writes a file could write the annotation: give `signature` with `publicKey`, or say `setByDeputy: true`",
        ],
    ),
    (
        "deputies: [{user: a, onBehalfOf: {annotation: {user: b, signature: c}}}]",
        &[
            "p0.yaml:6:56: spec.rbac.deputies[0].onBehalfOf.annotation: who writes a file could write the annotation: give `signature` with `publicKey`, or say `setByDeputy: true`",
        ],
    ),
    (
        "deputies: [{user: a, onBehalfOf: {annotation: {user: b, signature: c, publicKey: AAAA}}}]",
        &[
            "p0.yaml:6:91: spec.rbac.deputies[0].onBehalfOf.annotation.publicKey: expected an Ed25519 public key: 32 bytes in base64",
        ],
    ),
    (
        "deputies: [{user: a, onBehalfOf: {annotation: {user: b, groups: b, setByDeputy: true}}}]",
        &[
            "p0.yaml:6:74: spec.rbac.deputies[0].onBehalfOf.annotation.groups: key `b` says something else already",
        ],
    ),
    (
        "deputies: [{user: a, onBehalfOf: {annotation: {user: pinfold.dev/run, setByDeputy: true}}}]",
        &[
            "p0.yaml:6:63: spec.rbac.deputies[0].onBehalfOf.annotation.user: expected a key of its own",
        ],
    ),
    (
        "deputies: [{user: a, onBehalfOf: {extra: {user: b, groups: b}}}]",
        &[
            "p0.yaml:6:69: spec.rbac.deputies[0].onBehalfOf.extra.groups: key `b` says something else already",
        ],
    ),
    (
        "roleTemplates: [{name: a, rules: []}]",
        &["p0.yaml:6:43: spec.rbac.roleTemplates[0].rules: expected at least one rule"],
    ),
    (
        "roleTemplates: [{name: a, rules: [{verbs: [c], nonResourceURLs: [/]}]}, {name: a, rules: [{verbs: [c], nonResourceURLs: [/]}]}]",
        &["p0.yaml:6:89: spec.rbac.roleTemplates[1].name: a role template of that name exists"],
    ),
];

#[test]
fn rbac_errors_say_where_and_what() {
    for (spec, expected) in ERRORS {
        assert_eq!(errors(&[&admission(&format!("  rbac: {{{spec}}}\n"))]), *expected, "{spec}");
    }
}

#[test]
fn what_two_documents_say_of_rbac_must_agree() {
    let ceiling = "{name: c, deny: [{apiGroups: [x], resources: [y], verbs: [z]}]}";
    let cases = [
        (
            format!("{{agentCeiling: c, ceilings: [{ceiling}]}}"),
            "{agentCeiling: d}".to_owned(),
            "p1.yaml:6:24: spec.rbac.agentCeiling: `agentCeiling` is set to another value at p0.yaml:6:24; keep one of them",
        ),
        (
            format!("{{ceilings: [{ceiling}]}}"),
            format!("{{ceilings: [{ceiling}]}}"),
            "p1.yaml:6:28: spec.rbac.ceilings[0].name: a ceiling of that name exists",
        ),
        (
            "{deputies: [{user: a}]}".to_owned(),
            "{deputies: [{user: a}]}".to_owned(),
            "p1.yaml:6:21: spec.rbac.deputies[0]: this identity is a deputy already; say it once",
        ),
    ];
    for (one, two, expected) in cases {
        let [one, two] = [one, two].map(|text| admission(&format!("  rbac: {text}\n")));
        assert_eq!(errors(&[&one, &two]), [expected]);
    }
}
