//! Packets by hand, by machine and by malice.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::icmp::{EchoReply, Unreachable, echo_request, unreachable};
use super::*;

const A4: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 1);
const B4: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 2);
const A6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const B6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

fn v4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0];
    bytes.extend_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&[0, 7]);
    bytes.extend_from_slice(&fragment.to_be_bytes());
    bytes.extend_from_slice(&[64, protocol, 0, 0]);
    bytes.extend_from_slice(&A4.octets());
    bytes.extend_from_slice(&B4.octets());
    bytes.extend_from_slice(payload);
    bytes
}

fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&[next, 64]);
    bytes.extend_from_slice(&A6.octets());
    bytes.extend_from_slice(&B6.octets());
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn a_udp_packet_has_addresses_and_ports() {
    for bytes in [v4(17, 0, &[0, 80, 1, 0, 0, 8, 0, 0]), v6(17, &[0, 80, 1, 0, 0, 8, 0, 0])] {
        let packet = IpPacket::parse(&bytes).unwrap();
        let flow = packet.flow().unwrap();
        assert_eq!((flow.source_port, flow.destination_port), (80, 256));
        assert_eq!(flow.source, packet.source());
        assert_eq!(flow.reversed().reversed(), flow);
        assert_eq!(packet.payload().len(), 8);
    }
}

#[test]
fn trailing_bytes_are_cut_off() {
    let mut bytes = v4(17, 0, &[0; 8]);
    bytes.extend_from_slice(&[0xff; 12]);
    assert_eq!(IpPacket::parse(&bytes).unwrap().bytes().len(), 28);
}

#[test]
fn every_truncation_of_a_packet_is_refused() {
    for bytes in [v4(17, 0, &[0; 8]), v6(0, &[17, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0, 8, 0, 0])] {
        for length in 0..bytes.len() {
            assert!(IpPacket::parse(&bytes[..length]).is_err(), "{length}");
        }
    }
}

#[test]
fn extension_headers_are_walked_and_a_later_fragment_has_no_ports() {
    let mut chain = vec![43, 0, 0, 0, 0, 0, 0, 0]; // hop by hop, then routing
    chain.extend_from_slice(&[44, 0, 0, 0, 0, 0, 0, 0]); // routing, then fragment
    let first = [&chain[..], &[17, 0, 0, 1, 0, 0, 0, 9], &[0, 53, 0, 54, 0, 8, 0, 0]].concat();
    let bytes = v6(0, &first);
    let packet = IpPacket::parse(&bytes).unwrap();
    assert_eq!(packet.protocol(), Protocol::UDP);
    assert!(packet.is_fragment() && !packet.is_later_fragment());
    assert_eq!(packet.flow().unwrap().destination_port, 54);

    let later = [&chain[..], &[17, 0, 0, 8, 0, 0, 0, 9], &[0, 53, 0, 54, 0, 8, 0, 0]].concat();
    let bytes = v6(0, &later);
    let packet = IpPacket::parse(&bytes).unwrap();
    assert!(packet.is_later_fragment());
    assert_eq!(packet.flow(), None);
    assert_eq!(IpPacket::parse(&v4(17, 1, &[0; 8])).unwrap().flow(), None);
}

#[test]
fn an_endless_chain_of_extension_headers_is_refused() {
    let chain = [60u8, 0, 0, 0, 0, 0, 0, 0].repeat(20);
    assert_eq!(IpPacket::parse(&v6(60, &chain)), Err(Malformed::Extensions));
}

#[test]
fn an_echo_request_is_answered_by_its_reply_alone() {
    for (source, destination, reply) in
        [(IpAddr::V4(A4), IpAddr::V4(B4), 0), (IpAddr::V6(A6), IpAddr::V6(B6), 129)]
    {
        let mut request = Vec::new();
        assert!(echo_request(source, destination, 0x1234, 7, b"odd", &mut request));
        let asked = IpPacket::parse(&request).unwrap();
        let flow = asked.flow().unwrap();
        assert_eq!(EchoReply::parse(&asked), None);

        // Turn it round as a kernel would; swapping addresses does not change the sum, the type does.
        let mut answer = Vec::new();
        assert!(echo_request(destination, source, 0x1234, 7, b"odd", &mut answer));
        let header = IpPacket::parse(&answer).unwrap().header_length();
        let kind = answer[header];
        answer[header] = reply;
        let sum = u16::from_be_bytes([answer[header + 2], answer[header + 3]]);
        let difference = i32::from(kind) - i32::from(reply);
        let sum = i32::from(sum) + difference * 256;
        let sum = ((sum & 0xffff) + (sum >> 16)) as u16;
        answer[header + 2..header + 4].copy_from_slice(&sum.to_be_bytes());

        let packet = IpPacket::parse(&answer).unwrap();
        let parsed = EchoReply::parse(&packet).unwrap();
        assert_eq!((parsed.identifier, parsed.sequence, parsed.payload), (0x1234, 7, &b"odd"[..]));
        assert_eq!(packet.flow().unwrap(), flow.reversed());
        assert_ne!(flow, flow.reversed());

        answer[header + 8] ^= 1;
        assert_eq!(EchoReply::parse(&IpPacket::parse(&answer).unwrap()), None);
    }
}

#[test]
fn an_error_quotes_the_flow_it_is_about() {
    let payload = [&[0, 80, 1, 0, 0x27, 0x10, 0, 0][..], &[0; 2000]].concat();
    for (bytes, from) in [(v4(17, 0, &payload), IpAddr::V4(B4)), (v6(17, &payload), IpAddr::V6(B6))] {
        let original = IpPacket::parse(&bytes).unwrap();
        for reason in
            [Unreachable::NoRoute, Unreachable::Host, Unreachable::Prohibited, Unreachable::TooBig(1280)]
        {
            let mut error = Vec::new();
            assert!(unreachable(&original, from, reason, &mut error));
            assert!(error.len() <= 1280);
            let error = IpPacket::parse(&error).unwrap();
            assert!(error.is_icmp_error());
            assert_eq!((error.source(), error.destination()), (from, original.source()));
            assert_eq!(error.quoted(), original.flow());
            assert_eq!(error.flow(), None);
            assert!(!unreachable(&error, from, reason, &mut Vec::new()), "no error about an error");
        }
    }
}

#[test]
fn only_a_syn_opens_a_tcp_connection() {
    let mut header = [0u8; 20];
    for (flags, opens) in [(0x02, true), (0x12, false), (0x10, false), (0xc2, true), (0x04, false)] {
        header[13] = flags;
        assert_eq!(IpPacket::parse(&v4(6, 0, &header)).unwrap().is_tcp_open(), opens, "{flags:x}");
    }
}

#[test]
fn a_pool_hands_out_what_it_was_given_back_and_forgets_the_surplus() {
    let mut pool = Pool::new(64, 1);
    let (one, two) = (pool.take(), pool.take());
    pool.give(one);
    pool.give(two);
    assert_eq!(pool.available(), 1);
    pool.take();
    pool.give(Vec::with_capacity(1 << 20));
    assert_eq!(pool.available(), 0, "a buffer that grew is let go");
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 0u8..16) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = (version << 4) | (*first & 0x0f);
        }
        if let Ok(packet) = IpPacket::parse(&bytes) {
            prop_assert!(packet.bytes().len() <= bytes.len());
            prop_assert_eq!(packet.header_length() + packet.payload().len(), packet.bytes().len());
            let _ = (packet.flow(), packet.quoted(), packet.is_tcp_open(), EchoReply::parse(&packet));
            // What was accepted is accepted again, and says the same.
            prop_assert_eq!(IpPacket::parse(packet.bytes()), Ok(packet));
            let from = if packet.version() == Version::V4 { IpAddr::V4(A4) } else { IpAddr::V6(A6) };
            let mut error = Vec::new();
            if unreachable(&packet, from, Unreachable::Host, &mut error) {
                prop_assert!(IpPacket::parse(&error).is_ok());
            }
        }
    }
}
