//! The NAT grid: a cell of every kind of path. All 55 cells are `tests/bench/grid.sh`.

use std::path::Path;
use std::time::Duration;

use libtest_mimic::Trial;
use warren_netns::Kind;

use crate::cell::{Way, Weather, expected, meet};

/// One cell at least of each row, and each way to meet.
const CELLS: [(Kind, Kind); 14] = [
    (Kind::Open, Kind::Symmetric),
    (Kind::Open, Kind::Blocked),
    (Kind::Open, Kind::SixOnly),
    (Kind::FullCone, Kind::Symmetric),
    (Kind::Restricted, Kind::Restricted),
    (Kind::Restricted, Kind::Symmetric),
    (Kind::Restricted, Kind::Blocked),
    (Kind::Shifted, Kind::Shifted),
    (Kind::Shifted, Kind::Symmetric),
    (Kind::Symmetric, Kind::Symmetric),
    (Kind::Cgnat, Kind::Cgnat),
    (Kind::Symmetric, Kind::Upnp),
    (Kind::SixOnly, Kind::BrokenSix),
    (Kind::BrokenSix, Kind::BrokenSix),
];

/// Long enough for a slow machine: what is fast is for the bench to say.
const LIMIT: Duration = Duration::from_secs(20);

/// A trial for each cell.
pub(crate) fn trials() -> Vec<Trial> {
    let trial = |(one, other): (Kind, Kind)| {
        Trial::test(format!("{one}_meets_{other}"), move || {
            cell(one, other);
            Ok(())
        })
    };
    CELLS.into_iter().map(trial).collect()
}

#[expect(clippy::print_stdout, reason = "the figures are what the lab is for")]
fn cell(one: Kind, other: Kind) {
    let way = expected(one, other);
    // A relayed pair must not flap.
    let quiet = Duration::from_secs(if way == Way::Relay || way == Way::Stream { 10 } else { 1 });
    let warren = Path::new(env!("CARGO_BIN_EXE_warren"));
    let meeting = meet(warren, (one, other), Weather::default(), LIMIT, quiet);
    println!(
        "{one} x {other}: first reply {:.3?}, settled {:.3?}: {}",
        meeting.first,
        meeting.settled,
        meeting.history.join(" > ")
    );
    assert!(meeting.first.is_some(), "no reply: {meeting:?}");
    assert_eq!(meeting.path, way.word(), "{meeting:?}");
}
