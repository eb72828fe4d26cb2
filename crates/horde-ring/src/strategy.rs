//! The strategies by name, as a configuration says them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use crate::live::LivePlacement;
use crate::live::bounded_load::BoundedLoad;
use crate::live::least_loaded::LeastLoaded;
use crate::live::random::Random;
use crate::members::Members;
use crate::placement::Placement;
use crate::rendezvous::Rendezvous;
use crate::ring::Ring;
use crate::slots::bounded::BoundedSlots;
use crate::slots::count::Slots;
use crate::slots::table::SlotTable;

/// A strategy with its parameters, as a horde's configuration names it. It never follows the number of members.
///
/// `Display` and `FromStr` give its text: `rendezvous`, `slots/4096`, `bounded-slots/65536`, `ring/128`,
/// `bounded-load/250/rendezvous`, `least-loaded`, `random/7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Strategy {
    /// [`Rendezvous`], the default.
    #[default]
    Rendezvous,
    /// [`SlotTable`].
    SlotTable {
        /// How many slots.
        slots: Slots,
    },
    /// [`BoundedSlots`].
    BoundedSlots {
        /// How many slots; 256 or more per member keep movement low.
        slots: Slots,
    },
    /// [`Ring`].
    Ring {
        /// Points per weight 1.
        points: u32,
    },
    /// [`BoundedLoad`] over a pure strategy.
    BoundedLoad {
        /// How far above the mean a member may go, in thousandths; 250 is usual.
        eps: u32,
        /// The pure strategy whose ranking is followed.
        base: Base,
    },
    /// [`LeastLoaded`].
    LeastLoaded,
    /// [`Random`].
    Random {
        /// The seed of the choices.
        seed: u64,
    },
}

/// The pure strategy below [`Strategy::BoundedLoad`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Base {
    /// [`Rendezvous`].
    #[default]
    Rendezvous,
    /// [`SlotTable`].
    SlotTable {
        /// How many slots.
        slots: Slots,
    },
    /// [`Ring`].
    Ring {
        /// Points per weight 1.
        points: u32,
    },
}

/// A strategy that was built for a set of members.
pub(crate) enum Built<Id> {
    Pure(Box<dyn Placement<Id> + Send + Sync>),
    Live(Box<dyn LivePlacement<Id> + Send + Sync>),
}

/// A strategy that suits `members` nodes; to be written into the configuration, where it stays.
///
/// [`Rendezvous`] to 32 members, then a [`SlotTable`] with 64 to 128 slots per member. Nothing calls this by
/// itself: a strategy that followed the number of members would move nearly all keys at the limit.
#[must_use]
pub fn recommended(members: usize) -> Strategy {
    if members <= 32 {
        return Strategy::Rendezvous;
    }
    let slots = Slots::at_least(u32::try_from(members.saturating_mul(64)).unwrap_or(u32::MAX));
    Strategy::SlotTable { slots }
}

impl Strategy {
    /// Whether the strategy is a pure function of the members, so that every node can tell a key's host.
    #[must_use]
    pub fn is_pure(self) -> bool {
        !matches!(self, Self::BoundedLoad { .. } | Self::LeastLoaded | Self::Random { .. })
    }

    pub(crate) fn build<Id: Send + Sync + 'static>(self, members: Arc<Members<Id>>) -> Built<Id> {
        match self {
            Self::Rendezvous => Built::Pure(Box::new(Rendezvous::new(members))),
            Self::SlotTable { slots } => Built::Pure(Box::new(SlotTable::new(members, slots))),
            Self::BoundedSlots { slots } => Built::Pure(Box::new(BoundedSlots::new(members, slots))),
            Self::Ring { points } => Built::Pure(Box::new(Ring::new(members, points))),
            Self::BoundedLoad { eps, base } => Built::Live(match base {
                Base::Rendezvous => Box::new(BoundedLoad::with_eps(Rendezvous::new(members), eps)),
                Base::SlotTable { slots } => {
                    Box::new(BoundedLoad::with_eps(SlotTable::new(members, slots), eps))
                }
                Base::Ring { points } => Box::new(BoundedLoad::with_eps(Ring::new(members, points), eps)),
            }),
            Self::LeastLoaded => Built::Live(Box::new(LeastLoaded::new(members))),
            Self::Random { seed } => Built::Live(Box::new(Random::new(members, seed))),
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rendezvous => f.write_str("rendezvous"),
            Self::SlotTable { slots } => write!(f, "slots/{}", slots.count()),
            Self::Ring { points } => write!(f, "ring/{points}"),
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rendezvous => Base::Rendezvous.fmt(f),
            Self::SlotTable { slots } => Base::SlotTable { slots: *slots }.fmt(f),
            Self::Ring { points } => Base::Ring { points: *points }.fmt(f),
            Self::BoundedSlots { slots } => write!(f, "bounded-slots/{}", slots.count()),
            Self::BoundedLoad { eps, base } => write!(f, "bounded-load/{eps}/{base}"),
            Self::LeastLoaded => f.write_str("least-loaded"),
            Self::Random { seed } => write!(f, "random/{seed}"),
        }
    }
}

/// A text that names no strategy; nothing was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrategyError;

impl fmt::Display for StrategyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a placement strategy is one of: rendezvous, slots/COUNT, bounded-slots/COUNT, ring/POINTS, \
             bounded-load/THOUSANDTHS/BASE, least-loaded, random/SEED (COUNT: a power of two from 16 to 2^24)",
        )
    }
}

impl core::error::Error for StrategyError {}

fn number<T: FromStr>(text: &str) -> Result<T, StrategyError> {
    text.parse().map_err(|_| StrategyError)
}

fn slots(text: &str) -> Result<Slots, StrategyError> {
    Slots::new(number(text)?).map_err(|_| StrategyError)
}

impl FromStr for Base {
    type Err = StrategyError;

    fn from_str(text: &str) -> Result<Self, StrategyError> {
        match text.split_once('/') {
            None if text == "rendezvous" => Ok(Self::Rendezvous),
            Some(("slots", count)) => Ok(Self::SlotTable { slots: slots(count)? }),
            Some(("ring", points)) => Ok(Self::Ring { points: number(points)? }),
            _ => Err(StrategyError),
        }
    }
}

impl FromStr for Strategy {
    type Err = StrategyError;

    fn from_str(text: &str) -> Result<Self, StrategyError> {
        match text.split_once('/') {
            None if text == "least-loaded" => Ok(Self::LeastLoaded),
            Some(("bounded-slots", count)) => Ok(Self::BoundedSlots { slots: slots(count)? }),
            Some(("random", seed)) => Ok(Self::Random { seed: number(seed)? }),
            Some(("bounded-load", rest)) => {
                let (eps, base) = rest.split_once('/').ok_or(StrategyError)?;
                Ok(Self::BoundedLoad { eps: number(eps)?, base: base.parse()? })
            }
            _ => Ok(match text.parse()? {
                Base::Rendezvous => Self::Rendezvous,
                Base::SlotTable { slots } => Self::SlotTable { slots },
                Base::Ring { points } => Self::Ring { points },
            }),
        }
    }
}
