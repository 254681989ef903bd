//! Cases of freshness: what counts as news from the API server, and for how long.

use super::super::kinds::built_in;
use super::*;

fn two() -> (Freshness, Source, Source) {
    let mut kinds = built_in().into_iter();
    let (one, two) = (kinds.next().unwrap(), kinds.next().unwrap());
    let freshness = Freshness::new();
    freshness.expected(&one);
    freshness.expected(&two);
    (freshness, one, two)
}

#[test]
fn complete_needs_discovery_and_every_list() {
    let (freshness, one, two) = two();
    assert!(!freshness.is_complete());
    freshness.listed(&one);
    freshness.discovered();
    assert!(!freshness.is_complete());
    freshness.listed(&two);
    assert!(freshness.is_complete());
    let (freshness, one, two) = self::two();
    freshness.listed(&one);
    freshness.listed(&two);
    assert!(!freshness.is_complete(), "without discovery");
}

#[test]
fn right_until_the_first_failure_that_is_not_repaired() {
    let (freshness, one, two) = two();
    let begin = Instant::now();
    assert_eq!(freshness.right_at(begin), None, "no sign of life yet");
    freshness.beat();
    let later = Instant::now() + Duration::from_secs(1);
    assert_eq!(freshness.right_at(later), Some(later));
    freshness.broken(&one);
    let broken = freshness.right_at(later).unwrap();
    assert!(broken < later);
    freshness.broken(&two);
    assert_eq!(freshness.right_at(later), Some(broken), "the oldest failure counts");
    freshness.broken(&one);
    assert_eq!(freshness.right_at(later), Some(broken), "a failure again is no news");
    freshness.listed(&one);
    assert!(freshness.right_at(later).unwrap() >= broken);
    freshness.listed(&two);
    assert_eq!(freshness.right_at(later), Some(later));
}

#[test]
fn silence_of_the_api_server_ages_the_view() {
    let (freshness, _, _) = two();
    freshness.beat();
    let heard = Instant::now();
    let much_later = heard + BEAT_EVERY + BEAT_MAX + Duration::from_secs(30);
    assert!(freshness.right_at(much_later).unwrap() <= heard);
}

#[test]
fn what_keeps_the_view_old_is_named() {
    let (freshness, one, two) = two();
    let begin = Instant::now();
    assert_eq!(freshness.lag_cause(begin), "the API server doesn't answer");
    freshness.beat();
    assert_eq!(freshness.lag_cause(begin), "");
    freshness.broken(&two);
    freshness.broken(&one);
    let first = format!("`{}` can't be watched", two.resource.plural);
    assert_eq!(freshness.lag_cause(Instant::now()), first);
    freshness.listed(&two);
    freshness.listed(&one);
    assert_eq!(freshness.lag_cause(Instant::now()), "");
    let much_later = Instant::now() + BEAT_EVERY + BEAT_MAX + Duration::from_secs(1);
    assert_eq!(freshness.lag_cause(much_later), "the API server doesn't answer");
}

#[test]
fn a_kind_that_is_dropped_ages_nothing() {
    let (freshness, one, _) = two();
    freshness.beat();
    freshness.broken(&one);
    freshness.dropped(&one);
    let later = Instant::now() + Duration::from_secs(1);
    assert_eq!(freshness.right_at(later), Some(later));
    freshness.broken(&one);
    assert_eq!(freshness.right_at(later), Some(later));
}
