//! Which members may be chosen at all.

use alloc::string::String;
use alloc::vec::Vec;

use crate::member::Member;

/// A condition on members: labels, capabilities, and whether draining members count.
///
/// All parts must hold. The empty filter accepts every member that is not draining.
///
/// ```
/// use horde_ring::{Filter, KeyHash, Member, Members, Placement, Rendezvous};
///
/// let members: Members<_> = [
///     Member::new("a").label("disk", "ssd"),
///     Member::new("b").label("disk", "hdd"),
///     Member::new("c").label("disk", "ssd").draining(true),
/// ].into_iter().collect();
/// let ring = Rendezvous::new(members);
/// let ssd = Filter::new().label("disk", "ssd");
/// assert_eq!(ring.owner_among(KeyHash::of("key"), &|member| ssd.accepts(member)), Some(&"a"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    labels: Vec<(String, String)>,
    without: Vec<(String, String)>,
    capabilities: Vec<String>,
    draining: bool,
}

impl Filter {
    /// Accepts every member that is not draining.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the label `name` with this value.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Refuses members with the label `name` and this value.
    #[must_use]
    pub fn without_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.without.push((name.into(), value.into()));
        self
    }

    /// Asks for a capability.
    #[must_use]
    pub fn capability(mut self, capability: impl Into<String>) -> Self {
        self.capabilities.push(capability.into());
        self
    }

    /// Accepts draining members too.
    #[must_use]
    pub fn even_draining(mut self) -> Self {
        self.draining = true;
        self
    }

    /// Whether the member passes.
    #[must_use]
    pub fn accepts<Id>(&self, member: &Member<Id>) -> bool {
        let has = |(name, value): &(String, String)| member.label_of(name) == Some(value);
        (self.draining || !member.is_draining())
            && self.labels.iter().all(has)
            && !self.without.iter().any(has)
            && self.capabilities.iter().all(|capability| member.can(capability))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_filter_must_hold() {
        let member = Member::new(1_u8).label("zone", "eu").capability("gpu");
        assert!(Filter::new().accepts(&member));
        assert!(Filter::new().label("zone", "eu").capability("gpu").accepts(&member));
        assert!(!Filter::new().label("zone", "us").capability("gpu").accepts(&member));
        assert!(!Filter::new().without_label("zone", "eu").accepts(&member));
        assert!(!Filter::new().capability("tpu").accepts(&member));
        let draining = member.draining(true);
        assert!(!Filter::new().accepts(&draining));
        assert!(Filter::new().even_draining().accepts(&draining));
    }
}
