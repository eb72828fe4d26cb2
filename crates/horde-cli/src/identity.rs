//! How a node or a client of the command line proves who it is.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use horde::{ClusterKey, Identity, NodeName, PkiFiles, Role};

/// The cluster when nothing else is said.
const CLUSTER: &str = "horde";

/// A secret that all nodes share, or certificate files.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Credentials {
    /// The file that holds the cluster's secret, readable by its owner only. `horde secret new` makes one.
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// The cluster's name: nodes of different clusters refuse each other. With a secret `horde` if nothing is said; a
    /// certificate says it by itself.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Instead of a secret: the CA certificates that the nodes' certificates come from.
    #[arg(long, value_name = "FILE", requires = "cert", requires = "key", conflicts_with = "secret_file")]
    pub(crate) ca: Option<PathBuf>,
    /// Instead of a secret: the own certificate, which bears the name `horde://CLUSTER/ROLE/NAME`.
    #[arg(long, value_name = "FILE", requires = "ca")]
    pub(crate) cert: Option<PathBuf>,
    /// Instead of a secret: the certificate's private key, readable by its owner only.
    #[arg(long, value_name = "FILE", requires = "ca")]
    pub(crate) key: Option<PathBuf>,
}

/// Who somebody is, and what proves it.
#[derive(Debug, Clone)]
pub(crate) struct Proof {
    pub(crate) identity: Identity,
    /// The name and the role in the certificate; none for a secret, whose holder may be anybody.
    pub(crate) certified: Option<(String, Role)>,
}

impl Credentials {
    /// What is said here, and otherwise what `other` says; secret and certificate are not mixed.
    pub(crate) fn or(self, other: Self) -> Self {
        let cluster = self.cluster.clone().or(other.cluster.clone());
        let said = self.secret_file.is_some() || self.ca.is_some();
        Self { cluster, ..if said { self } else { other } }
    }

    /// The same with paths as seen from `directory`.
    pub(crate) fn within(mut self, directory: &Path) -> Self {
        for path in [&mut self.secret_file, &mut self.ca, &mut self.cert, &mut self.key].into_iter().flatten()
        {
            *path = directory.join(&path);
        }
        self
    }

    /// Reads what they name.
    pub(crate) fn proof(&self) -> anyhow::Result<Proof> {
        if let Some(file) = &self.secret_file {
            let cluster = self.cluster.as_deref().unwrap_or(CLUSTER);
            let key = ClusterKey::from_secret(cluster, &horde::read_secret_file(file)?)?;
            return Ok(Proof { identity: Identity::secret(&key), certified: None });
        }
        let (Some(ca), Some(cert), Some(key)) = (&self.ca, &self.cert, &self.key) else {
            bail!("nothing proves who this is: give --secret-file, or --ca, --cert and --key")
        };
        let (cluster, role, name) = names(cert)?;
        if let Some(wanted) = self.cluster.as_deref().filter(|wanted| *wanted != cluster) {
            bail!("{}: the certificate is of cluster {cluster}, not of {wanted}", cert.display());
        }
        let files = PkiFiles {
            cluster: NodeName::new(cluster)?,
            ca: ca.clone(),
            cert: cert.clone(),
            key: key.clone(),
        };
        Ok(Proof { identity: Identity::pki(files), certified: Some((name, role)) })
    }
}

/// The cluster, role and name that a certificate says.
fn names(cert: &Path) -> anyhow::Result<(String, Role, String)> {
    let text = std::fs::read_to_string(cert).with_context(|| cert.display().to_string())?;
    let all = horde::read_certificates(&text).with_context(|| cert.display().to_string())?;
    // The first is the holder's, others lead to the authority.
    let names = all.first().map(|leaf| leaf.names.as_slice()).unwrap_or_default();
    let parts = |name: &String| {
        let mut parts = name.strip_prefix("horde://")?.split('/');
        let (cluster, role, name) = (parts.next()?, parts.next()?, parts.next()?);
        let role = match role {
            "node" => Role::Node,
            "client" => Role::Client,
            "operator" => Role::Operator,
            _ => return None,
        };
        Some((cluster.to_owned(), role, name.to_owned()))
    };
    let none = || format!("{}: the certificate has no name horde://CLUSTER/ROLE/NAME", cert.display());
    names.iter().find_map(parts).with_context(none)
}
