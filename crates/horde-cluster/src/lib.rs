//! Who is here: discovery, membership, failure detection.
