//! The dots that a write replaces; nearly always none or one.

use alloc::vec::Vec;

/// Dots, origins by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obs {
    None,
    One((u32, u64)),
    Many(Vec<(u32, u64)>),
}

impl Obs {
    pub(crate) fn as_slice(&self) -> &[(u32, u64)] {
        match self {
            Self::None => &[],
            Self::One(dot) => core::slice::from_ref(dot),
            Self::Many(dots) => dots,
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [(u32, u64)] {
        match self {
            Self::None => &mut [],
            Self::One(dot) => core::slice::from_mut(dot),
            Self::Many(dots) => dots,
        }
    }

    pub(crate) fn contains(&self, dot: (u32, u64)) -> bool {
        self.as_slice().contains(&dot)
    }
}

impl From<Vec<(u32, u64)>> for Obs {
    fn from(dots: Vec<(u32, u64)>) -> Self {
        match dots[..] {
            [] => Self::None,
            [dot] => Self::One(dot),
            _ => Self::Many(dots),
        }
    }
}

impl FromIterator<(u32, u64)> for Obs {
    fn from_iter<I: IntoIterator<Item = (u32, u64)>>(dots: I) -> Self {
        let mut dots = dots.into_iter();
        match (dots.next(), dots.next()) {
            (None, _) => Self::None,
            (Some(dot), None) => Self::One(dot),
            (Some(first), Some(second)) => Self::Many([first, second].into_iter().chain(dots).collect()),
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Obs {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.as_slice())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Obs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}
