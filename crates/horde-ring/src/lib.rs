//! Who owns a key, and may this side act: placement strategies and quorum policies.
