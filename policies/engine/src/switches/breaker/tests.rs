//! Breakers step by step, and whose is whose.

use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;

use super::*;

const S: Duration = Duration::from_secs(1);
const LIMIT: BreakerLimit =
    BreakerLimit { failures: 3, window: Duration::from_secs(10), open: Duration::from_secs(5) };

fn tool(name: &str) -> Breaks {
    Breaks::Tool { server: "s".to_owned(), tool: name.to_owned() }
}

fn passes(seen: &Seen, now: Duration) -> bool {
    judge(&tool("t"), "p", seen, now).is_ok()
}

#[test]
fn it_opens_after_failures_in_the_window_and_one_call_tries() {
    let mut seen = Seen::default();
    // Two, and a third when the first is too long ago.
    for at in [1, 2, 11] {
        assert!(passes(&seen, S * at));
        seen.enter();
        seen.failed(false, LIMIT, S * at);
        assert_eq!(seen.state(S * at), State::Closed);
    }
    seen.failed(false, LIMIT, S * 11);
    assert_eq!(seen.state(S * 11), State::Open);
    let denial = judge(&tool("t"), "p", &seen, S * 12).expect_err("open");
    assert_eq!((denial.reason, denial.rule.as_str()), (Reason::Breaker, "p"));
    assert_eq!(
        denial.message,
        "tool `t` of `s` failed too often lately: it is left alone, and tried again in 4 s"
    );
    // Those that were under way change nothing.
    seen.worked(false);
    seen.failed(false, LIMIT, S * 13);
    assert!(!passes(&seen, S * 15) && passes(&seen, S * 16));
    assert_eq!(seen.state(S * 16), State::HalfOpen);
    seen.enter();
    let second = judge(&tool("t"), "p", &seen, S * 16).expect_err("one tries");
    assert!(second.message.contains("one call is trying"), "{second}");
    // It fails: open again, for as long.
    seen.failed(true, LIMIT, S * 17);
    assert!(!passes(&seen, S * 21) && passes(&seen, S * 22));
    // It goes away: another one tries, and works.
    seen.enter();
    seen.left(true);
    assert!(passes(&seen, S * 22));
    seen.enter();
    seen.worked(true);
    assert_eq!(seen, Seen::default());
}

#[test]
fn failures_kept_are_bounded_by_the_limit() {
    let mut seen = Seen::default();
    for _ in 0..1_000 {
        seen.failed(false, BreakerLimit { failures: 100, ..LIMIT }, S);
        assert!(seen.failures.len() < 100);
    }
}

#[test]
fn a_tool_has_its_own_limit_or_its_upstreams() {
    let text = "apiVersion: pinfold.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {name: a}\nspec:\n  upstreams:\n  - {name: u, url: 'https://x.y', breaker: {failures: 3, window: 10s, open: 5s}}\n  - {name: v, url: 'https://x.z'}\n  tools:\n    servers:\n    - name: s\n      upstream: u\n      allow: [{tool: own, breaker: {failures: 1, window: 1s, open: 1s}}, {tool: t}]\n    - {name: z, upstream: v, allow: [{tool: t}]}\n";
    let set = load(&[SourceFile { name: "p.yaml".into(), text: text.into() }]).expect("a policy");
    let policy = set.agent(None).expect("an agent");
    let at = |of: &Breaks| limit(policy, of).map(|(limit, place)| (limit.failures, place));
    let upstream = Some((3, "spec.upstreams[0].breaker".to_owned()));
    assert_eq!(at(&tool("own")), Some((1, "spec.tools.servers[0].allow[0].breaker".to_owned())));
    assert_eq!(at(&tool("t")), upstream);
    assert_eq!(at(&tool("")), upstream);
    assert_eq!(at(&Breaks::Upstream("u".to_owned())), upstream);
    assert_eq!(at(&Breaks::Requests("u".to_owned())), upstream);
    for none in [
        Breaks::Upstream("v".to_owned()),
        Breaks::Upstream("nowhere".to_owned()),
        Breaks::Tool { server: "z".to_owned(), tool: "t".to_owned() },
    ] {
        assert_eq!(at(&none), None, "{none:?}");
    }
}
