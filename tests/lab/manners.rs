//! What a node asks of the routers around it.

use std::collections::BTreeSet;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use warren_netns::{Daemon, Kind, Machine, Network, until, within};

use crate::mesh::{LOST, MEET, STOP, found, invite, join, peers, reaches, restart, status, world};

/// Members that are there no more.
const GONE: usize = 100;

/// One join and one ping, on a busy machine.
const JOINS: Duration = Duration::from_secs(30);

/// The bars: entries in the router's table, and packets a second once the start is over.
const MOST_TRACKED: usize = 64;
const MOST_PACKETS: u64 = 50;

/// For how long they are counted: as long as the first calls are repeated, and the router remembers them.
const COUNTED: Duration = Duration::from_secs(40);
const START: Duration = Duration::from_secs(10);

/// A member that joins, answers the laptop, and goes without a word. All of them do so on one machine, one after the
/// other, each with a state and a port of its own.
fn come_and_go(machine: &Machine, laptop: &Machine, code: &str, number: usize) {
    let (directory, warren) = (machine.directory().display().to_string(), env!("CARGO_BIN_EXE_warren"));
    let name = format!("gone{number}");
    let mut command = Command::new("sh");
    command.args(["-c", r#"log=$1; shift; exec "$@" >>"$log" 2>&1 </dev/null"#, "sh"]);
    command.arg(format!("{directory}/daemon.log"));
    command.args([warren, "up", code, "--name", &name]);
    command.args(["--state", &format!("{directory}/state{number}")]);
    command.args(["--socket", &format!("{directory}/socket{number}")]);
    command.args(["--tun", "gone", "--port", &(30_000 + number).to_string()]);
    let mut daemon = machine.spawn(&command);
    // So the laptop knows where it is, for packets and for control connections.
    until(JOINS, &format!("{name} answers the laptop"), || {
        let peer = peers(laptop).into_iter().find(|peer| peer["name"] == name.as_str())?;
        laptop.pings(peer["ipv4"].as_str()?, 1).then_some(())
    });
    let _ = daemon.kill();
    let _ = daemon.wait();
}

/// Something for everybody, so that every one of them is wanted: the worst of what a user may do.
fn ping_everybody(laptop: &Machine) -> Child {
    let peers = peers(laptop);
    let addresses: Vec<&str> = peers.iter().filter_map(|peer| peer["ipv4"].as_str()).collect();
    let line =
        format!("for a in {}; do ping -n -q -c 1 -W 1 $a >/dev/null & done; wait", addresses.join(" "));
    let mut command = Command::new("sh");
    command.args(["-c", &line]);
    laptop.spawn(&command)
}

/// Pings all the dead from a router that remembers nothing, and holds what that makes against the bars. At least `tried`
/// of their sockets must have been called, else this is no worst case.
#[expect(clippy::print_stdout, reason = "the figures are what the lab is for")]
#[expect(clippy::disallowed_methods, reason = "a test bench lives in real time")]
fn count(what: &str, laptop: &Machine, home: &Network, crowd: &str, tried: usize) {
    home.forget();
    let mut pinging = ping_everybody(laptop);
    let begin = Instant::now();
    let (mut tracked, mut first_ten, mut worst, mut window) = (0, 0, 0, Vec::new());
    let mut sockets = BTreeSet::new();
    let start = home.sent();
    let _ = within(COUNTED, || {
        let (now, sent) = (begin.elapsed(), home.sent());
        tracked = tracked.max(home.tracked());
        sockets.extend(home.tracked_towards(crowd));
        if now < START {
            first_ten = sent - start;
        } else {
            window.push((now, sent));
            // Over five seconds: a second has its chances.
            let then = window.iter().find(|(at, _)| now.saturating_sub(*at) <= Duration::from_secs(5))?;
            if now.saturating_sub(then.0) > Duration::from_secs(4) {
                worst = worst.max((sent - then.1) * 1000 / (now - then.0).as_millis() as u64);
            }
        }
        None::<()>
    });
    let _ = pinging.kill();
    let _ = pinging.wait();
    let called = sockets.len();
    println!(
        "{what}: {called} sockets of {GONE} dead members called, at most {tracked} entries in the router's table, \
         {first_ten} packets in the first {START:?}, then at most {worst} a second"
    );
    assert!(called >= tried, "{what}: only {called} sockets were called");
    assert!(tracked <= MOST_TRACKED, "{what}: {tracked} entries in the router's table");
    assert!(worst <= MOST_PACKETS, "{what}: {worst} packets a second");
}

pub(crate) fn a_hundred_dead_members_do_not_fill_a_small_router() {
    let world = world();
    let (street, home) = (world.public("street"), world.behind("home", Kind::Restricted));
    let (avenue, founder) = (world.public("avenue"), world.machine("founder", &street));
    let (crowd, laptop) = (world.machine("crowd", &avenue), world.machine("laptop", &home));
    // Two addresses for each of them that lead somewhere from this home, and none that does not.
    let network = crowd.ipv4().map(|ip| ip.octets()).unwrap_or_default();
    let network = format!("{}.{}.{}.", network[0], network[1], network[2]);
    crowd
        .shell(&format!("ip -6 address flush dev eth0 scope global; ip address add {network}77/24 dev eth0"));
    let _founder = found(&founder);
    let code = invite(&founder, &["--uses", &(GONE + 1).to_string()]);
    let daemon = join(&laptop, &code);
    for number in 0..GONE {
        come_and_go(&crowd, &laptop, &code, number);
    }
    crowd.set_cable(false);
    until(LOST, "the laptop has given up on all of them", || {
        let online = peers(&laptop).iter().filter(|peer| peer["online"] == true).count();
        (online == 1).then_some(())
    });
    home.limit_tracked(1024);
    count("they died one by one", &laptop, &home, &network, 45);
    daemon.stop(STOP);
    let _daemon = restart(&laptop);
    count("they were dead already", &laptop, &home, &network, 30);
    reaches(&laptop, &founder);
}

/// For how long a quiet mesh is watched here; `tests/bench/idle.sh` takes ten minutes.
const WATCHED: Duration = Duration::from_secs(30);

#[expect(clippy::print_stdout, reason = "the figures are what the lab is for")]
pub(crate) fn a_quiet_mesh_keeps_its_paths_and_says_little() {
    let world = world();
    let (street, home, flat) = (
        world.public("street"),
        world.behind("home", Kind::Restricted),
        world.behind("flat", Kind::Symmetric),
    );
    let founder = world.machine("founder", &street);
    let (a, b) = (world.machine("a", &home), world.machine("b", &flat));
    let _founder = found(&founder);
    let code = invite(&founder, &["--uses", "2"]);
    let _members: Vec<Daemon> = [&a, &b].map(|machine| join(machine, &code)).into_iter().collect();
    let paths = || {
        let paths_of = |machine: &Machine| {
            let of = |peer: &serde_json::Value| format!("{}: {}", peer["name"], peer["path"]["kind"]);
            let mut lines: Vec<String> =
                status(machine)["peers"].as_array().into_iter().flatten().map(of).collect();
            lines.sort();
            lines
        };
        [&founder, &a, &b].map(paths_of)
    };
    for machine in [&a, &b] {
        reaches(machine, &founder);
    }
    // The same for five seconds in a row, then it is quiet.
    let mut last = (paths(), 0);
    until(2 * MEET, "the paths settle", || {
        let now = paths();
        last.1 = if now == last.0 { last.1 + 1 } else { 0 };
        last.0 = now;
        (last.1 >= 40).then_some(())
    });
    let (before, sent) = (paths(), [home.sent(), flat.sent()]);
    let mut changes = Vec::new();
    let _ = within(WATCHED, || {
        let now = paths();
        if now != before {
            changes.push(now);
        }
        (!changes.is_empty()).then_some(())
    });
    let sent = [home.sent() - sent[0], flat.sent() - sent[1]];
    println!("quiet for {WATCHED:?}: {sent:?} packets sent by the two routers");
    assert!(changes.is_empty(), "{before:?} became {changes:?}");
    assert!(sent.iter().all(|sent| *sent < 20 * WATCHED.as_secs()), "{sent:?} packets in {WATCHED:?}");
}
