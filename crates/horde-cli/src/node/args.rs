//! What `horde node` is told: on the command line, and in a file of settings.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Deserialize;

use crate::identity::Credentials;

/// Where a node listens when nothing else is said.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7100);

/// What a node is. Settings may also stand in a file; what is said here goes before it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct NodeArgs {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// A TOML file with any of these settings, under the names that the options have, with `_` for `-`:
    ///
    ///   name = "one"
    ///   listen = "10.0.0.1:7100"
    ///   join = ["10.0.0.2:7100", "10.0.0.3:7100"]
    ///   expect = 3
    ///   secret_file = "cluster.secret"
    ///   zone = "a"
    ///   labels = { disk = "fast" }
    ///
    /// Paths in it are seen from where it lies. A setting that is not known is an error.
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub(crate) config: Option<PathBuf>,
}

/// The settings of a node.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Settings {
    /// The node's name, unique in its cluster. A certificate says it by itself.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Where to listen [default: 127.0.0.1:7100]. Port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where other nodes listen; one that answers is enough.
    #[arg(long, value_delimiter = ',', value_name = "ADDR,..")]
    pub(crate) join: Vec<SocketAddr>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
    /// How many nodes a cluster has that starts from nothing.
    #[arg(long, value_name = "N")]
    pub(crate) expect: Option<usize>,
    /// The zone it is in: replicas of one thing go to different zones first.
    #[arg(long)]
    pub(crate) zone: Option<String>,
    /// Its share of the children, relative to the others [default: 1].
    #[arg(long, value_name = "N")]
    pub(crate) weight: Option<u32>,
    /// A label that others see; may be given more than once.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub(crate) label: Vec<(String, String)>,
    #[arg(skip)]
    pub(crate) labels: BTreeMap<String, String>,
}

/// The same in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    listen: Option<SocketAddr>,
    #[serde(default)]
    join: Vec<SocketAddr>,
    secret_file: Option<PathBuf>,
    cluster: Option<String>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    expect: Option<usize>,
    zone: Option<String>,
    weight: Option<u32>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl From<File> for Settings {
    fn from(file: File) -> Self {
        let File { name, listen, join, secret_file, cluster, ca, cert, key, expect, zone, weight, labels } =
            file;
        let credentials = Credentials { secret_file, cluster, ca, cert, key };
        Self { name, listen, join, credentials, expect, zone, weight, label: Vec::new(), labels }
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is NAME=VALUE".to_owned()),
    }
}

impl NodeArgs {
    /// What holds: the command line before the file.
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        let Some(path) = &self.config else { return Ok(self.settings.clone().or(Settings::default())) };
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let file: File = toml::from_str(&text).with_context(|| path.display().to_string())?;
        let mut file = Settings::from(file);
        if let Some(directory) = path.parent() {
            file.credentials = file.credentials.within(directory);
        }
        Ok(self.settings.clone().or(file))
    }
}

impl Settings {
    fn or(self, other: Self) -> Self {
        let mut labels = other.labels;
        labels.extend(self.labels);
        labels.extend(self.label);
        Self {
            name: self.name.or(other.name),
            listen: self.listen.or(other.listen),
            join: if self.join.is_empty() { other.join } else { self.join },
            credentials: self.credentials.or(other.credentials),
            expect: self.expect.or(other.expect),
            zone: self.zone.or(other.zone),
            weight: self.weight.or(other.weight),
            label: Vec::new(),
            labels,
        }
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        self.listen.unwrap_or(LISTEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> NodeArgs {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("horde-config-{}-{number}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        NodeArgs { config: Some(path), ..NodeArgs::default() }
    }

    fn settings(args: &NodeArgs) -> anyhow::Result<Settings> {
        let settings = args.settings();
        std::fs::remove_file(args.config.as_ref().unwrap()).unwrap();
        settings
    }

    #[test]
    fn the_command_line_goes_before_the_file_and_paths_are_seen_from_the_file() {
        let mut args = file(
            "name = \"one\"\nlisten = \"127.0.0.1:1\"\njoin = [\"127.0.0.1:2\"]\nexpect = 3\nzone = \"a\"\n\
             secret_file = \"cluster.secret\"\nlabels = { disk = \"fast\", rack = \"1\" }\n",
        );
        args.settings.name = Some("two".into());
        args.settings.label = vec![("rack".into(), "2".into())];
        let settings = settings(&args).unwrap();
        assert_eq!(settings.name.as_deref(), Some("two"));
        assert_eq!((settings.listen().port(), settings.expect), (1, Some(3)));
        assert_eq!(settings.join, ["127.0.0.1:2".parse().unwrap()]);
        assert_eq!(settings.labels["disk"], "fast");
        assert_eq!(settings.labels["rack"], "2");
        assert_eq!(settings.credentials.secret_file, Some(std::env::temp_dir().join("cluster.secret")));
    }

    #[test]
    fn a_setting_that_is_not_known_is_an_error_that_names_it() {
        let error = settings(&file("name = \"one\"\nlissten = \"127.0.0.1:1\"\n")).unwrap_err();
        assert!(format!("{error:#}").contains("lissten"), "{error:#}");
    }

    #[test]
    fn a_certificate_on_the_command_line_replaces_the_secret_of_the_file() {
        let mut args = file("secret_file = \"cluster.secret\"\ncluster = \"shop\"\n");
        args.settings.credentials.ca = Some("ca.pem".into());
        let credentials = settings(&args).unwrap().credentials;
        assert_eq!((credentials.secret_file, credentials.ca), (None, Some("ca.pem".into())));
        assert_eq!(credentials.cluster.as_deref(), Some("shop"));
    }
}
