//! Stopping, dying and coming back.

use std::time::Duration;

use warren_netns::{Footprint, Machine, until};

use crate::mesh::{START, STOP, found, invite, join, own, reach_each_other, restart, roster, world};

/// Members that know each other's addresses meet again within this after a restart of all (R3, T27).
const AGAIN: Duration = Duration::from_secs(10);

pub(crate) fn killed_daemons_meet_again_without_mdns_and_leave_nothing() {
    let world = world();
    let lan = world.lan("lan");
    let machines = ["a", "b", "c"].map(|name| world.machine(name, &lan));
    let bare = machines.each_ref().map(Footprint::of);
    let [a, b, c] = &machines;
    let daemons = [found(a)].into_iter();
    let daemons = daemons.chain([b, c].map(|machine| join(machine, &invite(a, &[]))));
    let daemons: Vec<_> = daemons.collect();
    for (one, other) in [(a, b), (b, c), (a, c)] {
        reach_each_other(one, other);
    }
    let before = roster(a);
    daemons.into_iter().for_each(warren_netns::Daemon::kill);

    for machine in &machines {
        machine.nft(
            "table inet quiet { chain out { type filter hook output priority 0; udp dport 5353 drop; }; }",
        );
    }
    let daemons = machines.each_ref().map(restart);
    let pinging = |from: &Machine, to: &Machine| {
        let address = before.iter().find(|member| member[1] == to.name()).unwrap()[2].clone();
        until(AGAIN, &format!("{} pings {} again", from.name(), to.name()), || {
            from.pings(&address, 1).then_some(())
        });
    };
    for (one, other) in [(a, b), (b, c), (c, a)] {
        pinging(one, other);
    }
    assert_eq!(roster(a), before, "same members, same addresses");

    daemons.into_iter().for_each(|daemon| daemon.stop(STOP));
    for (machine, bare) in machines.iter().zip(bare) {
        machine.nft("delete table inet quiet");
        bare.assert_unchanged(machine);
    }
}

pub(crate) fn a_terminated_daemon_leaves_the_machine_as_it_found_it() {
    let world = world();
    let lan = world.lan("lan");
    let (nas, laptop) = (world.machine("nas", &lan), world.machine("laptop", &lan));
    let bare = [&nas, &laptop].map(Footprint::of);
    let (one, other) = (found(&nas), join(&laptop, &invite(&nas, &[])));
    reach_each_other(&nas, &laptop);
    one.stop(STOP);
    other.stop(STOP);
    bare[0].assert_unchanged(&nas);
    bare[1].assert_unchanged(&laptop);
}

pub(crate) fn down_stops_the_daemon_and_cleans_up() {
    let world = world();
    let nas = world.machine("nas", &world.lan("lan"));
    let bare = Footprint::of(&nas);
    let daemon = found(&nas);
    let _ = nas.warren(&["down"]).expect_success();
    assert_eq!(daemon.ends(STOP).code, Some(0));
    bare.assert_unchanged(&nas);
    let _ = nas.warren(&["status"]).expect_failure(3, "not running");
}

pub(crate) fn a_killed_daemon_leaves_nothing_after_the_next_start_and_stop() {
    let world = world();
    let nas = world.machine("nas", &world.lan("lan"));
    let bare = Footprint::of(&nas);
    let daemon = found(&nas);
    let (id, address) = (own(&nas, "id"), own(&nas, "ipv4"));
    daemon.kill();
    let daemon = restart(&nas);
    assert_eq!((own(&nas, "id"), own(&nas, "ipv4")), (id, address));
    daemon.stop(STOP);
    bare.assert_unchanged(&nas);
}

pub(crate) fn a_second_daemon_on_the_same_state_changes_nothing() {
    let world = world();
    let nas = world.machine("nas", &world.lan("lan"));
    let daemon = found(&nas);
    let running = Footprint::of(&nas);
    let second = nas.up(&[]).ends(START);
    assert!(matches!(second.code, Some(0 | 1)), "{second}");
    assert!(second.stderr.contains("already"), "{second}");
    running.assert_unchanged(&nas);
    daemon.stop(STOP);
}
