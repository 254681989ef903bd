//! Cases of what is due when, by times that are told.

use std::time::{Duration, Instant};

use pinfold_model::digest::Digest;

use super::pod;
use crate::policy_push::patch::Outcome;
use crate::policy_push::pods::{APART_MAX, Pods, Verdict};

fn wish(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn looked() -> Pods {
    let mut pods = Pods::default();
    pods.first_look_is_over();
    pods
}

#[test]
fn what_somebody_else_wrote_stands_for_a_while() {
    let (mut pods, now) = (looked(), Instant::now());
    assert_eq!(pods.look(&pod("p", "u", "mine"), wish("mine"), now), Verdict::Settled);
    let foreign = pod("p", "u", "theirs");
    assert_eq!(pods.look(&foreign, wish("mine"), now), Verdict::Later);
    let almost = now + APART_MAX - Duration::from_millis(1);
    assert_eq!(pods.look(&foreign, wish("mine"), almost), Verdict::Later);
    assert_eq!(pods.look(&foreign, wish("mine"), now + APART_MAX), Verdict::Due);
}

#[test]
fn a_changed_mind_writes_at_once_and_to_what_it_once_wanted_itself() {
    let (mut pods, now) = (looked(), Instant::now());
    pods.wanted(&pod("p", "u", "one"), wish("one"), now);
    assert_eq!(pods.look(&pod("p", "u", "one"), wish("two"), now), Verdict::Due);
    assert_eq!(pods.look(&pod("new", "v", "one"), wish("two"), now), Verdict::Due);
    assert_eq!(pods.look(&pod("other", "w", "three"), wish("two"), now), Verdict::Later);
    // Wanted again, so it is not what was once wanted.
    assert_eq!(pods.look(&pod("p", "u", "two"), wish("one"), now), Verdict::Due);
    assert_eq!(pods.look(&pod("again", "x", "one"), wish("two"), now), Verdict::Later);
}

#[test]
fn another_pod_of_the_same_name_begins_anew() {
    let (mut pods, now) = (looked(), Instant::now());
    pods.wanted(&pod("p", "u", "theirs"), wish("mine"), now);
    let later = now + APART_MAX;
    assert_eq!(pods.look(&pod("p", "u", "theirs"), wish("mine"), later), Verdict::Due);
    assert_eq!(pods.look(&pod("p", "v", "theirs"), wish("mine"), later), Verdict::Later);
}

#[test]
fn a_fight_gets_slow() {
    let (mut pods, begin) = (looked(), Instant::now());
    let key = pod("p", "u", "").key;
    pods.wanted(&pod("p", "u", "old"), wish("old"), begin);
    pods.wanted(&pod("p", "u", "old"), wish("new"), begin);
    let (mut now, mut writes) = (begin, 0_u32);
    while now < begin + Duration::from_secs(600) {
        // Whoever wants the old one has it back each time, at once.
        if pods.look(&pod("p", "u", "old"), wish("new"), now) == Verdict::Due {
            pods.tried(&key, &Outcome::Written, now);
            writes += 1;
        }
        now += Duration::from_millis(100);
    }
    assert!((15..40).contains(&writes), "{writes} in ten minutes");
}

#[test]
fn pods_that_are_deleted_or_have_no_policy_are_left_alone() {
    let (mut pods, now) = (Pods::default(), Instant::now());
    let mut deleting = pod("p", "u", "x");
    deleting.meta.deleting = true;
    assert_eq!(pods.look(&deleting, wish("mine"), now), Verdict::Settled);
    let mut bare = pod("q", "v", "x");
    bare.meta.annotations.clear();
    assert_eq!(pods.look(&bare, wish("mine"), now), Verdict::Settled);
    assert_eq!((pods.behind(), pods.due(now, 9).len()), (0, 0));
}

#[test]
fn text_and_digest_that_disagree_are_written_anew() {
    let (mut pods, now) = (Pods::default(), Instant::now());
    for key in ["pinfold.dev/policy", "pinfold.dev/policy-digest"] {
        let mut torn = pod(key.trim_start_matches("pinfold.dev/"), "u", "mine");
        torn.meta.annotations.insert(key.to_owned(), wish("theirs").to_string());
        assert_eq!(pods.look(&torn, wish("mine"), now), Verdict::Due, "{key}");
    }
}
