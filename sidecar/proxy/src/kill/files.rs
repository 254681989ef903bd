//! The files and the field of a policy that pull the kill switch, looked at as often as the policy itself.
//!
//! A file that is there pulls it for everything, or for what its lines name. One that can't be read pulls it too: nobody can tell that it isn't
//! there. That it vanishes changes nothing.

use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::Arc;

use pinfold_engine::switches::kill::{Latch, Scope, Way};

use crate::drain::{DrainWatch, Phase};
use crate::gate::Gate;

use super::pull;

/// Bytes of a file that are looked at; with more it is for everything.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// Lines of a file; with more it is for everything.
const LINES_MAX: usize = 64;

/// Looks at files and policy until the sidecar stops.
pub(crate) async fn watch(gate: Arc<Gate>, mut drain: DrainWatch) {
    // A file that is just being written is empty for a moment.
    let mut was_empty: Vec<String> = Vec::new();
    loop {
        let switch = gate.policy.load().policy.kill_switch.clone();
        if switch.active {
            pull(&gate, vec![Latch { of: Scope::All, way: Way::Policy }]).await;
        }
        if !switch.files.is_empty() {
            let look = move || look(&switch.files, &was_empty);
            let scopes = match tokio::task::spawn_blocking(look).await {
                Ok((scopes, empty)) => {
                    was_empty = empty;
                    scopes
                }
                Err(error) => {
                    tracing::error!(%error, "nobody can tell whether the kill switch is set");
                    was_empty = Vec::new();
                    vec![Scope::All]
                }
            };
            let latch = |of| Latch { of, way: Way::File };
            pull(&gate, scopes.into_iter().map(latch).collect()).await;
        } else {
            was_empty = Vec::new();
        }
        tokio::select! {
            () = drain.reached(Phase::Cut) => return,
            () = tokio::time::sleep(gate.limits.policy_poll) => {}
        }
    }
}

/// What the files ask for, and which of them were found empty for the first time.
fn look(files: &[String], was_empty: &[String]) -> (Vec<Scope>, Vec<String>) {
    let (mut scopes, mut empty) = (Vec::new(), Vec::new());
    for file in files {
        match read(Path::new(file)) {
            None => {}
            Some(text) if text.trim().is_empty() && !was_empty.contains(file) => {
                empty.push(file.clone());
            }
            Some(text) => scopes.extend(parse(&text)),
        }
    }
    (scopes, empty)
}

/// One of the files that is there, or may be.
pub(super) fn present(files: &[String]) -> Option<&String> {
    files.iter().find(|file| read(Path::new(file)).is_some())
}

/// The text of a file that is there.
fn read(path: &Path) -> Option<String> {
    let absent = |error: &std::io::Error| {
        matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
    };
    // A pipe would have whoever opens it wait.
    match std::fs::metadata(path) {
        Err(error) if absent(&error) && std::fs::symlink_metadata(path).is_err() => return None,
        Ok(found) if found.is_file() => {}
        Ok(_) | Err(_) => return Some("all".to_owned()),
    }
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX.saturating_add(1)).read_to_string(&mut text));
    match read {
        Ok(_) => Some(text),
        Err(error) if absent(&error) => None,
        Err(_) => Some("all".to_owned()),
    }
}

/// What a text asks for: `all`, `agent NAME`, `server NAME`, `tool SERVER TOOL`, `session ID`, one a line. What says none of these, and
/// nothing at all, means everything.
fn parse(text: &str) -> Vec<Scope> {
    let all = || vec![Scope::All];
    let too_long = u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if too_long || lines.is_empty() || lines.len() > LINES_MAX {
        return all();
    }
    let scopes: Option<Vec<Scope>> = lines.into_iter().map(scope).collect();
    scopes.unwrap_or_else(all)
}

fn scope(line: &str) -> Option<Scope> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let owned = |text: &&str| (*text).to_owned();
    match words.as_slice() {
        ["all"] => Some(Scope::All),
        ["agent", agent] => Some(Scope::Agent { agent: owned(agent) }),
        ["server", server] => Some(Scope::Server { server: owned(server) }),
        ["tool", server, tool] => Some(Scope::Tool { server: owned(server), tool: owned(tool) }),
        ["session", session] => Some(Scope::Session { session: owned(session) }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_scopes_or_means_everything() {
        let server = |server: &str| Scope::Server { server: server.to_owned() };
        let tool = Scope::Tool { server: "s".to_owned(), tool: "t".to_owned() };
        let cases = [
            ("all\n", vec![Scope::All]),
            ("server s\n\n  server z  \n", vec![server("s"), server("z")]),
            ("tool s t", vec![tool]),
            ("session a-b", vec![Scope::Session { session: "a-b".to_owned() }]),
            ("agent a", vec![Scope::Agent { agent: "a".to_owned() }]),
            ("", vec![Scope::All]),
            ("please stop", vec![Scope::All]),
            ("server s\nand more", vec![Scope::All]),
            ("server", vec![Scope::All]),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text:?}");
        }
        assert_eq!(parse(&"server s\n".repeat(LINES_MAX + 1)), [Scope::All]);
        assert_eq!(parse(&" ".repeat(20_000)), [Scope::All]);
    }

    #[test]
    fn what_is_there_pulls_it_and_what_is_empty_at_the_second_look() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("kill");
        let files = [file.to_str().expect("text").to_owned()];
        assert_eq!((look(&files, &[]), present(&files)), ((vec![], vec![]), None));
        std::fs::write(&file, "").expect("a file");
        assert_eq!(look(&files, &[]), (vec![], files.to_vec()));
        assert_eq!(look(&files, &files), (vec![Scope::All], vec![]));
        assert_eq!(present(&files), files.first());
        std::fs::write(&file, "server s").expect("a file");
        assert_eq!(look(&files, &[]).0, [Scope::Server { server: "s".to_owned() }]);
        std::fs::remove_file(&file).expect("gone");
        // What is there and can't be read pulls it too: a directory, a link to nothing, bytes that are no text.
        std::fs::create_dir(&file).expect("a directory");
        assert_eq!(look(&files, &[]).0, [Scope::All]);
        std::fs::remove_dir(&file).expect("gone");
        std::os::unix::fs::symlink("nowhere", &file).expect("a link");
        assert_eq!(look(&files, &[]).0, [Scope::All]);
        std::fs::remove_file(&file).expect("gone");
        std::fs::write(&file, [0xff]).expect("a file");
        assert_eq!(look(&files, &[]).0, [Scope::All]);
        // A path below a file can't be there.
        assert_eq!(look(&[format!("{}/x", files[0])], &[]), (vec![], vec![]));
    }
}
