//! One cell of the NAT grid: two members, each behind its kind of network, and a founder in the open.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use warren_netns::{Daemon, Kind, Machine, World, until, within};

/// Joining, also in bad weather.
const JOIN: Duration = Duration::from_secs(60);

/// The way in which a pair is expected to meet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// Straight, without luck.
    Direct,
    /// Straight, once the port of the other's NAT is guessed.
    Guess,
    /// Through the founder.
    Relay,
    /// At one end at least in a TCP stream.
    Stream,
}

impl Way {
    fn named(word: &str) -> Option<Self> {
        match word {
            "direct" => Some(Self::Direct),
            "guess" => Some(Self::Guess),
            "relay" => Some(Self::Relay),
            "stream" => Some(Self::Stream),
            _ => None,
        }
    }

    /// What `status` calls it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Direct | Self::Guess => "direct",
            Self::Relay => "relay",
            Self::Stream => "stream",
        }
    }
}

/// The weather in the middle.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// One way.
    pub(crate) delay: Duration,
    /// In percent.
    pub(crate) loss: f64,
}

/// What came of a cell.
#[derive(Clone, Debug)]
pub(crate) struct Meeting {
    /// From the first ping sent to the first answered.
    pub(crate) first: Option<Duration>,
    /// From the first ping sent to the last change of path.
    pub(crate) settled: Duration,
    /// How they meet at last: a word of `status`, or two when the ends do not agree.
    pub(crate) path: String,
    /// Every path there was on the way, the last included.
    pub(crate) history: Vec<String>,
}

/// The expected table: one line per kind, the kinds of the columns in the first line.
pub(crate) fn expected(one: Kind, other: Kind) -> Way {
    let table = include_str!("grid.txt");
    let mut lines = table.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let columns: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let lines: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    let look = |row: Kind, column: Kind| {
        let line = lines.iter().find(|line| line.first() == Some(&row.word()))?;
        let at = columns.iter().position(|word| *word == column.word())?;
        Way::named(line.get(at + 1)?)
    };
    let way = look(one, other).or_else(|| look(other, one));
    way.unwrap_or_else(|| panic!("grid.txt does not say how {one} meets {other}"))
}

/// Lets two members meet and watches until they have met as expected for `quiet`, or `limit` has passed.
#[expect(clippy::disallowed_methods, reason = "a test bench lives in real time")]
pub(crate) fn meet(
    warren: &Path,
    kinds: (Kind, Kind),
    weather: Weather,
    limit: Duration,
    quiet: Duration,
) -> Meeting {
    let world = World::new(warren);
    let street = world.public("street");
    let (home, flat) = (world.behind("net-a", kinds.0), world.behind("net-b", kinds.1));
    let founder = world.machine("founder", &street);
    let (a, b) = (world.machine("a", &home), world.machine("b", &flat));
    world.middle().set_delay(weather.delay);
    world.middle().set_loss(weather.loss);
    let mut daemons: Vec<Daemon> = vec![founder.up(&["--name", "founder"]).ready(JOIN)];
    let code = founder.warren(&["invite", "--uses", "2"]).expect_success().text().to_owned();
    for machine in [&a, &b] {
        daemons.push(machine.up(&[&code, "--name", machine.name()]).ready(JOIN));
    }
    let address = until(JOIN, "a and b know each other", || {
        let _ = peer(&b, "a")?;
        peer(&a, "b")?["ipv4"].as_str().map(str::to_owned)
    });

    // It ends with the first answer. The clock starts with it.
    let begin = Instant::now();
    let words = ["-n", "-q", "-c", "1", "-i", "0.02", "-w", "60", &address];
    let mut command = Command::new("ping");
    command.args(words);
    let mut first_ping = a.spawn(&command);
    let mut first = None;
    let mut traffic = None;
    let mut history: Vec<(String, Duration)> = Vec::new();
    let expected = expected(kinds.0, kinds.1).word();
    let _ = within(limit + quiet, || {
        if first.is_none() && first_ping.try_wait().is_ok_and(|status| status.is_some_and(|s| s.success())) {
            first = Some(begin.elapsed());
            // The pair keeps talking, as one does.
            let mut command = Command::new("ping");
            command.args(["-n", "-q", "-i", "0.2", &address]);
            traffic = Some(a.spawn(&command));
        }
        let path = both(&path(&a, "b"), &path(&b, "a"));
        let now = begin.elapsed();
        if history.last().is_none_or(|(last, _)| *last != path) {
            history.push((path, now));
        }
        let (last, since) = history.last()?;
        let late = now > limit && first.is_some();
        ((first.is_some() && last == expected && now - *since >= quiet) || late).then_some(())
    });
    for mut child in [Some(first_ping), traffic].into_iter().flatten() {
        let _ = child.kill();
        let _ = child.wait();
    }
    if let Ok(directory) = std::env::var("WARREN_LAB_KEEP") {
        for machine in [&founder, &a, &b] {
            let to = format!("{directory}/{}-{}-{}.log", kinds.0, kinds.1, machine.name());
            let _ = fs::copy(machine.directory().join("daemon.log"), to);
        }
    }
    let (path, settled) = history.last().cloned().unwrap_or_default();
    Meeting { first, settled, path, history: history.into_iter().map(|(path, _)| path).collect() }
}

fn peer(machine: &Machine, name: &str) -> Option<Value> {
    let outcome = machine.warren(&["status", "--json"]);
    let peers = outcome.succeeded().then(|| outcome.json())?["peers"].as_array().cloned()?;
    peers.into_iter().find(|peer| peer["name"] == name)
}

/// The kind of path from `machine` to the peer of this name.
pub(crate) fn path(machine: &Machine, name: &str) -> String {
    peer(machine, name).and_then(|peer| peer["path"]["kind"].as_str().map(str::to_owned)).unwrap_or_default()
}

fn both(one: &str, other: &str) -> String {
    match (one, other) {
        ("", "") => "none".to_owned(),
        // One end has UDP: its leg is another's business.
        ("stream", "relay" | "stream") | ("relay", "stream") => "stream".to_owned(),
        (one, other) if one == other => one.to_owned(),
        (one, other) => format!("{one}/{other}"),
    }
}
