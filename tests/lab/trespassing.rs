//! What must not happen: packets to strangers, packets from strangers.

use warren_netns::{Kind, Machine, until};

use crate::mesh::{
    MEET, STOP, agree, device, found, invite, join, own, reach_each_other, reaches, restart, world,
};

/// Counts what `machine` sends to anybody but `friends`, multicast groups of the LAN, and its own tunnel.
fn watch(machine: &Machine, friends: &[&Machine]) {
    let v4: Vec<String> =
        friends.iter().filter_map(|friend| friend.ipv4()).map(|ip| ip.to_string()).collect();
    let v6: Vec<String> =
        friends.iter().filter_map(|friend| friend.ipv6()).map(|ip| ip.to_string()).collect();
    machine.nft(&format!(
        "table inet watch {{ chain output {{ type filter hook output priority 0;
            oifname != eth0 accept
            icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld-listener-report, mld2-listener-report }} accept
            ip protocol igmp accept
            ip daddr 224.0.0.251 udp dport 5353 accept
            ip6 daddr ff02::fb udp dport 5353 accept
            ip6 daddr fe80::/10 accept
            ip daddr {{ {} }} accept
            ip6 daddr {{ {} }} accept
            log prefix \"stranger \" counter
        }}; }}",
        v4.join(", "),
        v6.join(", ")
    ));
}

/// How many packets `watch` has counted.
fn strangers(machine: &Machine) -> u64 {
    let listing = machine.shell("nft list table inet watch");
    let count = listing.lines().find_map(|line| line.split("counter packets ").nth(1));
    count.and_then(|count| count.split(' ').next()).and_then(|count| count.parse().ok()).expect("a counter")
}

pub(crate) fn no_packet_goes_to_anybody_but_peers() {
    let world = world();
    // With a way to the whole Internet, so that calling home would be possible.
    let (street, avenue) = (world.public("street"), world.public("avenue"));
    let (nas, laptop) = (world.machine("nas", &street), world.machine("laptop", &avenue));
    watch(&nas, &[&laptop]);
    watch(&laptop, &[&nas]);
    let (one, _laptop) = (found(&nas), join(&laptop, &invite(&nas, &[])));
    reach_each_other(&nas, &laptop);
    one.stop(STOP);
    let _nas = restart(&nas);
    reach_each_other(&nas, &laptop);
    assert_eq!((strangers(&nas), strangers(&laptop)), (0, 0));
    // The watch would have seen it.
    let _ = nas.run("ping", &["-c", "1", "-W", "1", "192.0.2.1"]);
    assert_eq!(strangers(&nas), 1);
}

pub(crate) fn members_behind_routers_send_to_members_only() {
    let world = world();
    let street = world.public("street");
    let homes = [world.behind("home", Kind::Symmetric), world.behind("flat", Kind::Upnp)];
    let founder = world.machine("founder", &street);
    let machines = [world.machine("a", &homes[0]), world.machine("b", &homes[1])];
    // Wherever a member says it is: outside, at its router, on its own network.
    let places = [
        homes[0].public_ipv4(),
        homes[1].public_ipv4(),
        founder.ipv4(),
        machines[0].ipv4(),
        machines[1].ipv4(),
    ];
    let friends: Vec<String> = places.iter().flatten().map(ToString::to_string).collect();
    for home in &homes {
        home.nft(&format!(
            "table inet watch {{ chain forward {{ type filter hook forward priority -20;
                oifname \"ix\" ip daddr != {{ {} }} counter; }}; }}",
            friends.join(", ")
        ));
    }
    let _founder = found(&founder);
    let code = invite(&founder, &["--uses", "2"]);
    let _members = [&machines[0], &machines[1]].map(|machine| join(machine, &code));
    for machine in &machines {
        reaches(machine, &founder);
    }
    // Both try for as long as they would.
    let address = own(&machines[1], "ipv4");
    let _ = machines[0].run("ping", &["-n", "-q", "-c", "50", "-i", "0.2", &address]);
    for home in &homes {
        let listing = home.shell("nft list table inet watch");
        assert!(listing.contains("counter packets 0 "), "{} sends to strangers:\n{listing}", home.name());
    }
}

pub(crate) fn a_member_cannot_speak_in_anothers_name() {
    let world = world();
    let lan = world.lan("lan");
    let [nas, honest, liar] = ["nas", "honest", "liar"].map(|name| world.machine(name, &lan));
    let _nas = found(&nas);
    let _members = [&honest, &liar].map(|machine| join(machine, &invite(&nas, &[])));
    agree(&[&nas, &honest, &liar], 3);
    reaches(&liar, &nas);
    let (address, stolen) = (own(&nas, "ipv4"), own(&honest, "ipv4"));
    let tun = own(&liar, "tun");
    nas.nft(&format!(
        "table inet seen {{ chain input {{ type filter hook input priority 0; ip saddr {stolen} icmp type echo-request counter; }}; }}"
    ));
    let counted = || nas.shell("nft list table inet seen").contains("packets 0 ");
    liar.shell(&format!("ip route del {stolen} dev {tun} 2>/dev/null; ip address add {stolen}/32 dev {tun}"));
    let _ = liar.run("ping", &["-n", "-c", "5", "-i", "0.1", "-W", "1", "-I", &stolen, &address]);
    assert!(counted(), "packets in another's name arrived:\n{}", nas.shell("nft list table inet seen"));
    // The same from the honest one does arrive.
    until(MEET, "the honest one is heard", || (honest.pings(&address, 1) && !counted()).then_some(()));
}

/// T5: whoever routes a peer's own address into the tunnel gets no packets that carry each other.
#[expect(clippy::print_stdout, reason = "the figures are what the lab is for")]
pub(crate) fn a_route_into_the_tunnel_makes_no_loop() {
    let world = world();
    let (street, avenue) = (world.public("street"), world.public("avenue"));
    let (nas, laptop) = (world.machine("nas", &street), world.machine("laptop", &avenue));
    let (_nas, daemon) = (found(&nas), join(&laptop, &invite(&nas, &[])));
    reach_each_other(&nas, &laptop);
    let tunnel = device(&laptop)["interface"].as_str().unwrap_or("warren0").to_owned();
    let through = |word: &str| {
        for (family, address) in
            [("-4", nas.ipv4().map(|ip| ip.to_string())), ("-6", nas.ipv6().map(|ip| ip.to_string()))]
        {
            if let Some(address) = address {
                laptop.shell(&format!("ip {family} route {word} {address} dev {tunnel}"));
            }
        }
    };
    let count = |what: &str, device: &str| {
        let line = laptop.shell(&format!("cat /sys/class/net/{device}/statistics/{what}"));
        line.trim().parse::<u64>().unwrap_or_default()
    };
    through("add");
    let (before, busy) = ([count("tx_bytes", "eth0"), count("tx_bytes", &tunnel)], daemon.processor_time());
    let address = own(&nas, "ipv4");
    let _ = laptop.run("ping", &["-c", "10", "-i", "0.2", "-W", "1", &address]);
    let sent = [count("tx_bytes", "eth0") - before[0], count("tx_bytes", &tunnel) - before[1]];
    let busy = daemon.processor_time().zip(busy).map(|(after, before)| after.saturating_sub(before));
    println!(
        "with its way out routed into the tunnel: {sent:?} bytes out of cable and tunnel, {busy:.2?} busy"
    );
    assert!(sent.iter().all(|bytes| *bytes < 70_000), "{sent:?}");
    through("del");
    reach_each_other(&nas, &laptop);
}
