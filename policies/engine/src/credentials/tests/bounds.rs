//! Time and memory have an end, whatever the text; and the message has no value.

use pinfold_model::policy::literals::Literals;
use proptest::prelude::*;

use super::super::{ATTEMPTS_MAX, Exhausted, TEXT_BYTES_MAX, scanner};

#[test]
fn a_budget_has_an_end() {
    let literals = Literals::default();
    let mut one = scanner(&literals);
    let half = "a b ".repeat(TEXT_BYTES_MAX / 8);
    assert!(one.scan("", &half).is_ok() && one.scan("", &half).is_ok());
    assert_eq!(one.scan("", "one more"), Err(Exhausted::Text));
    let many = "ghp_ ".repeat(ATTEMPTS_MAX + 1);
    assert_eq!(scanner(&literals).scan("", &many), Err(Exhausted::Attempts));
    assert!(scanner(&literals).scan("", &"ghp_ ".repeat(ATTEMPTS_MAX / 2)).is_ok());
    // A run of base64 that could be a key at each of its words: each look costs the run.
    let keys = "LS0tLS1CRUdJTi".repeat(1_000);
    assert_eq!(scanner(&literals).scan("", &keys), Err(Exhausted::Text));
    assert!(scanner(&literals).scan("", &keys.to_lowercase()).is_ok());
    // Many words cost no attempts, only a look around each.
    assert!(scanner(&literals).scan("", &"password token ".repeat(TEXT_BYTES_MAX / 16)).is_ok());
}

/// Would take minutes if a match, or a word, cost what came before it.
#[test]
fn many_matches_cost_no_more_than_few() {
    let text = |lines: usize| -> String {
        (0..lines).map(|line| format!("password: h{line}unter\n")).collect()
    };
    let mut literals = Literals::default();
    let found = scanner(&literals).scan("DB_PASSWORD", &text(20_000)).expect("within the budget");
    assert_eq!(found.len(), 20_000);
    let pattern = pinfold_model::pattern::Pattern::expression("h7unter").expect("a pattern");
    literals.allow.push(pinfold_model::policy::literals::Allowed::Expression(pattern));
    let found = scanner(&literals).scan("", &text(1_000)).expect("within the budget");
    assert_eq!(found.len(), 999);
}

proptest! {
    #[test]
    fn no_text_panics_and_matches_are_in_order_within_it(name in "[A-Za-z_-]{0,12}", text in "(\\PC|password|=|: |ghp_|eyJ|[.]|://|@|%4|-----BEGIN |LS0tLS1CRUdJTi|[0-9a-f]{8}|\n){0,60}") {
        let literals = Literals::default();
        let found = scanner(&literals).scan(&name, &text).expect("small");
        let mut free = 0;
        for one in found {
            prop_assert!(one.start >= free && one.end >= one.start && text.get(one.start..one.end).is_some());
            free = one.end;
        }
    }
}
