//! Port mapping, with a real miniupnpd on the router.

use std::time::Duration;

use warren_netns::{Kind, Network, until};

use crate::mesh::{STOP, device, found, invite, join, reach_each_other, restart, world};

/// Asking the router takes a moment; noticing that it forgot takes longer.
const MAPPED: Duration = Duration::from_secs(20);
const NOTICED: Duration = Duration::from_secs(90);

fn mapped(network: &Network, port: &str, limit: Duration) {
    until(limit, "the router maps the port", || {
        network.mapper().mappings().iter().any(|line| line.contains(port)).then_some(())
    });
}

pub(crate) fn a_port_is_mapped_and_given_back() {
    let world = world();
    let (street, home) = (world.public("street"), world.behind("home", Kind::Upnp));
    let (founder, member) = (world.machine("founder", &street), world.machine("member", &home));
    let _founder = found(&founder);
    let daemon = join(&member, &invite(&founder, &[]));
    let port = device(&member)["port"].to_string();
    mapped(&home, &port, MAPPED);
    reach_each_other(&founder, &member);
    daemon.stop(STOP);
    assert_eq!(home.mapper().mappings(), [""; 0], "what was mapped is given back");
    let daemon = restart(&member);
    mapped(&home, &port, MAPPED);
    daemon.stop(STOP);
}

pub(crate) fn a_mapping_is_made_again_when_the_router_forgot_it() {
    let world = world();
    let (street, home) = (world.public("street"), world.behind("home", Kind::Upnp));
    let (founder, member) = (world.machine("founder", &street), world.machine("member", &home));
    let _founder = found(&founder);
    let _member = join(&member, &invite(&founder, &[]));
    let port = device(&member)["port"].to_string();
    mapped(&home, &port, MAPPED);
    home.mapper().reset();
    assert_eq!(home.mapper().mappings(), [""; 0]);
    mapped(&home, &port, NOTICED);
}

pub(crate) fn a_mapped_member_is_reached_where_guessing_would_be_needed() {
    let world = world();
    let (home, hotel) = (world.behind("home", Kind::Upnp), world.behind("hotel", Kind::Symmetric));
    let street = world.public("street");
    let founder = world.machine("founder", &street);
    let (member, guest) = (world.machine("member", &home), world.machine("guest", &hotel));
    let _founder = found(&founder);
    let code = invite(&founder, &["--uses", "2"]);
    let _members = [&member, &guest].map(|machine| join(machine, &code));
    mapped(&home, &device(&member)["port"].to_string(), MAPPED);
    until(MAPPED, "they know each other", || (crate::mesh::peers(&guest).len() == 2).then_some(()));
    reach_each_other(&guest, &member);
    until(MAPPED, "their path is direct", || (crate::cell::path(&guest, "member") == "direct").then_some(()));
}
