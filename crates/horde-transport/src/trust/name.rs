//! The name inside a certificate.

use std::fmt;

use rustls::pki_types::CertificateDer;

use crate::{NodeName, Role};

/// What a leaf certificate says of its holder, kept as the URI `horde://CLUSTER/ROLE/NAME` in its alternative names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertName {
    pub(crate) cluster: NodeName,
    pub(crate) role: Role,
    pub(crate) name: NodeName,
}

fn role_text(role: Role) -> &'static str {
    match role {
        Role::Node => "node",
        Role::Client => "client",
        Role::Operator => "operator",
    }
}

impl fmt::Display for CertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "horde://{}/{}/{}", self.cluster, role_text(self.role), self.name)
    }
}

impl CertName {
    /// Reads the text form; `None` for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("horde://")?.split('/');
        let cluster = NodeName::new(parts.next()?).ok()?;
        let role = match parts.next()? {
            "node" => Role::Node,
            "client" => Role::Client,
            "operator" => Role::Operator,
            _ => return None,
        };
        let name = NodeName::new(parts.next()?).ok()?;
        parts.next().is_none().then_some(Self { cluster, role, name })
    }

    /// The one such name in a certificate; `None` when there is none, or more than one.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
        let mut names = parsed.valid_uri_names().filter_map(Self::parse);
        let name = names.next()?;
        names.next().is_none().then_some(name)
    }
}

/// The cluster that a CA certificate of ours names, as `horde://CLUSTER`.
pub(crate) fn cluster_of(certificate: &CertificateDer<'_>) -> Option<NodeName> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    let mut names = parsed.valid_uri_names().filter_map(|uri| uri.strip_prefix("horde://"));
    NodeName::new(names.next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_nothing_else_does() {
        let name = |text: &str| NodeName::new(text).unwrap();
        let written = CertName { cluster: name("shop"), role: Role::Operator, name: name("a_b.c-1") };
        assert_eq!(CertName::parse(&written.to_string()), Some(written));
        for other in
            ["", "horde://", "horde://a/node", "horde://a/root/b", "horde://a/node/b/c", "http://a/node/b"]
        {
            assert_eq!(CertName::parse(other), None, "{other}");
        }
    }
}
