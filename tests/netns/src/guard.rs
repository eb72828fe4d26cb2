//! Who removes the namespaces when the test is over, in whatever way it ends.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use horde_cluster_tests::until;

/// An OS process that removes namespaces when this is dropped, and also when the test is killed: it waits for the end
/// of the pipe that the test holds, and no Ctrl-C ends it before.
#[derive(Debug)]
pub(crate) struct Guard(Child);

/// How long the removal may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Guard {
    /// Stands ready to remove `namespaces`, which need not exist yet.
    pub(crate) fn over(namespaces: &[String]) -> Result<Self> {
        let script =
            "trap '' INT TERM HUP; read -r _; for ns in \"$@\"; do ip netns del \"$ns\" 2>&-; done; exit 0";
        let mut command = Command::new("sh");
        command.args(["-c", script, "guard"]).args(namespaces).stdin(Stdio::piped()).stdout(Stdio::null());
        Ok(Self(command.spawn().context("`sh` does not start")?))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let ended = until("the namespaces are removed", PATIENCE, || Ok(self.0.try_wait()?.ok_or("not yet")));
        if let Err(error) = ended
            && !std::thread::panicking()
        {
            panic!("{error}");
        }
    }
}
