//! Restarts from a log that was cut anywhere.

mod cuts;
#[cfg(feature = "redb")]
mod disk;
#[cfg(feature = "redb")]
mod embedded;
mod epochs;
#[cfg(feature = "redb")]
mod failures;
mod holes;
mod life;
