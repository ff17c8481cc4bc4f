//! How the rendezvous fares, for people.

use crate::record::Timestamp;

/// How the public rendezvous fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RendezvousState {
    /// Not configured: nobody is asked.
    #[default]
    Off,
    /// Nobody has answered yet.
    Connecting,
    /// The network answers.
    Ok {
        /// Since when.
        since: Timestamp,
    },
    /// The network does not answer, or does not keep what we leave there.
    Failing {
        /// Since when.
        since: Timestamp,
        /// What happened.
        why: String,
    },
}
