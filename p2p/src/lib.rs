//! Who we are, whom we trust, where they are.

pub mod identity;
pub mod invite;
pub mod limits;
pub mod membership;
pub mod record;
pub mod store;
