//! Targets of the dataplane: what anybody can throw at the port, and what comes out of a tunnel.

use warren_dataplane::engine::Via;
use warren_dataplane::packet::icmp::{EchoReply, Unreachable, unreachable};
use warren_dataplane::packet::{IpPacket, Version, fragment, mss};
use warren_dataplane::path::Agent;
use warren_dataplane::path::probe::{LEN, ProbeKey, peek};
use warren_dataplane::relay::frame;
use warren_dataplane::wg::Kind;

use crate::bench::{Tunnel, instant, parsed};

/// A datagram from the network at an engine with one peer: whatever it is, the engine stays whole.
#[must_use]
pub fn datagram(bytes: &[u8]) -> bool {
    let now = instant();
    let Tunnel { mut engine, at, peer } = Tunnel::here(now);
    engine.handle_datagram(at, bytes, now);
    // The same bytes again, and as equal segments of a longer buffer.
    engine.handle_datagram(parsed::<std::net::SocketAddr>("198.51.100.9:9"), bytes, now);
    engine.handle_datagrams(at, bytes, 148, now);
    // And out of a stream, and framed in it.
    engine.add_stream(&peer, 1, at, now).unwrap_or_else(|error| panic!("a stream: {error}"));
    engine.handle_datagram(Via::Stream { id: 1 }, bytes, now);
    let framed = [&frame::header(1)[..], bytes].concat();
    engine.handle_datagram(Via::Stream { id: 1 }, &framed, now);
    while let Some(transmit) = engine.poll_transmit() {
        for segment in transmit.segments() {
            assert!(
                !matches!(Kind::of(segment), Kind::Unknown | Kind::Quic),
                "we send only what we would take"
            );
        }
    }
    assert!(engine.poll_tun().is_none(), "no packet comes out of one unauthenticated datagram");
    while engine.poll_event().is_some() {}
    if let Some((at, _)) = engine.poll_timeout() {
        engine.handle_timeout(at);
    }
    matches!(Kind::of(bytes), Kind::Initiation | Kind::Session | Kind::Probe | Kind::Relayed)
}

/// The key of the pair of agents that probes are fuzzed between.
pub(crate) const PROBE_KEY: ProbeKey = ProbeKey([8; 32]);

/// A datagram that begins as a probe does.
#[must_use]
pub fn probe(bytes: &[u8]) -> bool {
    let now = instant();
    let mut agent = Agent::new(PROBE_KEY.clone(), true, 1, now);
    let from: std::net::SocketAddr = parsed("192.0.2.1:41820");
    agent.set_candidates(&[from], now);
    while agent.poll_transmit().is_some() {}
    assert!(peek(bytes).is_none() || bytes.len() >= LEN);
    let handled = agent.handle_probe(from.into(), bytes, now);
    let mut answered = 0;
    while let Some(transmit) = agent.poll_transmit() {
        answered += transmit.datagram.len();
    }
    match &handled {
        // A pong, and at most one ping of our own.
        Ok(()) => assert!(answered <= 2 * bytes.len(), "{answered} bytes for {}", bytes.len()),
        Err(_) => assert_eq!(answered, 0, "a refused probe is not answered"),
    }
    assert!(agent.info().is_none(), "no single datagram from a stranger verifies a path");
    handled.is_ok()
}

/// What a path that is too narrow for a packet makes of it.
fn narrow(packet: &IpPacket<'_>) {
    let mut payload = Vec::new();
    for piece in fragment(packet, 576) {
        assert!(piece.len() <= 576 && packet.may_be_fragmented());
        let piece = IpPacket::parse(&piece).unwrap_or_else(|error| panic!("a piece of ours: {error}"));
        assert_eq!((piece.source(), piece.destination()), (packet.source(), packet.destination()));
        payload.extend_from_slice(piece.payload());
    }
    assert!(packet.payload().starts_with(&payload), "the pieces make the packet, as far as offsets reach");
    let mut lowered = packet.bytes().to_vec();
    let is_lower = mss::clamp(&mut lowered, 576);
    assert!(!is_lower || mss::opens(packet));
    assert_eq!(lowered == packet.bytes(), !is_lower);
    assert!(!mss::clamp(&mut lowered, 576), "once is enough");
}

/// A packet from the TUN device or out of a tunnel.
#[must_use]
pub fn ip_packet(bytes: &[u8]) -> bool {
    let Ok(packet) = IpPacket::parse(bytes) else { return false };
    assert!(bytes.starts_with(packet.bytes()), "padding is cut, nothing else");
    assert!(packet.payload().len() < packet.bytes().len());
    let version = packet.version();
    assert_eq!(packet.source().is_ipv4(), version == Version::V4);
    assert_eq!(packet.destination().is_ipv4(), version == Version::V4);
    let again = IpPacket::parse(packet.bytes());
    assert!(again.is_ok_and(|again| again == packet), "what is cut parses as before");
    let (flow, quoted) = (packet.flow(), packet.quoted());
    assert!(quoted.is_none() || packet.is_icmp_error());
    assert!(flow.is_some() || !packet.is_tcp_open());
    let _ = EchoReply::parse(&packet);
    narrow(&packet);
    let mut answer = Vec::new();
    let from = parsed(if version == Version::V4 { "100.64.0.1" } else { "fd00::1" });
    if unreachable(&packet, from, Unreachable::TooBig(1280), &mut answer) {
        let error = IpPacket::parse(&answer).unwrap_or_else(|error| panic!("our own error: {error}"));
        assert!(error.is_icmp_error() && answer.len() <= 1280);
        assert_eq!(error.destination(), packet.source());
        let mut more = Vec::new();
        assert!(!unreachable(&error, from, Unreachable::TooBig(1280), &mut more), "no error about an error");
    } else {
        assert!(answer.is_empty());
    }
    true
}
