//! Addresses from a file.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Discovery, Found, Running};

/// The largest hosts file read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A file with one `host:port` per line, read again and again; `#` starts a comment.
///
/// Host names are resolved at each look, to all their addresses. A file that cannot be read, is over 1 MiB, or has a
/// line that is no address keeps the last good set, and says which line it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsFile {
    path: PathBuf,
    every: Duration,
}

impl HostsFile {
    /// Reads `path` every 5 s.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), every: Duration::from_secs(5) }
    }

    /// Reads it that often; at most once in 10 ms.
    #[must_use]
    pub fn every(mut self, period: Duration) -> Self {
        self.every = period.max(Duration::from_millis(10));
        self
    }
}

impl Discovery for HostsFile {
    fn name(&self) -> &str {
        "hosts file"
    }

    fn run<'a>(&'a self, found: &'a Found) -> Running<'a> {
        Box::pin(async move {
            loop {
                let path = self.path.clone();
                match tokio::task::spawn_blocking(move || read(&path)).await {
                    Ok(Ok(addresses)) => found.set(addresses),
                    Ok(Err(error)) => found.failed(&format!("{}: {error}", self.path.display())),
                    Err(error) => found.failed(&error),
                }
                tokio::time::sleep(self.every).await;
            }
        })
    }
}

fn read(path: &Path) -> io::Result<Vec<SocketAddr>> {
    let size = std::fs::metadata(path)?.len();
    if size > MAX_FILE {
        return Err(io::Error::other(format!("{size} bytes are over the limit of {MAX_FILE}")));
    }
    parse(&std::fs::read_to_string(path)?)
}

fn parse(text: &str) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split_once('#').map_or(line, |(before, _)| before).trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |error| io::Error::other(format!("line {}: `{line}`: {error}", number + 1));
        addresses.extend(line.to_socket_addrs().map_err(wrong)?);
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_are_skipped_and_a_bad_line_is_named() {
        let good = parse("# nodes\n\n127.0.0.1:4000 # one\n [::1]:4001\n").unwrap();
        assert_eq!(good, ["127.0.0.1:4000".parse().unwrap(), "[::1]:4001".parse().unwrap()]);
        let error = parse("127.0.0.1:4000\n127.0.0.1\n").unwrap_err();
        assert!(error.to_string().starts_with("line 2: `127.0.0.1`"), "{error}");
    }
}
