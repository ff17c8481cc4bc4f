//! The NAT grid, all 55 cells: first reply, time to the final path, kind; medians of some runs.
//!
//! `tests/bench/grid.sh [--runs N] [--delay MS] [--loss PERCENT] [--stable SECONDS] [KIND[xKIND]]...`. Ends with 1
//! when a cell meets in another way than tests/lab/grid.txt says, or misses a bar: first reply within 1 s and
//! final path within 2 s where no luck is needed, 9 of 10 guesses within 10 s, no change of a relayed path. The
//! bars of time are for good weather.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its table")]

#[path = "../../lab/cell.rs"]
mod cell;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use warren_netns::Kind;

use cell::{Meeting, Way, Weather, expected, meet};

/// The bar for a guess; for all others a cell that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(10);

struct Order {
    runs: usize,
    weather: Weather,
    stable: Duration,
    cells: Vec<(Kind, Kind)>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let Some(order) = order(&words) else {
        eprintln!(
            "usage: grid.sh [--runs N] [--delay MS] [--loss PERCENT] [--stable SECONDS] [KIND[xKIND]]..."
        );
        return ExitCode::from(2);
    };
    if let Err(message) = warren_netns::enter_user_namespace() {
        eprintln!("{message}");
        return ExitCode::FAILURE;
    }
    let Order { runs, weather, .. } = order;
    println!("{runs} runs, {:?} of delay one way, {} % loss; seconds, medians", weather.delay, weather.loss);
    println!(
        "{:<10} {:<10} {:<8} {:>6} {:>7} {:>8}  paths on the way",
        "a", "b", "expected", "as", "first", "settled"
    );
    let mut failed = Vec::new();
    for (one, other) in &order.cells {
        let complaints = cell(&order, *one, *other);
        failed.extend(complaints.into_iter().map(|complaint| format!("{one} x {other}: {complaint}")));
    }
    failed.iter().for_each(|line| println!("MISSED {line}"));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn order(words: &[String]) -> Option<Order> {
    let mut order =
        Order { runs: 3, weather: Weather::default(), stable: Duration::from_secs(120), cells: Vec::new() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--runs" => order.runs = words.next()?.parse().ok().filter(|runs| *runs > 0)?,
            "--delay" => order.weather.delay = Duration::from_millis(words.next()?.parse().ok()?),
            "--loss" => order.weather.loss = words.next()?.parse().ok()?,
            "--stable" => order.stable = Duration::from_secs(words.next()?.parse().ok()?),
            cell => match cell.split_once('x').and_then(|(a, b)| Some((Kind::named(a)?, Kind::named(b)?))) {
                Some(pair) => order.cells.push(pair),
                None => {
                    let kind = Kind::named(cell)?;
                    order.cells.extend(pairs().into_iter().filter(|(a, b)| *a == kind || *b == kind));
                }
            },
        }
    }
    if order.cells.is_empty() {
        order.cells = pairs();
    }
    Some(order)
}

/// Every pair of kinds, once.
fn pairs() -> Vec<(Kind, Kind)> {
    let all = Kind::ALL;
    (0..all.len()).flat_map(|row| (row..all.len()).map(move |column| (all[row], all[column]))).collect()
}

/// Runs one cell, prints its line, and says which bars it missed.
fn cell(order: &Order, one: Kind, other: Kind) -> Vec<String> {
    let way = expected(one, other);
    let warren = Path::new(env!("CARGO_BIN_EXE_warren"));
    let good = order.weather.delay.is_zero() && order.weather.loss == 0.0;
    let limit = if good { LIMIT } else { 6 * LIMIT };
    let relayed = matches!(way, Way::Relay | Way::Stream);
    let meetings: Vec<Meeting> = (0..order.runs)
        .map(|run| {
            // The long watch once is enough.
            let quiet = if relayed && run == 0 { order.stable } else { Duration::from_secs(1) };
            meet(warren, (one, other), order.weather, limit, quiet)
        })
        .collect();
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times.get(times.len() / 2).copied()
    };
    let first = median(meetings.iter().filter_map(|meeting| meeting.first).collect());
    let met: Vec<&Meeting> = meetings.iter().filter(|meeting| meeting.path == way.word()).collect();
    let settled = median(met.iter().map(|meeting| meeting.settled).collect());
    let seconds =
        |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), |t| format!("{:.3}", t.as_secs_f64()));
    let word = match way {
        Way::Guess => "guess",
        Way::Direct | Way::Relay | Way::Stream => way.word(),
    };
    let histories: Vec<String> = meetings.iter().map(|meeting| meeting.history.join(">")).collect();
    println!(
        "{one:<10} {other:<10} {word:<8} {:>6} {:>7} {:>8}  {}",
        format!("{}/{}", met.len(), order.runs),
        seconds(first),
        seconds(settled),
        histories.join(" ")
    );
    let mut complaints = Vec::new();
    let replied = meetings.iter().filter(|meeting| meeting.first.is_some()).count();
    if replied < order.runs {
        complaints.push(format!("a reply in {replied} of {} runs only", order.runs));
    }
    // Nine of ten guesses; all of the others.
    let needed = if way == Way::Guess { (order.runs * 9).div_ceil(10).min(order.runs) } else { order.runs };
    if met.len() < needed {
        complaints.push(format!("{word} in {} of {} runs only", met.len(), order.runs));
    }
    if good {
        if first.is_some_and(|first| first > Duration::from_secs(1)) && way != Way::Stream {
            complaints.push("the first reply took more than 1 s".to_owned());
        }
        if way != Way::Guess && settled.is_some_and(|settled| settled > Duration::from_secs(2)) {
            complaints.push("the final path took more than 2 s".to_owned());
        }
    }
    complaints
}
