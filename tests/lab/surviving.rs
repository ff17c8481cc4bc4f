//! A download through the mesh outlives what happens to the paths below it.

use std::time::{Duration, Instant};

use warren_netns::{Daemon, Flow, Kind, Machine, Network, World, until};

use crate::cell::path;
use crate::mesh::{MEET, found, invite, join, own, peers, reaches, restart, world};

/// Enough to know that it flows: a second of the download.
const FLOWING: u64 = 1_500_000;

/// Far past any bar: by then the connection is as good as dead.
const LIMIT: Duration = Duration::from_secs(60);

/// A founder in the open, and two members behind their kinds of network, of which `a` downloads from `b`.
struct Pair {
    world: World,
    founder: Machine,
    networks: [Network; 2],
    a: Machine,
    b: Machine,
    daemons: Vec<Daemon>,
}

fn pair(one: Kind, other: Kind) -> Pair {
    let world = world();
    let street = world.public("street");
    let networks = [world.behind("net-a", one), world.behind("net-b", other)];
    let founder = world.machine("founder", &street);
    let (a, b) = (world.machine("a", &networks[0]), world.machine("b", &networks[1]));
    let mut daemons = vec![found(&founder)];
    let code = invite(&founder, &["--uses", "5"]);
    daemons.extend([&a, &b].map(|machine| join(machine, &code)));
    until(MEET, "a and b know each other", || (peers(&a).len() == 2 && peers(&b).len() == 2).then_some(()));
    Pair { world, founder, networks, a, b, daemons }
}

impl Pair {
    /// Starts the download once both ends have this kind of path.
    fn flow(&self, kind: &str) -> Flow {
        reaches(&self.a, &self.b);
        let flow = Flow::start(&self.a, &self.b, own(&self.b, "ipv4").parse().unwrap());
        flow.goes_on(FLOWING, LIMIT);
        self.has_path(kind);
        flow.goes_on(FLOWING, LIMIT);
        flow.mark();
        flow
    }

    fn has_path(&self, kind: &str) {
        until(LIMIT, &format!("a and b are connected: {kind}"), || {
            (path(&self.a, "b") == kind && path(&self.b, "a") == kind).then_some(())
        });
    }
}

/// Prints the outage, which must be within the bar.
#[expect(clippy::print_stdout, reason = "the figures are what the lab is for")]
fn bar(what: &str, flow: &Flow, seconds: u64) {
    let outage = flow.outage();
    println!("{what}: the download stood still for {outage:.2?} (bar: {seconds} s)");
    assert!(outage <= Duration::from_secs(seconds), "{what}: {outage:?}");
}

pub(crate) fn a_download_survives_an_address_change() {
    let pair = pair(Kind::Restricted, Kind::Restricted);
    let flow = pair.flow("direct");
    pair.a.change_address();
    flow.goes_on(2 * FLOWING, LIMIT);
    bar("address change", &flow, 3);
    pair.has_path("direct");
}

pub(crate) fn a_download_survives_an_address_change_of_its_source() {
    let pair = pair(Kind::Restricted, Kind::Restricted);
    let flow = pair.flow("direct");
    pair.b.change_address();
    flow.goes_on(2 * FLOWING, LIMIT);
    bar("address change of the source", &flow, 3);
    pair.has_path("direct");
}

pub(crate) fn a_download_survives_a_nat_that_forgets() {
    let pair = pair(Kind::Restricted, Kind::Restricted);
    let flow = pair.flow("direct");
    pair.networks[0].rebind();
    flow.goes_on(2 * FLOWING, LIMIT);
    bar("NAT rebinding", &flow, 3);
    pair.has_path("direct");
}

pub(crate) fn a_download_survives_the_death_of_its_relay() {
    let mut pair = pair(Kind::Symmetric, Kind::Symmetric);
    let avenue = pair.world.public("avenue");
    let second = pair.world.machine("second", &avenue);
    let spare = join(&second, &invite(&pair.founder, &[]));
    until(MEET, "both know the second relay", || {
        [&pair.a, &pair.b].iter().all(|machine| peers(machine).len() == 3).then_some(())
    });
    reaches(&pair.a, &second);
    reaches(&pair.b, &second);
    let flow = pair.flow("relay");
    let via = || {
        let relay = peers(&pair.a).into_iter().find(|peer| peer["name"] == "b")?["path"]["via"].clone();
        relay.as_str().map(str::to_owned)
    };
    let relay = until(LIMIT, "a says which relay it uses", via);
    let (dead, left) =
        if relay.starts_with("founder") { (pair.daemons.remove(0), "second") } else { (spare, "founder") };
    flow.mark();
    dead.kill();
    flow.goes_on(2 * FLOWING, LIMIT);
    bar("relay killed", &flow, 5);
    until(LIMIT, "the other relay is named", || via().filter(|name| name.starts_with(left)));
}

pub(crate) fn a_download_survives_a_direct_path_that_falls_silent() {
    let pair = pair(Kind::Restricted, Kind::Restricted);
    let flow = pair.flow("direct");
    pair.world.middle().part(&pair.networks[0], &pair.networks[1]);
    flow.goes_on(2 * FLOWING, LIMIT);
    bar("direct path dropped", &flow, 10);
    pair.has_path("relay");
    pair.world.middle().join(&pair.networks[0], &pair.networks[1]);
    pair.has_path("direct");
}

/// T29: nobody is in the middle of a direct path.
pub(crate) fn a_download_does_not_need_the_founder() {
    let mut pair = pair(Kind::Restricted, Kind::Restricted);
    let flow = pair.flow("direct");
    pair.daemons.remove(0).kill();
    let lost = || peers(&pair.a).iter().any(|peer| peer["name"] == "founder" && peer["online"] == false);
    until(2 * LIMIT, "a misses the founder", || lost().then_some(()));
    flow.goes_on(2 * FLOWING, LIMIT);
    bar("founder killed", &flow, 1);
    pair.has_path("direct");
}

/// T19: a daemon that is killed under load is back at once, and again.
#[expect(clippy::print_stdout, reason = "the figures are what the lab is for")]
#[expect(clippy::disallowed_methods, reason = "a test bench lives in real time")]
pub(crate) fn a_daemon_killed_under_load_is_back_within_seconds() {
    let mut pair = pair(Kind::Restricted, Kind::Restricted);
    let _flow = pair.flow("direct");
    let address = own(&pair.b, "ipv4");
    let mut daemon = pair.daemons.remove(2);
    for time in ["first", "second"] {
        daemon.kill();
        daemon = restart(&pair.b);
        let begin = Instant::now();
        until(Duration::from_secs(5), "a pings b again", || pair.a.pings(&address, 1).then_some(()));
        println!("killed the {time} time: pinged {:.2?} after it was up", begin.elapsed());
    }
}

pub(crate) fn a_frozen_daemon_comes_back_without_a_burst() {
    let pair = pair(Kind::Restricted, Kind::Restricted);
    reaches(&pair.a, &pair.b);
    pair.has_path("direct");
    let daemon = &pair.daemons[1];
    daemon.freeze();
    let until_lost = || peers(&pair.b).iter().any(|peer| peer["name"] == "a" && peer["online"] == false);
    until(LIMIT, "b has given up on a", || until_lost().then_some(()));
    let before = pair.networks[0].sent();
    daemon.thaw();
    let address = own(&pair.b, "ipv4");
    until(Duration::from_secs(5), "a pings b again", || pair.a.pings(&address, 1).then_some(()));
    let sent = pair.networks[0].sent() - before;
    assert!(sent < 400, "{sent} packets after waking up");
}
