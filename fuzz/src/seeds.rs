//! The committed corpus: for each target, inputs that reach what lies behind its parser, and near misses.

use warren_dataplane::engine::Command;
use warren_dataplane::packet::icmp::echo_request;
use warren_dataplane::path::probe::LEN;
use warren_dataplane::path::{Agent, Route};
use warren_dataplane::wg::Kind;
use warren_p2p::discovery::rendezvous::{Period, Place, Subject};
use warren_p2p::discovery::{Presence, Presences};
use warren_p2p::identity::{DeviceId, Identity};
use warren_p2p::invite::Progress;
use warren_p2p::limits::RECORD_BYTES;
use warren_p2p::membership::Sync;
use warren_p2p::membership::{Log, Message};
use warren_p2p::record::codec::encode;
use warren_p2p::record::{Grants, Verified};
use warren_p2p::relay;
use warren_p2p::signal::{BYTES, CANDIDATES, Hello, NatKind, ReachRequest};

use crate::bench::{Mesh, NOW, Tunnel, instant, parsed};
use crate::dataplane::PROBE_KEY;
use crate::relaying as relaying_target;

/// A seed: the name of its target, its own name, its bytes.
pub type Seed = (&'static str, String, Vec<u8>);

/// All seeds. Handshakes differ from run to run; everything else is the same each time.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    seeds.extend(mesh());
    seeds.extend(signals());
    seeds.extend(relaying());
    seeds.extend(packets());
    seeds.extend(datagrams());
    seeds.extend(probes());
    seeds
}

fn mesh() -> Vec<Seed> {
    let bench = Mesh::new();
    let mut seeds = Vec::new();
    let mut add = |target, name: &str, bytes: Vec<u8>| seeds.push((target, name.to_owned(), bytes));

    let code = bench.code.to_string();
    add("invite_code", "whole", code.clone().into_bytes());
    add("invite_code", "wrapped", format!(" {}\n{}", &code[..40], code[40..].to_uppercase()).into_bytes());
    add("invite_code", "cut", code.as_bytes()[..100].to_vec());

    let mut newcomer = bench.newcomer();
    let ask = newcomer.ask(NOW);
    let (terms, _) = bench.answer(&ask);
    if newcomer.handle_terms(&terms, NOW).is_err() {
        panic!("the founder's terms are refused");
    }
    let join = newcomer.request().unwrap_or_else(|error| panic!("a request: {error}"));
    let (admitted, log) = bench.answer(&join);
    assert!(
        matches!(newcomer.handle_admitted(None, &admitted), Ok(Progress::Admitted(_))),
        "the newcomer is in"
    );
    let sent = |bytes: Result<Vec<u8>, _>| {
        bytes.unwrap_or_else(|error: warren_p2p::record::CodecError| panic!("{error}"))
    };
    for (name, bytes) in [
        ("ask", ask.encode()),
        ("terms", terms.encode()),
        ("join", join.encode()),
        ("admitted", admitted.encode()),
    ] {
        add("join_message", name, sent(bytes));
    }

    for (number, record) in log.records().enumerate() {
        add("record", &format!("signed-{number}"), record.bytes().to_vec());
        add("record", &format!("content-{number}"), sent(encode(record.record(), RECORD_BYTES)));
    }
    for (name, bytes) in presences(&bench) {
        add("rendezvous_value", name, bytes);
    }
    for (name, message) in exchange(&log) {
        add("exchange_message", &name, sent(message.encode()));
    }
    seeds
}

/// Greetings, poor and rich, and presences alone.
fn signals() -> Vec<Seed> {
    let bench = Mesh::new();
    let author = Identity::generate([4; 32]);
    let presence = |relays: Vec<DeviceId>| {
        let addresses = vec![parsed("203.0.113.7:41820"), parsed("[2001:db8::7]:41820")];
        let presence = Presence {
            mesh: bench.log.mesh(),
            device: author.device_id(),
            issued_at: NOW,
            addresses,
            relays,
        };
        let signed = Verified::sign(presence, &author);
        signed.unwrap_or_else(|error| panic!("a presence: {error}")).bytes().to_vec()
    };
    let (plain, relayed) = (presence(Vec::new()), presence(vec![bench.founder.device_id()]));
    let poor = Hello {
        now: NOW,
        candidates: Vec::new(),
        nat: NatKind::Unknown,
        relay: false,
        grants: Grants::default(),
        presences: Vec::new(),
    };
    let rich = Hello {
        candidates: vec![parsed("192.168.1.7:41820"), parsed("203.0.113.7:1024")],
        nat: NatKind::Hard,
        relay: true,
        grants: Grants::usual(),
        presences: vec![relayed.clone()],
        ..poor.clone()
    };
    let mut broken = rich.clone();
    broken.presences.push(plain[..40].to_vec());
    let crowded = Hello { candidates: vec![parsed("192.0.2.1:1"); CANDIDATES + 1], ..poor.clone() };
    let asked = ReachRequest { addresses: vec![parsed("203.0.113.7:41820")] };
    let mut seeds = vec![
        ("signal_message", "presence".to_owned(), plain),
        ("signal_message", "presence-relayed".to_owned(), relayed),
    ];
    for (name, hello) in [("poor", poor), ("rich", rich), ("broken", broken), ("crowded", crowded)] {
        let bytes = encode(&hello, BYTES).unwrap_or_else(|error| panic!("a greeting: {error}"));
        seeds.push(("signal_message", name.to_owned(), bytes));
    }
    let asked = encode(&asked, BYTES).unwrap_or_else(|error| panic!("a request: {error}"));
    seeds.push(("signal_message", "reach".to_owned(), asked));
    seeds
}

/// Every message about relaying; streams that are whole, cut, and none.
fn relaying() -> Vec<Seed> {
    let bench = Mesh::new();
    let (peer, session) = (bench.founder.device_id(), 0x0102_0304_0506_0708);
    let said = [
        ("open", relay::Message::Open { peer: parsed_id() }),
        ("open-receiver", relay::Message::Open { peer }),
        ("offer", relay::Message::Offer { peer, session }),
        ("accept", relay::Message::Accept { session }),
        ("refuse", relay::Message::Refuse { peer, why: relay::Why::Full }),
        ("close", relay::Message::Close { session }),
    ];
    let mut seeds: Vec<Seed> = said
        .iter()
        .map(|(name, message)| {
            let bytes =
                encode(message, relaying_target::BYTES).unwrap_or_else(|error| panic!("{name}: {error}"));
            ("relay_message", (*name).to_owned(), bytes)
        })
        .collect();
    let frames: [(&str, &[u8]); 4] = [
        ("two", &[3, 0, 1, 7, 0, 2, 8, 9]),
        ("cut", &[255, 0, 1, 7, 1, 0, 8, 9]),
        ("empty", &[2, 0, 1, 7, 0, 0, 0, 1, 7]),
        ("nothing-yet", &[1, 255]),
    ];
    seeds.extend(frames.map(|(name, bytes)| ("datagram_stream", name.to_owned(), bytes.to_vec())));
    seeds
}

/// The founder's presence, as it lies at the rendezvous and as it is inside; one that is another's.
fn presences(bench: &Mesh) -> Vec<(&'static str, Vec<u8>)> {
    let mesh = bench.log.mesh();
    let place = Place::of(mesh, Subject::Member(bench.founder.device_id()), Period::at(NOW));
    let addresses = vec![parsed("192.0.2.1:41820"), parsed("[2001:db8::1]:41820")];
    let presence = |identity: &Identity| {
        let presence = Presences::own(identity, mesh, addresses.clone(), Vec::new(), NOW);
        presence.unwrap_or_else(|error| panic!("a presence: {error}"))
    };
    let own = presence(&bench.founder);
    let sealed = place.seal(&own, [8; 12]).unwrap_or_else(|| panic!("it fits"));
    let plain =
        |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()[..], bytes].concat();
    let other = presence(&Identity::generate([4; 32]));
    vec![("sealed", sealed), ("plain", plain(own.bytes())), ("others", plain(other.bytes()))]
}

/// A whole comparison with a peer that has nothing but the mesh id.
fn exchange(log: &Log) -> Vec<(String, Message)> {
    let (now, member) = (instant(), parsed_id());
    let empty = Log::new(log.mesh());
    let mut waiting = vec![Sync::open(log)];
    let mut said = Vec::new();
    let (mut theirs, mut ours) = (Sync::new(), Sync::new());
    for turn in 0..6 {
        let (sync, at) = if turn % 2 == 0 { (&mut theirs, &empty) } else { (&mut ours, log) };
        let mut replies = Vec::new();
        for message in waiting {
            replies.extend(sync.handle_message(at, member, message.clone(), now).replies);
            said.push((format!("turn-{turn}-{}", said.len()), message));
        }
        waiting = replies;
    }
    said
}

fn parsed_id() -> DeviceId {
    Identity::generate([4; 32]).device_id()
}

fn packets() -> Vec<Seed> {
    let mut v4 = Vec::new();
    assert!(echo_request(parsed("100.64.0.6"), parsed("100.64.0.5"), 1, 1, b"warren", &mut v4));
    let mut v6 = Vec::new();
    assert!(echo_request(parsed("fd00::6"), parsed("fd00::5"), 1, 1, b"warren", &mut v6));
    // TCP SYN to port 22, with a segment size; UDP that has to be cut up; a middle fragment of UDP; IPv6 with a hop-by-hop header before UDP.
    let tcp = hex("4500002800010000400600006440000664400005c00000160000000100000000500220000000 0000");
    let sized =
        hex("4500002c000100004006000064400006644000 05c0000016000000010000000060022000000000000204 05b4");
    let mut long = hex("450002d00001000040110000644000066440000511223344 02bc0000");
    long.resize(720, 7);
    let fragment = hex("4500001c0001200340110000644000066440000511223344 55667788");
    let options = hex(
        "60000000001000 40fd000000000000000000000000000006fd000000000000000000000000000005 1100010400000000 c000003500080000",
    );
    let named =
        [("echo-v4", v4), ("echo-v6", v6), ("tcp-syn", tcp), ("fragment", fragment), ("options-v6", options)];
    let named = named.into_iter().chain([("tcp-syn-mss", sized), ("long-v4", long)]);
    named.map(|(name, bytes)| ("ip_packet", name.to_owned(), bytes)).collect()
}

/// What one end sends until a handshake has taken place: probes, an initiation, data.
fn datagrams() -> Vec<Seed> {
    let now = instant();
    let (mut here, mut there) = (Tunnel::here(now), Tunnel::there(now));
    let ping = Command::Ping { peer: there.peer, token: 1 };
    there.engine.handle_command(ping, now).unwrap_or_else(|error| panic!("a ping: {error}"));
    let mut seeds = vec![
        ("datagram", "quic".to_owned(), vec![0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("datagram", "data".to_owned(), [&[4, 0, 0, 0][..], &[0; 28]].concat()),
    ];
    for _ in 0..8 {
        while let Some(transmit) = there.engine.poll_transmit() {
            for segment in transmit.segments() {
                let name = format!("type-{}-{}", segment.first().copied().unwrap_or(0), seeds.len());
                seeds.push(("datagram", name, segment.to_vec()));
                here.engine.handle_datagram(here.at, segment, now);
            }
        }
        while let Some(transmit) = here.engine.poll_transmit() {
            transmit.segments().for_each(|segment| there.engine.handle_datagram(there.at, segment, now));
        }
    }
    assert!(
        seeds.iter().any(|(_, _, bytes)| Kind::of(bytes) == Kind::Initiation),
        "no handshake among the seeds"
    );
    seeds
}

fn probes() -> Vec<Seed> {
    let now = instant();
    let mut agent = Agent::new(PROBE_KEY.clone(), false, 2, now);
    agent.set_candidates(&[parsed("192.0.2.2:41820")], now);
    agent.want(now);
    agent.handle_timeout(now);
    let mut seeds = Vec::new();
    while let Some(transmit) = agent.poll_transmit() {
        let mut forged = transmit.datagram.to_vec();
        seeds.push(("probe", format!("ping-{}", seeds.len()), forged.clone()));
        forged[40] ^= 1;
        seeds.push(("probe", format!("forged-{}", seeds.len()), forged));
    }
    seeds.push(("probe", "long-ping".to_owned(), long_ping()));
    seeds
}

/// The ping that asks whether a whole packet passes, which follows the first answer.
fn long_ping() -> Vec<u8> {
    let now = instant();
    let (here, there) = (parsed("192.0.2.2:41820"), parsed("192.0.2.1:41820"));
    let mut agent = Agent::new(PROBE_KEY.clone(), false, 2, now);
    let mut other = Agent::new(PROBE_KEY.clone(), true, 1, now);
    agent.set_mtu(1280);
    agent.set_candidates(&[here], now);
    for _ in 0..4 {
        while let Some(transmit) = agent.poll_transmit() {
            if transmit.datagram.len() > LEN {
                return transmit.datagram;
            }
            let _ = other.handle_probe(Route::udp(there), &transmit.datagram, now);
        }
        while let Some(transmit) = other.poll_transmit() {
            let _ = agent.handle_probe(Route::udp(here), &transmit.datagram, now);
        }
    }
    panic!("the agents did not come to sizes");
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.bytes().filter_map(|byte| (byte as char).to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
