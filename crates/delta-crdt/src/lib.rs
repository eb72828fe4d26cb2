//! Delta-state CRDTs and their sync machine: embeds alone, any transport.
