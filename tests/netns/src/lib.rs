//! Network namespaces: partitions and cuts.
