//! Who we are, whom we trust, where they are.

pub mod discovery;
pub mod identity;
pub mod invite;
pub mod limits;
pub mod membership;
pub mod node;
pub mod record;
pub mod signal;
pub mod store;
pub mod swarm;
