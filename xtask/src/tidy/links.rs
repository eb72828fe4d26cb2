//! Links between the repository's own texts lead somewhere.

use super::{Finding, Tree};

/// Resolves every relative link of every Markdown file. Links to other hosts are not followed.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.ending(".md") {
        let mut fenced = false;
        for (index, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            for target in targets(line).into_iter().filter(|_| !fenced) {
                match resolve(path, target) {
                    Some(file) if tree.has(&file) => {}
                    _ => found.push(Finding::new(
                        path,
                        index + 1,
                        format!("the link `{target}` leads nowhere"),
                    )),
                }
            }
        }
    }
    found
}

/// The files that a line's links `[text](target)` and definitions `[name]: target` name, without anchors.
fn targets(line: &str) -> Vec<&str> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let defined =
        line.starts_with('[').then(|| line.split_once("]: ")).flatten().map(|(_, target)| target.trim());
    inline
        .chain(defined)
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .filter_map(|target| target.split('#').next())
        .filter(|target| !target.is_empty())
        .collect()
}

/// The path from the root that `target`, written in the file `from`, means. `None` if it leaves the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str) -> usize {
        check(&Tree::of(&[
            ("docs/a.md", text),
            ("docs/b.md", ""),
            ("README.md", ""),
            ("crates/x/src/lib.rs", ""),
        ]))
        .len()
    }

    #[test]
    fn a_link_that_leads_nowhere_is_refused() {
        assert_eq!(broken("see [b](c.md) and ![c](../pictures/d.svg)"), 2);
        assert_eq!(broken("[b]: gone.md"), 1);
        assert_eq!(broken("[out](../../other/README.md)"), 1);
        assert_eq!(broken("[abs](/README.md)"), 1);
    }

    #[test]
    fn links_to_files_folders_anchors_and_hosts_hold() {
        assert_eq!(
            broken("[b](b.md#part), [r](../README.md), [f](../crates/x), [h](https://a.org/x), [s](#here)"),
            0
        );
        assert_eq!(broken("```\n[code](gone.md)\n```"), 0);
    }
}
