//! Starts and memory, each run in a fresh child process.

use std::io;
use std::process::Command;

use super::{CONTESTANTS, inside, ours, peers, runtime};

/// Set for the child: whose processes it starts.
const CHILD: &str = "HORDE_BENCH_PROCESS_CHILD";
/// How many processes a child starts.
const COUNT: usize = 100_000;

/// For each contestant: thousands of starts a second, and resident bytes of each idle process.
pub(super) fn starts(runs: usize) -> io::Result<(Vec<Vec<f64>>, Vec<Vec<f64>>)> {
    let none = || vec![Vec::new(); CONTESTANTS.len()];
    let (mut spawns, mut bytes) = (none(), none());
    for _ in 0..runs {
        for (at, who) in CONTESTANTS.iter().enumerate() {
            let child = Command::new(std::env::current_exe()?).arg("process").env(CHILD, who).output()?;
            let text = String::from_utf8_lossy(&child.stdout);
            let mut numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
            let (Some(spawn), Some(size)) = (numbers.next(), numbers.next()) else {
                return Err(io::Error::other(format!("{who}: {}", String::from_utf8_lossy(&child.stderr))));
            };
            spawns[at].push(spawn);
            bytes[at].push(size);
        }
    }
    Ok((spawns, bytes))
}

/// The child's work, if this is one: prints both figures and ends.
pub(super) fn child_if_asked() {
    let Ok(who) = std::env::var(CHILD) else { return };
    let runtime = runtime();
    let before = resident();
    let (spawn, kept) = match who.as_str() {
        "horde" => inside(&runtime, ours::starts(COUNT)),
        "ractor" => inside(&runtime, peers::ractor_starts(COUNT)),
        "kameo" => inside(&runtime, peers::kameo_starts(COUNT)),
        _ => inside(&runtime, peers::tokio_starts(COUNT)),
    };
    let bytes = (resident() - before) / COUNT as f64;
    println!("{spawn} {bytes}");
    // Ended without tearing the processes down one by one.
    std::mem::forget(kept);
    std::process::exit(0);
}

/// Resident bytes of this OS process.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("KiB") * 1024.0
}
