//! Where children belong: the same pure placement that the nodes compute, each for itself.

use horde_ring::{KeyHash, Member, Members, Placement as _, Rendezvous};

/// Which of some nodes each child belongs to.
#[derive(Debug)]
pub(super) struct Placement(Rendezvous<String>);

impl Placement {
    pub(super) fn over(nodes: impl IntoIterator<Item = String>) -> Self {
        let member = |name: String| {
            let hash = KeyHash::of(&name);
            Member::hashed(name, hash)
        };
        Self(Rendezvous::new(nodes.into_iter().map(member).collect::<Members<String>>()))
    }

    pub(super) fn owner(&self, id: &str) -> Option<&str> {
        self.0.owner(KeyHash::of(id)).map(String::as_str)
    }

    /// How many of `ids` belong elsewhere by `after`.
    pub(super) fn difference<'a>(&self, after: &Self, ids: impl Iterator<Item = &'a str>) -> usize {
        ids.filter(|id| self.owner(id) != after.owner(id)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_takes_its_share_and_nothing_else_moves() {
        let names = |names: &[&str]| Placement::over(names.iter().map(|name| (*name).to_owned()));
        let (before, after) = (names(&["n1", "n2"]), names(&["n1", "n2", "n3"]));
        let ids: Vec<String> = (0..300).map(|number| format!("worker-{number}")).collect();
        let to_newcomer = ids.iter().filter(|id| after.owner(id) == Some("n3")).count();
        assert_eq!(before.difference(&after, ids.iter().map(String::as_str)), to_newcomer);
        assert!((60..140).contains(&to_newcomer), "{to_newcomer} of 300");
    }
}
