//! What the commands print when a daemon answers.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::daemon::{CODE, Daemon, status};
use crate::program::{Outcome, Program};

fn start() -> (Program, Daemon) {
    let program = Program::new();
    let daemon = Daemon::start(&program.socket());
    (program, daemon)
}

fn done(out: &str, err: &str) -> Outcome {
    Outcome { code: 0, out: out.to_owned(), err: err.to_owned() }
}

#[test]
fn status_is_a_picture_in_80_columns() {
    let (program, _daemon) = start();
    let expected = "\
mesh    home, 4 members, 2 of 3 peers online
device  nas at 100.64.0.10, admin
port    41820/udp, behind easy NAT, seen as 203.0.113.9:41820

   PEER                       ADDRESS         PATH                  RTT
●  desk                       100.100.100.40  relay by laptop     81 ms
●  laptop                     100.100.100.20  lan               0.43 ms
○  phone-of-somebody-far-off  100.100.100.30  offline for 3 h 1 min
   desk: 192.168.1.20:41820 for 1 min 15 s
   laptop: 192.168.1.20:41820 for 1 min 15 s
";
    let outcome = program.run(&["status"]);
    assert_eq!(outcome.err, "");
    assert!(outcome.out.lines().all(|line| line.chars().count() <= 80), "{}", outcome.out);
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(squeeze(&outcome.out), squeeze(expected), "{}", outcome.out);
    assert_eq!(program.run(&[]), outcome, "no argument at all means status");
}

#[test]
fn status_for_programs_has_the_fields_of_the_api() {
    let (program, _daemon) = start();
    let outcome = program.run(&["status", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    for field in ["version", "mesh", "device", "nat", "peers", "exit", "transfers"] {
        assert!(value.get(field).is_some(), "{field}");
    }
    for field in ["name", "id", "ipv4", "ipv6", "port"] {
        assert!(value["device"].get(field).is_some(), "{field}");
    }
    let peer = &value["peers"][1];
    let fields =
        ["name", "id", "relation", "ipv4", "ipv6", "online", "rx_bytes", "tx_bytes", "last_handshake_s"];
    for field in fields {
        assert!(peer.get(field).is_some(), "{field}");
    }
    for field in ["kind", "endpoint", "via", "rtt_ms", "since_s"] {
        assert!(peer["path"].get(field).is_some(), "{field}");
    }
    assert_eq!(peer["path"]["kind"], "lan");
    assert_eq!(peer["grants"]["mine"]["incoming"], true);
    assert_eq!(peer["grants"]["theirs"]["ports"][0], "tcp/22");
    assert_eq!(serde_json::from_value::<warren::control::Status>(value).unwrap(), status());
}

#[test]
fn up_while_running_says_already_on_and_changes_nothing() {
    let (program, daemon) = start();
    let outcome = program.run(&["up"]);
    assert_eq!((outcome.code, outcome.err.as_str()), (0, "warren is already on, in the mesh home\n"));
    assert!(daemon.asked.lock().unwrap().join.is_none());
    assert!(!program.dir.path().join("state").exists());
}

#[test]
fn up_with_a_code_while_running_joins() {
    let (program, daemon) = start();
    let outcome = program.run(&["up", "--name", "desk", CODE]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let asked = daemon.asked.lock().unwrap();
    let join = asked.join.as_ref().unwrap();
    assert_eq!((join.code.as_str(), join.name.as_deref()), (CODE, Some("desk")));
}

#[test]
fn joining_tells_each_step() {
    let (program, _daemon) = start();
    let told = "\
looking for a member of the mesh ...
found the mesh home (3 members); joining as one more device of nas
it allows this device: incoming; the invite ends in 1 h
joined: this device is desk-2 at 100.64.0.11, let in by laptop
connected: laptop answers
";
    assert_eq!(program.run(&["join", CODE]), done("", told));
    // As a mail program breaks it, and as a phone writes it.
    assert_eq!(program.run_with_stdin(&["join", "-"], "Warren1qqqq\n zzzzyyyyxxxxwwww\n"), done("", told));
    assert_eq!(program.run(&["join", "warren1qqqq", "zzzzyyyyxxxxwwww"]), done("", told));
}

#[test]
fn a_refused_invite_ends_with_its_own_code() {
    let (program, _daemon) = start();
    let outcome = program.run(&["join", "warren1expired"]);
    assert_eq!(outcome.code, 13);
    assert!(
        outcome
            .err
            .ends_with("error: the invite expired 3 h ago\nhint: ask for a new one: `warren invite`\n"),
        "{}",
        outcome.err
    );
}

#[test]
fn the_code_is_not_in_the_process_list() {
    let (program, daemon) = start();
    let mut command = program.command(["join", "warren1pending"]);
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while daemon.asked.lock().unwrap().join.is_none() {
        assert!(Instant::now() < deadline, "the daemon was never asked");
        std::thread::yield_now();
    }
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(arguments.contains("join"), "{arguments:?}");
    assert!(!arguments.contains("pending"), "{arguments:?}");
}

#[test]
fn an_invite_prints_the_code_alone_on_stdout() {
    let (program, daemon) = start();
    let told = "\
invite abcdefgh for 2 devices of other people, for 12 h; allows files
on the other device: sudo warren up CODE
";
    let arguments =
        ["invite", "--guest", "--uses", "2", "--expires", "12h", "--allow", "files", "--only", "nas,desk"];
    assert_eq!(program.run(&arguments), done(&format!("{CODE}\n"), told));
    let terms = daemon.asked.lock().unwrap().terms.clone().unwrap();
    assert_eq!(terms.expires_s, 12 * 3600);
    assert_eq!(terms.only, ["nas", "desk"]);
}

#[test]
fn an_invite_asks_for_the_usual_when_nothing_is_said() {
    let (program, daemon) = start();
    assert_eq!(program.run(&["invite"]).out, format!("{CODE}\n"));
    let terms = daemon.asked.lock().unwrap().terms.clone().unwrap();
    assert_eq!((terms.uses, terms.expires_s, terms.allow), (1, 72 * 3600, None));
}

#[test]
fn the_picture_of_a_code_leaves_stdout_alone() {
    let (program, _daemon) = start();
    let outcome = program.run(&["invite", "--qr"]);
    assert_eq!(outcome.out, format!("{CODE}\n"));
    assert!(outcome.err.contains('█') && outcome.err.contains('▀'), "{}", outcome.err);
}

#[test]
fn the_list_of_invites_shows_those_that_can_still_be_used() {
    let (program, _daemon) = start();
    let list = program.run(&["invite", "list"]).out;
    assert!(list.contains("abcdefgh  guest  1/3   in 2 d 3 h  nas  incoming, files  phone"), "{list}");
    assert!(!list.contains("zyxwvuts"), "{list}");
    let all = program.run(&["invite", "list", "--all"]).out;
    assert!(all.contains("zyxwvuts  guest  0/3   expired "), "{all}");
}

#[test]
fn revoking_what_is_not_there_fails_by_name() {
    let (program, _daemon) = start();
    let expected = Outcome::failed(37, "error: no invite has the id 'x/y z'\n");
    assert_eq!(program.run(&["invite", "revoke", "x/y z"]), expected);
}

#[test]
fn filters_must_all_be_true() {
    let (program, _daemon) = start();
    let names = |filter: &str| {
        let outcome = program.run(&["peers", "--json", "--filter", filter]);
        let value: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
        value["peers"].as_array().unwrap().iter().map(|peer| peer["name"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("online,internal").len(), 2);
    assert_eq!(names("Online, allows-files"), ["\"laptop\""]);
    assert_eq!(names("incoming-allowed"), ["\"laptop\""]);
    assert_eq!(names("external"), ["\"phone-of-somebody-far-off\""]);
    assert_eq!(names("online,offline"), [""; 0]);
}

#[test]
fn peers_shows_both_directions_of_every_permission() {
    let (program, _daemon) = start();
    let out = program.run(&["peers"]).out;
    for part in [
        "THIS DEVICE\nnas, admin\n",
        "OWN DEVICES\n",
        "OTHER PEOPLE'S DEVICES\n",
        "laptop is online\n",
        "  path        lan, 192.168.1.20:41820, 0.43 ms, for 1 min 15 s\n",
        "  traffic     1.2 MiB received, 303 KiB sent, last handshake 1 min 1 s ago\n",
        "  it may use  incoming\n",
        "  we may use  incoming, files, tcp/22\n",
        "  it may use  nothing\n",
        "  we may use  not known yet\n",
    ] {
        assert!(out.contains(part), "{part:?} in\n{out}");
    }
}

#[test]
fn ping_shows_each_answer_with_its_path_and_the_sum() {
    let (program, _daemon) = start();
    let expected = "\
PING laptop (100.100.100.20) through the mesh, path relay by laptop 192.168.1.20:41820
now lan, 192.168.1.20:41820, 0.43 ms
answer from laptop: seq=1 path=lan 192.168.1.20:41820 time=0.43 ms
answer from laptop: seq=2 path=lan 192.168.1.20:41820 time=0.43 ms

--- laptop ---
2 sent, 2 received, 0 % lost; round trip min 0.43 ms, average 0.43 ms, max 0.43 ms
";
    assert_eq!(program.run(&["ping", "-c", "2", "LAPTOP"]), done(expected, ""));
}

#[test]
fn a_peer_that_does_not_answer_is_exit_code_6() {
    let (program, _daemon) = start();
    let outcome = program.run(&["ping", "-c", "2", "desk"]);
    assert_eq!(outcome.code, 6);
    assert!(outcome.out.contains("no answer from desk: seq=2\n"), "{}", outcome.out);
    assert!(outcome.out.ends_with("2 sent, 0 received, 100 % lost\n"), "{}", outcome.out);
    assert!(outcome.err.starts_with("error: desk does not answer\n"), "{}", outcome.err);
}

#[test]
fn a_peer_nobody_knows_is_exit_code_5_for_every_command() {
    let (program, _daemon) = start();
    let expected =
        Outcome::failed(5, "error: peer 'x' is unknown\nhint: `warren peers` lists those there are\n");
    for arguments in
        [&["ping", "x", "-c1"][..], &["doctor", "x"], &["allow", "x", "files"], &["deny", "x", "files"]]
    {
        assert_eq!(program.run(arguments), expected, "{arguments:?}");
    }
}

#[test]
fn allowing_and_denying_twice_says_already() {
    let (program, _daemon) = start();
    let allow = ["allow", "laptop", "files", "tcp/22"];
    let now = "laptop may use: files, tcp/22\n";
    let first = "files is now allowed for laptop\ntcp/22 is now allowed for laptop\n";
    assert_eq!(program.run(&allow), done(now, first));
    assert_eq!(program.run(&allow), done(now, &first.replace("now", "already")));
    let deny = ["deny", "laptop", "files"];
    assert_eq!(program.run(&deny).err, "files is now denied for laptop\n");
    assert_eq!(program.run(&deny), done("laptop may use: tcp/22\n", "files is already denied for laptop\n"));
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let (program, _daemon) = start();
    let mut command = program.command(["peers"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
