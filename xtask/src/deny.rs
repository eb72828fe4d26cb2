//! Licences, bans and sources of outside crates, as `deny.toml` states them.
//!
//! A fresh machine has no cargo-deny, and the rules are few: this reads the same file and holds the same rules
//! against `cargo metadata`. What needs the network each time (the advisory database) stays with cargo-deny.

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, Package};
use spdx::{Expression, ParseMode};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// The one registry that outside crates come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The part of `deny.toml` that is checked here.
#[derive(Debug)]
pub(crate) struct Rules {
    /// SPDX licences that may be relied on.
    allow: Vec<String>,
    /// Banned crates and why.
    bans: BTreeMap<String, String>,
}

impl Rules {
    /// Reads the text of `deny.toml`. An error if a part that is checked here is missing or has another shape.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let file: Table = text.parse().context("deny.toml is not TOML")?;
        let list = |section: &str, key: &str| {
            let value = file.get(section).and_then(|section| section.get(key)).and_then(Value::as_array);
            value.with_context(|| format!("deny.toml has no list {section}.{key}"))
        };
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let allow = list("licenses", "allow")?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let mut bans = BTreeMap::new();
        for ban in list("bans", "deny")? {
            let name = text(ban, "crate").context("an entry of bans.deny in deny.toml names no `crate`")?;
            let reason = text(ban, "reason").with_context(|| format!("the ban of {name} has no `reason`"))?;
            bans.insert(name, reason);
        }
        Ok(Self { allow, bans })
    }

    /// Whether the allowed licences are enough for `expression`. An error if it is no SPDX expression.
    fn licence_is_allowed(&self, expression: &str) -> Result<bool> {
        let parsed = Expression::parse_mode(expression, ParseMode::LAX)
            .with_context(|| format!("`{expression}` is not an SPDX expression"))?;
        Ok(parsed.evaluate(|licence| self.allow.iter().any(|allowed| *allowed == licence.to_string())))
    }

    /// Everything that is wrong with one package.
    fn check_package(&self, package: &Package) -> Vec<String> {
        let name = format!("{} {}", package.name, package.version);
        let mut found = Vec::new();
        match &package.license {
            None => found.push(format!("{name}: no licence expression")),
            Some(licence) => match self.licence_is_allowed(licence) {
                Ok(true) => {}
                Ok(false) => {
                    found.push(format!("{name}: licence `{licence}` is not in deny.toml's allow list"))
                }
                Err(error) => found.push(format!("{name}: {error:#}")),
            },
        }
        if let Some(reason) = self.bans.get(package.name.as_str()) {
            found.push(format!("{name}: banned, {reason}"));
        }
        if let Some(source) = &package.source
            && source.repr != REGISTRY
        {
            found.push(format!("{name}: comes from {source}, not from crates.io"));
        }
        found
    }
}

/// Holds the rules against every package of the lock file; prints crates present in several versions as a warning.
pub(crate) fn check(metadata: &Metadata, rules: &Rules) -> Result<()> {
    let found: Vec<String> =
        metadata.packages.iter().flat_map(|package| rules.check_package(package)).collect();
    for (name, versions) in several_versions(metadata) {
        println!("warning: {name} is there in several versions: {}", versions.join(", "));
    }
    if !found.is_empty() {
        bail!("{}", found.join("\n"));
    }
    println!("{} packages: licences, bans and sources hold", metadata.packages.len());
    Ok(())
}

/// Crates that the lock file holds more than once.
fn several_versions(metadata: &Metadata) -> BTreeMap<&str, Vec<String>> {
    let mut versions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for package in &metadata.packages {
        versions.entry(package.name.as_str()).or_default().push(package.version.to_string());
    }
    versions.retain(|_, versions| versions.len() > 1);
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0"]
        [bans]
        deny = [{ crate = "openssl", reason = "TLS is rustls" }]
    "#;

    #[test]
    fn a_licence_holds_only_if_the_allowed_ones_are_enough() {
        let rules = Rules::parse(FILE).unwrap();
        assert!(rules.licence_is_allowed("MIT OR GPL-3.0-only").unwrap());
        assert!(rules.licence_is_allowed("MIT/Apache-2.0").unwrap(), "the old way to write OR");
        assert!(!rules.licence_is_allowed("MIT AND ISC").unwrap());
        assert!(!rules.licence_is_allowed("AGPL-3.0-only").unwrap());
        assert!(!rules.licence_is_allowed("Apache-2.0 WITH LLVM-exception").unwrap());
        assert!(rules.licence_is_allowed("free for all").is_err());
    }

    #[test]
    fn a_ban_without_a_reason_is_refused() {
        assert!(Rules::parse(&FILE.replace("reason", "because")).is_err());
        assert!(Rules::parse("[licenses]\nallow = []").is_err());
    }

    #[test]
    fn a_package_is_refused_for_its_licence_its_name_and_its_source() {
        let package: Package =
            serde_package("openssl", "GPL-3.0-only", "git+https://example.org/openssl#abc");
        let found = Rules::parse(FILE).unwrap().check_package(&package);
        assert_eq!(found.len(), 3, "{found:?}");
        let package = serde_package("serde", "MIT OR Apache-2.0", REGISTRY);
        assert!(Rules::parse(FILE).unwrap().check_package(&package).is_empty());
    }

    fn serde_package(name: &str, licence: &str, source: &str) -> Package {
        let json = format!(
            r#"{{"packages":[{{"name":"{name}","version":"1.0.0","id":"{name}","license":"{licence}",
                "source":"{source}","dependencies":[],"targets":[],"features":{{}},"manifest_path":"Cargo.toml"}}],
                "workspace_members":[],"resolve":null,"workspace_root":"","target_directory":"","version":1}}"#
        );
        cargo_metadata::MetadataCommand::parse(json).unwrap().packages.remove(0)
    }
}
