//! Budgets, rates, breakers and the kill switch as documents say them, alone and combined.

use serde_json::{Value, json};

use super::*;
use crate::policy::agent::AgentPolicy;
use crate::policy::compile::compile;
use crate::policy::load;
use crate::sources::SourceFile;

fn read(specs: &[&str]) -> Result<Vec<AgentPolicy>, Vec<String>> {
    let file = |(index, spec): (usize, &&str)| SourceFile {
        name: format!("p{index}.yaml"),
        text: format!(
            "apiVersion: pinfold.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {{name: a{index}}}\nspec:\n{spec}"
        ),
    };
    let files: Vec<SourceFile> = specs.iter().enumerate().map(file).collect();
    let set = load(&files);
    set.map(|set| set.agents).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn rate(events: u32, seconds: u64) -> Rate {
    Rate { events, per: Duration::from_secs(seconds) }
}

#[test]
fn every_switch_is_read() {
    let spec = "  upstreams:\n  - {name: up, url: 'https://x.y', breaker: {failures: 5, window: 30s, open: 20s}}\n  tools:\n    rate: [100/h, 10/s]\n    budget: {calls: 1000}\n    servers:\n    - name: s\n      upstream: up\n      rate: 20/m\n      budget: {calls: 200}\n      allow:\n      - {tool: t, rate: 5/h, budget: {calls: 50}, breaker: {failures: 1, window: 1m, open: 1h}}\n      - {tool: free}\n  killSwitch: {file: /var/run/pinfold/kill, active: true}\n";
    let agents = read(&[spec]).expect("a policy");
    let policy = agents.first().expect("one");
    let limits = |rates: &[Rate], calls| CallLimits { rates: rates.to_vec(), calls_max: calls };
    assert_eq!(policy.call_limits, limits(&[rate(100, 3_600), rate(10, 1)], Some(1000)));
    let server = policy.server("s").expect("a server");
    assert_eq!(server.call_limits, limits(&[rate(20, 60)], Some(200)));
    let [tool, free] = server.allow.as_slice() else { panic!("two tools") };
    assert_eq!(tool.call_limits, limits(&[rate(5, 3_600)], Some(50)));
    assert!(!free.call_limits.is_limited() && free.breaker.is_none());
    let breaker = |failures, window, open| {
        let (window, open) = (Duration::from_secs(window), Duration::from_secs(open));
        Some(BreakerLimit { failures, window, open })
    };
    assert_eq!(tool.breaker, breaker(1, 60, 3_600));
    assert_eq!(policy.upstream("up").expect("there").breaker, breaker(5, 30, 20));
    let files = vec!["/var/run/pinfold/kill".to_owned()];
    assert_eq!(policy.kill_switch, KillSwitch { files, active: true });
}

#[test]
fn errors_say_where_and_what() {
    let cases = [
        ("  tools: {rate: 5}\n", "p0.yaml:5:17: spec.tools.rate: "),
        ("  tools: {rate: 0/h}\n", "spec.tools.rate: `0/h`: expected a rate"),
        ("  tools: {rate: [5/h, 6/w]}\n", "spec.tools.rate[1]: `6/w`: expected a rate"),
        ("  tools: {rate: []}\n", "spec.tools.rate: expected 1 to 8 rates such as `5/h`, found 0"),
        ("  tools: {rate: 2000000/d}\n", "spec.tools.rate: expected at most 1000000 calls"),
        (
            "  tools: {budget: {calls: 0}}\n",
            "spec.tools.budget.calls: expected 1 to 1000000000 calls",
        ),
        ("  tools: {budget: {calls: -1}}\n", "spec.tools.budget.calls: "),
        ("  tools: {budget: {}}\n", "spec.tools.budget: missing field `calls`"),
        ("  tools: {budget: {callsPerDay: 5}}\n", "unknown field `callsPerDay`"),
        (
            "  upstreams: [{name: a, url: 'https://x.y', breaker: {failures: 0, window: 1s, open: 1s}}]\n",
            "spec.upstreams[0].breaker.failures: expected 1 to 100, found 0",
        ),
        (
            "  upstreams: [{name: a, url: 'https://x.y', breaker: {failures: 1, window: 2h, open: 1s}}]\n",
            "spec.upstreams[0].breaker.window: expected at most `1h`",
        ),
        ("  killSwitch: {}\n", "spec.killSwitch: expected `file` or `active`"),
        ("  killSwitch: {file: []}\n", "spec.killSwitch.file: expected 1 to 8 files, found 0"),
        ("  killSwitch: {file: kill}\n", "spec.killSwitch.file: expected an absolute path"),
        ("  killSwitch: {active: yes please}\n", "spec.killSwitch.active: "),
    ];
    for (spec, expected) in cases {
        let errors = read(&[spec]).expect_err(spec);
        assert!(matches!(errors.as_slice(), [one] if one.contains(expected)), "{spec}: {errors:?}");
    }
}

/// What two documents set, and what they set together, whichever comes first.
#[test]
fn the_smallest_limit_counts_and_any_kill_switch() {
    let cases = [
        (
            "  tools: {budget: {calls: 5}}\n",
            "  tools: {budget: {calls: 4}}\n",
            json!({"tools": {"budget": {"calls": 4}}}),
        ),
        ("  tools: {rate: 5/h}\n", "  {}\n", json!({"tools": {"rate": "5/h"}})),
        ("  tools: {rate: 5/h}\n", "  tools: {rate: [5/h]}\n", json!({"tools": {"rate": "5/h"}})),
        (
            "  tools: {rate: 5/h}\n",
            "  tools: {rate: 10/d}\n",
            json!({"tools": {"rate": ["5/h", "10/d"]}}),
        ),
        (
            "  killSwitch: {active: true}\n",
            "  killSwitch: {active: false}\n",
            json!({"killSwitch": {"active": true}}),
        ),
        (
            "  killSwitch: {file: /a}\n",
            "  killSwitch: {file: [/b, /a]}\n",
            json!({"killSwitch": {"file": ["/a", "/b"]}}),
        ),
    ];
    let together = |specs: &[&str]| -> Value {
        let agents = read(specs).expect("policies");
        let policies: Vec<&AgentPolicy> = agents.iter().collect();
        let compiled = compile(&policies, &[]).expect("one policy");
        let document: Value = serde_json::from_str(&compiled.text).expect("JSON");
        document["spec"].clone()
    };
    for (one, other, expected) in cases {
        assert_eq!(together(&[one, other]), expected, "{one}{other}");
        let turned = together(&[other, one]).to_string();
        assert_eq!(turned.len(), expected.to_string().len(), "{turned}");
    }
    let tool = |limits: &str| {
        format!(
            "  upstreams: [{{name: u, url: 'https://x.y'}}]\n  tools: {{servers: [{{name: s, upstream: u, allow: [{{tool: t, {limits}}}]}}]}}\n"
        )
    };
    let one = tool("rate: 5/h, breaker: {failures: 5, window: 10s, open: 5s}");
    let other = tool("budget: {calls: 9}, breaker: {failures: 6, window: 30s, open: 1s}");
    let joined = together(&[&one, &other]);
    assert_eq!(
        joined["tools"]["servers"][0]["allow"][0],
        json!({"tool": "t", "rate": "5/h", "budget": {"calls": 9}, "breaker": {"failures": 5, "window": "30s", "open": "5s"}})
    );
}
