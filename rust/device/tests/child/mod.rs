//! Runs a part of a test in another process: the test binary itself, told by its environment to play a role.

#![allow(unsafe_code, reason = "fork has no safe wrapper")]
#![allow(dead_code, reason = "each test binary uses some of it")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child as Process, ChildStdout, Command, Stdio};

const ROLE: &str = "VEXFS_TEST_ROLE";
const PLACE: &str = "VEXFS_TEST_PLACE";
/// Tells what a child says from what its test harness says.
const MARK: &str = "child says: ";
const NOBODY: u32 = 65534;

/// A running child; killed when dropped.
pub struct Child {
    process: Process,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts a child in a role on a path.
    pub fn start(role: &str, path: &Path) -> Self {
        Self::spawn(&mut command(role, path)).unwrap()
    }

    /// Starts a child as a user without rights; `None` if this process cannot.
    pub fn as_nobody(role: &str, path: &Path) -> Option<Self> {
        Self::spawn(command(role, path).uid(NOBODY).gid(NOBODY)).ok()
    }

    fn spawn(command: &mut Command) -> std::io::Result<Self> {
        let mut process = command.spawn()?;
        let output = BufReader::new(process.stdout.take().unwrap());
        Ok(Self { process, output })
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Reads until the child says this.
    pub fn wait_for(&mut self, what: &str) {
        let said = self.next_said();
        assert_eq!(said.as_deref(), Some(what));
    }

    /// What the child says, when it has ended; "signal N" if it died of that.
    pub fn finish(mut self) -> String {
        let said = self.next_said();
        let status = self.process.wait().unwrap();
        match (status.signal(), said) {
            (Some(signal), _) => format!("signal {signal}"),
            (None, Some(said)) => said,
            (None, None) => {
                let mut rest = String::new();
                self.process.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
                panic!("the child ended with {status} and said nothing: {rest}")
            }
        }
    }

    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn next_said(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some((_, said)) = line.split_once(MARK) {
                return Some(said.trim_end().to_owned());
            }
            line.clear();
        }
        None
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(role: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_main", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env(PLACE, path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The body of the child's `child_main` test; does nothing in the parent.
pub fn run(play: impl FnOnce(&str, &Path)) {
    if let (Ok(role), Ok(path)) = (std::env::var(ROLE), std::env::var(PLACE)) {
        play(&role, Path::new(&path));
    }
}

/// Says a line to the parent.
pub fn say(what: &str) {
    println!("{}{what}", if SPOKEN.load(std::sync::atomic::Ordering::Relaxed) { "" } else { MARK });
    std::io::stdout().flush().unwrap();
}

static SPOKEN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Says the first part of a line; the rest comes from the process that forked this one.
pub fn say_part(what: &str) {
    print!("{MARK}{what}");
    std::io::stdout().flush().unwrap();
}

/// Runs a function in a forked child, which then exits at once; the parent gets its pid.
pub fn fork(body: impl FnOnce()) -> Option<u32> {
    // SAFETY: the child runs test code of this thread only and then exits without unwinding into the harness.
    match unsafe { libc::fork() } {
        -1 => panic!("cannot fork"),
        0 => {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            exit()
        }
        pid => Some(pid.unsigned_abs()),
    }
}

/// Like [`fork`], and waits for the child; what the parent says next continues the child's line.
pub fn fork_and_wait(body: impl FnOnce()) {
    let pid = fork(body).unwrap();
    // SAFETY: waits for the child just forked; the status is not wanted.
    unsafe { libc::waitpid(pid as libc::pid_t, std::ptr::null_mut(), 0) };
    SPOKEN.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// Ends the process without running anything on the way.
pub fn exit() -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) }
}

/// Kills a process that a child left behind.
pub fn kill(pid: u32) {
    // SAFETY: sends a signal to a process that this test made.
    unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
}
