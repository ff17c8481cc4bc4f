//! What must hold after every step.

use std::collections::BTreeSet;

use warren_p2p::identity::DeviceId;
use warren_p2p::membership::{Log, Roster};

use super::World;
use super::reference::{Fact, Outcome, Said, outcome};

/// When the mesh was founded, as every world begins.
const FOUNDED: u64 = 1_800_000_000_000;

/// Every log against the reference, and each roster against itself.
///
/// # Errors
///
/// Says what does not hold, and where.
pub fn check(world: &World) -> Result<(), String> {
    for (number, person) in world.people.iter().enumerate() {
        let Some(log) = &person.log else { continue };
        let found = observed(world, log.roster());
        let expected = outcome(&known(world, log), FOUNDED);
        if found != expected {
            return Err(format!("person {number} sees {found:?} but should see {expected:?}"));
        }
        sane(log.roster()).map_err(|what| format!("person {number}: {what}"))?;
    }
    Ok(())
}

/// What must hold of any roster, whoever may invite and remove.
///
/// # Errors
///
/// Says what does not hold.
pub fn sane(roster: &Roster) -> Result<(), String> {
    for (id, state) in roster.invites() {
        if state.used_by.len() > state.invite.uses as usize {
            return Err(format!(
                "invite {id:?} of {} uses was used by {:?}",
                state.invite.uses, state.used_by
            ));
        }
    }
    if let Some(banned) = roster.removed().keys().find(|device| roster.is_member(device)) {
        return Err(format!("{banned:?} was removed and is a member"));
    }
    let members = roster.members();
    let names: BTreeSet<_> = members.values().map(|member| member.name.clone()).collect();
    let addresses: BTreeSet<_> = members.values().map(|member| member.ipv4).collect();
    let keys: BTreeSet<_> = members.values().map(|member| member.wireguard).collect();
    if [names.len(), addresses.len(), keys.len()] != [members.len(); 3] {
        return Err("two members share a name, an address or a WireGuard key".to_owned());
    }
    Ok(())
}

/// People who see each other as members hold the same, once nothing is left to say.
///
/// # Errors
///
/// Says who differs.
pub fn converged(world: &World) -> Result<(), String> {
    for a in 0..world.people.len() {
        for b in 0..a {
            let (Some(log_a), Some(log_b)) = (&world.people[a].log, &world.people[b].log) else { continue };
            if world.are_connected(a, b) && log_a.digest() != log_b.digest() {
                return Err(format!("{a} and {b} are connected and differ"));
            }
            if world.are_connected(a, b) && log_a.roster() != log_b.roster() {
                return Err(format!("{a} and {b} hold the same records and differ in what follows"));
            }
        }
    }
    Ok(())
}

/// The facts whose records are in a log.
fn known<'a>(world: &'a World, log: &Log) -> Vec<&'a Fact> {
    world.facts.iter().filter(|fact| log.contains(&fact.record)).collect()
}

/// A roster in the terms of the reference.
fn observed(world: &World, roster: &Roster) -> Outcome {
    let number =
        |device: &DeviceId| world.people.iter().position(|person| person.identity.device_id() == *device);
    let numbers = |devices: &[DeviceId]| devices.iter().filter_map(number).collect::<Vec<usize>>();
    let invited: BTreeSet<_> = world
        .facts
        .iter()
        .filter(|fact| matches!(fact.said, Said::Invited { .. }))
        .map(|fact| fact.record)
        .collect();
    let used_by = roster.invites().iter().filter(|(id, _)| invited.contains(id));
    Outcome {
        // Whoever joined but has told no key yet, as the founder in an old copy, is in for the reference.
        members: roster.members().keys().chain(roster.suspended().keys()).filter_map(number).collect(),
        used_by: used_by.map(|(id, state)| (*id, numbers(&state.used_by))).collect(),
    }
}
