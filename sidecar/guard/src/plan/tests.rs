//! Settings that would open the pod, and what the text of a plan holds.

use super::*;

#[test]
fn settings_that_would_open_the_pod_are_refused() {
    let many: Vec<u16> = (20_000..20_100).collect();
    // (UID, ports, part of the error)
    let cases: [(u32, &[u16], &str); 9] = [
        (0, &[], "`--uid 0`"),
        (u32::MAX, &[], "can't be the sidecar's"),
        (u32::MAX - 1, &[], "can't be the sidecar's"),
        (64_646, &[inject::ADMIN_PORT], "`--loopback-port 15090`"),
        (64_646, &[8_000, inject::TRANSPARENT_PORT], "`--loopback-port 15001`"),
        (64_646, &[inject::DNS_PORT], "`--loopback-port 15053`"),
        (64_646, &[53], "`--loopback-port 53`"),
        (64_646, &[0], "`--loopback-port 0`"),
        (64_646, &many, "100 `--loopback-port`s"),
    ];
    for (uid, ports, part) in cases {
        let error = Plan::new(uid, ports, RouteMode::Required).expect_err(part);
        assert!(matches!(error, GuardError::Settings(_)) && error.to_string().contains(part));
    }
    assert!(Plan::new(1, &many[..LOOPBACK_PORTS_MAX], RouteMode::Off).is_ok());
}

#[test]
fn the_text_holds_what_is_asked_for() {
    let plan = Plan::new(4_242, &[9_000, 15_002, 9_000], RouteMode::Required).expect("a plan");
    let text = plan.text();
    for part in [
        "table inet pinfold\ndelete table inet pinfold\ntable inet pinfold {\n",
        "elements = { 9000, 15002, 15080 }",
        "meta skuid 4242 accept",
        "hook output priority 0; policy drop;",
        "uidrange 0-4241 lookup 15001",
        "uidrange 4243-4294967294 lookup 15001",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    let without = Plan::new(4_242, &[], RouteMode::Off).expect("a plan").text();
    assert!(without.contains("--routes off") && !without.contains("uidrange"));
}
