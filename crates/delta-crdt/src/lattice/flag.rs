//! Flags.

use super::causal::causal_type;
use super::{DotSet, DotStore};
use crate::ReplicaId;

causal_type! {
    /// A flag that is off at first; enabling wins over a concurrent disabling.
    ///
    /// ```
    /// use delta_crdt::{EWFlag, Lattice, ReplicaId};
    /// let mut here = EWFlag::new();
    /// here.enable(ReplicaId::new(1, 1));
    /// let mut there = here.clone();
    /// here.disable();
    /// there.enable(ReplicaId::new(2, 1)); // at the same time
    /// here.join(&there);
    /// assert!(here.is_enabled());
    /// ```
    EWFlag<>(DotSet) where
}

impl EWFlag {
    /// True if it is on.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        !self.0.store.is_empty()
    }

    /// Turns it on as `replica`; returns the delta.
    pub fn enable(&mut self, replica: ReplicaId) -> Self {
        self.apply(DotSet::of(self.0.context.next(replica)), self.0.store.dots())
    }

    /// Turns it off, as far as it is known to be on; returns the delta.
    pub fn disable(&mut self) -> Self {
        self.apply(DotSet::default(), self.0.store.dots())
    }
}

causal_type! {
    /// A flag that is on at first; disabling wins over a concurrent enabling.
    ///
    /// The mirror image of [`EWFlag`]: `disable` here and `enable` there at the same time leave it off.
    ///
    /// ```
    /// use delta_crdt::{DWFlag, Lattice, ReplicaId};
    /// let mut here = DWFlag::new();
    /// here.disable(ReplicaId::new(1, 1));
    /// let mut there = here.clone();
    /// here.enable();
    /// there.disable(ReplicaId::new(2, 1)); // at the same time
    /// here.join(&there);
    /// assert!(!here.is_enabled());
    /// here.enable(); // having seen it
    /// there.join(&here);
    /// assert!(there.is_enabled());
    /// ```
    DWFlag<>(DotSet) where
}

impl DWFlag {
    /// True if it is on.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.0.store.is_empty()
    }

    /// Turns it on, as far as it is known to be off; returns the delta.
    pub fn enable(&mut self) -> Self {
        self.apply(DotSet::default(), self.0.store.dots())
    }

    /// Turns it off as `replica`; returns the delta.
    pub fn disable(&mut self, replica: ReplicaId) -> Self {
        self.apply(DotSet::of(self.0.context.next(replica)), self.0.store.dots())
    }
}
