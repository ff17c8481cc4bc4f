//! Words for what a user does with a mesh: found, invite, join, look, ping.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use warren_netns::{Daemon, Machine, World, until};

/// A daemon answers `warren status` well within this, even on a busy machine.
pub(crate) const START: Duration = Duration::from_secs(20);

/// The bar for joining and for meeting again, with the slowest of machines in mind.
pub(crate) const MEET: Duration = Duration::from_secs(20);

/// A peer that died without a word is known to be gone within this: the control connection is given up after 30 s of
/// silence, then its path is tried in vain for some seconds.
pub(crate) const LOST: Duration = Duration::from_secs(75);

/// A stopping daemon has this long to undo what it did.
pub(crate) const STOP: Duration = Duration::from_secs(10);

/// An empty world of machines that run this build.
pub(crate) fn world() -> World {
    World::new(Path::new(env!("CARGO_BIN_EXE_warren")))
}

/// Founds the mesh `home` on `machine`, whose device gets the machine's name.
pub(crate) fn found(machine: &Machine) -> Daemon {
    machine.up(&["--mesh", "home", "--name", machine.name()]).ready(START)
}

/// Joins `machine` with `code` and waits until it knows `others` other members.
pub(crate) fn join(machine: &Machine, code: &str) -> Daemon {
    let daemon = machine.up(&[code, "--name", machine.name()]).ready(START);
    until(MEET, &format!("{} is a member", machine.name()), || (!peers(machine).is_empty()).then_some(()));
    daemon
}

/// Starts the daemon of a machine that is a member already.
pub(crate) fn restart(machine: &Machine) -> Daemon {
    machine.up(&[]).ready(START)
}

/// A fresh code from `machine`, with these options.
pub(crate) fn invite(machine: &Machine, options: &[&str]) -> String {
    let outcome = machine.warren(&[&["invite"], options].concat()).expect_success();
    assert!(outcome.text().starts_with("warren1"), "{outcome}");
    outcome.text().to_owned()
}

/// The invites `machine` knows, the newest first.
pub(crate) fn invites(machine: &Machine) -> Vec<Value> {
    let json = machine.warren(&["invite", "list", "--all", "--json"]).expect_success().json();
    json.as_array().or_else(|| json["invites"].as_array()).cloned().unwrap_or_default()
}

/// `warren status --json` of `machine`.
pub(crate) fn status(machine: &Machine) -> Value {
    machine.warren(&["status", "--json"]).expect_success().json()
}

/// The peers in it.
pub(crate) fn peers(machine: &Machine) -> Vec<Value> {
    status(machine)["peers"].as_array().cloned().unwrap_or_default()
}

/// What `status` says of the device itself.
pub(crate) fn device(machine: &Machine) -> Value {
    status(machine)["device"].clone()
}

/// A field of the device, as text.
pub(crate) fn own(machine: &Machine, field: &str) -> String {
    device(machine)[field].as_str().unwrap_or_default().to_owned()
}

/// Everybody as `machine` sees them, itself included: name, id and both addresses, in order of id.
pub(crate) fn roster(machine: &Machine) -> Vec<[String; 4]> {
    let status = status(machine);
    let everybody = status["peers"].as_array().into_iter().flatten().chain([&status["device"]]);
    let line = |member: &Value| {
        ["id", "name", "ipv4", "ipv6"].map(|field| member[field].as_str().unwrap_or_default().to_owned())
    };
    let mut lines: Vec<_> = everybody.map(line).collect();
    lines.sort();
    lines
}

/// Waits until all `machines` see the same `count` members, and returns them.
pub(crate) fn agree(machines: &[&Machine], count: usize) -> Vec<[String; 4]> {
    until(MEET, &format!("{} machines agree on {count} members", machines.len()), || {
        let mut views = machines.iter().map(|machine| roster(machine));
        let first = views.next()?;
        (first.len() == count && views.all(|view| view == first)).then_some(first)
    })
}

/// Waits until `from` pings `to` through the mesh, over both families, by ping(8).
pub(crate) fn reaches(from: &Machine, to: &Machine) {
    for family in ["ipv4", "ipv6"] {
        let address = own(to, family);
        let what = format!("{} pings {} at {address}", from.name(), to.name());
        until(MEET, &what, || from.pings(&address, 1).then_some(()));
    }
}

/// Waits until `from` and `to` ping each other.
pub(crate) fn reach_each_other(one: &Machine, other: &Machine) {
    reaches(one, other);
    reaches(other, one);
}
