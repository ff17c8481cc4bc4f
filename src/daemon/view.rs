//! The daemon's state in the words of the local API.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use data_encoding::BASE64;
use warren_p2p::identity::DeviceId;
use warren_p2p::membership::{Member, Roster};
use warren_p2p::node::PeerLink;
use warren_p2p::record::{self, Grants, RecordId, Relation, Timestamp};

use super::bridge::Link;
use super::nat::Nat;
use crate::control;

/// A clock that is off by more than this is worth a warning: invites and witness times are judged by it.
const CLOCK_WORTH_A_WARNING: Duration = Duration::from_secs(600);

/// The domain under which the mesh's names live. `.internal` is reserved for private use (ICANN, 2024).
pub(super) fn domain(roster: &Roster) -> String {
    format!("{}.internal", mesh_name(roster))
}

/// The mesh's name, or what stands for it until its first record is here.
pub(super) fn mesh_name(roster: &Roster) -> String {
    roster.name().map_or_else(|| roster.mesh().short(), ToString::to_string)
}

/// The mesh.
pub(super) fn mesh(roster: &Roster) -> control::Mesh {
    control::Mesh {
        id: roster.mesh().to_string(),
        name: mesh_name(roster),
        domain: domain(roster),
        subnet: roster.subnet().to_string(),
    }
}

/// This device.
pub(super) fn device(me: &Member, port: u16, tun: &str, mtu: u16) -> control::Device {
    control::Device {
        name: me.name.to_string(),
        id: me.id.to_string(),
        ipv4: me.ipv4,
        ipv6: me.ipv6,
        port,
        os: me.os.to_string(),
        wireguard: BASE64.encode(me.wireguard.as_bytes()),
        tun: tun.to_owned(),
        admin: me.admin,
        mtu,
    }
}

/// This device while it is in no mesh.
pub(super) fn no_device(name: &str, port: u16) -> control::Device {
    control::Device {
        name: name.to_owned(),
        id: String::new(),
        ipv4: Ipv4Addr::UNSPECIFIED,
        ipv6: Ipv6Addr::UNSPECIFIED,
        port,
        os: String::new(),
        wireguard: String::new(),
        tun: String::new(),
        admin: false,
        mtu: 0,
    }
}

/// How the outside sees us.
pub(super) fn nat(nat: &Nat) -> control::Nat {
    control::Nat { kind: nat.main_kind().word().to_owned(), observed: nat.seen() }
}

/// Another member.
pub(super) fn peer(
    roster: &Roster,
    me: &DeviceId,
    member: &Member,
    mine: &Grants,
    control_link: Option<&PeerLink>,
    link: Option<&Link>,
) -> control::Peer {
    let connected = control_link.is_some_and(|control| control.connected);
    let path = link.and_then(|link| link.path.clone());
    let last_seen_s = match control_link {
        Some(control) if control.connected => Some(0),
        Some(_) | None => link.and_then(|link| link.last_handshake).map(|age| age.as_secs()),
    };
    control::Peer {
        name: member.name.to_string(),
        id: member.id.to_string(),
        relation: relation(roster.relation(me, &member.id)),
        ipv4: member.ipv4,
        ipv6: member.ipv6,
        online: connected || path.is_some(),
        path,
        rx_bytes: link.map_or(0, |link| link.rx_bytes),
        tx_bytes: link.map_or(0, |link| link.tx_bytes),
        last_handshake_s: link.and_then(|link| link.last_handshake).map(|age| age.as_secs()),
        grants: control::Both {
            mine: grants(mine),
            theirs: control_link.and_then(|control| control.grants_theirs.as_ref()).map(grants),
        },
        os: member.os.to_string(),
        wireguard: BASE64.encode(member.wireguard.as_bytes()),
        admin: member.admin,
        connected,
        last_seen_s,
        clock_skew_ms: control_link.and_then(|control| control.clock_skew_ms),
        rejected_records: control_link.map_or(0, |control| control.rejected_records),
        why: None,
    }
}

/// An invite of the mesh.
pub(super) fn invite(roster: &Roster, id: &RecordId, now: Timestamp) -> Option<control::Invite> {
    let state = roster.invites().get(id)?;
    let not_after = state.invite.not_after;
    let used_up = state.used_by.len() >= state.invite.uses as usize;
    Some(control::Invite {
        id: id.to_string(),
        by: name_of(roster, &state.author),
        relation: relation(state.invite.relation),
        uses: state.invite.uses,
        used_by: state.used_by.iter().map(|device| name_of(roster, device)).collect(),
        expires_at_ms: not_after.as_millis(),
        expires_in_s: not_after.as_millis().saturating_sub(now.as_millis()) / 1000,
        grants: grants(&state.invite.grants),
        state: match () {
            () if state.revoked => control::InviteState::Revoked,
            () if state.void => control::InviteState::Void,
            () if used_up => control::InviteState::UsedUp,
            () if now > not_after => control::InviteState::Expired,
            () => control::InviteState::Open,
        },
    })
}

/// A member's name, or the beginning of its key when it is none any more.
pub(super) fn name_of(roster: &Roster, device: &DeviceId) -> String {
    roster.member(device).map_or_else(|| device.short(), |member| member.name.to_string())
}

/// What the user should know and mend.
pub(super) fn warnings(
    roster: &Roster,
    links: &BTreeMap<DeviceId, PeerLink>,
    store_failure: Option<&str>,
) -> Vec<control::Warning> {
    let mut warnings = clock_warnings(roster, links);
    if let Some(message) = store_failure {
        warnings.push(control::Warning { code: "store_failed".to_owned(), message: message.to_owned() });
    }
    for (device, sequences) in roster.equivocations() {
        warnings.push(control::Warning {
            code: "equivocation".to_owned(),
            message: format!(
                "'{}' has signed {} different records under one number: it was restored from an old copy, or its key \
                 is used twice; remove it and invite it again",
                name_of(roster, device),
                sequences.len() + 1,
            ),
        });
    }
    for (device, link) in links {
        if link.rejected_records > 0 {
            warnings.push(control::Warning {
                code: "rejected_records".to_owned(),
                message: format!(
                    "'{}' has sent {} records that are not valid; they were refused, nothing else is affected",
                    name_of(roster, device),
                    link.rejected_records,
                ),
            });
        }
    }
    warnings
}

/// One clock against many: if most others agree against us, ours is the wrong one.
fn clock_warnings(roster: &Roster, links: &BTreeMap<DeviceId, PeerLink>) -> Vec<control::Warning> {
    let limit = i64::try_from(CLOCK_WORTH_A_WARNING.as_millis()).unwrap_or(i64::MAX);
    let known: Vec<_> =
        links.iter().filter_map(|(device, link)| Some((device, link.clock_skew_ms?))).collect();
    let off: Vec<_> = known.iter().filter(|(_, skew)| skew.saturating_abs() > limit).collect();
    let warning = |message| control::Warning { code: "clock_skew".to_owned(), message };
    if off.len() > 1 && off.len() * 2 > known.len() {
        let skew = off.first().map_or(0, |(_, skew)| *skew);
        return vec![warning(format!(
            "this device's clock is {} the other members'; set it right, or invites end at the wrong time",
            apart(skew.saturating_neg()),
        ))];
    }
    off.into_iter()
        .map(|(device, skew)| {
            warning(format!(
                "the clock of '{}' is {} ours; whichever is wrong, set it right",
                name_of(roster, device),
                apart(*skew),
            ))
        })
        .collect()
}

/// How far a clock is from another, as people say it.
fn apart(skew_ms: i64) -> String {
    let seconds = skew_ms.unsigned_abs() / 1000;
    let amount = match seconds {
        0..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    };
    format!("{amount} {}", if skew_ms < 0 { "behind" } else { "ahead of" })
}

pub(super) fn relation(relation: Relation) -> control::Relation {
    match relation {
        Relation::Own => control::Relation::Own,
        Relation::Guest => control::Relation::Guest,
    }
}

/// Grants as the local API writes them.
pub(super) fn grants(grants: &Grants) -> control::Grants {
    let ports = grants.ports.iter().map(|port| control::Ports {
        protocol: match port.protocol {
            record::Protocol::Tcp => control::Protocol::Tcp,
            record::Protocol::Udp => control::Protocol::Udp,
        },
        first: port.first,
        last: port.last,
    });
    control::Grants {
        incoming: grants.incoming,
        files: grants.files,
        routing: grants.routing,
        lan: grants.lan,
        ports: ports.collect(),
    }
}

/// Grants as records write them.
pub(super) fn record_grants(grants: &control::Grants) -> Grants {
    let ports = grants.ports.iter().map(|port| record::PortGrant {
        protocol: match port.protocol {
            control::Protocol::Tcp => record::Protocol::Tcp,
            control::Protocol::Udp => record::Protocol::Udp,
        },
        first: port.first,
        last: port.last,
    });
    Grants {
        incoming: grants.incoming,
        files: grants.files,
        routing: grants.routing,
        lan: grants.lan,
        ports: ports.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_apart_are_told_in_words() {
        assert_eq!(apart(-3 * 86_400_000), "3 days behind");
        assert_eq!(apart(900_000), "15 minutes ahead of");
    }

    #[test]
    fn grants_survive_the_way_to_records_and_back() {
        let typed =
            control::Grants::of(["incoming", "tcp/22", "udp/27015-27030"].map(|text| text.parse().unwrap()));
        assert_eq!(grants(&record_grants(&typed)), typed);
    }
}
