//! A child process that cannot outlive the test.
//!
//! A shell stands between: it holds the read end of a pipe whose only write end is in this
//! process. When the pipe closes, because the value was dropped, the test panicked or the process
//! was killed, the shell kills the child and removes its directory. No unsafe code, and no
//! dependence on a destructor that a static or a SIGKILL would skip.

use crate::{HarnessError, until};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// `$1` is the directory, the rest the command. Signals of the terminal are left to the test
/// process: its end closes the pipe. The pid comes first, so that the caller knows it is started.
const WATCHDOG: &str = r#"
dir=$1; shift
exec 3<&0 </dev/null
{
  "$@" >"$dir/log" 2>&1 3<&- & child=$!
  echo "$child" >"$dir/pid"; echo "$child"
  wait "$child"; echo $? >"$dir/exit.tmp"; mv "$dir/exit.tmp" "$dir/exit"
} 2>/dev/null &
trap '' INT TERM HUP QUIT
read -r _ <&3
[ -e "$dir/exit" ] || kill -9 "$(cat "$dir/pid")" 2>/dev/null
wait
rm -rf "$dir"
"#;

/// How much of a log an error shows, in bytes.
const LOG_TAIL_BYTES: u64 = 16 * 1024;

/// A running program, its output in a file. Dropping it kills the program with SIGKILL, waits for
/// its end and removes its directory.
#[derive(Debug)]
pub struct Supervised {
    name: String,
    dir: PathBuf,
    pid: u32,
    watchdog: Child,
    pipe: Option<ChildStdin>,
}

impl Supervised {
    /// Starts `command` (its program, arguments, environment and working directory; not its
    /// streams). `dir` belongs to it from now on; `log`, `pid` and `exit` in it are taken.
    pub fn start(name: &str, dir: TempDir, command: &Command) -> Result<Self, HarnessError> {
        let failed = |action| HarnessError::io(action, command.get_program());
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCHDOG, name]).arg(dir.path());
        shell.arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(key, value),
                None => shell.env_remove(key),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            shell.current_dir(directory);
        }
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut watchdog = shell.spawn().map_err(failed("start a shell for"))?;
        let pipe = watchdog.stdin.take();
        let dir = dir.keep();
        let mut started = Self { name: name.to_owned(), dir, pid: 0, watchdog, pipe };
        started.pid = started.read_pid().map_err(failed("learn the pid of"))?;
        Ok(started)
    }

    fn read_pid(&mut self) -> std::io::Result<u32> {
        let mut line = String::new();
        if let Some(output) = self.watchdog.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        line.trim().parse().map_err(std::io::Error::other)
    }

    /// The program's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The directory that goes away with the program.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The program's exit code if it has ended, 128 and the signal's number if a signal ended it.
    pub fn exit_code(&self) -> Option<i32> {
        fs::read_to_string(self.dir.join("exit")).ok()?.trim().parse().ok()
    }

    /// The end of what the program wrote to stdout and stderr, at most 16 KiB.
    pub fn log(&self) -> String {
        let read = || {
            let mut file = fs::File::open(self.dir.join("log"))?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
            let mut tail = Vec::new();
            file.take(LOG_TAIL_BYTES).read_to_end(&mut tail)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&tail).into_owned())
        };
        read().unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// Sends SIGTERM, as the kubelet does first.
    pub fn terminate(&self) -> Result<(), HarnessError> {
        if self.exit_code().is_some() {
            // Its pid may be somebody else's by now.
            return Ok(());
        }
        let status = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.pid)]).status();
        status.map(|_| ()).map_err(HarnessError::io("send SIGTERM to", &self.name))
    }

    /// Waits for the program to end by itself, at most for `limit`; `None` when it did not.
    pub fn wait(&self, limit: Duration) -> Option<i32> {
        until(limit, || self.exit_code())
    }

    /// Asks `ready` until it says so. Ends early when the program does.
    pub fn wait_ready(
        &self,
        limit: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), HarnessError> {
        let answer = until(limit, || match self.exit_code() {
            Some(code) => Some(Err(format!("it ended with exit code {code}"))),
            None => ready().then_some(Ok(())),
        });
        answer.unwrap_or_else(|| Err(format!("not within {limit:?}"))).map_err(|reason| {
            HarnessError::NotReady { name: self.name.clone(), reason, log: self.log() }
        })
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // The shell ends by itself once the program is gone; there is nobody to tell if not.
        let _ = self.watchdog.wait();
    }
}

#[cfg(test)]
mod tests;
