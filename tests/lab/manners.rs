//! What a node asks of the routers around it.

use std::process::Command;
use std::time::{Duration, Instant};

use warren_netns::{Daemon, Kind, Machine, until, within};

use crate::mesh::{MEET, STOP, found, invite, join, peers, reaches, restart, status, world};

/// Members that are there no more.
const GONE: usize = 100;

/// One join, on a busy machine.
const JOINS: Duration = Duration::from_secs(30);

/// The bars: entries in the router's table, and packets a second once the start is over.
const MOST_TRACKED: usize = 64;
const MOST_PACKETS: u64 = 50;

/// A member that joins and goes, without a word, once the founder knows it. All of them do so on one machine, one
/// after the other, each with a state and a port of its own; together they would let in each other, unknown to the
/// founder.
fn come_and_go(machine: &Machine, founder: &Machine, code: &str, number: usize) {
    let (directory, warren) = (machine.directory().display().to_string(), env!("CARGO_BIN_EXE_warren"));
    let mut command = Command::new("sh");
    command.args(["-c", r#"log=$1; shift; exec "$@" >>"$log" 2>&1 </dev/null"#, "sh"]);
    command.arg(format!("{directory}/daemon.log"));
    command.args([warren, "up", code, "--name", &format!("gone{number}")]);
    command.args(["--state", &format!("{directory}/state{number}")]);
    command.args(["--socket", &format!("{directory}/socket{number}")]);
    command.args(["--tun", "gone", "--port", &(30_000 + number).to_string()]);
    let mut daemon = machine.spawn(&command);
    // The laptop is one of its peers as well.
    until(JOINS, &format!("member {number} has joined"), || {
        (peers(founder).len() > number + 1).then_some(())
    });
    let _ = daemon.kill();
    let _ = daemon.wait();
}

#[expect(clippy::print_stdout, reason = "the figures are what the lab is for")]
#[expect(clippy::disallowed_methods, reason = "a test bench lives in real time")]
pub(crate) fn a_hundred_dead_members_do_not_fill_a_small_router() {
    let world = world();
    let (street, home) = (world.public("street"), world.behind("home", Kind::Restricted));
    let (avenue, founder) = (world.public("avenue"), world.machine("founder", &street));
    let crowd = world.machine("crowd", &avenue);
    let laptop = world.machine("laptop", &home);
    let _founder = found(&founder);
    let code = invite(&founder, &["--uses", &(GONE + 1).to_string()]);
    let daemon = join(&laptop, &code);
    for number in 0..GONE {
        come_and_go(&crowd, &founder, &code, number);
    }
    let known = || (peers(&laptop).len() == GONE + 1).then_some(());
    let everybody = within(2 * MEET, known).is_some();
    assert!(everybody, "the laptop knows {}, the founder {}", peers(&laptop).len(), peers(&founder).len());
    crowd.set_cable(false);
    daemon.stop(STOP);
    home.limit_tracked(1024);
    home.forget();

    let _daemon = restart(&laptop);
    // Something for everybody, so that every one of them is wanted: the worst of what a user may do.
    let addresses: Vec<String> =
        peers(&laptop).iter().filter_map(|peer| peer["ipv4"].as_str().map(str::to_owned)).collect();
    let line =
        format!("for a in {}; do ping -n -q -c 1 -W 1 $a >/dev/null & done; wait", addresses.join(" "));
    let mut command = Command::new("sh");
    command.args(["-c", &line]);
    let mut pinging = laptop.spawn(&command);
    let begin = Instant::now();
    let (mut tracked, mut first_ten, mut worst, mut window) = (0, 0, 0, Vec::new());
    let start = home.sent();
    let _ = within(Duration::from_secs(40), || {
        let (now, sent) = (begin.elapsed(), home.sent());
        tracked = tracked.max(home.tracked());
        if now < Duration::from_secs(10) {
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
    println!(
        "{GONE} dead members: at most {tracked} entries in the router's table, {first_ten} packets in the first 10 s, then at most {worst} a second"
    );
    assert!(tracked <= MOST_TRACKED, "{tracked} entries in the router's table");
    assert!(worst <= MOST_PACKETS, "{worst} packets a second");
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
