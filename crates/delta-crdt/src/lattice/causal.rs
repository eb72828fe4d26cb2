//! A dot store with its causal context: the form of every type that can take back what was written.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::{CausalContext, Decompose, DotStore, Lattice};
use crate::Dot;

/// A dot store and the dots that are known: a known dot that is not in the store was removed.
///
/// ```
/// use delta_crdt::{Causal, CausalContext, Dot, DotSet, Lattice, ReplicaId};
/// let (first, second) = (Dot::new(ReplicaId::new(1, 1), 1), Dot::new(ReplicaId::new(2, 1), 1));
/// let written = Causal::new(DotSet::of(first), CausalContext::new());
/// let removed = Causal::new(DotSet::default(), CausalContext::from_iter([first]));
/// let mut here = written.clone().joined(&removed);
/// let there = written.joined(&Causal::new(DotSet::of(second), CausalContext::new())); // at the same time
/// here.join(&there);
/// assert_eq!(here.store(), &DotSet::of(second)); // what is known and not held does not come back
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Causal<S> {
    /// What is there.
    pub(crate) store: S,
    /// What is known.
    pub(crate) context: CausalContext,
}

impl<S: DotStore> Causal<S> {
    /// A store under a context; the dots of the store are added to it.
    #[must_use]
    pub fn new(store: S, mut context: CausalContext) -> Self {
        store.visit(&mut |dot| _ = context.insert(dot));
        Self { store, context }
    }

    /// What is there.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// What is known.
    pub fn context(&self) -> &CausalContext {
        &self.context
    }
}

#[cfg(feature = "serde")]
impl<'de, S: DotStore + serde::Deserialize<'de>> serde::Deserialize<'de> for Causal<S> {
    /// A store with a dot that its context does not know is refused: no replica is ever in such a state.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (store, context) = <(S, CausalContext)>::deserialize(deserializer)?;
        let mut sound = true;
        store.visit(&mut |dot| sound &= context.contains(dot));
        match sound {
            true => Ok(Self { store, context }),
            false => Err(serde::de::Error::custom("a write is held that is not known")),
        }
    }
}

impl<S: DotStore> Lattice for Causal<S> {
    fn join(&mut self, other: &Self) -> bool {
        let changed = self.store.join(&self.context, &other.store, &other.context);
        self.context.join(&other.context) | changed
    }
}

impl<S: DotStore> Decompose for Causal<S> {
    fn decompose(&self) -> Vec<Self> {
        let piece = |dot: Dot| Self {
            store: self.store.restrict(&|other| other == dot),
            context: CausalContext::from_iter([dot]),
        };
        self.context.dots().map(piece).collect()
    }

    /// Looks at the dots that the two stores hold and at the ranges of the contexts, not at each dot ever known.
    fn delta(&self, known: &Self) -> Self {
        let store = self.store.restrict(&|dot| !known.context.contains(dot));
        let mut context = self.context.without(&known.context);
        let held: BTreeSet<Dot> = self.store.dots().into_iter().collect();
        known.store.visit(&mut |dot| {
            if self.context.contains(dot) && !held.contains(&dot) {
                context.insert(dot);
            }
        });
        Self { store, context }
    }
}

/// A type that is a causal store at heart, so that it can live inside an [`ORMap`](super::ORMap).
///
/// A type of your own can:
///
/// ```
/// use delta_crdt::{Causal, CausalContext, DotFun, Embed, Lattice, ORMap, ReplicaId};
///
/// /// All entries ever written; a removal of the key removes those known.
/// #[derive(Clone, Default, PartialEq)]
/// struct Log(Causal<DotFun<&'static str>>);
///
/// impl Log {
///     fn append(&mut self, replica: ReplicaId, line: &'static str) -> Self {
///         let dot = self.0.context().next(replica);
///         let delta = Self(Causal::new(DotFun::of(dot, line), CausalContext::new()));
///         self.join(&delta);
///         delta
///     }
/// }
///
/// impl Lattice for Log {
///     fn join(&mut self, other: &Self) -> bool {
///         self.0.join(&other.0)
///     }
/// }
///
/// impl Embed for Log {
///     type Store = DotFun<&'static str>;
///
///     fn from_causal(causal: Causal<Self::Store>) -> Self {
///         Self(causal)
///     }
///
///     fn as_causal(&self) -> &Causal<Self::Store> {
///         &self.0
///     }
/// }
///
/// let mut here = ORMap::<u8, Log>::new();
/// here.update(7, |log| log.append(ReplicaId::new(1, 1), "seen"));
/// let mut there = here.clone();
/// here.remove(&7);
/// there.update(7, |log| log.append(ReplicaId::new(2, 1), "not seen")); // at the same time
/// here.join(&there);
/// let log = here.get(&7).expect("it has a line");
/// assert_eq!(log.0.store().iter().map(|line| *line.1).collect::<Vec<_>>(), ["not seen"]);
/// ```
pub trait Embed: Lattice {
    /// The dot store inside.
    type Store: DotStore;

    /// The type around a store.
    fn from_causal(causal: Causal<Self::Store>) -> Self;

    /// The store and context inside.
    fn as_causal(&self) -> &Causal<Self::Store>;
}

/// A type of its own around a `Causal`.
macro_rules! causal_type {
    ($(#[$doc:meta])* $name:ident<$($p:ident),*>($store:ty) where $($bounds:tt)*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name<$($p),*>(pub(crate) $crate::lattice::Causal<$store>) where $($bounds)*;

        #[cfg(feature = "serde")]
        impl<$($p),*> serde::Serialize for $name<$($p),*>
        where
            $store: serde::Serialize,
            $($bounds)*
        {
            fn serialize<Z: serde::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
                self.0.serialize(serializer)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de, $($p),*> serde::Deserialize<'de> for $name<$($p),*>
        where
            $store: $crate::lattice::DotStore + serde::Deserialize<'de>,
            $($bounds)*
        {
            fn deserialize<Z: serde::Deserializer<'de>>(deserializer: Z) -> Result<Self, Z::Error> {
                serde::Deserialize::deserialize(deserializer).map(Self)
            }
        }

        impl<$($p),*> Default for $name<$($p),*> where $($bounds)* {
            fn default() -> Self {
                Self($crate::lattice::Causal::default())
            }
        }

        impl<$($p),*> $crate::lattice::Lattice for $name<$($p),*> where $($bounds)* {
            fn join(&mut self, other: &Self) -> bool {
                self.0.join(&other.0)
            }
        }

        impl<$($p),*> $crate::lattice::Decompose for $name<$($p),*> where $($bounds)* {
            fn decompose(&self) -> alloc::vec::Vec<Self> {
                self.0.decompose().into_iter().map(Self).collect()
            }

            fn delta(&self, known: &Self) -> Self {
                Self(self.0.delta(&known.0))
            }
        }

        impl<$($p),*> $crate::lattice::Embed for $name<$($p),*> where $($bounds)* {
            type Store = $store;

            fn from_causal(causal: $crate::lattice::Causal<$store>) -> Self {
                Self(causal)
            }

            fn as_causal(&self) -> &$crate::lattice::Causal<$store> {
                &self.0
            }
        }

        impl<$($p),*> $name<$($p),*> where $($bounds)* {
            /// The bottom: nothing known.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }

            /// The dots known.
            pub fn context(&self) -> &$crate::lattice::CausalContext {
                &self.0.context
            }

            /// Joins a delta and returns it.
            fn apply(
                &mut self,
                store: $store,
                replaced: impl IntoIterator<Item = $crate::Dot>,
            ) -> Self {
                let context = replaced.into_iter().collect();
                let delta = Self($crate::lattice::Causal::new(store, context));
                $crate::lattice::Lattice::join(&mut self.0, &delta.0);
                delta
            }
        }
    };
}
pub(crate) use causal_type;
