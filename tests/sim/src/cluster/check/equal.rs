//! Equal vectors mean equal states: two copies of a map that cover the same writes hold the same.

use crate::cluster::World;

impl World {
    pub(super) fn equal_vectors_mean_equal_states(&self) -> Option<String> {
        let alive: Vec<_> = self.nodes.iter().filter(|node| node.is_alive() && node.hosting).collect();
        for (at, one) in alive.iter().enumerate() {
            for other in &alive[at + 1..] {
                let names = one.names.witness().into_iter().zip(other.names.witness());
                let children = one.children.witness().into_iter().zip(other.children.witness());
                let wrong = |((vector, state), (same, another)): &((u64, u64), (u64, u64))| {
                    vector == same && state != another
                };
                let (names, children) = (names.filter(wrong).count(), children.filter(wrong).count());
                if names + children > 0 {
                    let (one, other) = (&one.id, &other.id);
                    return Some(format!(
                        "{names} shards of the registry and {children} of the supervisor differ under equal vectors on {one:?} and {other:?}"
                    ));
                }
            }
        }
        None
    }
}
