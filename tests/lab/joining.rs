//! Becoming a member, with as little help as possible.

use warren_netns::{Machine, until};

use crate::mesh::{
    MEET, STOP, agree, found, invite, invites, join, own, peers, reach_each_other, reaches, restart, roster,
    world,
};

pub(crate) fn two_machines_with_only_a_pasted_code_ping_each_other() {
    let world = world();
    let lan = world.lan("lan");
    let (nas, laptop) = (world.machine("nas", &lan), world.machine("laptop", &lan));
    let _nas = found(&nas);
    let _laptop = join(&laptop, &invite(&nas, &[]));
    reach_each_other(&nas, &laptop);
    agree(&[&nas, &laptop], 2);

    let pong = laptop.warren(&["ping", "nas", "-c", "1", "--json"]).expect_success();
    assert!(pong.stdout.contains("rtt_ms"), "{pong}");
    let path = until(MEET, "the path is known", || {
        let peer = peers(&laptop).into_iter().next()?;
        (!peer["path"]["endpoint"].is_null()).then_some(peer["path"].clone())
    });
    assert_eq!(path["kind"], "lan", "{path}");
}

pub(crate) fn a_code_connects_across_the_internet() {
    let world = world();
    let (office, street) = (world.home("office"), world.public("street"));
    let (server, laptop) = (world.machine("server", &street), world.machine("laptop", &office));
    let _server = found(&server);
    let _laptop = join(&laptop, &invite(&server, &[]));
    reach_each_other(&server, &laptop);
}

pub(crate) fn a_lan_without_internet_joins_by_mdns_alone() {
    let world = world();
    let lan = world.lan("lan");
    let nas = world.machine_without_default_route("nas", &lan);
    let laptop = world.machine_without_default_route("laptop", &lan);
    let _nas = found(&nas);
    let code = invite(&nas, &[]);
    // The doors in the code lead nowhere from now on: the founder has moved to other addresses.
    let (old4, old6) = (nas.ipv4().unwrap(), nas.ipv6().unwrap());
    nas.shell(&format!(
        "ip address add 10.0.0.77/16 dev eth0; ip address del {old4}/24 dev eth0
         ip -6 address add fd10::77/64 dev eth0; ip -6 address del {old6}/64 dev eth0
         ip -4 route replace 10.0.0.0/8 dev eth0"
    ));
    laptop.shell("ip -4 route replace 10.0.0.0/8 dev eth0");
    let _laptop = join(&laptop, &code);
    reach_each_other(&nas, &laptop);
}

pub(crate) fn a_third_member_admits_the_newcomer_while_the_founder_sleeps() {
    let world = world();
    let lan = world.lan("lan");
    let [founder, third, newcomer] = ["founder", "third", "newcomer"].map(|name| world.machine(name, &lan));
    let sleeping = found(&founder);
    let _third = join(&third, &invite(&founder, &[]));
    let code = invite(&founder, &[]);
    agree(&[&founder, &third], 2);
    // The invite must have reached the third member, or nobody could let the newcomer in.
    until(MEET, "the invite is known to the third member", || (invites(&third).len() >= 2).then_some(()));
    sleeping.stop(STOP);
    let _newcomer = join(&newcomer, &code);
    reaches(&newcomer, &third);
    assert_eq!(roster(&newcomer), roster(&third));

    let _founder = restart(&founder);
    let members = agree(&[&founder, &third, &newcomer], 3);
    assert_eq!(members.len(), 3);
    reach_each_other(&founder, &newcomer);
}

pub(crate) fn a_newcomer_whose_witness_left_makes_itself_known() {
    let world = world();
    let lan = world.lan("lan");
    let [founder, witness, newcomer] =
        ["founder", "witness", "newcomer"].map(|name| world.machine(name, &lan));
    let sleeping = found(&founder);
    let leaving = join(&witness, &invite(&founder, &[]));
    let code = invite(&founder, &[]);
    until(MEET, "the invite is known to the witness", || (invites(&witness).len() >= 2).then_some(()));
    sleeping.stop(STOP);
    let _newcomer = join(&newcomer, &code);
    leaving.stop(STOP);
    // The founder has never heard of the newcomer, and the only one that could tell is gone.
    let _founder = restart(&founder);
    reach_each_other(&founder, &newcomer);

    let _witness = restart(&witness);
    agree(&[&founder, &witness, &newcomer], 3);
}

pub(crate) fn one_of_two_partitions_wins_a_single_use_code() {
    let world = world();
    let lan = world.lan("lan");
    let [founder, member, early, late] =
        ["founder", "member", "early", "late"].map(|name| world.machine(name, &lan));
    let _founder = found(&founder);
    let _member = join(&member, &invite(&founder, &[]));
    let code = invite(&founder, &[]);
    until(MEET, "the invite is known to the member", || (invites(&member).len() >= 2).then_some(()));
    cut(&[&founder, &early], &[&member, &late]);
    let _early = join(&early, &code);
    let _late = join(&late, &code);
    assert_eq!((roster(&early).len(), roster(&late).len()), (3, 3));
    let winner = own(&early, "id");

    mend(&[&founder, &early, &member, &late]);
    let members = agree(&[&founder, &member, &early], 3);
    assert!(members.iter().any(|[id, ..]| *id == winner), "the earlier witness time wins: {members:?}");
    reaches(&member, &early);
    let address = own(&founder, "ipv4");
    until(MEET, "the loser is out", || (!late.pings(&address, 1)).then_some(()));
}

/// Cuts every cable between the two groups; inside each of them nothing changes.
fn cut(one: &[&Machine], other: &[&Machine]) {
    for (here, there) in [(one, other), (other, one)] {
        let strangers: Vec<String> = there.iter().flat_map(|machine| machine.hardware_addresses()).collect();
        let rules = format!(
            "table inet cut {{ chain input {{ type filter hook input priority -300; ether saddr {{ {} }} drop; }}; }}",
            strangers.join(", ")
        );
        here.iter().for_each(|machine| machine.nft(&rules));
    }
}

fn mend(machines: &[&Machine]) {
    machines.iter().for_each(|machine| machine.nft("delete table inet cut"));
}
