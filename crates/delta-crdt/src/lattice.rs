//! The lattice layer: delta-state CRDTs as plain values, without any sync machine.

mod causal;
mod context;
mod counter;
mod flag;
mod map;
#[cfg(feature = "serde")]
mod ordered;
mod register;
mod set;
mod store;
#[cfg(test)]
mod tests;

pub use causal::{Causal, Embed};
pub use context::CausalContext;
pub use counter::{GCounter, PNCounter};
pub use flag::{DWFlag, EWFlag};
pub use map::{AWLWWMap, GMap, ORMap};
pub use register::{LWWRegister, MVRegister, MaxRegister, MinRegister};
pub use set::{AWSet, GSet, RWSet};
pub use store::{DotFun, DotMap, DotSet, DotStore};

use alloc::vec::Vec;

/// The examples of the document that helps to choose a type are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../docs/types.md")]
struct Choosing;

/// A state that merges: a join-semilattice with a bottom.
///
/// Laws, each of which a property test checks for every type here: joining is idempotent, commutative and associative; joining
/// the bottom (`Default`) changes nothing; the state never shrinks. So states may be merged in any order and any number of
/// times. Source: Shapiro and others, "Conflict-free Replicated Data Types", 2011.
///
/// ```
/// use delta_crdt::{Lattice, MaxRegister};
/// let (mut here, mut there) = (MaxRegister::new(), MaxRegister::new());
/// here.write(3);
/// there.write(5); // at the same time
/// assert!(here.join(&there) && !there.join(&here)); // true if it learnt something
/// assert!(here == there && !here.join(&there));
/// ```
pub trait Lattice: Clone + Default + PartialEq {
    /// Takes in what `other` knows. True if that changed anything.
    fn join(&mut self, other: &Self) -> bool;

    /// True if `other` knows nothing that this state does not.
    fn includes(&self, other: &Self) -> bool {
        !self.clone().join(other)
    }

    /// The join of two states.
    #[must_use]
    fn joined(mut self, other: &Self) -> Self {
        self.join(other);
        self
    }
}

/// A lattice whose states come apart into the least pieces, so that the least delta can be found.
///
/// ```
/// use delta_crdt::{Decompose, GSet, Lattice};
/// let (mut here, mut there) = (GSet::new(), GSet::new());
/// here.insert("tea");
/// there.join(&here);
/// here.insert("coffee");
/// there.insert("milk"); // at the same time
/// let delta = here.delta(&there);
/// assert_eq!(delta.iter().collect::<Vec<_>>(), [&"coffee"]); // what is missing there, no more
/// assert_eq!(there.clone().joined(&delta), there.joined(&here));
/// ```
///
/// Source: Enes, Almeida, Baquero and Leitão, "Efficient Synchronization of State-based CRDTs", ICDE 2019.
pub trait Decompose: Lattice {
    /// The join-irreducible pieces: their join is the state, and none is a join of others. One piece per known write, so it
    /// can be long.
    fn decompose(&self) -> Vec<Self>;

    /// The least state that brings one that knows `known` up to this one: `known ⊔ delta = known ⊔ self`.
    #[must_use]
    fn delta(&self, known: &Self) -> Self {
        let mut delta = Self::default();
        for piece in self.decompose() {
            if !known.includes(&piece) {
                delta.join(&piece);
            }
        }
        delta
    }
}
