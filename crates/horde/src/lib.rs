//! Processes that run where they belong in a cluster, are found by name, and survive their node.
