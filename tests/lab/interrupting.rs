//! What happens in the middle of things: a join given up, an interface taken away, a machine that lacks IPv6.

use std::time::Duration;

use warren_netns::{Footprint, until};

use crate::mesh::{MEET, STOP, device, found, invite, join, own, restart, status, world};

pub(crate) fn a_daemon_answers_while_it_joins_and_goes_back_when_told_to_stop() {
    let world = world();
    let lan = world.lan("lan");
    let (nas, laptop) = (world.machine("nas", &lan), world.machine("laptop", &lan));
    let bare = Footprint::of(&laptop);
    let founder = found(&nas);
    let code = invite(&nas, &[]);
    founder.kill();
    let daemon = found(&laptop);
    let before = (status(&laptop)["mesh"]["id"].clone(), device(&laptop)["id"].clone());
    let socket = laptop.socket().display().to_string();
    let warren = env!("CARGO_BIN_EXE_warren");
    let told = laptop.directory().join("join.exit");
    laptop.shell(&format!(
        "({warren} join {code} --socket {socket} >/dev/null 2>&1 || echo $? >{}) >/dev/null 2>&1 &",
        told.display(),
    ));
    until(Duration::from_secs(5), "the daemon joins, and says so", || {
        status(&laptop)["mesh"].is_null().then_some(())
    });
    let _ = laptop.warren(&["join", &code]).expect_failure(1, "joining");
    let _ = laptop.warren(&["invite"]).expect_failure(1, "joining");
    let _ = laptop.warren(&["down"]).expect_success();
    let _ = daemon.ends(STOP).expect_success();
    let code = until(STOP, "the join is told", || {
        std::fs::read_to_string(&told).ok().filter(|text| !text.is_empty())
    });
    assert_ne!(code.trim(), "0");
    bare.assert_unchanged(&laptop);
    let _daemon = restart(&laptop);
    assert_eq!((status(&laptop)["mesh"]["id"].clone(), device(&laptop)["id"].clone()), before);
}

pub(crate) fn a_network_interface_taken_away_ends_the_daemon_with_a_message() {
    let world = world();
    let nas = world.machine("nas", &world.lan("lan"));
    let bare = Footprint::of(&nas);
    let daemon = found(&nas);
    nas.shell(&format!("ip link delete {}", own(&nas, "tun")));
    let _ = daemon.ends(STOP).expect_failure(1, "removed by another program");
    bare.assert_unchanged(&nas);
    restart(&nas).stop(STOP);
}

pub(crate) fn a_machine_without_ipv6_is_a_member_by_ipv4_and_says_so_once() {
    let world = world();
    let lan = world.lan("lan");
    let (nas, laptop) = (world.machine("nas", &lan), world.machine("laptop", &lan));
    laptop.shell("for file in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >$file; done");
    let founder = found(&nas);
    let daemon = join(&laptop, &invite(&nas, &[]));
    let address = own(&nas, "ipv4");
    until(MEET, "the laptop pings the nas", || laptop.pings(&address, 1).then_some(()));
    assert_eq!(daemon.log().matches("IPv6 is switched off").count(), 1, "{}", daemon.log());
    drop(founder);
}
