//! What a node leaves in public, and what it takes from there.

use super::*;
use crate::discovery::{Presence, Presences};

fn presence(seed: u8, mesh: crate::record::MeshId, at: Timestamp, last: u16) -> Verified<Presence> {
    Presences::own(&identity(seed), mesh, vec![address(last)], Vec::new(), at).unwrap()
}

#[test]
fn a_presence_that_was_found_is_called_and_an_old_one_is_not() {
    let now = start();
    let mut node = founder(&Disk::default(), now);
    member(&mut node, 2, "nas", now);
    let (nas, mesh) = (identity(2).device_id(), node.mesh);
    let known = node.book.addresses(&nas).len();
    let ago = |hours: u64| Timestamp::from_millis(now.wall.as_millis() - hours * 3_600_000);
    // Of nobody, of another mesh, of the day before yesterday, of ourselves.
    node.handle_presence_found(&presence(9, mesh, now.wall, 1), now);
    node.handle_presence_found(&presence(2, crate::record::MeshId::from_bytes([9; 32]), now.wall, 2), now);
    node.handle_presence_found(&presence(2, mesh, ago(26), 3), now);
    node.handle_presence_found(&presence(1, mesh, now.wall, 4), now);
    assert_eq!(node.book.addresses(&nas).len(), known);
    node.handle_presence_found(&presence(2, mesh, ago(5), 5), now);
    assert!(node.book.addresses(&nas).contains(&address(5)));

    // What it said itself while connected is newer than what lies there.
    connect(&mut node, nas, 1, false, now);
    let told = presence(2, mesh, ago(0), 6);
    let hello = Hello { presences: vec![told.bytes().to_vec()], ..hello(now.wall) };
    node.handle_hello(nas, hello, now).unwrap();
    node.handle_presence_found(&presence(2, mesh, ago(1), 7), now);
    assert!(!node.book.addresses(&nas).contains(&address(7)));
}

#[test]
fn the_latest_open_invites_are_served_and_nothing_is_left_by_who_is_out() {
    let mut now = start();
    let mut node = founder(&Disk::default(), now);
    node.set_candidates(vec![address(1), SocketAddr::from(([127, 0, 0, 1], 9))], now);
    let mut keys = Vec::new();
    let mut revoked = None;
    for seed in 10..22 {
        now = later(now, Duration::from_secs(1));
        let (code, id) = node.create_invite(InviteTerms::default(), [seed; 16], now).unwrap();
        keys.push(code.invite_identity().device_id());
        revoked = Some(id);
    }
    node.revoke_invite(&revoked.unwrap(), now).unwrap();
    member(&mut node, 2, "nas", now);
    let own = node.own_for_rendezvous(now.wall);
    assert_eq!(own.addresses, [address(1)], "loopback means nothing elsewhere");
    let served: Vec<_> = own.invites.iter().map(|(key, _)| *key).collect();
    assert_eq!(served, keys[3..11].iter().rev().copied().collect::<Vec<_>>());
    let end = later(now, InviteTerms::default().lifetime);
    assert!(node.own_for_rendezvous(end.wall).invites.is_empty());

    node.leave(now).unwrap();
    assert_eq!(node.own_for_rendezvous(now.wall), crate::discovery::rendezvous::Own::default());
}
