//! The corner truth table of `admission.md` C.1, and what the upstream tables of Kubernetes 1.35 hold, as rows of our own.

use crate::rbac::coverage::{Coverage, MAX_GAPS, covers};
use crate::rbac::notation::rules;

use super::properties::{Atom, missing_atoms, naive_missing};

/// Owner and wanted rules of which the first covers the second.
const COVERED: &[(&str, &str)] = &[
    // Resources and subresources.
    ("resources=*", "resources=pods"),
    ("resources=*", "resources=pods/exec"),
    ("resources=*", "resources=*/scale"),
    ("resources=*", "resources=*"),
    ("resources=*/exec", "resources=pods/exec"),
    ("resources=*/a/b", "resources=pods/a/b"),
    ("resources=*/scale", "resources=/scale"),
    ("resources=*/*", "resources=pods/*"),
    ("resources=*/*", "resources=*/*"),
    ("resources=*/scale groups=v1", "resources=foo/scale groups=v1"),
    ("resources=odd:name", "resources=odd:name"),
    // Names.
    ("resources=pods names=a,b", "resources=pods names=a"),
    ("resources=pods names=a; resources=pods names=b", "resources=pods names=a,b"),
    ("resources=pods", "resources=pods names=a"),
    ("resources=pods", "resources=pods names="),
    ("resources=pods names=", "resources=pods names="),
    ("resources=pods names=*", "resources=pods names=*"),
    // Verbs and groups.
    ("verbs=* resources=users", "verbs=impersonate resources=users"),
    ("groups=* resources=pods", "resources=pods"),
    ("groups=* resources=roles", "groups=one,two resources=roles"),
    ("groups=* resources=roles", "groups=* resources=roles"),
    ("verbs=* resources=roles", "verbs=watch,list resources=roles"),
    ("verbs=* resources=roles", "verbs=* resources=roles"),
    // One wanted rule out of several held ones, and the other way round.
    (
        "verbs=delete resources=deployments; verbs=delete resources=builds; verbs=update resources=builds,deployments",
        "verbs=delete,update resources=builds,deployments",
    ),
    (
        "groups=one resources=a,b; groups=two resources=a; groups=two resources=b",
        "groups=one,two resources=a,b",
    ),
    (
        "verbs=delete,update groups=one,two resources=a,b",
        "verbs=delete groups=one resources=a; verbs=update groups=two resources=b; verbs=delete groups=two resources=b",
    ),
    // URLs.
    ("urls=/api*", "urls=/apis"),
    ("urls=*", "urls=/*"),
    ("urls=*", "urls="),
    ("urls=*", "urls=/,/apis,/apis/v1"),
    ("urls=/a**", "urls=/ab"),
    ("urls=/*", "urls=/,/foo"),
    ("urls=/api", "urls=/api"),
    ("urls=/api/*", "urls=/api/v1,/api/v1/foo"),
    ("urls=/a*b", "urls=/a*b"),
    ("verbs=* urls=/apis", "verbs=* urls=/apis"),
    ("resources=pods urls=/apis", "urls=/apis"),
    ("resources=builds urls=/apis", "resources=builds urls=/apis"),
    // Vacuous.
    ("", ""),
    ("", "groups=- resources=pods"),
    ("", "resources=-"),
    ("", "verbs=- resources=pods"),
    ("", "verbs=- urls=/apis"),
    ("resources=pods", ""),
];

/// Owner and wanted rules of which the first doesn't cover the second, the atoms that are missing, and the field at fault.
const NOT_COVERED: &[(&str, &str, &str, &str)] = &[
    ("", "resources=pods", "get  pods", "apiGroups[0]"),
    ("resources=pods", "resources=pods/exec", "get  pods/exec", "resources[0]"),
    ("resources=pods/exec", "resources=pods", "get  pods", "resources[0]"),
    ("resources=pods/*", "resources=pods/exec", "get  pods/exec", "resources[0]"),
    ("resources=*/*", "resources=pods/exec", "get  pods/exec", "resources[0]"),
    ("resources=*/*", "resources=*", "get  *", "resources[0]"),
    ("resources=*/scale", "resources=*", "get  *", "resources[0]"),
    ("resources=*/b", "resources=pods/a/b", "get  pods/a/b", "resources[0]"),
    ("resources=pods", "resources=Pods", "get  Pods", "resources[0]"),
    ("resources=a,b", "resources=*", "get  *", "resources[0]"),
    ("resources=pods names=a", "resources=pods", "get  pods", "resourceNames"),
    ("resources=pods names=a,b", "resources=pods", "get  pods", "resourceNames"),
    ("resources=pods names=*", "resources=pods names=a", "get  pods a", "resourceNames[0]"),
    ("resources=pods names=", "resources=pods", "get  pods", "resourceNames"),
    ("resources=pods names=a", "resources=pods names=a,b", "get  pods b", "resourceNames[1]"),
    ("resources=pods names=a", "resources=pods names=", "get  pods =", "resourceNames[0]"),
    (
        "verbs=get,list,watch,create,update,patch,delete,deletecollection resources=pods",
        "verbs=* resources=pods",
        "*  pods",
        "verbs[0]",
    ),
    ("verbs=GET resources=pods", "resources=pods", "get  pods", "verbs[0]"),
    ("groups= resources=pods", "groups=* resources=pods", "get * pods", "apiGroups[0]"),
    ("groups=dummy resources=roles", "groups=* resources=roles", "get * roles", "apiGroups[0]"),
    ("groups=Apps resources=pods", "groups=apps resources=pods", "get apps pods", "apiGroups[0]"),
    ("resources=*", "urls=/metrics", "get url /metrics", "nonResourceURLs[0]"),
    ("urls=*", "resources=pods", "get  pods", "apiGroups[0]"),
    ("urls=/healthz/*", "urls=/healthz", "get url /healthz", "nonResourceURLs[0]"),
    ("urls=/healthz", "urls=/healthz/", "get url /healthz/", "nonResourceURLs[0]"),
    ("urls=/*", "urls=*", "get url *", "nonResourceURLs[0]"),
    ("urls=/*", "urls=", "get url ", "nonResourceURLs[0]"),
    ("urls=/a*/b*", "urls=/axx/bc", "get url /axx/bc", "nonResourceURLs[0]"),
    ("urls=/apis", "urls=/api", "get url /api", "nonResourceURLs[0]"),
    ("urls=/api/v1", "urls=/api", "get url /api", "nonResourceURLs[0]"),
    ("urls=/api/*", "urls=/api,/api/v1", "get url /api", "nonResourceURLs[0]"),
    ("urls=/api/*/*", "urls=/api/v1", "get url /api/v1", "nonResourceURLs[0]"),
    ("urls=/*/v1/*", "urls=/api/v1", "get url /api/v1", "nonResourceURLs[0]"),
    ("verbs=list urls=/api", "urls=/api", "get url /api", "verbs[0]"),
    ("resources=pods names=a urls=/api", "urls=/api", "get url /api", "resourceNames"),
    ("resources=builds", "resources=builds urls=/apis", "get url /apis", "nonResourceURLs[0]"),
    // A single rule must cover an atom, not two halves of it.
    (
        "verbs=get resources=secrets; verbs=list resources=pods",
        "verbs=list resources=secrets",
        "list  secrets",
        "verbs[0]",
    ),
    (
        "groups=a resources=x; groups=b resources=y",
        "groups=a resources=y",
        "get a y",
        "resources[0]",
    ),
    (
        "verbs=get resources=pods names=a; verbs=list resources=pods",
        "verbs=get resources=pods names=b",
        "get  pods b",
        "resourceNames[0]",
    ),
    (
        "verbs=delete,update resources=builds,deployments; verbs=delete resources=pods",
        "verbs=delete,update resources=builds,deployments,pods",
        "update  pods",
        "verbs[1]",
    ),
    (
        "resources=pods",
        "verbs=get,list resources=pods,secrets",
        "list  pods|get  secrets|list  secrets",
        "verbs[1]",
    ),
];

fn atom(line: &str) -> Atom {
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    let text = |at: usize| words.get(at).map(|word| (*word).to_owned());
    if words[1] == "url" {
        return Atom { url: text(2), verb: words[0].into(), ..Atom::default() };
    }
    let name = text(3).map(|name| if name == "=" { String::new() } else { name });
    Atom {
        verb: words[0].into(),
        group: words[1].into(),
        resource: words[2].into(),
        name,
        url: None,
    }
}

#[test]
fn covered() {
    for (owner, wanted) in COVERED {
        let (owner_rules, wanted_rules) = (rules(owner), rules(wanted));
        assert!(naive_missing(&owner_rules, &wanted_rules).is_empty(), "row: {owner} -> {wanted}");
        assert_eq!(covers(&owner_rules, &wanted_rules), Coverage::Covered, "{owner} -> {wanted}");
    }
}

#[test]
fn not_covered() {
    for (owner, wanted, missing, field) in NOT_COVERED {
        let (owner_rules, wanted_rules) = (rules(owner), rules(wanted));
        let expected = missing.split('|').map(atom).collect();
        assert_eq!(
            naive_missing(&owner_rules, &wanted_rules),
            expected,
            "row: {owner} -> {wanted}"
        );
        let found = covers(&owner_rules, &wanted_rules);
        assert_eq!(missing_atoms(&found), expected, "{owner} -> {wanted}");
        let Coverage::Missing(shortfall) = found else { panic!("{owner} -> {wanted}") };
        assert_eq!(shortfall.gaps[0].field, *field, "{owner} -> {wanted}");
    }
}

#[test]
fn gaps_name_their_rules_and_are_compact() {
    let owner = rules("resources=pods; verbs=list resources=services");
    let wanted =
        rules("resources=pods; verbs=get,list,watch resources=secrets,configmaps; urls=/x");
    let Coverage::Missing(shortfall) = covers(&owner, &wanted) else { panic!("covered") };
    let told: Vec<(usize, &str, u64, usize)> = shortfall
        .gaps
        .iter()
        .map(|gap| (gap.rule, gap.field.as_str(), gap.atoms, gap.missing.len()))
        .collect();
    assert_eq!(told, [(1, "resources[0]", 6, 1), (2, "nonResourceURLs[0]", 1, 1)]);
    let block = &shortfall.gaps[0].missing[0];
    assert_eq!(block.verbs, ["get", "list", "watch"]);
    assert_eq!(block.resources, ["secrets", "configmaps"]);

    let owner = rules("resources=a; resources=b");
    let wanted = rules("verbs=get,list,watch resources=a,b");
    let Coverage::Missing(shortfall) = covers(&owner, &wanted) else { panic!("covered") };
    let told: Vec<_> = shortfall.gaps[0]
        .missing
        .iter()
        .map(|m| (m.verbs.join(","), m.resources.join(",")))
        .collect();
    assert_eq!(told, [("list,watch".to_owned(), "a,b".to_owned())]);
}

#[test]
fn what_is_told_is_bounded_and_what_is_counted_is_not() {
    let many: Vec<String> = (0..100).map(|number| format!("r{number}")).collect();
    let line = format!("verbs=get,list resources={}", many.join(","));
    let wanted: Vec<_> = (0..100).flat_map(|_| rules(&line)).collect();
    let Coverage::Missing(shortfall) = covers(&[], &wanted) else { panic!("covered") };
    assert_eq!((shortfall.rules, shortfall.gaps.len()), (100, MAX_GAPS));
    assert_eq!(shortfall.gaps[0].atoms, 200);
    assert_eq!(shortfall.gaps[0].missing[0].resources.len(), super::super::MAX_LISTED);
}

/// A product of 10^15 atoms is judged by its different rows; where these are too many, too, nothing is taken for covered.
#[test]
fn huge_products_end() {
    let list = |name: &str, count: usize| {
        let texts: Vec<String> = (0..count).map(|number| format!("{name}{number}")).collect();
        texts.join(",")
    };
    let huge = format!(
        "verbs={} groups={} resources={}",
        list("v", 100_000),
        list("g", 100_000),
        list("r", 100_000)
    );
    let huge = rules(&huge);
    assert_eq!(covers(&rules("verbs=* groups=* resources=*"), &huge), Coverage::Covered);
    assert_eq!(covers(&huge, &huge), Coverage::Covered);
    let Coverage::Missing(shortfall) = covers(&rules("resources=pods"), &huge) else {
        panic!("covered")
    };
    assert_eq!(shortfall.gaps[0].atoms, 1_000_000_000_000_000);

    // Rule n holds the first n texts of each field, so that all rows differ; the widest is held in two halves.
    let block = |verbs: std::ops::Range<usize>, count: usize| {
        let verbs: Vec<String> = verbs.map(|number| format!("v{number}")).collect();
        let (verbs, groups, resources) = (verbs.join(","), list("g", count), list("r", count));
        rules(&format!("verbs={verbs} groups={groups} resources={resources}"))
    };
    let mut stairs: Vec<_> = (1..300).flat_map(|count| block(0..count, count)).collect();
    stairs.extend(block(0..150, 300));
    stairs.extend(block(150..300, 300));
    assert_eq!(covers(&stairs, &block(0..300, 300)), Coverage::TooLarge);
    assert_eq!(covers(&stairs, &block(0..50, 50)), Coverage::Covered);
    assert_eq!(covers(&stairs[299..], &block(0..300, 300)), Coverage::Covered);
}
