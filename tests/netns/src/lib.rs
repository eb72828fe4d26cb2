//! Network namespaces: what the tests need to set up a small network of its own, to cut it and to mend it.
//!
//! `cargo xtask netns` runs the tests. They need the right to make network namespaces (root, or CAP_SYS_ADMIN and
//! CAP_NET_ADMIN) and the command `ip` of iproute2.

mod guard;
mod ip;
mod net;

pub use net::Net;
