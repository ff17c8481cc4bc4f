//! Routers that forget soon.

use std::time::Duration;

use warren_netns::{Kind, within};

use crate::mesh::{found, invite, join, own, reaches, world};

/// Far more than the router remembers, and less than the usual keep-alive.
const SILENCE: Duration = Duration::from_secs(8);
/// The interval is halved with each silence that was too long: 25 s, 12.5 s, … 1.6 s.
const TRIES: usize = 20;

/// T4: a NAT that forgets in 2 s is kept open in the end. That it is not from the start shows that it forgets.
#[expect(clippy::print_stdout, reason = "the figures are what the lab is for")]
pub(crate) fn a_router_that_forgets_in_two_seconds_is_kept_open() {
    let world = world();
    let (street, home) = (world.public("street"), world.behind("home", Kind::Restricted));
    let (founder, laptop) = (world.machine("founder", &street), world.machine("laptop", &home));
    home.forget_udp_after(2);
    let _daemons = [found(&founder), join(&laptop, &invite(&founder, &[]))];
    reaches(&founder, &laptop);
    let address = own(&laptop, "ipv4");
    let mut heard = Vec::new();
    while !heard.ends_with(&[true; 3]) && heard.len() < TRIES {
        let _ = within(SILENCE, || None::<()>);
        heard.push(founder.pings(&address, 1));
    }
    let lost = heard.iter().filter(|heard| !**heard).count();
    println!("a router that forgets in 2 s: {lost} first pings of {} lost, then none", heard.len());
    assert!(heard.ends_with(&[true; 3]), "{heard:?}");
    assert!(lost > 0, "the router forgets nothing");
}
