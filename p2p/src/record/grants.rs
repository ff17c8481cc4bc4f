//! What one device allows another.

use serde::{Deserialize, Serialize};

/// What a device allows a peer. Nothing granted means nothing allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Grants {
    /// May open connections to me.
    pub incoming: bool,
    /// May offer me files.
    pub files: bool,
    /// May use me as its way to the Internet.
    pub routing: bool,
    /// May reach my private networks through me.
    pub lan: bool,
    /// May open connections to these ports though `incoming` is not granted. At most
    /// [`PORT_GRANTS`](crate::limits::PORT_GRANTS).
    pub ports: Vec<PortGrant>,
}

impl Grants {
    /// What own devices get, and guests when the invite says nothing else: connections and files, no routing.
    pub const fn usual() -> Self {
        Self { incoming: true, files: true, routing: false, lan: false, ports: Vec::new() }
    }
}

/// A range of ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortGrant {
    /// Of which protocol.
    pub protocol: Protocol,
    /// The first port, not 0.
    pub first: u16,
    /// The last port, not below the first.
    pub last: u16,
}

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}
