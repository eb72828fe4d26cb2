//! Manifests: each outside dependency says why it is there, each package inherits the workspace's settings.

use super::{Finding, Tree};
use std::collections::BTreeSet;

/// Keys that each package takes from the workspace.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];

/// Crates that are not libraries: errors there are for people, who want context rather than variants.
const PROGRAMS: &[&str] = &["crates/horde-cli/"];

/// Checks the manifest of every member; `bench/` and `fuzz/` stand outside the workspace and inherit nothing.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.ending("/Cargo.toml") {
        found.extend(reasons(path, text));
        if !path.starts_with("bench/") && !path.starts_with("fuzz/") {
            found.extend(inheritance(path, text));
        }
        if path.starts_with("crates/") && !PROGRAMS.iter().any(|program| path.starts_with(program)) {
            found.extend(no_anyhow(path, text));
        }
    }
    found
}

/// Every line that names an outside crate carries a comment or follows one; once in a manifest is enough for a crate.
fn reasons(path: &str, text: &str) -> Vec<Finding> {
    let (mut unexplained, mut explained) = (Vec::new(), BTreeSet::new());
    for (line, name, comment) in dependencies(text).into_iter().filter(|(_, name, _)| !ours(name)) {
        if comment {
            explained.insert(name);
        } else {
            unexplained.push((line, name));
        }
    }
    unexplained.retain(|(_, name)| !explained.contains(name));
    let message = |name| format!("`{name}` is there without a comment that says why");
    unexplained.into_iter().map(|(line, name)| Finding::new(path, line, message(name))).collect()
}

/// Every dependency in a manifest: its line, its name, and whether a comment is above its group or in its lines.
fn dependencies(text: &str) -> Vec<(usize, String, bool)> {
    let mut found: Vec<(usize, String, bool)> = Vec::new();
    let (mut listing, mut open, mut comment_above) = (false, 0_usize, false);
    for (index, line) in text.lines().enumerate() {
        let (code, comment) =
            line.trim().split_once('#').map_or((line.trim(), false), |(code, _)| (code, true));
        if open > 0 {
            if let Some((.., explained)) = found.last_mut().filter(|_| listing) {
                *explained |= comment;
            }
        } else if let Some(header) = code.trim().strip_prefix('[') {
            let section = header.trim_end_matches(']');
            // `[dependencies.foo]` names its crate in the header itself.
            let (before, name) = section.rsplit_once('.').unwrap_or(("", section));
            listing = name.ends_with("dependencies");
            if before.ends_with("dependencies") {
                found.push((index + 1, name.to_owned(), comment || comment_above));
            }
        } else if listing && let Some((name, _)) = code.split_once(['=', '.']) {
            found.push((index + 1, name.trim().trim_matches('"').to_owned(), comment || comment_above));
        }
        if !code.trim_start().starts_with('[') || open > 0 {
            open = (open + code.matches(['[', '{']).count()).saturating_sub(code.matches([']', '}']).count());
        }
        // A comment speaks for the lines directly below it, until an empty one.
        comment_above = if code.is_empty() { comment } else { comment_above && !code.starts_with('[') };
    }
    found
}

fn ours(name: &str) -> bool {
    name == "horde" || name == "delta-crdt" || name.starts_with("horde-")
}

/// Every member takes version, edition, MSRV, licence and lints from the workspace.
fn inheritance(path: &str, text: &str) -> Vec<Finding> {
    let Ok(manifest) = text.parse::<toml::Table>() else { return Vec::new() };
    let inherits = |table: &str, key: &str| {
        let value =
            manifest.get(table).and_then(|table| if key.is_empty() { Some(table) } else { table.get(key) });
        value.and_then(|value| value.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
    };
    let keys = INHERITED.iter().map(|key| ("package", *key)).chain([("lints", "")]);
    keys.filter(|(table, key)| !inherits(table, key))
        .map(|(table, key)| {
            let name = if key.is_empty() { table.to_owned() } else { format!("{table}.{key}") };
            Finding::new(path, 0, format!("`{name}` is not taken from the workspace"))
        })
        .collect()
}

/// A library's errors are enums that say what happened to the state.
fn no_anyhow(path: &str, text: &str) -> Vec<Finding> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("anyhow"))
        .map(|(index, _)| {
            Finding::new(path, index + 1, "libraries have error enums (thiserror), never anyhow")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unexplained_lines(text: &str) -> Vec<usize> {
        reasons("crates/x/Cargo.toml", text).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn an_outside_dependency_without_a_reason_is_refused() {
        assert_eq!(unexplained_lines("[dependencies]\nserde = \"1\"\n"), [2]);
        assert_eq!(unexplained_lines("[dev-dependencies]\nserde.workspace = true\nhorde-ring = \"1\""), [2]);
        assert_eq!(unexplained_lines("[target.'cfg(unix)'.dependencies]\nserde = { workspace = true }"), [2]);
        assert_eq!(unexplained_lines("[dependencies.serde]\nworkspace = true"), [1]);
        assert_eq!(
            unexplained_lines("[dependencies]\nserde = { features = [\n  \"a\",\n] }\nbytes = \"1\""),
            [2, 5]
        );
    }

    #[test]
    fn a_reason_stands_on_the_line_above_it_or_within_it() {
        assert_eq!(
            unexplained_lines("[dependencies]\nserde = \"1\" # frames\n# sockets\ntokio = \"1\""),
            [0; 0]
        );
        assert_eq!(
            unexplained_lines("[dependencies]\nserde = { features = [ # frames\n  \"a\",\n] }"),
            [0; 0]
        );
        assert_eq!(
            unexplained_lines("[dependencies]\ntokio = \"1\" # tasks\n[dev-dependencies]\ntokio = \"1\""),
            [0; 0]
        );
        assert_eq!(unexplained_lines("[package]\nname = \"x\"\n[features]\ndefault = []"), [0; 0]);
    }

    #[test]
    fn a_package_that_goes_its_own_way_is_refused() {
        let inherited: String = INHERITED.iter().map(|key| format!("{key}.workspace = true\n")).collect();
        let good = format!("[package]\n{inherited}[lints]\nworkspace = true\n");
        assert_eq!(inheritance("x", &good), []);
        assert_eq!(
            inheritance("x", &good.replace("edition.workspace = true", "edition = \"2021\"")).len(),
            1
        );
        assert_eq!(inheritance("x", &good.replace("[lints]\nworkspace = true\n", "")).len(), 1);
    }

    #[test]
    fn anyhow_is_for_programs() {
        let text = "[dependencies]\nanyhow.workspace = true # errors\n";
        assert_eq!(no_anyhow("crates/horde/Cargo.toml", text).len(), 1);
        let said =
            |path: &str| check(&Tree::of(&[(path, text)])).iter().any(|f| f.message.contains("anyhow"));
        assert!(said("crates/horde/Cargo.toml") && !said("crates/horde-cli/Cargo.toml"));
    }
}
