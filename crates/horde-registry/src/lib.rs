//! Process names across the cluster.

pub mod machine;
