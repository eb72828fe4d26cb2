//! Where other nodes may be found.

mod hosts_file;
mod static_list;

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use tokio::task::AbortHandle;

use crate::Control;
use crate::driver::Driver;
use crate::machine::Input;

pub use hosts_file::HostsFile;
pub use static_list::StaticList;

/// What [`Discovery::run`] returns.
pub type Running<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Finds the addresses at which nodes are now believed to listen.
///
/// Mirrors libcluster's `Cluster.Strategy`, with two differences: a failed look keeps the last good set instead of
/// tearing the cluster down, and an address that vanishes is only not dialled any more.
///
/// ```
/// use horde_cluster::{Discovery, Found, Running};
///
/// /// Reads addresses from an environment variable, once.
/// struct Env(&'static str);
///
/// impl Discovery for Env {
///     fn name(&self) -> &str {
///         self.0
///     }
///
///     fn run<'a>(&'a self, found: &'a Found) -> Running<'a> {
///         Box::pin(async move {
///             match std::env::var(self.0) {
///                 Ok(text) => found.set(text.split(',').filter_map(|address| address.parse().ok())),
///                 Err(error) => found.failed(&error),
///             }
///         })
///     }
/// }
/// ```
pub trait Discovery: Send + Sync + 'static {
    /// What logs call it.
    fn name(&self) -> &str;

    /// Looks, and reports each set to `found`, for as long as it likes. It runs on the control thread and must not
    /// block. Its last set stays when it returns.
    fn run<'a>(&'a self, found: &'a Found) -> Running<'a>;
}

/// Takes what a strategy finds.
pub struct Found {
    driver: Weak<Driver>,
    source: String,
}

impl Found {
    pub(crate) fn new(driver: &Arc<Driver>, source: String) -> Self {
        Self { driver: Arc::downgrade(driver), source }
    }

    /// These are now all addresses: new ones are dialled, vanished ones not any more. More than
    /// `ClusterConfig::max_addresses` are cut to the lowest and logged.
    pub fn set(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        let addresses: BTreeSet<SocketAddr> = addresses.into_iter().collect();
        tracing::debug!(source = %self.source, count = addresses.len(), "discovery found addresses");
        if let Some(driver) = self.driver.upgrade() {
            driver.input(Input::Found { source: self.source.clone(), addresses });
        }
    }

    /// A look failed: it is logged, and the last good set stays.
    pub fn failed(&self, error: &dyn fmt::Display) {
        tracing::warn!(source = %self.source, %error, "discovery failed; the addresses found last stay in use");
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Keeps a strategy running; dropped, it ends, and what it alone found is not dialled any more.
#[must_use = "dropping it ends the discovery"]
#[derive(Debug)]
pub struct Discovering {
    found: Arc<Found>,
    task: AbortHandle,
}

impl Discovering {
    pub(crate) fn start(control: &Control, strategy: impl Discovery, found: Found) -> Self {
        let found = Arc::new(found);
        let sink = found.clone();
        let task = control.handle().spawn(async move { strategy.run(&sink).await });
        Self { found, task: task.abort_handle() }
    }
}

impl Drop for Discovering {
    fn drop(&mut self) {
        self.task.abort();
        self.found.set([]);
    }
}
