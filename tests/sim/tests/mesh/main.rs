//! Real engines meet on a simulated Internet.

mod chance;
mod grid;
mod guessing;
mod manners;
mod moving;
mod permissions;
mod relayed;
