//! Supervised children across the cluster.
