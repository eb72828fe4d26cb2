//! The minimum supported Rust version: declared once, and held by every dependency.

use anyhow::{Result, bail};
use cargo_metadata::{Metadata, semver::Version};

/// Every package says the workspace's `rust-version`, and no dependency asks for a newer one.
pub(crate) fn check(metadata: &Metadata, declared: &Version) -> Result<()> {
    let mut found = Vec::new();
    for package in &metadata.packages {
        let own = package.source.is_none();
        match &package.rust_version {
            None if own => found.push(format!("{} does not declare rust-version", package.name)),
            Some(version) if own && version != declared => {
                found.push(format!("{} declares {version}, the workspace {declared}", package.name));
            }
            Some(version) if version > declared => {
                found.push(format!("{} {} needs Rust {version}", package.name, package.version));
            }
            _ => {}
        }
    }
    if !found.is_empty() {
        bail!("more than Rust {declared} is needed:\n{}", found.join("\n"));
    }
    Ok(())
}

/// The `rust-version` that the root manifest declares for all packages.
pub(crate) fn declared(manifest: &str) -> Result<Version> {
    let manifest: toml::Table = manifest.parse()?;
    let text = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("package"))
        .and_then(|package| package.get("rust-version"))
        .and_then(toml::Value::as_str);
    let Some(text) = text else { bail!("the root manifest declares no workspace.package.rust-version") };
    let full = if text.split('.').count() == 2 { format!("{text}.0") } else { text.to_owned() };
    Ok(Version::parse(&full)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declared_version_is_read_from_the_root_manifest() {
        let manifest = "[workspace.package]\nrust-version = \"1.88\"\n";
        assert_eq!(declared(manifest).unwrap(), Version::new(1, 88, 0));
        assert!(declared("[workspace]\n").is_err());
    }
}
