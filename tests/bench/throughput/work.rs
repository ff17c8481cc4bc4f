//! The work: TCP over one and four streams, 64-byte UDP datagrams, pings.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use warren_netns::{Machine, Outcome, World, until, within};

use crate::implementation::Implementation;

/// The first packet takes the handshake with it.
const CONNECT: Duration = Duration::from_secs(20);

/// What one run measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// TCP, one stream, Mbit/s received.
    tcp1: f64,
    /// TCP, four streams, Mbit/s received.
    tcp4: f64,
    /// UDP datagrams of 64 bytes delivered in a second.
    udp64: f64,
    /// Round trip on an idle tunnel, ms.
    ping_average: f64,
    /// The longest of them, ms.
    ping_max: f64,
}

impl Figures {
    /// The median of each figure.
    pub(crate) fn medians(runs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(figure).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Self {
            tcp1: of(|run| run.tcp1),
            tcp4: of(|run| run.tcp4),
            udp64: of(|run| run.udp64),
            ping_average: of(|run| run.ping_average),
            ping_max: of(|run| run.ping_max),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:>9.0} {:>9.0} {:>11.0}", self.tcp1, self.tcp4, self.udp64)?;
        write!(out, " {:>8.3} {:>8.3}", self.ping_average, self.ping_max)
    }
}

/// One run on two fresh machines.
pub(crate) fn measure(
    implementation: Implementation,
    warren: &Path,
    seconds: u32,
) -> Result<Figures, String> {
    let world = World::new(warren);
    let lan = world.lan("lan");
    let (a, b) = (world.machine("a", &lan), world.machine("b", &lan));
    let running = implementation.connect(&a, &b)?;
    let address = running.address.clone();
    within(CONNECT, || a.pings(&address, 1).then_some(())).ok_or("no packet gets through")?;
    let time = seconds.to_string();
    let iperf = |options: &[&str]| {
        let arguments = [&["-c", &address, "-t", &time, "-J"], options].concat();
        iperf(&a, &b, &arguments)
    };
    let received =
        |report: &Value| report["end"]["sum_received"]["bits_per_second"].as_f64().map(|bits| bits / 1e6);
    let tcp1 = received(&iperf(&[])?).ok_or("no figure for one stream")?;
    let tcp4 = received(&iperf(&["-P", "4"])?).ok_or("no figure for four streams")?;
    let udp64 = delivered(&iperf(&["-u", "-b", "0", "-l", "64"])?).ok_or("no figure for UDP")?;
    let pings = a.run("ping", &["-n", "-q", "-c", "200", "-i", "0.005", &address]);
    let (ping_average, ping_max) = round_trip(&pings).ok_or("no figure for pings")?;
    Ok(Figures { tcp1, tcp4, udp64, ping_average, ping_max })
}

/// Runs iperf3 from `a` against a server on `b` and returns its report.
fn iperf(a: &Machine, b: &Machine, arguments: &[&str]) -> Result<Value, String> {
    let _ = b.run("iperf3", &["-s", "-D", "-1"]).expect_success();
    until(CONNECT, "the iperf3 server listens", || {
        b.shell("ss -Hltn 'sport = :5201'").contains("5201").then_some(())
    });
    let outcome = a.run("iperf3", arguments);
    if outcome.succeeded() { Ok(outcome.json()) } else { Err(outcome.to_string()) }
}

fn delivered(report: &Value) -> Option<f64> {
    let sum = &report["end"]["sum"];
    let (packets, lost, seconds) =
        (sum["packets"].as_f64()?, sum["lost_percent"].as_f64()?, sum["seconds"].as_f64()?);
    Some(packets * (1.0 - lost / 100.0) / seconds)
}

/// Average and maximum of `rtt min/avg/max/mdev = 0.1/0.2/0.3/0.0 ms`.
fn round_trip(pings: &Outcome) -> Option<(f64, f64)> {
    let line = pings.stdout.lines().find(|line| line.starts_with("rtt"))?;
    let mut figures = line.split(" = ").nth(1)?.split('/').skip(1).map(|figure| figure.parse().ok());
    Some((figures.next()??, figures.next()??))
}
