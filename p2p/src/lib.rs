//! Who we are, whom we trust, where they are.

pub mod identity;
pub mod limits;
pub mod record;
