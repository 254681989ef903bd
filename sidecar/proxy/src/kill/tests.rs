//! What is set stays set: over restarts, in any number, and when nobody can read what was.

use super::*;

fn server(name: usize) -> Latch {
    Latch { of: Scope::Server { server: name.to_string() }, way: Way::Socket }
}

#[test]
fn what_is_set_is_there_after_a_restart_until_it_is_taken_off() {
    let directory = tempfile::tempdir().expect("a directory");
    let kills = Kills::open(Some(directory.path()));
    assert!(kills.holds_for("a").is_ok());
    let latch = Latch { of: Scope::All, way: Way::Signal };
    assert!(kills.set(latch.clone()) && !kills.set(latch), "set once");
    kills.write().expect("written");
    let kills = Kills::open(Some(directory.path()));
    assert!(kills.holds_for("a").is_err());
    assert!(kills.take_off(Some(&server(1).of)).expect("nothing to write").is_empty());
    assert!(kills.holds_for("a").is_err());
    assert_eq!(kills.take_off(Some(&Scope::All)).expect("written").len(), 1);
    assert!(kills.holds_for("a").is_ok());
    assert!(Kills::open(Some(directory.path())).holds_for("a").is_ok());
}

#[test]
fn a_state_that_cannot_be_read_ends_everything_and_can_be_taken_off() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join(FILE), "?").expect("written");
    let kills = Kills::open(Some(directory.path()));
    let denial = kills.holds_for("a").expect_err("set");
    assert!(denial.message.contains("which can't be read"), "{denial}");
    assert_eq!(kills.take_off(None).expect("written").len(), 1);
    assert!(Kills::open(Some(directory.path())).holds_for("a").is_ok());
}

#[test]
fn what_cannot_be_written_down_is_not_taken_off() {
    let directory = tempfile::tempdir().expect("a directory");
    let kills = Kills::open(Some(directory.path()));
    assert!(kills.set(Latch { of: Scope::All, way: Way::Signal }));
    drop(directory);
    assert!(kills.take_off(None).is_err());
    assert!(kills.holds_for("a").is_err());
}

#[test]
fn more_than_can_be_kept_is_everything() {
    let kills = Kills::default();
    for name in 0..LATCHES_MAX {
        assert!(kills.set(server(name)));
    }
    assert!(kills.holds_for("a").is_ok());
    assert!(kills.set(server(LATCHES_MAX)));
    assert!(kills.holds_for("a").is_err());
    assert!(!kills.set(server(LATCHES_MAX + 1)));
    assert_eq!(kills.latches().len(), LATCHES_MAX + 1);
}
