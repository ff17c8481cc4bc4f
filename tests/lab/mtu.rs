//! Links that carry less than they say, and keep silent about it.

use std::time::Duration;

use warren_netns::{Daemon, Flow, Kind, Machine, World, transfer, until};

use crate::mesh::{MEET, found, invite, join, own, peers, reaches, world};

/// What is downloaded.
const BYTES: u64 = 10_000_000;

/// Also on a busy machine, with a search for the size on the way.
const LIMIT: Duration = Duration::from_secs(60);

fn pair(hole: Option<u16>) -> (World, Machine, Machine, Vec<Daemon>) {
    let world = world();
    let (street, home) = (world.public("street"), world.behind("home", Kind::Restricted));
    let (server, laptop) = (world.machine("server", &street), world.machine("laptop", &home));
    world.middle().set_black_hole(hole);
    let mut daemons = vec![found(&server)];
    daemons.push(join(&laptop, &invite(&server, &[])));
    until(MEET, "they know each other", || (peers(&server).len() == 1).then_some(()));
    reaches(&laptop, &server);
    (world, server, laptop, daemons)
}

#[expect(clippy::print_stdout, reason = "the figures are what the lab is for")]
fn downloads(mtu: u16) {
    let (_world, server, laptop, _daemons) = pair(Some(mtu));
    for (client, other) in [(&laptop, &server), (&server, &laptop)] {
        for family in ["ipv4", "ipv6"] {
            let address = own(other, family).parse().unwrap();
            let taken = transfer(client, other, address, BYTES, LIMIT);
            println!("link of {mtu}: 10 MB to {} by {family} in {taken:.2?}", client.name());
            assert!(
                taken.is_some(),
                "{} downloads {BYTES} bytes by {family} within {LIMIT:?}",
                client.name()
            );
        }
    }
}

pub(crate) fn a_link_of_1492_carries_a_download_both_ways() {
    downloads(1492);
}

pub(crate) fn a_link_of_1400_carries_a_download_both_ways() {
    downloads(1400);
}

pub(crate) fn a_link_of_1280_carries_a_download_both_ways() {
    downloads(1280);
}

/// R43, with routers that do what RFC 1191 asks.
#[expect(clippy::print_stdout, reason = "the figures are what the lab is for")]
pub(crate) fn a_link_that_says_what_it_carries_is_believed() {
    let world = world();
    let (street, home) = (world.public("street"), world.behind("home", Kind::Restricted));
    let (server, laptop) = (world.machine("server", &street), world.machine("laptop", &home));
    home.set_link_mtu(1300);
    let _daemons = [found(&server), join(&laptop, &invite(&server, &[]))];
    reaches(&laptop, &server);
    let taken = transfer(&server, &laptop, own(&laptop, "ipv4").parse().unwrap(), BYTES, LIMIT);
    println!("link of 1300 with ICMP: 10 MB out of it in {taken:.2?}");
    assert!(taken.is_some(), "no 10 MB within {LIMIT:?}");
}

pub(crate) fn a_download_goes_on_when_the_link_narrows() {
    let (world, server, laptop, _daemons) = pair(None);
    let flow = Flow::start(&laptop, &server, own(&server, "ipv4").parse().unwrap());
    flow.goes_on(5_000_000, LIMIT);
    world.middle().set_black_hole(Some(1300));
    flow.goes_on(5_000_000, LIMIT);
}
