//! Paths that nobody uses for a while.

use super::*;

/// Datagrams on the wire in a time.
fn datagrams(world: &mut World, seconds: u64) -> usize {
    let before = world.record.len();
    world.run(Duration::from_secs(seconds));
    let sent = &world.record[before..];
    sent.iter().filter(|datagram| datagram.bytes[0] == 5).count()
}

#[test]
fn where_routers_allow_it_two_devices_come_to_one_ping_in_55_seconds() {
    let mut world = World::new(2);
    world.connect();
    let at_first = datagrams(&mut world, 100);
    assert!((6..=12).contains(&at_first), "a ping and a pong each 25 s: {at_first}");
    world.run(Duration::from_secs(250));
    let later = datagrams(&mut world, 220);
    assert!((8..=10).contains(&later), "each 55 s: {later}");
}

#[test]
fn a_device_of_many_tries_one_path_at_a_time() {
    let mut world = World::new(5);
    for peer in 2..=5 {
        world.send(1, &[packet(v4(1), v4(peer), 100)]);
    }
    world.run(Duration::from_secs(110));
    let before = world.record.len();
    world.run(Duration::from_secs(75));
    let probes = |peer: u8| {
        let of = |datagram: &&Datagram| datagram.bytes[0] == 5 && datagram.from == outside(peer);
        world.record[before..].iter().filter(of).count()
    };
    let counts: Vec<usize> = (2..=5).map(probes).collect();
    assert_eq!(counts.iter().filter(|count| **count == 2).count(), 1, "each 37.5 s: {counts:?}");
    assert!(counts.iter().filter(|count| **count == 3).count() == 3, "each 25 s: {counts:?}");
}
