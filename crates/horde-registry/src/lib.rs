//! Process names across the cluster.
