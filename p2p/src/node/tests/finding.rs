//! Looking for relays among those who are no neighbours.

use super::relaying::{mesh_of, relaying};
use super::*;
use crate::discovery::Presences;

#[test]
fn whoever_cannot_be_called_looks_for_the_relays_that_others_name() {
    let now = start();
    let mut node = mesh_of(2..42, 0, now);
    let neighbour = *node.plan.missing().first().unwrap();
    let seed = (2..42).find(|seed| identity(*seed).device_id() == neighbour).unwrap();
    let far: Vec<DeviceId> =
        (2..42).map(|seed| identity(seed).device_id()).filter(|device| !node.plan.wants(device)).collect();
    connect(&mut node, neighbour, 1, true, now);
    let presence = |relays: &[DeviceId], mesh, now: Now| {
        let presence = Presences::own(&identity(seed), mesh, vec![], relays.to_vec(), now.wall).unwrap();
        Hello { presences: vec![presence.bytes().to_vec()], ..hello(now.wall) }
    };
    let mesh = node.mesh;
    node.handle_hello(neighbour, presence(&[far[0], far[1]], mesh, now), now).unwrap();
    assert!(node.plan.wants(&far[0]) && node.plan.wants(&far[1]) && !node.plan.wants(&far[2]));
    // A neighbour that relays is enough with one of them.
    node.handle_hello(neighbour, relaying(now), now).unwrap();
    node.set_targets(now);
    assert_ne!(node.plan.wants(&far[0]), node.plan.wants(&far[1]));
}
