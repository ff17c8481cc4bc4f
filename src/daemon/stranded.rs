//! A newcomer that only its witness knows, and the witness is off.
//!
//! The others would refuse such a device: they have no record of it. But it still has its code, and for whoever has
//! not heard of the joining, the invite is unused: so it asks them to let it in once more, with the same key. When
//! the two Joins meet, the earlier one counts and the other changes nothing.
//!
//! The question goes through a socket apart, because the shared one speaks for the device, and here the
//! holder of the invite speaks.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::sync::mpsc;
use warren_p2p::identity::Identity;
use warren_p2p::invite::{InviteCode, Wish};
use warren_p2p::membership::Member;
use warren_p2p::node::PeerLink;
use warren_p2p::swarm::{self, JoinSettings, socket};

/// How often to look whether we are stranded: longer than a connection takes that will come about anyway.
pub(super) const LOOK: Duration = Duration::from_secs(10);
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// Whether nobody talks to us, though there are addresses to talk to; if so, the code with these as doors.
pub(super) fn way_back<'a>(
    code: &InviteCode,
    links: impl Iterator<Item = &'a PeerLink>,
) -> Option<InviteCode> {
    let mut doors = BTreeSet::new();
    for link in links {
        if link.connected {
            return None;
        }
        doors.extend(link.addresses.first());
    }
    let doors: Vec<_> = doors.into_iter().collect();
    (!doors.is_empty()).then(|| code.with_doors(&doors))
}

/// Asks to be let in once more. Whoever does so connects to us by itself, or lets us connect.
pub(super) async fn ask(code: InviteCode, identity: Identity, me: Member, inside: BTreeSet<IpAddr>) {
    let families: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let settings = JoinSettings {
        code,
        identity,
        wish: Wish { name: me.name, name_is_asked_for: false, os: me.os },
        // A machine without IPv6 does with one.
        sockets: families.into_iter().filter_map(|family| socket::apart(family).ok()).collect(),
        mdns: false,
        tunnel: inside,
        patience: PATIENCE,
        // The doors are those of members that we know.
        rendezvous: None,
    };
    let (progress, _nobody_listens) = mpsc::channel(1);
    match swarm::join(settings, progress).await {
        Ok(joined) => {
            tracing::info!(witness = %joined.witness.short(), "another member knows this device now")
        }
        Err(error) => tracing::debug!(%error, "nobody else could be told of this device"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use warren_p2p::record::{MeshId, RecordId};

    fn link(connected: bool, address: &str) -> PeerLink {
        PeerLink { connected, addresses: vec![address.parse().unwrap()], ..PeerLink::default() }
    }

    #[test]
    fn only_who_talks_to_nobody_is_stranded() {
        let code = InviteCode::new([1; 16], MeshId::from_bytes([2; 32]), &RecordId::from_bytes([3; 32]), &[]);
        let (off, on) = (link(false, "192.0.2.1:41820"), link(true, "192.0.2.2:41820"));
        let doors = way_back(&code, [&off].into_iter()).unwrap();
        assert_eq!(doors.doors(), ["192.0.2.1:41820".parse().unwrap()]);
        assert_eq!(way_back(&code, [&off, &on].into_iter()), None);
        assert_eq!(way_back(&code, [].into_iter()), None);
    }
}
