//! The test bench itself: worlds are what they claim to be.

use std::path::Path;

use warren_netns::{Footprint, World};

fn world() -> World {
    World::new(Path::new(env!("CARGO_BIN_EXE_warren")))
}

pub(crate) fn machines_of_one_lan_reach_each_other_and_nobody_else() {
    let world = world();
    let (lan, elsewhere) = (world.lan("lan"), world.public("elsewhere"));
    let (a, b) = (world.machine_without_default_route("a", &lan), world.machine("b", &lan));
    let server = world.machine("server", &elsewhere);
    assert!(b.pings(&a.ipv4().unwrap().to_string(), 3));
    assert!(b.pings(&a.ipv6().unwrap().to_string(), 3));
    assert!(!b.pings(&server.ipv4().unwrap().to_string(), 1));
    assert_eq!(a.shell("ip route show default; ip -6 route show default"), "");
}

pub(crate) fn a_home_router_translates_and_drops_what_nobody_asked_for() {
    let world = world();
    let (home, street) = (world.home("home"), world.public("street"));
    let (inside, outside) = (world.machine("inside", &home), world.machine("outside", &street));
    assert!(inside.pings(&outside.ipv4().unwrap().to_string(), 3));
    assert!(!outside.pings(&inside.ipv4().unwrap().to_string(), 1));
    // Neither an answer nor a refusal comes back for an unsolicited datagram. A refusal would overtake the pong
    // and fail the second write.
    let door = home.public_ipv4().unwrap();
    let knock = format!("exec 3<>/dev/udp/{door}/41820; echo knock >&3; ping -q -c 1 {door}; echo again >&3");
    assert!(outside.run("bash", &["-ec", &knock]).succeeded());
    let tracked = home.shell("cat /proc/net/nf_conntrack 2>/dev/null || true");
    assert!(!tracked.contains("dport=41820"), "{tracked}");
}

pub(crate) fn a_footprint_notices_what_is_left_behind() {
    let world = world();
    let machine = world.machine("machine", &world.public("street"));
    let before = Footprint::of(&machine);
    before.assert_unchanged(&machine);
    machine.shell(
        "ip link add left type veth peer name behind; nft add table inet left; ip rule add fwmark 1 table 7",
    );
    let left = Footprint::of(&machine).difference(&before).join("\n");
    for subject in ["links: +", "nftables: + table inet left", "IPv4 rules: +"] {
        assert!(left.contains(subject), "{subject} is missing in:\n{left}");
    }
    machine.shell("ip link del left; nft delete table inet left; ip rule del fwmark 1 table 7");
    before.assert_unchanged(&machine);
}
