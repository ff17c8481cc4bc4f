//! Links that carry less than an Ethernet: some keep silent about it, some say so.

use std::time::Duration;

use warren_netns::{Daemon, Flow, Kind, Machine, Middle, World, transfer, until};

use crate::mesh::{MEET, found, invite, join, own, peers, reaches, world};

/// What is downloaded.
const BYTES: u64 = 10_000_000;

/// Also on a busy machine, with a search for the size on the way.
const LIMIT: Duration = Duration::from_secs(60);

fn pair(kind: Kind, weather: impl Fn(&Middle)) -> (World, Machine, Machine, Vec<Daemon>) {
    let world = world();
    let (street, home) = (world.public("street"), world.behind("home", kind));
    let (server, laptop) = (world.machine("server", &street), world.machine("laptop", &home));
    weather(world.middle());
    [&server, &laptop].into_iter().for_each(Machine::count_too_big);
    let mut daemons = vec![found(&server)];
    daemons.push(join(&laptop, &invite(&server, &[])));
    until(MEET, "they know each other", || (peers(&server).len() == 1).then_some(()));
    reaches(&laptop, &server);
    (world, server, laptop, daemons)
}

#[expect(clippy::print_stdout, reason = "the figures are what the lab is for")]
fn downloads(what: &str, server: &Machine, laptop: &Machine) {
    for (client, other) in [(laptop, server), (server, laptop)] {
        for family in ["ipv4", "ipv6"] {
            let address = own(other, family).parse().unwrap();
            let taken = transfer(client, other, address, BYTES, LIMIT);
            println!("{what}: 10 MB to {} by {family} in {taken:.2?}", client.name());
            assert!(
                taken.is_some(),
                "{} downloads {BYTES} bytes by {family} within {LIMIT:?}",
                client.name()
            );
        }
    }
}

fn silent(mtu: u16) {
    let (_world, server, laptop, _daemons) =
        pair(Kind::Restricted, |middle| middle.set_black_hole(Some(mtu)));
    downloads(&format!("silent link of {mtu}"), &server, &laptop);
}

/// Both ends must have been told, else this is a silent one.
#[expect(clippy::print_stdout, reason = "the figures are what the lab is for")]
fn honest(mtu: u16, kind: Kind) {
    let (_world, server, laptop, _daemons) = pair(kind, |middle| middle.set_link(Some(mtu)));
    downloads(&format!("honest link of {mtu}, {kind}"), &server, &laptop);
    let told = [&server, &laptop].map(Machine::told_too_big);
    println!("honest link of {mtu}, {kind}: the two were told {told:?} times that a packet is too big");
    assert!(told.iter().all(|told| *told > 0), "{told:?}");
}

pub(crate) fn a_link_of_1492_carries_a_download_both_ways() {
    silent(1492);
}

pub(crate) fn a_link_of_1400_carries_a_download_both_ways() {
    silent(1400);
}

pub(crate) fn a_link_of_1280_carries_a_download_both_ways() {
    silent(1280);
}

pub(crate) fn an_honest_link_of_1280_carries_a_download_both_ways() {
    honest(1280, Kind::Restricted);
}

pub(crate) fn an_honest_link_of_1280_carries_a_download_both_ways_by_ipv6() {
    honest(1280, Kind::SixOnly);
}

pub(crate) fn a_download_goes_on_when_the_link_narrows() {
    let (world, server, laptop, _daemons) = pair(Kind::Restricted, |_| {});
    let flow = Flow::start(&laptop, &server, own(&server, "ipv4").parse().unwrap());
    flow.goes_on(5_000_000, LIMIT);
    world.middle().set_black_hole(Some(1300));
    flow.goes_on(5_000_000, LIMIT);
}
