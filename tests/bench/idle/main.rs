//! What members cost that say nothing: bytes, processor time and memory, and whether a path changed meanwhile.
//!
//! `tests/bench/idle.sh [--members N] [--seconds N]`, 20 members and 600 s by default. All are on one network, so
//! that nothing but the mesh itself is measured; every member knows every other and has pinged it once.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its table")]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use warren_netns::{Daemon, Machine, World, until, within};

/// Joining and settling, all on two processors.
const LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let mut order = (20_usize, 600_u64);
    for pair in words.chunks(2) {
        match pair.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["--members", number] => order.0 = number.parse().unwrap_or(0),
            ["--seconds", number] => order.1 = number.parse().unwrap_or(0),
            _ => order.0 = 0,
        }
    }
    if order.0 < 2 || order.1 == 0 {
        eprintln!("usage: idle.sh [--members N] [--seconds N]");
        return ExitCode::from(2);
    }
    if let Err(message) = warren_netns::enter_user_namespace() {
        eprintln!("{message}");
        return ExitCode::FAILURE;
    }
    if measure(order.0, Duration::from_secs(order.1)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every path of `machine`, one a line.
fn paths(machine: &Machine) -> Vec<String> {
    let status = machine.warren(&["status", "--json"]).expect_success().json();
    let line = |peer: &serde_json::Value| {
        format!("{} {} {}", peer["name"], peer["path"]["kind"], peer["path"]["endpoint"])
    };
    let mut lines: Vec<String> = status["peers"].as_array().into_iter().flatten().map(line).collect();
    lines.sort();
    lines
}

/// What has gone out of the machine's cable, in bytes.
fn sent(machine: &Machine) -> u64 {
    let table = machine.shell("cat /proc/net/dev");
    let line = table.lines().find_map(|line| line.trim().strip_prefix("eth0:"));
    line.and_then(|line| line.split_whitespace().nth(8)?.parse().ok()).unwrap_or_default()
}

fn measure(members: usize, time: Duration) -> bool {
    let world = World::new(Path::new(env!("CARGO_BIN_EXE_warren")));
    let street = world.public("street");
    let machines: Vec<Machine> =
        (0..members).map(|number| world.machine(&format!("m{number}"), &street)).collect();
    let mut daemons: Vec<Daemon> = vec![machines[0].up(&["--name", "m0"]).ready(LIMIT)];
    let uses = members.to_string();
    let code = machines[0].warren(&["invite", "--uses", &uses]).expect_success().text().to_owned();
    for machine in &machines[1..] {
        daemons.push(machine.up(&[&code, "--name", machine.name()]).ready(LIMIT));
    }
    let own = |machine: &Machine| {
        let status = machine.warren(&["status", "--json"]).expect_success().json();
        status["device"]["ipv4"].as_str().unwrap_or_default().to_owned()
    };
    let all: Vec<String> = machines.iter().map(own).collect();
    for machine in &machines {
        let line =
            format!("for a in {}; do ping -n -q -c 1 -W 1 $a >/dev/null || exit 1; done", all.join(" "));
        until(LIMIT, "everybody pings everybody", || {
            machine.run("sh", &["-c", &line]).succeeded().then_some(())
        });
    }
    // Half a minute in which nothing changes: what the pings began has ended.
    let mut last = (Vec::new(), 0);
    until(LIMIT, "the paths settle", || {
        let now: Vec<_> = machines.iter().map(paths).collect();
        last.1 = if now == last.0 { last.1 + 1 } else { 0 };
        last.0 = now;
        (last.1 >= 5).then_some(())
    });
    let before = last.0;
    let processor = |daemon: &Daemon| daemon.processor_time().unwrap_or_default();
    let used: Vec<Duration> = daemons.iter().map(processor).collect();
    let bytes: Vec<u64> = machines.iter().map(sent).collect();
    // Nobody is asked anything meanwhile: answering is work.
    let _ = within(time, || None::<()>);
    let used: Vec<f64> =
        daemons.iter().zip(used).map(|(daemon, then)| (processor(daemon) - then).as_secs_f64()).collect();
    let bytes: Vec<u64> = machines.iter().zip(bytes).map(|(machine, then)| sent(machine) - then).collect();
    let after: Vec<_> = machines.iter().map(paths).collect();
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();

    let seconds = time.as_secs_f64();
    let a_day = |bytes: u64| bytes as f64 / seconds * 86_400.0 / 1e6 / (members - 1) as f64;
    let memory: Vec<f64> =
        daemons.iter().filter_map(Daemon::resident_kib).map(|kib| kib as f64 / 1024.0).collect();
    println!("{members} members, {seconds} s of silence{:>26} {:>9}", "median", "maximum");
    line("bytes sent by one", bytes.iter().map(|bytes| *bytes as f64).collect(), 0);
    line("MB a day and peer", bytes.iter().map(|bytes| a_day(*bytes)).collect(), 3);
    line("processor, seconds a minute", used.iter().map(|used| used / seconds * 60.0).collect(), 3);
    line("memory, MiB", memory, 1);
    println!("members with another path than before: {changed}");
    for (before, after) in before.iter().flatten().zip(after.iter().flatten()) {
        if before != after {
            println!("  {before} -> {after}");
        }
    }
    changed == 0
}

fn line(what: &str, mut figures: Vec<f64>, digits: usize) {
    figures.sort_by(f64::total_cmp);
    let (median, maximum) = (figures[figures.len() / 2], figures[figures.len() - 1]);
    println!("{what:<50} {median:>9.digits$} {maximum:>9.digits$}");
}
