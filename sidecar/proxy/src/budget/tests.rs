//! Charges from many threads at once, over restarts, and with files that can't be read.

use std::sync::Barrier;

use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;

use super::state::Saved;
use super::*;

const MOST: Duration = Duration::from_secs(20);

fn policy(limits: &str) -> AgentPolicy {
    let text = format!(
        "apiVersion: pinfold.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {{name: a}}\nspec:\n  upstreams: [{{name: u, url: 'https://x.y'}}]\n  tools:\n    servers: [{{name: s, upstream: u, allow: [{{tool: t, {limits}}}, {{tool: free}}]}}]\n"
    );
    let set = load(&[SourceFile { name: "p.yaml".into(), text }]).expect("a policy");
    set.agent(None).expect("an agent").clone()
}

fn sent(budgets: &Arc<Budgets>, policy: &AgentPolicy) -> Result<(), Denial> {
    budgets.charge(policy, "s", "t").map(|mut charge| charge.set_sent(true))
}

fn open(directory: &Path) -> Arc<Budgets> {
    Arc::new(Budgets::open(Some(directory)).expect("a state"))
}

#[test]
fn threads_that_charge_and_give_back_at_once_never_send_more_than_the_budget() {
    let budgets = Arc::<Budgets>::default();
    let policy = policy("budget: {calls: 100}");
    let begin = Barrier::new(8);
    let sent: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let (budgets, policy, begin) = (&budgets, &policy, &begin);
                scope.spawn(move || {
                    begin.wait();
                    let charge = |number: usize| {
                        let mut charge = budgets.charge(policy, "s", "t").ok()?;
                        // Each third one isn't sent after all.
                        let sent = !(number + thread).is_multiple_of(3);
                        charge.set_sent(sent);
                        Some(usize::from(sent))
                    };
                    (0..1000).filter_map(charge).sum::<usize>()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(sent, 100);
    assert_eq!(budgets.lock().counts.agent.calls, 100);
}

#[tokio::test]
async fn a_charge_that_is_durable_is_there_after_a_kill() {
    let directory = tempfile::tempdir().expect("a directory");
    let policy = policy("budget: {calls: 3}, rate: 3/d");
    let budgets = open(directory.path());
    for _ in 0..2 {
        let mut charge = budgets.charge(&policy, "s", "t").expect("within the budget");
        charge.durable(MOST).await.expect("written");
        charge.set_sent(true);
    }
    let (second, third) = (open(directory.path()), open(directory.path()));
    let counts = second.lock().counts.clone();
    assert_eq!((counts.agent.calls, counts.tools.len(), counts.servers.len()), (2, 1, 1));
    sent(&third, &policy).expect("the third");
    assert_eq!(sent(&third, &policy).expect_err("used up").reason, Reason::Budget);
    // Of the rate as well.
    let rate = self::policy("rate: 3/d");
    sent(&second, &rate).expect("the third");
    assert_eq!(sent(&second, &rate).expect_err("used up").reason, Reason::Rate);
}

#[tokio::test]
async fn many_that_wait_share_writings_and_each_is_durable() {
    let directory = tempfile::tempdir().expect("a directory");
    let policy = policy("budget: {calls: 1000}");
    let budgets = open(directory.path());
    let waiting = (0..1000).map(|_| {
        let mut charge = budgets.charge(&policy, "s", "t").expect("within the budget");
        async move {
            charge.durable(MOST).await.expect("written");
            charge.set_sent(true);
        }
    });
    futures_util::future::join_all(waiting).await;
    assert_eq!(open(directory.path()).lock().counts.agent.calls, 1000);
}

#[test]
fn files_that_cannot_be_read_deny_what_is_limited_and_stay_as_they_are() {
    let limited = policy("rate: 5/s");
    for text in ["", "{}", "pinfold-budget 1 sha256:00\n{}"] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(FILE);
        std::fs::write(&path, text).expect("written");
        for _ in 0..2 {
            let budgets = open(directory.path());
            let denial = sent(&budgets, &limited).expect_err("unknown");
            assert_eq!(denial.reason, Reason::Budget);
            assert!(denial.message.contains("can't be read"), "{denial}");
            sent(&budgets, &policy("tier: read")).expect("without a limit");
            budgets.write().expect("nothing to write");
            assert_eq!(std::fs::read_to_string(&path).expect("there"), text);
        }
    }
}

#[tokio::test]
async fn a_charge_that_cannot_be_written_is_a_denial_and_given_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let policy = policy("budget: {calls: 1}");
    let budgets = open(directory.path());
    drop(directory);
    let charge = budgets.charge(&policy, "s", "t").expect("within the budget");
    let denial = charge.durable(MOST).await.expect_err("no directory");
    assert_eq!(denial.reason, Reason::Budget);
    drop(charge);
    assert_eq!(budgets.lock().counts.agent.calls, 0);
    // What has no limit needs no file.
    let free = budgets.charge(&policy, "s", "free").expect("free");
    free.durable(MOST).await.expect("not needed");
}

#[test]
fn row_120_after_a_restart_a_clock_that_went_back_refills_nothing() {
    let budgets = Arc::<Budgets>::default();
    let policy = policy("rate: 1/m");
    sent(&budgets, &policy).expect("the first");
    let counts = budgets.lock().counts.clone();
    let minute = Duration::from_secs(60);
    let lacks = |passed: Duration, wall: u64, boot: &str| {
        let now = Duration::from_secs(1_000_000_000);
        let mut saved = Saved::of(&counts, uptime());
        (saved.boot, saved.wall) = ("this".to_owned(), 5_000);
        saved.running = u64::try_from((now - passed).as_nanos()).expect("fits");
        let counts = saved.counts(now, wall, boot);
        let key = ("s".to_owned(), "t".to_owned());
        let lacks = counts.tools[&key].buckets[0].full_at - now;
        // To the second: some of it had passed when it was saved.
        (lacks + Duration::from_millis(999)).as_secs()
    };
    // The same run of the machine: its own time counts, whatever the wall clock says.
    assert_eq!(lacks(Duration::ZERO, 9_999_999, "this"), 60);
    assert_eq!(lacks(minute / 2, 0, "this"), 30);
    assert_eq!(lacks(minute * 2, 0, "this"), 0);
    // Another one: the wall clock counts, and what went back counts as no time.
    assert_eq!(lacks(minute, 5_031, "other"), 30);
    assert_eq!(lacks(minute, 4_000, "other"), 60);
    assert_eq!(lacks(minute, 5_000, "other"), 60);
    assert_eq!(lacks(minute, 9_000, "other"), 0);
}
