//! Names, addresses and WireGuard keys, of which each member has its own: rule 9 of `precedence.rs`.
//!
//! - *Names*: in the order of joining each gets the name it wants, or that with the lowest number that is free.
//! - *IPv4*: in the same order each gets the first address of its sequence that is free.
//! - *WireGuard keys*: a key is claimed, not proved, in a Join or a Device record. Of two members with one key,
//!   the founder goes first, then whoever joined with it (which a witness countersigned), then whoever changed
//!   to it later, each in the order of joining; the other is suspended until it changes its key. So a cheat can
//!   block a member only right after that member changed its key, and stands in the records as the one who did.

use std::collections::{BTreeMap, BTreeSet};

use super::roster::{Joined, Member, Roster, Suspension};
use crate::identity::{self, DeviceId, WireGuardKey};
use crate::record::{Device, Genesis, Grants, Join, Name, Os};

/// What a device that joined wants to be.
struct Claim<'a> {
    device: DeviceId,
    joined: &'a Joined,
    name: &'a Name,
    os: &'a Os,
    wireguard: Option<WireGuardKey>,
    epoch: u32,
    /// It is the founder, or its key is the one it joined with.
    first_key: bool,
    relay: bool,
    exit: bool,
}

pub(super) fn settle(
    roster: &mut Roster,
    (founder, genesis): (DeviceId, &Genesis),
    joins: &[(DeviceId, &Join)],
    devices: &BTreeMap<DeviceId, &Device>,
) {
    let joined = roster.joined.clone();
    let newcomers = joins.iter().map(|(device, join)| {
        let newcomer = &join.newcomer;
        (*device, &newcomer.name, &newcomer.os, Some(newcomer.wireguard), newcomer.epoch)
    });
    let all = std::iter::once((founder, &genesis.name, &genesis.os, None, 0)).chain(newcomers);
    let claims: Vec<Claim<'_>> = all
        .filter(|(device, ..)| !roster.removed.contains_key(device))
        .filter_map(|(device, name, os, wireguard, epoch)| {
            let joined = joined.get(&device)?;
            let said = devices.get(&device);
            Some(Claim {
                device,
                joined,
                name: said.and_then(|said| said.name.as_ref()).unwrap_or(name),
                os,
                wireguard: said.map(|said| said.wireguard).or(wireguard),
                epoch: said.map_or(epoch, |said| said.epoch),
                first_key: device == founder || said.is_none_or(|said| Some(said.wireguard) == wireguard),
                relay: said.is_some_and(|said| said.relay),
                exit: said.is_some_and(|said| said.exit),
            })
        })
        .collect();
    suspend(roster, &claims);
    let mut numbers = BTreeMap::new();
    let mut addresses = BTreeSet::new();
    for claim in claims {
        let Some(wireguard) = claim.wireguard.filter(|_| !roster.suspended.contains_key(&claim.device))
        else {
            continue;
        };
        let mut tries =
            (0..).map_while(|attempt| identity::ipv4(&roster.subnet, &claim.device, attempt).ok());
        let Some(ipv4) = tries.find(|address| addresses.insert(*address)) else { continue };
        let name = unique(claim.name, roster, &mut numbers);
        roster.names.insert(name.clone(), claim.device);
        let invite = claim.joined.invite.and_then(|invite| roster.invites.get(&invite));
        let invite = invite.map(|state| &state.invite);
        let member = Member {
            id: claim.device,
            name,
            wireguard,
            epoch: claim.epoch,
            ipv4,
            ipv6: identity::ipv6(&roster.mesh, &claim.device),
            os: claim.os.clone(),
            owner: claim.joined.owner,
            admin: roster.admins.contains_key(&claim.device),
            joined_at: claim.joined.at,
            witness: claim.joined.witness,
            inviter: claim.joined.inviter,
            invite: claim.joined.invite,
            grants_on_arrival: invite.map_or_else(Grants::default, |invite| invite.grants.clone()),
            only: invite.map_or_else(Vec::new, |invite| invite.only.clone()),
            relay: claim.relay,
            exit: claim.exit,
        };
        roster.members.insert(claim.device, member);
    }
}

fn suspend(roster: &mut Roster, claims: &[Claim<'_>]) {
    let mut keys: BTreeMap<WireGuardKey, DeviceId> = BTreeMap::new();
    let ordered = claims.iter().filter(|claim| claim.first_key);
    for claim in ordered.chain(claims.iter().filter(|claim| !claim.first_key)) {
        let suspension = match claim.wireguard {
            None => Suspension::NoWireGuardKey,
            Some(key) => match *keys.entry(key).or_insert(claim.device) {
                owner if owner == claim.device => continue,
                owner => Suspension::WireGuardKeyOf(owner),
            },
        };
        roster.suspended.insert(claim.device, suspension);
    }
}

/// The name itself, or with the lowest number that is free. `numbers` remembers how far each name was tried, so
/// that a thousand devices of one name cost no more than a thousand looks.
fn unique(wish: &Name, roster: &Roster, numbers: &mut BTreeMap<Name, u32>) -> Name {
    if !roster.names.contains_key(wish) {
        return wish.clone();
    }
    let number = numbers.entry(wish.clone()).or_insert(2);
    loop {
        let name = wish.numbered(*number);
        *number += 1;
        if !roster.names.contains_key(&name) {
            return name;
        }
    }
}
