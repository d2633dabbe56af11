//! Runs a program for what it prints: a key, or credentials.
//!
//! It has nothing on its standard input, a group of its own, and a time limit; when that passes, or
//! nobody waits any more, all that it started is ended with it. All that it prints is taken, so that
//! it never waits at a full pipe, and little of it is kept. What is said of a failure is the
//! business of whoever wanted the output: one wording does not fit all.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Most that is kept of what a program complains about, in bytes.
const COMPLAINT: u64 = 4096;

/// What a program may take.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) time: Duration,
    /// Most bytes of its output.
    pub(super) output: u64,
}

/// Why there is no output.
#[derive(Debug)]
pub(super) enum ProgramError {
    NotStarted(io::Error),
    TooSlow,
    Lost(io::Error),
    /// It ended otherwise than with 0, with this on its standard error.
    Failed {
        status: ExitStatus,
        complaint: Vec<u8>,
    },
    TooMuch,
}

/// Runs a program once; what it printed.
pub(super) async fn run(mut command: Command, bounds: Bounds) -> Result<Vec<u8>, ProgramError> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(ProgramError::NotStarted)?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group(id.map(Pid::from_raw));
    let ended = timeout(bounds.time, finish(&mut child, bounds.output)).await;
    let printed = ended.map_err(|_| ProgramError::TooSlow)?;
    group.0 = None;
    printed
}

/// All that a program started, ended when it is not waited for to its end: a script's own children
/// would go on, and hold on to what it held.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

async fn finish(child: &mut Child, most: u64) -> Result<Vec<u8>, ProgramError> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (status, printed, complaint) =
        tokio::join!(child.wait(), read(out, most), read(err, COMPLAINT));
    let status = status.map_err(ProgramError::Lost)?;
    match status.success() {
        false => Err(ProgramError::Failed { status, complaint }),
        true if printed.len() as u64 > most => Err(ProgramError::TooMuch),
        true => Ok(printed),
    }
}

/// What comes out of a pipe: all is taken, and little more than `most` bytes of it are kept.
async fn read(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut pipe) = pipe else { return kept };
    // What breaks off is used as far as it came; how the program ended says the rest.
    let _ = (&mut pipe).take(most + 1).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { time: Duration::from_secs(10), output: 64 };

    async fn shell(script: &str, bounds: Bounds) -> Result<Vec<u8>, ProgramError> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script);
        run(command, bounds).await
    }

    #[tokio::test]
    async fn output_is_bounded_and_never_waited_for() {
        assert_eq!(shell("echo out; echo err >&2", BOUNDS).await.unwrap(), b"out\n");
        let exact = shell("head -c 64 /dev/zero", BOUNDS).await.unwrap();
        assert_eq!(exact.len(), 64);
        let much = shell("yes | head -c 1000000", BOUNDS).await;
        assert!(matches!(much, Err(ProgramError::TooMuch)));
        let loud = shell("yes | head -c 1000000 >&2; exit 3", BOUNDS).await;
        let Err(ProgramError::Failed { status, complaint }) = loud else { panic!("it failed") };
        assert_eq!((status.code(), complaint.len()), (Some(3), COMPLAINT as usize + 1));
        let absent = run(Command::new("/no/such/program"), BOUNDS).await;
        assert!(matches!(absent, Err(ProgramError::NotStarted(_))));
    }

    #[tokio::test]
    async fn what_is_not_waited_for_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        for (name, patience) in [("slow", 700), ("dropped", 5000)] {
            let file = folder.path().join(name);
            let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
            let bounds = Bounds { time: Duration::from_millis(patience), ..BOUNDS };
            // The second one is left by whoever wanted its output.
            match timeout(Duration::from_millis(1500), shell(&script, bounds)).await {
                Ok(ended) => assert!(matches!(ended, Err(ProgramError::TooSlow)), "{name}"),
                Err(_) => assert_eq!(name, "dropped"),
            }
            let pid = std::fs::read_to_string(file).unwrap();
            assert!(ends(pid.trim()).await, "{name}: what it started lives on");
        }
    }

    async fn ends(pid: &str) -> bool {
        let status = format!("/proc/{pid}/status");
        // It may be there for a moment more, waiting for its end to be looked at.
        let lives = || std::fs::read_to_string(&status).is_ok_and(|it| !it.contains("State:\tZ"));
        for _ in 0..100 {
            if !lives() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }
}
