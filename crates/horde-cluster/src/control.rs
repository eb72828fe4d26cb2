//! The thread that membership and the drivers above it run on.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

/// The control plane's own OS thread with a current-thread tokio runtime: user code that blocks tokio's workers delays
/// nothing that runs here.
///
/// Cheap to clone; all clones are one thread. When the last clone is dropped, anywhere (in async code and on this very
/// thread too), the runtime is shut down in the background: its tasks end at their next await, and nobody waits for them.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    handle: Handle,
    stop: Arc<Notify>,
}

impl Control {
    /// Starts the thread, under `name` (operating systems may cut it to 15 bytes).
    ///
    /// # Errors
    /// When the system gives no thread or no event queue: nothing runs.
    pub fn start(name: impl Into<String>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handle, stop) = (runtime.handle().clone(), Arc::new(Notify::new()));
        let stopped = stop.clone();
        std::thread::Builder::new().name(name.into()).spawn(move || {
            runtime.block_on(stopped.notified());
            runtime.shutdown_background();
        })?;
        Ok(Self(Arc::new(Inner { handle, stop })))
    }

    /// Spawns onto the thread. The runtime drives sockets and timers.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.0.handle
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Control")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    #[test]
    fn tasks_run_on_the_thread_that_bears_the_name() {
        let control = Control::start("ctl-name").unwrap();
        let (sender, receiver) = mpsc::channel();
        control.handle().spawn(async move { sender.send(std::thread::current().name().map(str::to_owned)) });
        assert_eq!(receiver.recv_timeout(DEADLINE).unwrap().as_deref(), Some("ctl-name"));
    }

    #[test]
    fn dropped_inside_async_code_and_on_its_own_thread_it_just_ends() {
        let control = Control::start("ctl-drop").unwrap();
        let (sender, receiver) = mpsc::channel::<()>();
        let own = control.clone();
        control.handle().spawn(async move {
            drop(own);
            std::future::pending::<()>().await;
            drop(sender);
        });
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move { drop(control) });
        assert_eq!(receiver.recv_timeout(DEADLINE), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
