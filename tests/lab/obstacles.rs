//! Machines that are in the way: taken ports, full disks, missing devices. Each its own message and exit code.

use std::time::Duration;

use warren_netns::{Footprint, Kind, Machine, until, within};

use crate::cell::path;
use crate::mesh::{
    MEET, START, STOP, device, found, invite, invites, join, peers, reach_each_other, reaches, restart,
    roster, world,
};

/// A machine on its own.
fn machine() -> (warren_netns::World, Machine) {
    let world = world();
    let machine = world.machine("nas", &world.lan("lan"));
    (world, machine)
}

/// `up` with these arguments, which must end with `code` and say `part`, leaving nothing.
fn refuses(machine: &Machine, arguments: &[&str], code: i32, part: &str) {
    let bare = Footprint::of(machine);
    let _ = machine.up(arguments).ends(START).expect_failure(code, part);
    bare.assert_unchanged(machine);
}

pub(crate) fn a_taken_port_is_refused_if_asked_for_and_stepped_over_if_not() {
    let (_world, nas) = machine();
    let _taken = nas.bind_udp("[::]:41820");
    refuses(&nas, &["--port", "41820"], 21, "41820");
    let daemon = found(&nas);
    assert_eq!(device(&nas)["port"], 41821);
    daemon.stop(STOP);
}

pub(crate) fn a_state_directory_that_cannot_be_written_is_refused() {
    let (_world, nas) = machine();
    nas.shell(&format!("mkdir -p {0}; mount -t tmpfs -o ro tmpfs {0}", nas.state().display()));
    refuses(&nas, &[], 25, "--state");
}

pub(crate) fn a_full_disk_is_refused_at_the_start() {
    let (_world, nas) = machine();
    nas.shell(&format!("mkdir -p {0}; mount -t tmpfs -o size=64k tmpfs {0}", nas.state().display()));
    refuses(&nas, &[], 28, "full");
}

pub(crate) fn a_disk_that_fills_up_loses_nothing_and_makes_no_half_invite() {
    let (_world, nas) = machine();
    let state = nas.state().display().to_string();
    nas.shell(&format!("mkdir -p {state}; mount -t tmpfs -o size=16m tmpfs {state}"));
    let daemon = found(&nas);
    let _ = invite(&nas, &[]);
    nas.shell(&format!("dd if=/dev/zero of={state}/fill bs=4k 2>/dev/null || true"));
    let refused = (0..2000).map(|_| nas.warren(&["invite"])).find(|outcome| !outcome.succeeded());
    let refused = refused.expect("the disk is full at some time");
    let _ = refused.expect_failure(28, "full");
    let kept = invites(&nas).len();
    daemon.kill();
    nas.shell(&format!("rm {state}/fill"));
    let _nas = restart(&nas);
    assert_eq!(invites(&nas).len(), kept);
    let _ = invite(&nas, &[]);
}

pub(crate) fn a_damaged_store_is_named_with_a_way_out() {
    let (_world, nas) = machine();
    found(&nas).stop(STOP);
    let state = nas.state().display().to_string();
    let files = nas.shell(&format!("find {state} -path '*store*' -type f -size +0"));
    assert!(files.lines().count() > 0, "no store in {state}");
    for file in files.lines() {
        nas.shell(&format!("head -c 4096 /dev/urandom > {file}"));
    }
    let bare = Footprint::of(&nas);
    let outcome = nas.up(&[]).ends(START);
    assert!(matches!(outcome.code, Some(26 | 27)), "{outcome}");
    let last = outcome.stderr.lines().rev().take(4).collect::<Vec<_>>().join(" ");
    assert!(last.contains(&state) && !outcome.stderr.contains("panicked"), "{outcome}");
    bare.assert_unchanged(&nas);
}

pub(crate) fn a_machine_without_tun_is_told_so() {
    let (_world, nas) = machine();
    nas.shell("mount -t tmpfs tmpfs /dev/net");
    refuses(&nas, &[], 23, "/dev/net/tun");
}

pub(crate) fn a_user_without_rights_is_told_what_to_run() {
    let (_world, nas) = machine();
    let binary = env!("CARGO_BIN_EXE_warren");
    let state = nas.state().display().to_string();
    let arguments = ["--bounding-set=-net_admin", "--", binary, "up", "--state", &state];
    let _ = nas.run("setpriv", &arguments).expect_failure(24, "sudo");
}

pub(crate) fn a_configuration_with_an_unknown_setting_is_refused() {
    let (_world, nas) = machine();
    let file = nas.directory().join("warren.toml").display().to_string();
    nas.shell(&format!("echo 'ownership = \"any\"' > {file}"));
    refuses(&nas, &["--config", &file], 30, "ownership");
}

pub(crate) fn a_taken_interface_name_is_refused_before_anything_is_made() {
    let world = world();
    let lan = world.lan("lan");
    let (nas, laptop) = (world.machine("nas", &lan), world.machine("laptop", &lan));
    let _nas = found(&nas);
    let code = invite(&nas, &[]);
    laptop.shell("ip link add warren7 type veth peer name other");
    refuses(&laptop, &["--tun", "warren7"], 36, "warren7");
    refuses(&laptop, &[&code, "--tun", "warren7"], 36, "warren7");
    assert_eq!(roster(&nas).len(), 1, "the code is not used up for nothing");
}

/// Files that it may open beyond those it has: enough for a client, not for the sockets that guess ports.
const FILES_LEFT: usize = 12;

/// It guesses for ten seconds, and must do so cheaply.
const GUESSING: Duration = Duration::from_secs(12);

#[expect(clippy::print_stdout, reason = "the figures are what the lab is for")]
pub(crate) fn a_daemon_without_files_to_guess_with_says_so_and_keeps_its_relay() {
    let world = world();
    let (street, home) = (world.public("street"), world.behind("home", Kind::Restricted));
    let office = world.behind("office", Kind::Symmetric);
    let founder = world.machine("founder", &street);
    let (a, b) = (world.machine("a", &home), world.machine("b", &office));
    let _founder = found(&founder);
    let code = invite(&founder, &["--uses", "2"]);
    // The one that needs many sockets is the one behind the harder router.
    let poor = join(&b, &code);
    reaches(&b, &founder);
    let before = poor.open_files();
    poor.limit_files(before + FILES_LEFT);
    let rich = join(&a, &code);
    until(MEET, "b knows a", || (peers(&b).len() == 2).then_some(()));

    reach_each_other(&a, &b);
    until(MEET, "a says that they are relayed", || rich.log().contains("relay by founder").then_some(()));
    let said = "fewer sockets to guess the port";
    until(MEET, "b says why it does not guess", || poor.log().contains(said).then_some(()));
    let used = poor.processor_time().unwrap();
    let _ = within(GUESSING, || None::<()>);
    let used = poor.processor_time().unwrap() - used;
    let lines = poor.log().matches(said).count();
    println!(
        "{before} files and {FILES_LEFT} to go: relayed, {lines} times said why, {used:.2?} of processor time \
         in {GUESSING:?}, {} files and {} at last",
        poor.open_files(),
        path(&a, "b")
    );
    // The other side guesses all the same, and one time in thirty hits the one port there is.
    assert!(["relay", "direct"].contains(&path(&a, "b").as_str()));
    assert!(lines <= 3, "said {lines} times");
    assert!(used < Duration::from_secs(2), "{used:?} of processor time");
    assert!(poor.open_files() <= before + FILES_LEFT);
    reach_each_other(&a, &b);
}
