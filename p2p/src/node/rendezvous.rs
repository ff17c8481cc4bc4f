//! Meeting in public: what this device leaves there, and what it makes of what others left.

use std::{net::SocketAddr, time::Duration};

use super::{Node, Now};
use crate::{
    discovery::{Presence, Source, rendezvous::Own},
    identity::DeviceId,
    membership::InviteState,
    record::{Timestamp, Verified},
};

/// Open invites whose newcomers find us in public, the latest: each costs a value every three hours.
const INVITES: usize = 8;
/// Addresses in a presence.
const ADDRESSES: usize = crate::discovery::ADDRESSES;
/// The rendezvous keeps a presence for a day; clocks may differ by an hour.
const VALID: Duration = Duration::from_secs(25 * 3600);

impl Node {
    /// What to leave at the rendezvous now: nothing once we are out.
    pub fn own_for_rendezvous(&self, now: Timestamp) -> Own {
        let roster = self.roster();
        if !roster.is_member(&self.own) {
            return Own::default();
        }
        let open = |state: &&InviteState| {
            let used = u32::try_from(state.used_by.len()).unwrap_or(u32::MAX) >= state.invite.uses;
            !state.revoked && !state.void && !used && state.invite.not_after > now
        };
        let mut open: Vec<&InviteState> = roster.invites().values().filter(open).collect();
        open.sort_by_key(|state| (std::cmp::Reverse(state.issued_at), state.invite.key));
        let invites = open.into_iter().take(INVITES);
        let invites = invites.map(|state| (state.invite.key, state.invite.not_after)).collect();
        Own { addresses: self.whereabouts(), relays: self.relays_held(), invites }
    }

    /// A member left its presence at the rendezvous; the device itself has signed it.
    pub fn handle_presence_found(&mut self, presence: &Verified<Presence>, now: Now) {
        let Presence { mesh, device, issued_at, ref addresses, ref relays } = *presence.value();
        let newer = self.presences.latest(&device).is_none_or(|known| known < issued_at);
        if mesh != self.mesh || !newer || issued_at.distance(now.wall) > VALID {
            return;
        }
        // Where everybody is on loopback, as in tests, it is an address like any other.
        let near = self.whereabouts().iter().all(|address| address.ip().is_loopback());
        for address in addresses {
            if near || !address.ip().is_loopback() {
                self.handle_address(device, *address, Source::Itself, now);
            }
        }
        for relay in relays {
            self.handle_relay_of(device, *relay, now);
        }
    }

    /// Through whom others may call us.
    pub fn relays_held(&self) -> Vec<DeviceId> {
        self.relaying.held()
    }

    /// Where others may call us. Not on loopback unless there is nothing else.
    pub fn whereabouts(&self) -> Vec<SocketAddr> {
        let mut addresses: Vec<SocketAddr> = self.candidates.clone();
        addresses.extend(self.listening.iter().filter(|address| !self.candidates.contains(address)));
        if addresses.iter().any(|address| !address.ip().is_loopback()) {
            addresses.retain(|address| !address.ip().is_loopback());
        }
        addresses.truncate(ADDRESSES);
        addresses
    }
}
