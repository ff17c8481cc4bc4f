//! A router that forgets every mapping after two seconds of silence, and who is behind it.
//!
//! Nobody can know such a router beforehand: paths begin with a packet each 25 s. Each silence that was too long halves
//! the interval, down to a second; a router that forgets sooner is not kept open. Until that is learned, whoever calls
//! from outside waits until the member behind the router says something itself.

use std::time::{Duration, Instant};

use warren_netns::{Kind, Machine, until, within};

use crate::cell::path;
use crate::mesh::{MEET, found, invite, join, own, peers, reaches, world};

/// How long nothing is sent: five times what the router remembers.
const SILENCE: Duration = Duration::from_secs(10);

/// The bar: the first answer from behind it. A ping(8) with one packet waits for a second too.
const FIRST: Duration = Duration::from_secs(1);

/// Silences that were too long, from which the two learn; and those after which it must be reached at once.
const LESSONS: usize = 8;
const EXAMS: usize = 2;

/// An answer that takes longer never comes.
const NEVER: Duration = Duration::from_secs(30);

/// How long `from` waits for `address` to answer a ping after a silence.
#[expect(clippy::disallowed_methods, reason = "a test bench lives in real time")]
fn answer_after_silence(from: &Machine, address: &str) -> Duration {
    let _ = within(SILENCE, || None::<()>);
    let begin = Instant::now();
    until(NEVER, &format!("{address} answers after a silence"), || {
        from.run("ping", &["-n", "-q", "-c", "1", "-W", "0.5", address]).succeeded().then_some(())
    });
    begin.elapsed()
}

#[expect(clippy::print_stdout, reason = "the figures are what the lab is for")]
pub(crate) fn behind_a_nat_that_forgets_in_two_seconds_a_member_is_reached_after_silence() {
    let world = world();
    let (street, home) = (world.public("street"), world.behind("home", Kind::Restricted));
    home.remember_udp(Duration::from_secs(2));
    let (server, laptop) = (world.machine("server", &street), world.machine("laptop", &home));
    let _server = found(&server);
    let _laptop = join(&laptop, &invite(&server, &[]));
    until(MEET, "they know each other", || (peers(&server).len() == 1).then_some(()));
    reaches(&laptop, &server);
    until(MEET, "the path is direct", || (path(&server, "laptop") == "direct").then_some(()));
    let address = own(&laptop, "ipv4");

    let mut lessons = Vec::new();
    while lessons.last().is_none_or(|answer| *answer > FIRST) {
        assert!(lessons.len() < LESSONS, "nothing was learned: {lessons:.2?}");
        lessons.push(answer_after_silence(&server, &address));
    }
    let sent = home.sent();
    let exams: Vec<Duration> = (0..EXAMS).map(|_| answer_after_silence(&server, &address)).collect();
    let sent = home.sent() - sent;
    println!(
        "a NAT that forgets in 2 s: answers after {lessons:.2?} while that is learned, then {exams:.2?} \
         after {SILENCE:?} of silence each, for {sent} packets in all of them"
    );
    assert!(sent < 10 * EXAMS as u64 * SILENCE.as_secs(), "{sent} packets to keep it open");
    assert!(exams.iter().all(|answer| *answer <= FIRST), "{exams:?}");
    assert_eq!(path(&server, "laptop"), "direct");
}
