//! White- and blacklists of node names.

use alloc::string::String;
use alloc::vec::Vec;

/// Which node names take part: libring's `node_whitelist` and `node_blacklist`.
///
/// Patterns are whole names in which `*` stands for any text. A name on the allowlist is kept; if there is an
/// allowlist, nothing else is, and the denylist has no effect. Without one, all names are kept but those denied.
/// The default denies `remsh*` and `rem-*`, the remote shells, as libring does.
///
/// ```
/// use horde_ring::{Members, NameFilter};
///
/// let mut members = Members::of(["web-1", "web-2", "remsh-7", "db-1"]);
/// members.retain(|member| NameFilter::default().keeps(member.id()));
/// assert_eq!(members.len(), 3);
/// members.retain(|member| NameFilter::all().allow("web-*").keeps(member.id()));
/// assert_eq!(members, Members::of(["web-1", "web-2"]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFilter {
    allowed: Vec<String>,
    denied: Vec<String>,
}

impl Default for NameFilter {
    fn default() -> Self {
        Self::all().deny("remsh*").deny("rem-*")
    }
}

impl NameFilter {
    /// Keeps every name.
    #[must_use]
    pub fn all() -> Self {
        Self { allowed: Vec::new(), denied: Vec::new() }
    }

    /// Adds a pattern to the allowlist.
    #[must_use]
    pub fn allow(mut self, pattern: impl Into<String>) -> Self {
        self.allowed.push(pattern.into());
        self
    }

    /// Adds a pattern to the denylist.
    #[must_use]
    pub fn deny(mut self, pattern: impl Into<String>) -> Self {
        self.denied.push(pattern.into());
        self
    }

    /// Whether a node of this name takes part.
    #[must_use]
    pub fn keeps(&self, name: &str) -> bool {
        let on = |list: &[String]| list.iter().any(|pattern| matches(pattern, name));
        if self.allowed.is_empty() { !on(&self.denied) } else { on(&self.allowed) }
    }
}

/// Whether `name` is `pattern`, in which each `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some((_, after)) = rest.split_once(middle) else { return false };
            rest = after;
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("web", "web", true),
            ("web", "web1", false),
            ("web*", "web1", true),
            ("*web", "my-web", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("**", "x", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn an_allowlist_overrules_the_denylist() {
        let filter = NameFilter::all().allow("web-*").deny("web-1");
        assert!(filter.keeps("web-1"));
        assert!(!filter.keeps("db-1"));
    }
}
