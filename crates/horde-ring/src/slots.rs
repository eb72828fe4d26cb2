//! Tables over slots: the key space cut into `2^k` slots, each with its owner worked out beforehand.

pub(crate) mod bounded;
pub(crate) mod count;
mod draws;
pub(crate) mod field;
pub(crate) mod table;
