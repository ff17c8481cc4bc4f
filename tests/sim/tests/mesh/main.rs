//! Real engines meet on a simulated Internet.

mod chance;
mod grid;
mod manners;
mod moving;
mod permissions;
mod relayed;
