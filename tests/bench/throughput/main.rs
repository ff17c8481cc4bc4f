//! One table: Warren and its peers at the same work, on the same machine, in the same run.
//!
//! `tests/bench/run.sh [--runs N] [--seconds N] [NAME]...`; by default every implementation that is installed,
//! three runs of five seconds, medians. Each run is a fresh pair of network namespaces on one bridge.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its table")]

mod implementation;
mod work;

use std::path::Path;
use std::process::ExitCode;

use implementation::Implementation;
use work::Figures;

/// What the command line asks for.
struct Wanted {
    runs: usize,
    seconds: u32,
    implementations: Vec<Implementation>,
}

fn main() -> ExitCode {
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    if let Err(message) = warren_netns::enter_user_namespace() {
        eprintln!("{message}");
        return ExitCode::FAILURE;
    }
    println!(
        "{} run(s) of {} s each, medians; both ends and iperf3 on this machine's CPUs",
        wanted.runs, wanted.seconds
    );
    println!("{:<14} {:>9} {:>9} {:>11} {:>8} {:>8}", "", "tcp1", "tcp4", "udp64", "ping avg", "ping max");
    println!("{:<14} {:>9} {:>9} {:>11} {:>8} {:>8}", "", "Mbit/s", "Mbit/s", "packets/s", "ms", "ms");
    for implementation in wanted.implementations {
        let name = implementation.name();
        if let Some(missing) = implementation.missing() {
            println!("{name:<14} not run: {missing}");
            continue;
        }
        let runs = (0..wanted.runs)
            .map(|_| work::measure(implementation, Path::new(env!("CARGO_BIN_EXE_warren")), wanted.seconds));
        match runs.collect::<Result<Vec<Figures>, String>>() {
            Ok(runs) => println!("{name:<14} {}", Figures::medians(&runs)),
            Err(message) => println!("{name:<14} failed: {message}"),
        }
    }
    ExitCode::SUCCESS
}

fn wanted() -> Result<Wanted, String> {
    let mut wanted = Wanted { runs: 3, seconds: 5, implementations: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number =
            || words.next().and_then(|text| text.parse::<u32>().ok()).filter(|number| *number > 0);
        match word.as_str() {
            // Cargo says so to every bench.
            "--bench" => {}
            "--runs" => wanted.runs = number().ok_or("--runs needs a number")? as usize,
            "--seconds" => wanted.seconds = number().ok_or("--seconds needs a number")?,
            name => wanted.implementations.push(Implementation::named(name)?),
        }
    }
    if wanted.implementations.is_empty() {
        wanted.implementations = Implementation::ALL.to_vec();
    }
    Ok(wanted)
}
