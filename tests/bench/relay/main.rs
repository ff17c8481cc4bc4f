//! A relayed pair beside a direct one: TCP throughput, and the echo time that 99 of 100 pings keep.
//!
//! `tests/bench/relay.sh [--seconds N] [--runs N]`. Both worlds are the same three machines at three routers; in
//! the relayed one the two members are behind symmetric NATs. With 1 % loss, two crossings of the middle (member
//! to relay, relay to member) lose twice what one does.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its table")]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use warren_netns::{Daemon, Kind, Machine, World, until};

/// Until the two have met as they should.
const LIMIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let mut order = (5_u32, 3_usize);
    for pair in words.chunks(2) {
        match pair.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["--seconds", number] => order.0 = number.parse().unwrap_or(0),
            ["--runs", number] => order.1 = number.parse().unwrap_or(0),
            _ => order.0 = 0,
        }
    }
    if order.0 == 0 || order.1 == 0 {
        eprintln!("usage: relay.sh [--seconds N] [--runs N]");
        return ExitCode::from(2);
    }
    if let Err(message) = warren_netns::enter_user_namespace() {
        eprintln!("{message}");
        return ExitCode::FAILURE;
    }
    println!(
        "{} runs of {} s, medians{:>16} {:>12} {:>12}",
        order.1, order.0, "Mbit/s", "echo p50 ms", "echo p99 ms"
    );
    for loss in [0.0, 1.0] {
        for (what, kind) in [("direct", Kind::Open), ("relay", Kind::Symmetric)] {
            let mut runs: Vec<[f64; 3]> = (0..order.1).map(|_| run(kind, what, loss, order.0)).collect();
            let mut median = |at: usize| {
                runs.sort_by(|a, b| a[at].total_cmp(&b[at]));
                runs[runs.len() / 2][at]
            };
            let (rate, half, most) = (median(0), median(1), median(2));
            println!("{what:<8} {loss} % loss{:>26.0} {half:>12.2} {most:>12.2}", rate);
        }
    }
    ExitCode::SUCCESS
}

fn run(kind: Kind, path: &str, loss: f64, seconds: u32) -> [f64; 3] {
    let world = World::new(Path::new(env!("CARGO_BIN_EXE_warren")));
    let (street, one, other) =
        (world.public("street"), world.behind("one", kind), world.behind("other", kind));
    let founder = world.machine("founder", &street);
    let (a, b) = (world.machine("a", &one), world.machine("b", &other));
    let mut daemons: Vec<Daemon> = vec![founder.up(&["--name", "founder"]).ready(LIMIT)];
    let code = founder.warren(&["invite", "--uses", "2"]).expect_success().text().to_owned();
    for machine in [&a, &b] {
        daemons.push(machine.up(&[&code, "--name", machine.name()]).ready(LIMIT));
    }
    let peer = |machine: &Machine, name: &str| -> Option<Value> {
        let status = machine.warren(&["status", "--json"]).expect_success().json();
        status["peers"].as_array()?.iter().find(|peer| peer["name"] == name).cloned()
    };
    let address =
        until(LIMIT, "a and b know each other", || peer(&a, "b")?["ipv4"].as_str().map(str::to_owned));
    until(LIMIT, &format!("a and b are connected: {path}"), || {
        let _ = a.pings(&address, 1);
        (peer(&a, "b")?["path"]["kind"] == path).then_some(())
    });
    world.middle().set_loss(loss);

    let times = seconds * 100;
    let line = format!("ping -n -c {times} -i 0.01 -W 2 {address} || true");
    let said = a.shell(&line);
    let mut echo: Vec<f64> =
        said.lines().filter_map(|line| line.split("time=").nth(1)?.split(' ').next()?.parse().ok()).collect();
    echo.sort_by(f64::total_cmp);
    let at = |share: f64| echo.get((echo.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);

    let mut server = std::process::Command::new("iperf3");
    server.args(["-s", "-1", "-B", &address]);
    let mut server = b.spawn(&server);
    let client = format!("iperf3 -J -c {address} -t {seconds} --connect-timeout 3000");
    let rate = until(LIMIT, "iperf3 has measured", || {
        let outcome = a.run("sh", &["-c", &client]);
        outcome.succeeded().then(|| outcome.json()["end"]["sum_received"]["bits_per_second"].as_f64())?
    });
    let _ = server.kill();
    let _ = server.wait();
    [rate / 1e6, at(0.5), at(0.99)]
}
