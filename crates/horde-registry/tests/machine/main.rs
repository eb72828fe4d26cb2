//! The machine without any driver: its rules one by one, and several machines over a network that a seed rules.

mod names;
mod sim;
mod support;
