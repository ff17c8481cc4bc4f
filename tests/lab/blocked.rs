//! Where UDP does not get out.

use std::time::Duration;

use warren_netns::{Kind, until};

use crate::cell::path;
use crate::mesh::{MEET, agree, found, invite, join, own, peers, reach_each_other, world};

/// Giving up on UDP takes its time; the bar for being connected is 10 s.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn a_member_without_udp_reaches_the_founder_in_a_stream() {
    let world = world();
    let (street, office) = (world.public("street"), world.behind("office", Kind::Blocked));
    let (founder, member) = (world.machine("founder", &street), world.machine("member", &office));
    let _founder = found(&founder);
    let _member = join(&member, &invite(&founder, &[]));
    reach_each_other(&founder, &member);
    until(LIMIT, "both say that it is a stream", || {
        (path(&member, "founder") == "stream" && path(&founder, "member") == "stream").then_some(())
    });
}

pub(crate) fn two_members_without_udp_meet_through_the_founder() {
    let world = world();
    let street = world.public("street");
    let (office, hotel) = (world.behind("office", Kind::Blocked), world.behind("hotel", Kind::Blocked));
    // Else two that call each other by TCP at the same moment get through without anybody's help.
    for network in [&office, &hotel] {
        network.nft(
            "table inet strict { chain forward { type filter hook forward priority -10;
                iifname \"ix\" tcp flags & (syn | ack) == syn drop; }; }",
        );
    }
    let founder = world.machine("founder", &street);
    let (a, b) = (world.machine("a", &office), world.machine("b", &hotel));
    let _founder = found(&founder);
    let code = invite(&founder, &["--uses", "2"]);
    let _members = [&a, &b].map(|machine| join(machine, &code));
    agree(&[&founder, &a, &b], 3);
    let address = own(&b, "ipv4");
    until(LIMIT, "a pings b", || a.pings(&address, 1).then_some(()));
    until(LIMIT, "both say that it is a stream", || {
        (path(&a, "b") == "stream" && path(&b, "a") == "stream").then_some(())
    });
    let via = |peer: serde_json::Value| peer["path"]["via"].as_str().map(str::to_owned);
    let relay = peers(&a).into_iter().find(|peer| peer["name"] == "b").and_then(via);
    assert!(relay.is_some_and(|name| name.starts_with("founder")), "{:?}", peers(&a));
}

pub(crate) fn udp_that_is_let_out_again_is_used_again() {
    let world = world();
    let (street, office) = (world.public("street"), world.behind("office", Kind::Blocked));
    let (founder, member) = (world.machine("founder", &street), world.machine("member", &office));
    let _founder = found(&founder);
    let _member = join(&member, &invite(&founder, &[]));
    until(LIMIT, "a stream", || (path(&member, "founder") == "stream").then_some(()));
    let handle = office.shell("nft -a list chain inet guard forward | sed -n 's/.*udp drop # handle //p'");
    office.shell(&format!("nft delete rule inet guard forward handle {}", handle.trim()));
    until(2 * MEET, "a direct path", || (path(&member, "founder") == "direct").then_some(()));
}
