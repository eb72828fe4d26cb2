//! Machines are pure: given the same inputs they give the same outputs, so a seed replays them exactly.
//!
//! A machine is `src/machine.rs` or below `src/machine/`, and all of delta-crdt and horde-ring. Their tests too.

use super::{Finding, Tree, code};

/// What a machine may not say, and what it does instead.
const BANNED: &[(&str, &str)] = &[
    ("Instant::now", "time is an input"),
    ("SystemTime::now", "time is an input"),
    ("tokio::", "tasks, sockets and timers belong to the driver"),
    ("thread::spawn", "a machine runs on its caller's thread"),
    ("thread_rng", "randomness comes from the seed that the caller gives"),
    ("rand::rng(", "randomness comes from the seed that the caller gives"),
    ("rand::random", "randomness comes from the seed that the caller gives"),
    ("RandomState", "its order is random: use an ordered map"),
];

/// Crates that are machines as a whole.
const PURE_CRATES: &[&str] = &["crates/delta-crdt/src/", "crates/horde-ring/src/"];

/// The one place where a hash map with a fixed hasher may be used, with its reason in the file.
const FIXED_HASHER: &str = "crates/delta-crdt/src/";

/// Refuses clocks, tasks, randomness and maps without an order in machines.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| is_machine(path)) {
        let fixed_hasher = path.starts_with(FIXED_HASHER)
            && text.contains("hashbrown")
            && text.lines().any(|line| code::reason(line, "hasher").is_some());
        for (number, line, _) in code::lines(path, text) {
            let line = &code::code_of(line);
            for (banned, instead) in BANNED.iter().filter(|(banned, _)| code::has_word(line, banned)) {
                found.push(Finding::new(path, number, format!("`{banned}` in a machine: {instead}")));
            }
            let unordered = code::has_word(line, "HashMap") || code::has_word(line, "HashSet");
            if unordered && (!fixed_hasher || line.contains("std::")) {
                let message = "an unordered map in a machine: use a BTreeMap (in delta-crdt also hashbrown with a \
                               fixed hasher, and `// tidy: hasher, reason` in the file)";
                found.push(Finding::new(path, number, message));
            }
        }
    }
    found
}

fn is_machine(path: &str) -> bool {
    PURE_CRATES.iter().any(|pure| path.starts_with(pure))
        || (path.starts_with("crates/")
            && (path.ends_with("/src/machine.rs") || path.contains("/src/machine/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_banned_call_is_refused_in_each_kind_of_machine() {
        for path in ["crates/a/src/machine.rs", "crates/a/src/machine/b.rs", "crates/horde-ring/src/b.rs"] {
            for (banned, _) in BANNED {
                let text = format!("//! Docs.\nlet x = {banned}();\n");
                assert_eq!(check(&Tree::of(&[(path, &text)])).len(), 1, "{banned} in {path}");
            }
            assert_eq!(check(&Tree::of(&[(path, "use std::collections::HashMap;")])).len(), 1);
        }
    }

    #[test]
    fn drivers_comments_and_longer_names_are_left_alone() {
        let tree = Tree::of(&[
            ("crates/a/src/driver.rs", "let x = tokio::spawn(f);"),
            ("crates/a/src/machine.rs", "// never Instant::now, no HashMap\nlet x = MyInstant::now();"),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn a_fixed_hasher_needs_hashbrown_and_a_reason_and_delta_crdt() {
        let text = "// tidy: hasher, fixed seed so that the order replays\nuse hashbrown::HashMap;\n";
        assert_eq!(check(&Tree::of(&[("crates/delta-crdt/src/a.rs", text)])), []);
        assert_eq!(check(&Tree::of(&[("crates/horde-ring/src/a.rs", text)])).len(), 1);
        assert_eq!(check(&Tree::of(&[("crates/delta-crdt/src/a.rs", "use hashbrown::HashMap;")])).len(), 1);
        let both = format!("{text}use std::collections::HashMap as Std;\n");
        assert_eq!(check(&Tree::of(&[("crates/delta-crdt/src/a.rs", &both)])).len(), 1);
    }
}
