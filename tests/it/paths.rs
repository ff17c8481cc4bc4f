//! What the commands say of paths: netcheck, doctor, and the wait for a direct one.

use crate::daemon::{Daemon, netcheck};
use crate::program::{Outcome, Program};

fn start() -> (Program, Daemon) {
    let program = Program::new();
    let daemon = Daemon::start(&program.socket());
    (program, daemon)
}

const HERE: &str = "\
UDP         works, port 41820
IPv4        192.168.1.7
            hard NAT: each member sees another port (symmetric)
            laptop sees 203.0.113.9:41820
IPv6        no address
router      lends no port: UPnP, NAT-PMP and PCP are off or not known to it
relays      laptop 40 ms, holds a place for this device, carries desk
relaying    auto (whether this device forwards for others)
rendezvous  not configured
clock       no member to compare with
MTU         1420
";

const UPNP: &str = "→ your router has UPnP off: turn it on, or forward UDP 41820 to 192.168.1.7\n";

#[test]
fn netcheck_ends_in_advice() {
    let (program, _daemon) = start();
    let expected = Outcome { code: 0, out: format!("{HERE}\n{UPNP}"), err: String::new() };
    assert_eq!(program.run(&["netcheck"]), expected);
}

#[test]
fn netcheck_for_programs_is_the_api() {
    let (program, _daemon) = start();
    let outcome = program.run(&["netcheck", "--json"]);
    assert_eq!(serde_json::from_str::<warren::control::Netcheck>(&outcome.out).unwrap(), netcheck());
    let value: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(value["ipv4"]["nat"], "hard");
    assert_eq!(value["port_mapping"], "refused");
}

#[test]
fn doctor_lists_every_way_and_what_to_do() {
    let (program, _daemon) = start();
    let expected = format!(
        "THIS DEVICE\n{HERE}
desk is reached: relay by laptop, 192.168.1.20:41820, 81 ms (symmetric NAT on both sides)
  its side: hard NAT: each member sees another port (symmetric)
  198.51.100.7:41820  direct             no answer to 12 pings  told
  192.168.1.20:41820  relay   by laptop  answers, 81 ms         told
  10.0.0.3:41820      direct             not tried              told

{UPNP}→ both routers give each connection a port of its own (symmetric NAT)
"
    );
    let outcome = program.run(&["doctor", "desk"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (0, expected.as_str()), "{}", outcome.out);
    assert_eq!(program.run(&["doctor"]), outcome);
    let json: serde_json::Value = serde_json::from_str(&program.run(&["doctor", "--json"]).out).unwrap();
    assert_eq!(json["peers"][0]["pairs"][0]["outcome"]["is"], "unanswered");
}

#[test]
fn waiting_for_a_direct_path_ends_with_it() {
    let (program, _daemon) = start();
    let outcome = program.run(&["ping", "--until-direct", "laptop"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.out.contains("now lan, 192.168.1.20:41820, 0.43 ms\n"), "{}", outcome.out);
    assert_eq!(program.run(&["ping", "--until-direct", "-c", "2", "desk"]).code, 6);
    let relayed = program.run(&["ping", "--until-direct", "-c", "2", "relayed"]);
    assert_eq!(relayed.code, 1);
    assert!(relayed.err.starts_with("error: the path to relayed did not become direct\n"), "{}", relayed.err);
}
