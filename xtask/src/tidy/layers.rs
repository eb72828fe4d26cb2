//! The layers: which crate of the workspace may build on which.

use super::{Finding, Tree};
use toml::{Table, Value};

/// What each library may depend on within the workspace. ARCHITECTURE.md draws the picture.
const ALLOWED: &[(&str, &[&str])] = &[
    ("delta-crdt", &[]),
    ("horde-ring", &[]),
    ("horde-transport", &[]),
    ("horde-derive", &[]),
    ("horde-cluster", &["delta-crdt", "horde-ring", "horde-transport"]),
    ("horde-process", &["horde-transport", "horde-derive"]),
    ("horde-registry", &["delta-crdt", "horde-ring", "horde-transport", "horde-process", "horde-cluster"]),
    ("horde-supervisor", &["delta-crdt", "horde-ring", "horde-transport", "horde-process", "horde-cluster"]),
    (
        "horde",
        &[
            "delta-crdt",
            "horde-ring",
            "horde-transport",
            "horde-derive",
            "horde-cluster",
            "horde-process",
            "horde-registry",
            "horde-supervisor",
        ],
    ),
    ("horde-cli", &["horde", "horde-ring"]),
];

/// Features of horde-transport that bring a real network; between it and the facade nobody asks for them.
const NETWORKS: &[&str] = &["quic", "default"];

/// Crates that choose the network, or are it.
const CHOOSE_NETWORK: &[&str] = &["horde", "horde-transport", "horde-cli"];

/// Refuses a dependency that the table does not allow. Tests of a crate may use what lies below it and itself.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.ending("/Cargo.toml").filter(|(path, _)| path.starts_with("crates/")) {
        match text.parse::<Table>() {
            Ok(manifest) => check_manifest(path, &manifest, &mut found),
            Err(error) => found.push(Finding::new(path, 0, format!("is not TOML: {error}"))),
        }
    }
    found
}

fn check_manifest(path: &str, manifest: &Table, found: &mut Vec<Finding>) {
    let name =
        manifest.get("package").and_then(|p| p.get("name")).and_then(Value::as_str).unwrap_or_default();
    let Some((_, allowed)) = ALLOWED.iter().find(|(crate_name, _)| *crate_name == name) else {
        found.push(Finding::new(path, 0, format!("`{name}` has no place in the table of layers in xtask")));
        return;
    };
    for (section, dependencies) in dependency_tables(manifest) {
        let tests = section == "dev-dependencies";
        for (dependency, wanted) in dependencies {
            let layer = ALLOWED.iter().any(|(layer, _)| layer == dependency);
            let fits = allowed.contains(&dependency.as_str()) || (tests && dependency == name);
            if layer && !fits {
                let message = format!("{name} may not build on {dependency}: see the table of layers");
                found.push(Finding::new(path, 0, message));
            }
            let mut features = strings(wanted.get("features"));
            let network =
                dependency == "horde-transport" && features.any(|feature| NETWORKS.contains(&feature));
            if network && !tests && !CHOOSE_NETWORK.contains(&name) {
                found.push(chooses_network(path, name));
            }
        }
    }
    let features = manifest.get("features").and_then(Value::as_table).into_iter().flatten();
    let network = |feature: &str| {
        let wanted = feature.strip_prefix("horde-transport").map(|rest| rest.trim_start_matches(['?', '/']));
        wanted.is_some_and(|wanted| NETWORKS.contains(&wanted))
    };
    if features.flat_map(|(_, list)| strings(Some(list))).any(network) && !CHOOSE_NETWORK.contains(&name) {
        found.push(chooses_network(path, name));
    }
}

fn chooses_network(path: &str, name: &str) -> Finding {
    Finding::new(path, 0, format!("{name} sees the `Network` seam alone; only the facade chooses QUIC"))
}

/// The strings of a list, if it is one.
fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Every table of dependencies in a manifest with the name of its kind, those of single targets included.
fn dependency_tables(manifest: &Table) -> Vec<(&'static str, &Table)> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
    let holders: Vec<&Table> =
        std::iter::once(manifest).chain(targets.filter_map(|(_, t)| t.as_table())).collect();
    let mut tables = Vec::new();
    for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
        let of_kind = holders.iter().filter_map(|holder| holder.get(kind)?.as_table());
        tables.extend(of_kind.map(|table| (kind, table)));
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, dependencies: &str) -> usize {
        let text = format!("[package]\nname = \"{name}\"\n{dependencies}\n");
        check(&Tree::of(&[("crates/x/Cargo.toml", &text)])).len()
    }

    #[test]
    fn a_lower_layer_may_not_build_on_a_higher_one() {
        assert_eq!(findings("delta-crdt", "[dependencies]\nhorde-ring.workspace = true"), 1);
        assert_eq!(findings("horde-process", "[dependencies]\nhorde-registry = { path = \"..\" }"), 1);
        assert_eq!(findings("horde-process", "[target.'cfg(unix)'.dependencies]\nhorde-cluster = \"1\""), 1);
        assert_eq!(findings("horde-process", "[dependencies]\nhorde-transport = \"1\"\ntokio = \"1\""), 0);
    }

    #[test]
    fn registry_and_supervisor_are_siblings() {
        assert_eq!(findings("horde-registry", "[dependencies]\nhorde-supervisor.workspace = true"), 1);
        assert_eq!(findings("horde-supervisor", "[dev-dependencies]\nhorde-registry.workspace = true"), 1);
    }

    #[test]
    fn only_the_facade_chooses_quic_outside_tests() {
        let quic = "horde-transport = { workspace = true, features = [\"quic\"] }";
        assert_eq!(findings("horde-cluster", &format!("[dependencies]\n{quic}")), 1);
        assert_eq!(findings("horde-cluster", &format!("[dev-dependencies]\n{quic}")), 0);
        assert_eq!(findings("horde", &format!("[dependencies]\n{quic}")), 0);
        assert_eq!(findings("horde-cluster", "[features]\ndefault = [\"horde-transport?/quic\"]"), 1);
    }

    #[test]
    fn a_new_crate_must_be_given_its_place() {
        assert_eq!(findings("horde-extra", ""), 1);
    }
}
