//! The whole cluster from a seed.
