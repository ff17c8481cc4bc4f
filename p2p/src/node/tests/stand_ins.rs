//! Whom a member calls whose neighbours are off.

use super::{relaying::mesh_of, *};
use crate::discovery::neighbours;

fn others() -> impl Iterator<Item = DeviceId> {
    (2..42).map(|seed| identity(seed).device_id())
}

#[test]
fn without_neighbours_whoever_answered_last_is_called_and_soon_everybody() {
    let mut now = start();
    let mut node = mesh_of(2..42, 1, now);
    let ring = neighbours(&node.own, others());
    let last = others().find(|peer| !ring.contains(peer)).unwrap();
    connect(&mut node, last, 1, true, now);
    node.handle_disconnected(last, ConnectionKey(1), now);
    assert!(node.plan.wants(&last), "it answered last");
    assert_eq!(node.plan.missing().len(), ring.len() + 4);

    let mut called = BTreeSet::new();
    for _ in 0..10 {
        called.extend(node.plan.missing());
        now = later(now, Duration::from_secs(61));
        node.handle_timeout(now);
        outputs(&mut node, now);
    }
    assert_eq!(called.len(), 40, "everybody gets a turn");
}

#[test]
fn whoever_stands_in_is_kept_until_two_neighbours_are_there() {
    let mut now = start();
    let mut node = mesh_of(2..42, 1, now);
    let ring = neighbours(&node.own, others());
    let stand_in = node.plan.missing().into_iter().find(|peer| !ring.contains(peer)).unwrap();
    connect(&mut node, stand_in, 1, true, now);
    let minutes = |node: &mut Node, now: &mut Now| {
        let mut closed = BTreeSet::new();
        for _ in 0..5 {
            *now = later(*now, Duration::from_secs(61));
            node.handle_timeout(*now);
            let outputs = outputs(node, *now).into_iter();
            closed.extend(outputs.filter_map(
                |output| {
                    if let Output::Close(key) = output { Some(key) } else { None }
                },
            ));
        }
        closed
    };
    assert!(minutes(&mut node, &mut now).is_empty());
    for (key, neighbour) in (2..).zip(ring.iter().take(2)) {
        connect(&mut node, *neighbour, key, true, now);
    }
    assert_eq!(minutes(&mut node, &mut now), BTreeSet::from([ConnectionKey(1)]));
}
