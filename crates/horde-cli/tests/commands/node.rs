//! One `horde node`, killed when the test is over.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take that takes milliseconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub(crate) fn horde() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_horde"));
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// What a process has said so far, both ways.
#[derive(Default)]
struct Said {
    text: Mutex<String>,
    more: Condvar,
}

impl Said {
    fn keep(self: &Arc<Self>, pipe: impl Read + Send + 'static) {
        let said = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                said.text.lock().unwrap().push_str(&(line + "\n"));
                said.more.notify_all();
            }
        });
    }
}

pub(crate) struct Node {
    child: Child,
    said: Arc<Said>,
}

impl Node {
    pub(crate) fn spawn(args: &[String]) -> Self {
        let mut child =
            horde().arg("node").args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::<Said>::default();
        said.keep(child.stdout.take().unwrap());
        said.keep(child.stderr.take().unwrap());
        Self { child, said }
    }

    /// Waits for the first line that holds `what`.
    pub(crate) fn says(&self, what: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut text = self.said.text.lock().unwrap();
        loop {
            if let Some(line) = text.lines().find(|line| line.contains(what)) {
                return line.to_owned();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(left > Duration::ZERO, "it does not say `{what}`, but:\n{text}");
            text = self.said.more.wait_timeout(text, left).unwrap().0;
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let line = self.says("listens at");
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub(crate) fn is_member(&self) {
        self.says("is a member");
    }

    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: no package, and no unsafe code here. Our child, not waited for: the number is its own.
        let told = Command::new("sh").args(["-c", &format!("kill -s {name} {}", self.child.id())]).status();
        assert!(told.unwrap().success());
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end of the OS process.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it still runs, and said:\n{}",
                self.said.text.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(10)); // tidy: sleep, the end of another process has no event
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
