//! The demo as a user runs it: what it shows holds, and it leaves nothing behind on any way out.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

fn demo(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_horde"));
    command.args(["demo", "--json"]).args(options).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

#[test]
fn every_phase_of_the_demo_holds() {
    let output = demo(&["--children", "100"]).stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.last().unwrap();
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["ok"], true, "{text}");
    assert!(output.status.success());
    for count in ["lost", "duplicates", "untracked"] {
        assert_eq!(summary[count], 0, "{count}");
    }
    let phases: Vec<&str> = lines.iter().filter_map(|line| line["phase"].as_str()).collect();
    for phase in ["kill_checked", "join_checked", "drain_checked", "heal_checked", "pause_checked"] {
        assert!(phases.contains(&phase), "{phases:?}");
    }
}

#[cfg(target_os = "linux")]
mod leaves_nothing {
    use std::time::{Duration, Instant};

    use super::*;

    /// A demo whose nodes run, and one of them stands still.
    fn with_a_stopped_node() -> (Child, Vec<u32>) {
        let mut demo = demo(&["--children", "100"]).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        assert!(first.contains("joined with mutual TLS"), "{first}");
        let nodes = children_of(demo.id());
        assert_eq!(nodes.len(), 3);
        send("STOP", nodes[1]);
        // Whatever it says goes nowhere from here on.
        std::thread::spawn(move || lines.for_each(drop));
        (demo, nodes)
    }

    fn send(signal: &str, process: u32) {
        let status = Command::new("sh").args(["-c", &format!("kill -s {signal} {process}")]).status();
        assert!(status.unwrap().success());
    }

    /// The parent and the state of each process.
    fn processes() -> Vec<(u32, u32, char)> {
        let numbers = std::fs::read_dir("/proc").unwrap().flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let look = |number: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
            let (_, rest) = stat.rsplit_once(") ")?;
            let mut fields = rest.split(' ');
            Some((number, fields.nth(1)?.parse().ok()?, rest.chars().next()?))
        };
        numbers.filter_map(look).collect()
    }

    fn children_of(parent: u32) -> Vec<u32> {
        processes().into_iter().filter(|(_, of, _)| *of == parent).map(|(number, ..)| number).collect()
    }

    /// Waits until none of these processes runs: who only waits to be buried does not.
    fn all_end(nodes: &[u32]) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let left: Vec<_> = processes()
                .into_iter()
                .filter(|(number, _, state)| nodes.contains(number) && !"ZX".contains(*state))
                .collect();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "still there: {left:?}");
            std::thread::sleep(Duration::from_millis(20)); // tidy: sleep, other processes give no event
        }
    }

    #[test]
    fn when_it_is_killed() {
        let (mut demo, nodes) = with_a_stopped_node();
        demo.kill().unwrap();
        demo.wait().unwrap();
        all_end(&nodes);
    }

    #[test]
    fn when_it_is_interrupted_or_told_to_stop() {
        for signal in ["INT", "TERM"] {
            let (mut demo, nodes) = with_a_stopped_node();
            send(signal, demo.id());
            assert!(!demo.wait().unwrap().success(), "what was cut short did not hold");
            all_end(&nodes);
        }
    }

    #[test]
    fn when_one_of_its_nodes_dies_on_its_own() {
        let (mut demo, nodes) = with_a_stopped_node();
        send("KILL", nodes[0]);
        assert!(!demo.wait().unwrap().success());
        all_end(&nodes);
    }
}
