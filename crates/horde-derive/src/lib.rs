//! Derives horde messages.
