//! What is recorded one by one, and what together.

use std::sync::Arc;

use pinfold_ledger::EventKind;
use pinfold_model::policy::load;
use pinfold_model::sources::SourceFile;

use super::*;
use crate::policy_watch::Published;

const START: Duration = Duration::from_secs(1_000);

fn case(host: &str) -> Case {
    let text = "apiVersion: pinfold.dev/v1alpha1\nkind: AgentPolicy\nmetadata: {name: tester}\nspec: {egress: {allow: []}}\n";
    let set =
        load(&[SourceFile { name: "p.yaml".into(), text: text.to_owned() }]).expect("a policy");
    let policy = set.agent(None).expect("an agent").clone();
    let published = Published { policy, digest: String::new(), generation: 1, in_force: true };
    let mut case = Case::new("id".to_owned(), EventKind::Egress, Arc::new(published));
    case.endpoint = Some((host.to_owned(), 443));
    case
}

fn denial(reason: Reason) -> Denial {
    Denial::new(reason, "spec.egress.allow", "no rule lists it", "ask for one")
}

/// The counts and texts of what is recorded together.
fn told(summaries: Vec<Summary>) -> Vec<(u64, String)> {
    let told = |one: Summary| (one.case.count.expect("a count"), one.denial.message);
    let mut all: Vec<_> = summaries.into_iter().map(told).collect();
    all.sort();
    all
}

#[test]
fn equal_denials_of_a_second_are_one_and_their_count() {
    let bursts = Bursts::default();
    let denial = denial(Reason::Host);
    let one = case("evil.example");
    assert!(bursts.first_at(&one, &denial, START).is_some(), "recorded at once");
    for _ in 0..5_000 {
        assert!(bursts.first_at(&case("evil.example"), &denial, START).is_none());
    }
    assert!(bursts.ended_at(false, START + SPAN / 2).is_empty(), "the second isn't over");
    let more = "no rule lists it (5000 more like it within a second)".to_owned();
    assert_eq!(told(bursts.ended_at(false, START + SPAN)), [(5_000, more)]);
    assert!(bursts.ended_at(true, START + SPAN).is_empty(), "counted once");
    assert!(bursts.first_at(&one, &denial, START + SPAN).is_some(), "a second later it is news");
}

#[test]
fn denials_that_differ_are_listed_one_by_one() {
    let bursts = Bursts::default();
    let refused = denial(Reason::Host);
    let change = |change: fn(&mut Case)| {
        let mut case = case("a.example");
        change(&mut case);
        case
    };
    let cases = [
        change(|_| {}),
        change(|case| case.endpoint = Some(("b.example".to_owned(), 443))),
        change(|case| case.endpoint = Some(("a.example".to_owned(), 80))),
        change(|case| case.endpoint = None),
        change(|case| case.protocol = "tls"),
        change(|case| case.method = Some("GET".to_owned())),
        change(|case| case.server = Some("s".to_owned())),
        change(|case| case.tool = Some("t".to_owned())),
        change(|case| case.arguments_digest = Some("d".to_owned())),
        change(|case| case.kind = EventKind::ToolCall),
    ];
    for case in &cases {
        assert!(bursts.first_at(case, &refused, START).is_some(), "{case:?}");
    }
    assert!(bursts.first_at(&cases[0], &denial(Reason::Port), START).is_some(), "another reason");
    let message = Denial { message: "another text".to_owned(), ..refused };
    assert!(bursts.first_at(&cases[0], &message, START).is_some(), "another message");
    // A limit is one thing, whatever was wanted.
    assert!(bursts.first_at(&cases[0], &denial(Reason::Limit), START).is_some());
    assert!(bursts.first_at(&cases[1], &denial(Reason::Limit), START).is_none());
    assert_eq!(told(bursts.ended_at(true, START)).len(), 1);
}

#[test]
fn whoever_varies_the_name_gets_a_bounded_number_of_records() {
    let bursts = Bursts::default();
    let (mut listed, mut together, mut counted) = (0, 0, 0);
    let (per_second, seconds) = (3_000_u64, 60_u32);
    for second in 0..seconds {
        let now = START + SPAN * second;
        for number in 0..per_second {
            let reason = if number % 3 == 0 { Reason::Port } else { Reason::Host };
            let case = case(&format!("{number}-{second}.example"));
            listed += u64::from(bursts.first_at(&case, &denial(reason), now).is_some());
        }
        assert!(bursts.lock().open.len() <= 264, "nor are more held");
        let ended = bursts.ended_at(second + 1 == seconds, now + SPAN);
        together += ended.len();
        counted += told(ended).iter().map(|(count, _)| count).sum::<u64>();
    }
    assert_eq!(listed + counted, per_second * u64::from(seconds), "none is lost");
    assert!((256..=256 + 8 * 60).contains(&listed), "{listed}");
    assert!(together <= 60, "{together}");
}

#[test]
fn what_is_not_listed_is_counted_by_reason() {
    let bursts = Bursts::default();
    for number in 0..300 {
        bursts.first_at(&case(&format!("{number}.example")), &denial(Reason::Host), START);
    }
    bursts.first_at(&case("another.example"), &denial(Reason::Port), START);
    let mut ended = bursts.ended_at(true, START);
    let rest = ended.pop().expect("the rest");
    assert!(ended.is_empty() && rest.case.endpoint.is_none() && rest.denial.reason == Reason::Host);
    let text =
        "45 further denials within a second, not listed one by one: 44 of `host`, 1 of `port`";
    assert_eq!((rest.case.count, rest.denial.message.as_str()), (Some(45), text));
}

#[test]
fn a_flood_of_hosts_does_not_hide_which_tools_were_refused() {
    let bursts = Bursts::default();
    for number in 0..1000 {
        bursts.first_at(&case(&format!("{number}.example")), &denial(Reason::Host), START);
    }
    let mut call = case("mcp.example");
    call.kind = EventKind::ToolCall;
    for tool in ["delete_branch", "merge_pull_request"] {
        call.tool = Some(tool.to_owned());
        assert!(bursts.first_at(&call, &denial(Reason::Tool), START).is_some(), "{tool}");
    }
}

#[test]
fn a_first_that_could_not_be_recorded_is_forgotten() {
    let bursts = Bursts::default();
    let (case, denial) = (case("a.example"), denial(Reason::Host));
    let kind = bursts.first_at(&case, &denial, START).expect("a first");
    assert!(bursts.first_at(&case, &denial, START).is_none());
    bursts.forget(kind);
    assert!(bursts.first_at(&case, &denial, START).is_some(), "the next one is a first");
    let ended = bursts.ended_at(true, START);
    assert_eq!(
        ended.iter().map(|one| one.case.count).collect::<Vec<_>>(),
        [Some(1)],
        "none is lost"
    );
}
