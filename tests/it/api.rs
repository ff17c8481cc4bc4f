//! The local API: who gets in, what hostile clients get, what is left behind.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use warren::control::{Cause, JoinEvent, Status};

use crate::daemon::{Daemon, second, status};
use crate::program::Program;

/// Says something to the socket as it is, and returns the whole answer.
fn say(socket: &Path, text: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // A server that has heard enough may hang up before the end.
    let _ = stream.write_all(text);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(socket: &Path, path: &str) -> String {
    say(socket, format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
}

#[test]
fn the_socket_is_for_owner_and_group_and_goes_with_the_daemon() {
    let program = Program::new();
    let daemon = Daemon::start(&program.socket());
    let mode = fs::metadata(program.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    daemon.stop();
    assert!(!program.socket().exists());
    assert_eq!(fs::read_dir(program.dir.path()).unwrap().count(), 0, "something was left");
}

#[test]
fn a_user_who_may_not_is_told_how_to_be_one_who_may() {
    let program = Program::new();
    let _daemon = Daemon::start(&program.socket());
    fs::set_permissions(program.socket(), fs::Permissions::from_mode(0o000)).unwrap();
    let outcome = program.finish(program.powerless(["status"]));
    assert_eq!(outcome.code, 4, "{}", outcome.err);
    assert!(
        outcome.err.starts_with("error: this user may not talk to the daemon at DIR/socket\nhint: use sudo")
    );
}

#[test]
fn the_socket_of_a_dead_daemon_is_replaced_and_that_of_a_living_one_is_not() {
    let program = Program::new();
    drop(UnixListener::bind(program.socket()).unwrap());
    assert!(program.socket().exists());
    let daemon = Daemon::start(&program.socket());
    let failure = daemon.runtime.block_on(second(&program.socket())).unwrap_err();
    assert_eq!(failure.cause, Cause::AlreadyRunning);
    assert!(get(&program.socket(), "/v1/status").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_file_in_the_place_of_the_socket_is_left_alone() {
    let program = Program::new();
    fs::File::create(program.socket()).unwrap().write_all(b"letters").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let failure = runtime.block_on(second(&program.socket())).unwrap_err();
    assert!(failure.message.contains("is no socket"), "{failure}");
    assert_eq!(fs::read(program.socket()).unwrap(), b"letters");
}

#[test]
fn a_path_no_socket_can_have_says_so() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let path = Path::new("/tmp").join("x".repeat(200));
    let failure = runtime.block_on(second(&path)).unwrap_err();
    assert_eq!(failure.cause, Cause::Misuse);
    assert!(failure.message.contains("longer than 107 bytes"), "{failure}");
}

#[test]
fn a_newer_client_learns_what_this_daemon_does_not_know() {
    let program = Program::new();
    let _daemon = Daemon::start(&program.socket());
    for path in ["/v2/status", "/v1/teleport", "/"] {
        let answer = get(&program.socket(), path);
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        assert!(answer.contains("\"code\":\"version_mismatch\""), "{answer}");
    }
    let answer = get(&program.socket(), "/v1/leave");
    assert!(answer.contains("does not know GET /v1/leave"), "{answer}");
}

#[test]
fn an_older_client_understands_a_newer_daemon() {
    let mut value = serde_json::to_value(status()).unwrap();
    value["weather"] = "fine".into();
    value["peers"][1]["mood"] = 7.into();
    value["peers"][1]["path"]["kind"] = "wormhole".into();
    let newer: Status = serde_json::from_value(value).unwrap();
    assert_eq!(newer.peers.len(), 3);
    let event: JoinEvent = serde_json::from_str(r#"{"event":"vetted","by":"nas"}"#).unwrap();
    assert_eq!(event, JoinEvent::Other);
    let failure: warren::control::Failure =
        serde_json::from_str(r#"{"code":"bewitched","message":"no","since":3}"#).unwrap();
    assert_eq!(failure.cause, Cause::Other);
}

#[test]
fn a_body_that_is_too_large_or_nonsense_is_refused_and_the_next_client_is_served() {
    let program = Program::new();
    let _daemon = Daemon::start(&program.socket());
    let post = |body: &[u8]| {
        let head = format!(
            "POST /v1/grants HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        say(&program.socket(), &[head.as_bytes(), body].concat())
    };
    assert!(post(b"{").contains("\"code\":\"misuse\""));
    assert!(
        post(br#"{"peer":"laptop","allow":true,"grants":["everything"]}"#).contains("\"code\":\"misuse\"")
    );
    assert!(post(&vec![b' '; 100_000]).contains("larger than 65536 bytes"));
    assert!(!say(&program.socket(), b"\x16\x03\x01\x02\x00garbage\r\n\r\n").starts_with("HTTP/1.1 200"));
    assert!(get(&program.socket(), "/v1/status").starts_with("HTTP/1.1 200"));
}

#[test]
fn one_client_too_many_is_turned_away_and_served_when_another_is_gone() {
    let program = Program::new();
    let _daemon = Daemon::start(&program.socket());
    // Each holds its place: the answer came, the connection stays open.
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut stream = UnixStream::connect(program.socket()).unwrap();
        stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
        held.push(stream);
    }
    let mut one_more = UnixStream::connect(program.socket()).unwrap();
    let mut answer = String::new();
    one_more.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.ends_with("{\"error\":{\"code\":\"failed\",\"message\":\"the daemon has too many clients\"}}")
    );
    drop(held);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !get(&program.socket(), "/v1/status").starts_with("HTTP/1.1 200") {
        assert!(std::time::Instant::now() < deadline, "nobody was ever served again");
    }
}

#[test]
fn metrics_are_prometheus_text() {
    let program = Program::new();
    let _daemon = Daemon::start(&program.socket());
    let answer = get(&program.socket(), "/metrics");
    for line in [
        "warren_info{version=\"0.1.0\",mesh=\"home\",device=\"nas\"} 1\n",
        "# TYPE warren_peer_received_bytes_total counter\n",
        "warren_peer_received_bytes_total{peer=\"laptop\"} 1258291\n",
        "warren_peer_online{peer=\"phone-of-somebody-far-off\"} 0\n",
        "warren_peer_path{peer=\"desk\",kind=\"relay\"} 1\n",
        "warren_dropped_packets_total{reason=\"no_peer\"} 3\n",
    ] {
        assert!(answer.contains(line), "{line} in\n{answer}");
    }
}
