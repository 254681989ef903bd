//! Limits over time: exact whatever comes at once, and over restarts.

use std::sync::atomic::AtomicU32;

use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;

use super::*;

fn policy(limits: &str) -> AgentPolicy {
    let text = format!(
        "apiVersion: pinfold.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {{name: a}}\nspec:\n  egress:\n    limits: {limits}\n    allow: []\n"
    );
    let set = load(&[SourceFile { name: "p.yaml".into(), text }]).expect("a policy");
    set.agent(None).expect("an agent").clone()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_rate_lets_that_many_at_once_and_then_as_time_goes() {
    let quota = Quota::default();
    let policy = policy("{connectRate: 5/m}");
    for _ in 0..5 {
        quota.connect_at(&policy, SECOND).expect("within the rate");
    }
    let denial = quota.connect_at(&policy, SECOND).expect_err("too many");
    assert_eq!((denial.reason, denial.rule.as_str()), (Reason::Limit, CONNECT_RATE));
    assert!(denial.remedy.contains("12.0s"), "{}", denial.remedy);
    let later = Duration::from_nanos(12_999_999_999);
    assert!(quota.connect_at(&policy, later).is_err());
    quota.connect_at(&policy, SECOND * 13).expect("one was earned");
    assert!(quota.connect_at(&policy, SECOND * 13).is_err());
    // Time that goes back earns nothing, and what was earned isn't earned again.
    assert!(quota.connect_at(&policy, SECOND).is_err());
    assert!(quota.connect_at(&policy, SECOND * 13).is_err());
    for _ in 0..5 {
        quota.connect_at(&policy, SECOND * 10_000).expect("full, and no fuller");
    }
    assert!(quota.connect_at(&policy, SECOND * 10_000).is_err());
}

#[test]
fn a_reload_fills_no_bucket() {
    let quota = Quota::default();
    let (five, six) = (policy("{connectRate: 5/m}"), policy("{connectRate: 6/m}"));
    for _ in 0..5 {
        quota.connect_at(&five, SECOND).expect("within the rate");
    }
    assert!(quota.connect_at(&six, SECOND).is_err());
    assert!(quota.connect_at(&five, SECOND).is_err());
    quota.connect_at(&policy("{}"), SECOND).expect("no rate");
}

#[test]
fn a_thousand_at_once_get_no_more_than_one_after_the_other() {
    for events in [1, 7, 250, 999] {
        let quota = Quota::default();
        let policy = policy(&format!("{{connectRate: {events}/h}}"));
        let allowed = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..125 {
                        if quota.connect_at(&policy, SECOND).is_ok() {
                            allowed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(allowed.into_inner(), events);
    }
}

#[test]
fn bytes_taken_at_once_are_exact() {
    let sum = AtomicU64::new(0);
    let granted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for size in 1..1000 {
                    granted.fetch_add(take(&sum, size, Some(1_000_000)), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!((sum.into_inner(), granted.into_inner()), (1_000_000, 1_000_000));
    let sum = AtomicU64::new(u64::MAX);
    assert_eq!(take(&sum, 5, None), 5);
    assert_eq!(take(&sum, 5, Some(u64::MAX)), 0, "a sum never begins again");
}

#[test]
fn a_spent_day_opens_nothing_until_the_next() {
    let quota = Quota::default();
    let policy = policy("{bytesPerDay: 1Ki, connectRate: 1/s}");
    assert_eq!(quota.day.take(1000, Some(1024), SECOND), 1000);
    quota.connect_at(&policy, SECOND).expect("24 bytes are left");
    assert_eq!(quota.day.take(1000, Some(1024), SECOND * 2), 24);
    let denial = quota.connect_at(&policy, SECOND * 2).expect_err("spent");
    assert_eq!((denial.reason, denial.rule.as_str()), (Reason::Limit, BYTES_PER_DAY));
    assert!(quota.connect_at(&policy, SECOND * 86_400).is_err());
    quota.connect_at(&policy, SECOND * 86_401).expect("the next day");
}
