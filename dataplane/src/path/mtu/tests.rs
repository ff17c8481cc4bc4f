//! What passes is found, whatever it is; on virtual time.

use proptest::prelude::*;

use super::*;

const FULL: u16 = 1452;
const RTT: Duration = Duration::from_millis(40);

/// A path on virtual time that carries up to `limit` bytes, and answers small pings if it is alive.
struct Path {
    mtu: Mtu,
    now: Instant,
    limit: u16,
    alive: bool,
    sent: Vec<u16>,
    transaction: u64,
}

impl Path {
    #[expect(clippy::disallowed_methods, reason = "an Instant can be made in no other way")]
    fn new(limit: u16) -> Self {
        let mtu = Mtu::new(FULL);
        Self { mtu, now: Instant::now(), limit, alive: true, sent: Vec::new(), transaction: 0 }
    }

    /// Lets time pass while large datagrams are sent.
    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.mtu.due(true, self.now).filter(|due| *due <= until) {
            self.now = self.now.max(due);
            let Some(probe) = self.mtu.poll(true, self.alive.then_some(self.now), self.now) else { continue };
            self.sent.push(probe.size);
            self.transaction += 1;
            self.mtu.sent(self.transaction, RTT, self.now);
            if self.alive && probe.size <= self.limit {
                self.now += RTT;
                assert!(self.mtu.answered(self.transaction, probe.size, self.now));
                self.mtu.sent_data(1400);
            }
        }
        self.now = until;
    }
}

#[test]
fn the_full_size_is_assumed_and_proved_by_one_ping() {
    let mut path = Path::new(1500);
    assert!(path.mtu.is_settled() && !path.mtu.is_known());
    path.run(Duration::from_secs(1));
    assert_eq!((path.sent.as_slice(), path.mtu.size(), path.mtu.is_known()), (&[FULL][..], FULL, true));
    path.run(Duration::from_secs(59));
    assert!((10..=13).contains(&path.sent.len()), "each 5 s while large ones are sent: {:?}", path.sent);
}

#[test]
fn what_passes_is_found_in_seconds_for_any_limit() {
    for limit in FLOOR..=FULL {
        let mut path = Path::new(limit);
        path.run(Duration::from_secs(8));
        assert!(path.mtu.is_known(), "{limit}");
        let size = path.mtu.size();
        assert!(size <= limit && size + STEP > limit.min(FULL - 1), "{size} of {limit}");
    }
}

#[test]
fn below_the_floor_nothing_is_looked_for() {
    let mut path = Path::new(300);
    path.run(Duration::from_secs(8));
    assert_eq!((path.mtu.size(), path.mtu.is_known()), (FLOOR, true));
    let sent = path.sent.len();
    path.run(Duration::from_secs(30));
    assert_eq!(path.sent.len(), sent);
}

#[test]
fn a_black_hole_is_noticed_and_a_dead_path_is_none() {
    let mut path = Path::new(1500);
    path.run(Duration::from_secs(20));
    path.alive = false;
    path.run(Duration::from_secs(30));
    assert_eq!((path.mtu.size(), path.mtu.is_settled()), (FULL, true), "nothing was answered, so no verdict");
    path.alive = true;
    path.limit = 1300;
    path.run(Duration::from_secs(11));
    assert!(path.mtu.is_settled() && (1292..=1300).contains(&path.mtu.size()), "{}", path.mtu.size());
}

#[test]
fn a_larger_size_is_tried_again_after_a_minute_and_then_ever_more_seldom() {
    let mut path = Path::new(1300);
    path.run(Duration::from_secs(10));
    path.sent.clear();
    path.run(Duration::from_secs(3600));
    let raises = path.sent.iter().filter(|size| **size == FULL).count() / TRIES;
    assert!((7..=10).contains(&raises), "{raises} in an hour");
    path.limit = 1500;
    path.run(Duration::from_secs(620));
    assert_eq!(path.mtu.size(), FULL);
}

#[test]
fn a_refusal_by_the_machine_begins_the_search_without_waiting() {
    let mut path = Path::new(1380);
    path.mtu.refused(1452, path.now);
    assert_eq!((path.mtu.size(), path.mtu.is_settled()), (BASE, false));
    path.run(Duration::from_secs(4));
    assert!((1373..=1380).contains(&path.mtu.size()), "{}", path.mtu.size());
    let size = path.mtu.size();
    path.mtu.refused(1452, path.now);
    assert_eq!(path.mtu.size(), size, "no news");
}

#[test]
fn where_no_size_is_of_use_nothing_is_ever_due() {
    assert_eq!(Mtu::new(0).due(true, Path::new(1500).now), None);
}

proptest! {
    #[test]
    fn whatever_comes_the_size_stays_in_bounds_and_time_goes_on(
        inputs in prop::collection::vec((0..6_u8, 0..1600_u16), 0..200),
    ) {
        let mut path = Path::new(1500);
        for (input, number) in inputs {
            match input {
                0 => path.limit = number,
                1 => path.alive = !path.alive,
                2 => path.mtu.refused(usize::from(number), path.now),
                3 => path.mtu.forgive(),
                4 => path.mtu.forget(),
                _ => path.run(Duration::from_millis(u64::from(number) * 10)),
            }
            prop_assert!((FLOOR..=FULL).contains(&path.mtu.size()));
            prop_assert!(path.mtu.size() < path.mtu.too_big);
        }
    }
}
