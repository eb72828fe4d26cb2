//! Crate roots: what a reader meets first.

use super::{Finding, Tree};

/// Crates that build without the standard library.
const NO_STD: &[&str] = &["crates/delta-crdt/src/lib.rs", "crates/horde-ring/src/lib.rs"];

/// Library roots list what is public by name; the lowest layer needs no standard library.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.ending("/src/lib.rs").filter(|(path, _)| path.starts_with("crates/")) {
        for (index, line) in text.lines().enumerate() {
            if line.starts_with("pub use ") && line.contains("::*") {
                found.push(Finding::new(path, index + 1, "a glob hides what is public: list the names"));
            }
        }
    }
    for path in NO_STD {
        let says = |text: &str| text.lines().any(|line| line.starts_with("#![") && line.contains("no_std"));
        if tree.text(path).is_some_and(|text| !says(text)) {
            found.push(Finding::new(
                path,
                0,
                "this crate builds without std: `#![no_std]` or a `cfg_attr` of it",
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_in_a_root_is_refused() {
        let tree = Tree::of(&[("crates/x/src/lib.rs", "pub use a::B;\npub use c::*;\n")]);
        assert_eq!(check(&tree).iter().map(|f| f.line).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn the_lowest_layer_is_no_std() {
        let bad = Tree::of(&[("crates/delta-crdt/src/lib.rs", "// no_std one day\n")]);
        assert_eq!(check(&bad).len(), 1);
        let good = "#![cfg_attr(not(feature = \"std\"), no_std)]\n";
        assert!(check(&Tree::of(&[("crates/delta-crdt/src/lib.rs", good)])).is_empty());
    }
}
