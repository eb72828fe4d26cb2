//! Files: their length, their names, their first line.

use super::{Finding, Tree, code};

/// The most lines that a Rust file may have.
const MOST_LINES: usize = 500;

/// Files are short: a long one holds two nouns.
pub(super) fn length(tree: &Tree) -> Vec<Finding> {
    let long = |(path, text): (&str, &str)| {
        let lines = text.lines().count();
        let message = format!("{lines} lines, {MOST_LINES} are the most: split it by noun");
        (lines > MOST_LINES).then(|| Finding::new(path, 0, message))
    };
    tree.rust().filter_map(long).collect()
}

/// A module's root is `foo.rs` beside the folder `foo/`.
pub(super) fn names(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter(|(path, _)| path.rsplit('/').next() == Some("mod.rs"))
        .map(|(path, _)| {
            Finding::new(path, 0, "a module `foo` is `foo.rs` beside `foo/`, never `foo/mod.rs`")
        })
        .collect()
}

/// Every file says what it is for, first of all. Files of tests may let the names of the tests say it.
pub(super) fn docs(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter(|(path, text)| !code::is_test_file(path) && !text.trim_start().starts_with("//!"))
        .map(|(path, _)| Finding::new(path, 1, "starts without `//!` docs that say what the file is for"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_501_lines_is_refused() {
        let (fits, long) = ("x\n".repeat(500), "x\n".repeat(501));
        let tree = Tree::of(&[("a.rs", &fits), ("b.rs", &long), ("c.md", &long)]);
        assert_eq!(length(&tree).iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["b.rs"]);
    }

    #[test]
    fn a_mod_rs_is_refused() {
        let tree = Tree::of(&[("src/a/mod.rs", ""), ("src/xmod.rs", "")]);
        assert_eq!(names(&tree).len(), 1);
    }

    #[test]
    fn a_file_without_docs_is_refused_unless_it_holds_tests() {
        let tree = Tree::of(&[
            ("src/a.rs", "use x;\n//! Late.\n"),
            ("src/b.rs", "//! First.\n"),
            ("tests/c.rs", "use x;\n"),
        ]);
        assert_eq!(docs(&tree), [Finding::new("src/a.rs", 1, docs(&tree)[0].message.clone())]);
    }
}
