//! Words that no committed text may hold. The words are put together here, so that this file does not hold them.

use super::{Finding, Tree};

/// Rust that promises something it does not do.
const STUBS: &[(&str, &str)] = &[
    (concat!("#[", "ignore"), "a test that does not run: mend or delete it"),
    (concat!("todo", "!("), "a stub: build it, or leave the promise out"),
    (concat!("unimplemented", "!("), "a stub: build it, or leave the promise out"),
    (concat!("FIX", "ME"), "mend it now, or say in the docs what does not hold"),
    (concat!("assert!(", "true)"), "a check that cannot fail"),
];

/// Folders at the root of one machine; a path into them means nothing on another.
const MACHINE_FOLDERS: &[&str] = &["work", "root", "farm", "home"];

/// Refuses stubs in Rust and paths of one machine in any text but lock files.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| !path.ends_with(".lock")) {
        for (index, line) in text.lines().enumerate() {
            let stubs = STUBS.iter().filter(|(word, _)| path.ends_with(".rs") && line.contains(word));
            found.extend(stubs.map(|(word, why)| Finding::new(path, index + 1, format!("`{word}`: {why}"))));
            if let Some(folder) = machine_path(line) {
                let message =
                    format!("a path of one machine, below `{folder}` at its root: write it relative");
                found.push(Finding::new(path, index + 1, message));
            }
        }
    }
    found
}

/// The machine's folder that an absolute path in `line` goes into, if there is one.
///
/// A slash counts as the start of a path unless a name, a dot or another slash is before it: those are the middle
/// of a relative path or of a URL.
fn machine_path(line: &str) -> Option<&'static str> {
    MACHINE_FOLDERS.iter().copied().find(|folder| {
        let path = format!("/{folder}/");
        line.match_indices(&path).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || "./_-}])>".contains(c))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stub_is_refused_in_rust() {
        for (word, _) in STUBS {
            let text = format!("//! Docs.\n{word}\n");
            assert_eq!(check(&Tree::of(&[("src/a.rs", &text)])).len(), 1, "{word}");
            assert_eq!(check(&Tree::of(&[("a.md", &text)])).len(), 0, "{word} in prose");
        }
    }

    #[test]
    fn a_path_of_one_machine_is_refused_in_any_text_and_a_url_is_not() {
        for folder in MACHINE_FOLDERS {
            for good in ["https://a.org", "https:/", "..", "crates", "$(pwd)"] {
                assert_eq!(machine_path(&format!("see {good}/{folder}/x")), None, "{good}");
            }
            for bad in ["", "at ", "\"", "`", "(", "=", "path:"] {
                let text = format!("{bad}/{folder}/x");
                assert_eq!(check(&Tree::of(&[("a.md", &text)])).len(), 1, "{text}");
            }
        }
    }

    #[test]
    fn a_lock_file_is_left_alone() {
        let text = format!("/{}/x", MACHINE_FOLDERS[0]);
        assert_eq!(check(&Tree::of(&[("Cargo.lock", &text)])), []);
    }
}
