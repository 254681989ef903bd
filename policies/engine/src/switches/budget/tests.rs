//! Tables of budgets and rates, and a property: whatever order calls are reserved, sent and given back in, no more are sent than a limit says.

use std::time::Duration;

use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;
use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);

fn policy(agent: &str, server: &str, tool: &str) -> AgentPolicy {
    let text = format!(
        "apiVersion: pinfold.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {{name: a}}\nspec:\n  upstreams: [{{name: u, url: 'https://x.y'}}]\n  tools:\n    {agent}\n    servers:\n    - {{name: s, upstream: u, {server}, allow: [{{tool: t, {tool}}}, {{tool: other}}]}}\n    - {{name: z, upstream: u, allow: [{{tool: t}}]}}\n"
    );
    let set = load(&[SourceFile { name: "p.yaml".into(), text }]).expect("a policy");
    set.agent(None).expect("an agent").clone()
}

const NONE: &str = "deny: []";

fn tool(limits: &str) -> AgentPolicy {
    policy("default: deny", NONE, limits)
}

fn call(policy: &AgentPolicy, counts: &mut Counts, now: Duration) -> Result<Reservation, Denial> {
    call_of(policy, ("s", "t"), counts, now)
}

fn call_of(
    policy: &AgentPolicy,
    name: (&str, &str),
    counts: &mut Counts,
    now: Duration,
) -> Result<Reservation, Denial> {
    let before = counts.clone();
    let reserved = reserve(policy, name, counts, now);
    // Row 108: a denial changes nothing, and neither does asking.
    assert_eq!(*counts, before);
    reserved.inspect(|reservation| counts.charge(reservation))
}

#[test]
fn a_budget_is_of_the_tool_the_server_or_the_agent() {
    let two = "budget: {calls: 2}";
    // Where the limit is, the place that denies, whether another tool and another server still pass.
    let cases = [
        (tool(two), "spec.tools.servers[0].allow[0].budget.calls", true, true),
        (
            policy("default: deny", two, "tier: read"),
            "spec.tools.servers[0].budget.calls",
            false,
            true,
        ),
        (policy(two, NONE, "tier: read"), "spec.tools.budget.calls", false, false),
    ];
    for (policy, place, other, elsewhere) in cases {
        let mut counts = Counts::default();
        let first = call(&policy, &mut counts, S).expect("the first");
        assert_eq!(first.left.describe(), "1 calls left of the run");
        let second = call(&policy, &mut counts, S).expect("the second");
        assert!(second.is_limited());
        assert_eq!(second.left, Left { of_run: Some(0), at_once: None });
        let denial = call(&policy, &mut counts, S * 1_000_000).expect_err("used up");
        assert_eq!((denial.reason, denial.rule.as_str()), (Reason::Budget, place));
        assert!(denial.message.contains("the 2 calls of") && denial.message.contains("0 are left"));
        assert_eq!(call_of(&policy, ("s", "other"), &mut counts, S).is_ok(), other, "{place}");
        assert_eq!(call_of(&policy, ("z", "t"), &mut counts, S).is_ok(), elsewhere, "{place}");
    }
}

#[test]
fn a_rate_lets_that_many_at_once_and_then_as_time_goes() {
    let policy = tool("rate: 5/h");
    let mut counts = Counts::default();
    for left in (0..5).rev() {
        let reservation = call(&policy, &mut counts, S).expect("within the rate");
        assert_eq!(reservation.left, Left { of_run: None, at_once: Some(left) });
    }
    let denial = call(&policy, &mut counts, S).expect_err("too many");
    let place = "spec.tools.servers[0].allow[0].rate";
    assert_eq!((denial.reason, denial.rule.as_str()), (Reason::Rate, place));
    assert_eq!(
        denial.message,
        "tool `t` of `s` may be called 5 times an hour, and 0 are left: the next in 12 min"
    );
    let almost = S * 720 + Duration::from_nanos(999_999_999);
    assert!(call(&policy, &mut counts, almost).is_err());
    let _ = call(&policy, &mut counts, S * 721).expect("one was earned");
    assert!(call(&policy, &mut counts, S * 721).is_err());
    for _ in 0..5 {
        let _ = call(&policy, &mut counts, S * 100_000).expect("full, and no fuller");
    }
    assert!(call(&policy, &mut counts, S * 100_000).is_err());
}

#[test]
fn row_120_a_clock_that_goes_back_refills_nothing_and_blocks_no_longer_than_the_rate() {
    let policy = tool("rate: 1/m");
    let mut counts = Counts::default();
    let _ = call(&policy, &mut counts, S * 1_000).expect("the first");
    let denial = call(&policy, &mut counts, S * 10).expect_err("earlier is no refill");
    assert!(denial.message.ends_with("the next in 1 min"), "{denial}");
    assert!(call(&policy, &mut counts, S * 1_059).is_err());
    let _ = call(&policy, &mut counts, S * 1_060).expect("earned");
}

#[test]
fn several_rates_all_hold_and_a_changed_one_refills_nothing() {
    let both = tool("rate: [2/s, 3/h]");
    let mut counts = Counts::default();
    let _ = call(&both, &mut counts, S).expect("1");
    let _ = call(&both, &mut counts, S).expect("2");
    assert!(call(&both, &mut counts, S).expect_err("2/s").message.contains("2 times a second"));
    let _ = call(&both, &mut counts, S * 2).expect("3");
    assert!(call(&both, &mut counts, S * 4).expect_err("3/h").message.contains("3 times an hour"));
    // What is used stays used, as far as the new rate holds it.
    let more = tool("rate: 4/h");
    let _ = call(&more, &mut counts, S * 4).expect("the fourth");
    assert!(call(&more, &mut counts, S * 4).is_err());
    let fast = tool("rate: 5/s");
    assert!(call(&fast, &mut counts.clone(), S * 4).expect("4 of 5").left.at_once == Some(0));
    let _ = call(&fast, &mut counts, S * 5).expect("5 a second");
}

#[test]
fn what_was_not_sent_is_given_back_once_and_never_more_than_is_missing() {
    let policy = tool("budget: {calls: 1}, rate: 1/m");
    let mut counts = Counts::default();
    let first = call(&policy, &mut counts, S).expect("the first");
    assert!(call(&policy, &mut counts, S).is_err());
    counts.give_back(&first, S);
    let _ = call(&policy, &mut counts, S).expect("given back");
    // What refilled by itself isn't given back: the second call's minute stays whole.
    let policy = tool("rate: 1/m");
    let mut counts = Counts::default();
    let first = call(&policy, &mut counts, S).expect("the first");
    let _ = call(&policy, &mut counts, S * 61).expect("the second");
    counts.give_back(&first, S * 62);
    assert!(call(&policy, &mut counts, S * 62).is_err());
    assert!(call(&policy, &mut counts, S * 120).is_err());
    let _ = call(&policy, &mut counts, S * 121).expect("the third");
}

#[test]
fn counts_that_cannot_be_read_deny_what_is_limited_and_nothing_else() {
    let mut lost = Counts { known: false, ..Counts::default() };
    let denial = call(&tool("rate: 5/s"), &mut lost, S).expect_err("unknown");
    assert_eq!(denial.reason, Reason::Budget);
    assert!(denial.message.contains("can't be read"), "{denial}");
    let _ = call(&tool("tier: read"), &mut lost, S).expect("without a limit");
}

#[test]
fn what_is_counted_is_bounded_and_beyond_it_limits_deny() {
    let name = |number: usize| ("s".to_owned(), format!("t{number}"));
    let mut counts = Counts {
        tools: (0..COUNTED_MAX).map(|number| (name(number), Used::default())).collect(),
        ..Counts::default()
    };
    let denial = call(&tool("rate: 5/s"), &mut counts, S).expect_err("no place");
    assert_eq!(denial.reason, Reason::Budget);
    let _ = call(&tool("tier: read"), &mut counts, S).expect("without a limit");
    assert_eq!(counts.tools.len(), COUNTED_MAX);
}

/// What can happen next.
#[derive(Debug, Clone)]
enum Step {
    Reserve(usize),
    Send(usize),
    GiveBack(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..2_usize).prop_map(Step::Reserve),
        2 => any::<prop::sample::Index>().prop_map(|at| Step::Send(at.index(64))),
        2 => any::<prop::sample::Index>().prop_map(|at| Step::GiveBack(at.index(64))),
        2 => (0..30_000_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Against a list of all that was sent: a budget never exceeded, and in any window no more than a full bucket and what fills it.
    #[test]
    fn no_interleaving_sends_more_than_a_limit(steps in steps()) {
        let policy = policy("budget: {calls: 20}", "rate: 4/m", "budget: {calls: 9}");
        let (mut counts, mut now) = (Counts::default(), S);
        let mut waiting: Vec<(Reservation, usize)> = Vec::new();
        let mut sent: Vec<(Duration, usize)> = Vec::new();
        for step in steps {
            match step {
                Step::Reserve(which) => {
                    let tool = ["t", "other"][which];
                    if let Ok(reservation) = reserve(&policy, ("s", tool), &counts, now) {
                        counts.charge(&reservation);
                        waiting.push((reservation, which));
                    }
                }
                Step::Send(at) if at < waiting.len() => {
                    let (reservation, which) = waiting.swap_remove(at);
                    sent.push((reservation.at, which));
                }
                Step::GiveBack(at) if at < waiting.len() => {
                    let (reservation, _) = waiting.swap_remove(at);
                    counts.give_back(&reservation, now);
                }
                Step::Send(_) | Step::GiveBack(_) => {}
                Step::Wait(millis) => now = now.saturating_add(Duration::from_millis(millis)),
            }
            prop_assert!(sent.iter().filter(|(_, which)| *which == 0).count() <= 9);
            prop_assert!(sent.len() <= 20);
            let charged = sent.len().saturating_add(waiting.len());
            prop_assert_eq!(usize::try_from(counts.agent.calls), Ok(charged));
            let mut times: Vec<Duration> = sent.iter().map(|(at, _)| *at).collect();
            times.sort();
            for (from, first) in times.iter().enumerate() {
                for (to, last) in times.iter().enumerate().skip(from) {
                    let filled = last.saturating_sub(*first).as_secs_f64() / 15.0;
                    let count = to.saturating_sub(from).saturating_add(1);
                    prop_assert!(count as f64 <= 4.0 + filled + 0.001);
                }
            }
        }
    }
}
