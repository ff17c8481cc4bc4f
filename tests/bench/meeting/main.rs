//! How long it takes to be together: `up CODE` to the first ping reply, and restart to the first ping reply.
//!
//! `tests/bench/join_time.sh [--runs N]`, ten runs by default. Every run is a fresh world. The clock runs from
//! the start of the process to the first reply that ping(8) on the same machine gets through the mesh.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its table")]

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use warren_netns::{Daemon, Machine, World, until, within};

/// Past this something is broken.
const LIMIT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let runs = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Some(10),
        ["--runs", number] => number.parse::<usize>().ok().filter(|runs| *runs > 0),
        _ => None,
    };
    let Some(runs) = runs else {
        eprintln!("usage: join_time.sh [--runs N]");
        return ExitCode::from(2);
    };
    if let Err(message) = warren_netns::enter_user_namespace() {
        eprintln!("{message}");
        return ExitCode::FAILURE;
    }
    println!("{runs} runs, seconds{:>34} {:>8}", "median", "maximum");
    report("`up CODE` to first ping, same LAN", runs, || joining(&Place::Lan));
    report("`up CODE` to first ping, home router", runs, || joining(&Place::Home));
    report("restart of one to first ping", runs, || restarting(&Place::Lan, true));
    report("restart of all to first ping", runs, || restarting(&Place::Lan, false));
    ExitCode::SUCCESS
}

/// Where the second machine is.
enum Place {
    /// On the founder's network.
    Lan,
    /// Behind a home router, the founder having a public address.
    Home,
}

fn machines(world: &World, place: &Place) -> (Machine, Machine) {
    match place {
        Place::Lan => {
            let lan = world.lan("lan");
            (world.machine("founder", &lan), world.machine("device", &lan))
        }
        Place::Home => {
            (world.machine("founder", &world.public("street")), world.machine("device", &world.home("home")))
        }
    }
}

fn found(founder: &Machine) -> (Daemon, String, String) {
    let daemon = founder.up(&["--name", "founder"]).ready(LIMIT);
    let status = founder.warren(&["status", "--json"]).expect_success().json();
    let address = status["device"]["ipv4"].as_str().unwrap_or_default().to_owned();
    let code = founder.warren(&["invite"]).expect_success().text().to_owned();
    (daemon, address, code)
}

fn joining(place: &Place) -> Duration {
    let world = World::new(Path::new(env!("CARGO_BIN_EXE_warren")));
    let (founder, device) = machines(&world, place);
    let (_founder, address, code) = found(&founder);
    first_reply(&device, &address, || device.up(&[&code, "--name", "device"])).0
}

fn restarting(place: &Place, one: bool) -> Duration {
    let world = World::new(Path::new(env!("CARGO_BIN_EXE_warren")));
    let (founder, device) = machines(&world, place);
    let (first, address, code) = found(&founder);
    let (_, second) = first_reply(&device, &address, || device.up(&[&code, "--name", "device"]));
    let second = second.ready(LIMIT);
    // Long enough for both to have written down where the other is.
    until(LIMIT, "a path", || {
        let status = device.warren(&["status", "--json"]).expect_success().json();
        (!status["peers"][0]["path"].is_null()).then_some(())
    });
    second.signal(Signal::KILL);
    drop(second);
    if one {
        return first_reply(&device, &address, || device.up(&[])).0;
    }
    first.kill();
    let _founder = founder.up(&[]);
    first_reply(&device, &address, || device.up(&[])).0
}

/// The time from `start` to the first reply from `address`, and what was started.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn first_reply(machine: &Machine, address: &str, start: impl FnOnce() -> Daemon) -> (Duration, Daemon) {
    let begin = Instant::now();
    let daemon = start();
    // A breath between two tries, or the pinging would take the CPU from what it waits for.
    let line = format!("until ping -n -q -c 1 -W 0.2 {address} >/dev/null 2>&1; do sleep 0.005; done");
    let mut command = Command::new("sh");
    command.args(["-c", &line]);
    let mut pinging = machine.spawn(&command);
    let end = within(LIMIT, || pinging.try_wait().ok().flatten());
    let taken = begin.elapsed();
    let _ = pinging.kill();
    let _ = pinging.wait();
    assert!(end.is_some(), "no reply from {address} in {LIMIT:?}:\n{}", daemon.log());
    (taken, daemon)
}

fn report(what: &str, runs: usize, run: impl Fn() -> Duration) {
    let mut times: Vec<f64> = (0..runs).map(|_| run().as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let maximum = times[times.len() - 1];
    println!("{what:<38} {median:>8.3} {maximum:>8.3}");
}
