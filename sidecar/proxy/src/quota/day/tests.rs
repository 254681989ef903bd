//! Days that follow each other, over restarts and steps of the clock.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn windows_follow_each_other() {
    let day = Day::default();
    assert_eq!(day.take(10, Some(10), HOUR), 10);
    assert_eq!(day.take(1, Some(10), HOUR * 24), 0);
    assert_eq!(day.take(7, Some(10), HOUR * 25), 7);
    // The third window began at hour 49, not when something came in it.
    assert_eq!(day.take(10, Some(10), HOUR * 60), 10);
    assert_eq!(day.used(HOUR * 72), 10);
    assert_eq!(day.used(HOUR * 73), 0);
}

#[test]
fn a_new_process_goes_on_where_the_former_was() {
    let files = tempfile::tempdir().expect("a directory");
    let now = super::super::uptime();
    let first = Day::open(files.path(), now).expect("a day");
    first.take(700, Some(1000), now);
    first.write_changes();
    let second = Day::open(files.path(), now).expect("a day");
    assert_eq!(second.take(700, Some(1000), now), 300);
    assert_eq!(second.used(now + HOUR * 23), 1000);
    assert_eq!(second.used(now + HOUR * 25), 0);
}

#[test]
fn what_cannot_be_read_is_a_day_that_is_used_up() {
    let now = super::super::uptime();
    let broken =
        ["", "{}", "[]", r#"{"version":2,"used":0,"began":0,"beganRunning":0,"boot":""}"#, "x"];
    for text in broken {
        let files = tempfile::tempdir().expect("a directory");
        std::fs::write(files.path().join(FILE), text).expect("a state");
        let day = Day::open(files.path(), now).expect("a day");
        assert_eq!(day.take(1, Some(1000), now), 0, "{text}");
        assert_eq!(day.take(1, None, now), 1, "{text}: nothing is limited without a limit");
        assert_eq!(day.take(1, Some(1000), now + HOUR * 25), 1, "{text}");
    }
    assert!(Day::open(Path::new("/nowhere/at/all"), now).is_err());
}

#[test]
fn no_clock_refills_a_window() {
    let state = |boot: &str| State {
        version: 1,
        used: 5,
        began: 1_000_000,
        began_running: 500_000,
        boot: boot.to_owned(),
    };
    let (now, hour) = (500_000 + 7200, 3600);
    // The same run of the machine: whatever the wall clock says.
    for wall in [0, 1_000_000, 9_000_000] {
        assert_eq!(state("one").window(now, wall, "one"), (500_000, 5));
    }
    assert_eq!(state("one").window(500_000 + DAY_SECONDS, 0, "one"), (0, 0));
    // Another run: the wall clock, which prolongs the window where it went back.
    assert_eq!(state("one").window(now, 1_000_000 + hour, "two"), (now - hour, 5));
    assert_eq!(state("one").window(now, 999_000, "two"), (now, 5));
    assert_eq!(state("one").window(now, 1_000_000 + DAY_SECONDS, "two"), (0, 0));
    assert_eq!(state("").window(now, 999_000, ""), (now, 5));
}
