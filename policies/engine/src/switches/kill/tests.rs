//! What each scope ends, and what it leaves alone.

use super::*;

const ACT: Act<'_> = Act { agent: "a", server: Some("s"), tool: Some("t"), session: Some("i") };

fn latch(of: Scope) -> [Latch; 1] {
    [Latch { of, way: Way::Socket }]
}

#[test]
fn each_scope_ends_what_it_names_and_nothing_else() {
    let name = |text: &str| text.to_owned();
    let tunnel = Act { agent: "a", ..Act::default() };
    // The scope; whether it ends the call of `t`, another tool's, another server's, a connection.
    let cases = [
        (Scope::All, [true; 4]),
        (Scope::Agent { agent: name("a") }, [true; 4]),
        (Scope::Agent { agent: name("b") }, [false; 4]),
        (Scope::Server { server: name("s") }, [true, true, false, false]),
        (Scope::Tool { server: name("s"), tool: name("t") }, [true, false, false, false]),
        (Scope::Session { session: name("i") }, [true, true, true, false]),
        (Scope::Session { session: name("j") }, [false; 4]),
    ];
    for (scope, expected) in cases {
        let acts = [ACT, Act { tool: Some("u"), ..ACT }, Act { server: Some("z"), ..ACT }, tunnel];
        let ended = acts.map(|act| judge(&latch(scope.clone()), &act).is_err());
        assert_eq!(ended, expected, "{scope}");
    }
    assert!(judge(&[], &ACT).is_ok());
    // A second policy that comes to apply changes the compiled name, and takes nothing off.
    let scope = Scope::Agent { agent: name("a") };
    for (agent, expected) in [("a+b", true), ("z+a", true), ("aa+b", false)] {
        assert_eq!(
            judge(&latch(scope.clone()), &Act { agent, ..ACT }).is_err(),
            expected,
            "{agent}"
        );
    }
}

#[test]
fn the_denial_says_what_and_how_but_no_session_id() {
    let denial = judge(&latch(Scope::Session { session: "i".to_owned() }), &ACT).expect_err("set");
    assert_eq!(denial.reason, Reason::KillSwitch);
    assert_eq!(denial.message, "the kill switch is set for one session, by the admin socket");
    let scope = Scope::Tool { server: "s".to_owned(), tool: "t".to_owned() };
    let denial = judge(&latch(scope), &ACT).expect_err("set");
    assert_eq!(denial.message, "the kill switch is set for tool `t` of `s`, by the admin socket");
}

#[test]
fn latches_are_read_as_they_are_written() {
    let texts = [
        r#"{"of":{"scope":"all"},"way":"signal"}"#,
        r#"{"of":{"scope":"tool","server":"s","tool":"t"},"way":"file"}"#,
        r#"{"of":{"scope":"session","session":"i"},"way":"unreadable"}"#,
    ];
    for text in texts {
        let latch: Latch = serde_json::from_str(text).expect(text);
        assert_eq!(serde_json::to_string(&latch).expect("JSON"), text);
    }
    for bad in
        [r#"{"of":{"scope":"most"},"way":"signal"}"#, r#"{"of":{"scope":"server"},"way":"file"}"#]
    {
        assert!(serde_json::from_str::<Latch>(bad).is_err(), "{bad}");
    }
}
