//! Where the programs are looked for, and that a build happens once and whole, with a made-up Go.

use super::{PROGRAMS, Places, kubernetes_version, linker_flags};
use crate::HarnessError;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Written by another process: a child that a test beside this one forks meanwhile would hold the file open, and Linux starts no such program.
fn executable(path: &Path, text: &str) {
    let write = ["-c", r#"printf %s "$1" >"$0" && chmod 755 "$0""#];
    let status = Command::new("sh").args(write).arg(path).arg(text).status().unwrap();
    assert!(status.success());
}

/// A `go` that notes each build in `builds`, and writes the program only at the end of it.
fn made_up_go(directory: &Path, exit: i32) {
    executable(
        &directory.join("go"),
        &format!(
            "#!/bin/sh\nwhile [ \"$1\" != -o ]; do shift; done\necho \"$3\" >> {}/builds\n\
             echo half > \"$2\"; [ {exit} = 0 ] || exit {exit}\nchmod +x \"$2\"\n",
            directory.display()
        ),
    );
}

fn places(directory: &Path) -> Places {
    Places {
        prebuilt: None,
        cache: directory.join("cache"),
        go: directory.join("go"),
        version: kubernetes_version().unwrap(),
        say: |_| (),
    }
}

#[test]
fn the_environment_names_the_cache() {
    let version = kubernetes_version().unwrap();
    // (variables, cache without the version's directory)
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[("HOME", "/h")], "/h/.cache/pinfold"),
        (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/x/pinfold"),
        (&[("HOME", "/h"), ("XDG_CACHE_HOME", "")], "/h/.cache/pinfold"),
        (&[("XDG_CACHE_HOME", "/x"), ("PINFOLD_ASSETS_CACHE", "/p")], "/p"),
        (&[("PINFOLD_ASSETS_CACHE", "/p")], "/p"),
    ];
    for (variables, cache) in cases {
        let lookup = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        };
        let found = Places::from_env(lookup).unwrap();
        assert_eq!(found.cache, Path::new(cache).join(format!("kube-assets-{version}")));
        assert_eq!(found.prebuilt, None);
    }
    assert!(matches!(Places::from_env(|_| None), Err(HarnessError::NoCachePlace)));
}

#[test]
fn a_named_directory_is_used_whole_or_refused() {
    let directory = TempDir::new().unwrap();
    for (program, _) in PROGRAMS {
        executable(&directory.path().join(program), "");
    }
    let named = Places { prebuilt: Some(directory.path().to_owned()), ..places(directory.path()) };
    assert_eq!(named.find().unwrap().program("etcd"), directory.path().join("etcd"));

    let kubectl = directory.path().join("kubectl");
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = named.find().unwrap_err().to_string();
    assert!(refused.contains("no executable `kubectl`"), "{refused}");
}

#[test]
fn processes_that_ask_together_build_once() {
    let directory = TempDir::new().unwrap();
    made_up_go(directory.path(), 0);
    let places = places(directory.path());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| places.find().unwrap());
        }
    });
    let builds = fs::read_to_string(directory.path().join("builds")).unwrap();
    let packages: Vec<_> = PROGRAMS.iter().map(|(_, package)| *package).collect();
    assert_eq!(builds.lines().collect::<Vec<_>>(), packages);
}

#[test]
fn a_failed_build_leaves_no_program() {
    let directory = TempDir::new().unwrap();
    made_up_go(directory.path(), 3);
    let places = places(directory.path());
    let failed = places.find().unwrap_err();
    assert!(matches!(failed, HarnessError::GoBuild { .. }), "{failed}");
    assert!(!places.cache.join("bin/etcd").exists());
    made_up_go(directory.path(), 0);
    assert!(places.find().is_ok(), "a later run starts over");
}

#[test]
fn without_go_the_error_names_every_way() {
    let directory = TempDir::new().unwrap();
    let refused = places(directory.path()).find().unwrap_err().to_string();
    for way in ["install Go", "KUBEBUILDER_ASSETS", "PINFOLD_ASSETS_CACHE"] {
        assert!(refused.contains(way), "`{way}` is not in: {refused}");
    }
}

#[test]
fn the_flags_carry_the_version() {
    let flags = linker_flags("1.35.4");
    for part in [".gitVersion=v1.35.4", ".gitMajor=1", ".gitMinor=35"] {
        assert!(flags.contains(part), "{flags}");
    }
}
