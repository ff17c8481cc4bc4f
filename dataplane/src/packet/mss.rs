//! The segment size that a TCP connection agrees on, lowered to what the path carries.
//!
//! A TCP opens with the largest segment it can take (RFC 9293, 3.7.1). Lowering that number on its way, in both directions,
//! keeps every packet of the connection within the path, whatever becomes of ICMP. It is never raised.

use super::ip::{IPV4_HEADER, IPV6_HEADER};
use super::{IpPacket, Protocol, Version};

/// A TCP header without options, in bytes.
const TCP_HEADER: usize = 20;
const CHECKSUM: usize = 16;
const SYN: u8 = 0x02;
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;

/// Whether this is a SYN or a SYN-ACK, which alone may bring the option. Cheap enough for every packet.
pub fn opens(packet: &IpPacket<'_>) -> bool {
    packet.protocol() == Protocol::TCP
        && !packet.is_fragment()
        && packet.payload().get(13).is_some_and(|flags| flags & SYN != 0)
}

/// Lower the option of a packet that [`opens`] a connection to what a path of `mtu` bytes carries. True if that changed
/// anything. Options that make no sense are left alone.
pub fn clamp(bytes: &mut [u8], mtu: usize) -> bool {
    let Some((tcp, limit)) = IpPacket::parse(bytes).ok().filter(opens).map(|packet| {
        let headers = TCP_HEADER
            + match packet.version() {
                Version::V4 => IPV4_HEADER,
                Version::V6 => IPV6_HEADER,
            };
        (packet.header_length(), u16::try_from(mtu.saturating_sub(headers)).unwrap_or(u16::MAX))
    }) else {
        return false;
    };
    let Some(segment) = bytes.get_mut(tcp..) else { return false };
    let Some(at) = find(segment) else { return false };
    let Some(value) = get(segment, at).filter(|value| *value > limit) else { return false };
    let Some(checksum) = get(segment, CHECKSUM) else { return false };
    // At an odd place the two bytes belong to two words of the sum, the other way round.
    let (old, new) = if at % 2 == 0 { (value, limit) } else { (value.swap_bytes(), limit.swap_bytes()) };
    put(segment, at, limit);
    put(segment, CHECKSUM, update(checksum, old, new));
    true
}

/// Where the value of the option is.
fn find(segment: &[u8]) -> Option<usize> {
    let end = usize::from(segment.get(12)? >> 4) * 4;
    let header = segment.get(..end)?;
    let mut at = TCP_HEADER;
    while let Some(kind) = header.get(at).copied() {
        let length = match kind {
            END_OF_OPTIONS => return None,
            NO_OPERATION => 1,
            _ => usize::from(*header.get(at + 1)?),
        };
        let option = header.get(at..at + length).filter(|option| !option.is_empty())?;
        if kind == MAXIMUM_SEGMENT_SIZE {
            return (option.len() == 4).then_some(at + 2);
        }
        if kind != NO_OPERATION && option.len() < 2 {
            return None;
        }
        at += length;
    }
    None
}

/// A checksum after one word changed (RFC 1624, equation 3).
fn update(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}

fn get(segment: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*segment.get(at..)?.first_chunk()?))
}

fn put(segment: &mut [u8], at: usize, value: u16) {
    if let Some(field) = segment.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::icmp::{fold, sum};
    use super::*;

    /// A TCP segment with these flags and options and a right checksum, behind `before` in an IP packet.
    fn packet(v6: bool, extension: bool, flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut tcp = vec![0; TCP_HEADER];
        tcp[..4].copy_from_slice(&[1, 2, 0, 80]);
        tcp.extend_from_slice(options);
        tcp.resize(tcp.len().next_multiple_of(4), 0);
        tcp[12] = ((tcp.len() / 4) as u8) << 4;
        tcp[13] = flags;
        tcp.extend_from_slice(payload);
        let mut bytes = if v6 {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, 6, 64];
            header.extend([0xfd; 32]);
            if extension {
                header[6] = 60;
                header.extend([6, 0, 1, 4, 0, 0, 0, 0]);
            }
            let length = header.len() - 40 + tcp.len();
            header[4..6].copy_from_slice(&(length as u16).to_be_bytes());
            header
        } else {
            let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 100, 64, 0, 1, 100, 64, 0, 2];
            header[2..4].copy_from_slice(&((20 + tcp.len()) as u16).to_be_bytes());
            header
        };
        let right = checksum(&bytes, &tcp);
        tcp[CHECKSUM..CHECKSUM + 2].copy_from_slice(&right.to_be_bytes());
        bytes.extend(tcp);
        bytes
    }

    /// 0 over a segment whose checksum is right.
    fn checksum(header: &[u8], tcp: &[u8]) -> u16 {
        let addresses = if header[0] >> 4 == 4 { &header[12..20] } else { &header[8..40] };
        fold(sum(addresses) + 6 + tcp.len() as u64 + sum(tcp))
    }

    fn is_right(bytes: &[u8]) -> bool {
        let parsed = IpPacket::parse(bytes).unwrap();
        checksum(bytes, parsed.payload()) == 0
    }

    fn mss(bytes: &[u8]) -> Option<u16> {
        let parsed = IpPacket::parse(bytes).unwrap();
        get(parsed.payload(), find(parsed.payload())?)
    }

    const LINUX: [u8; 20] = [2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7];

    #[test]
    fn a_syn_and_its_answer_are_lowered_in_both_families() {
        for (v6, extension, expected) in [(false, false, 1240), (true, false, 1220), (true, true, 1220)] {
            for flags in [0x02, 0x12, 0xc2] {
                let mut bytes = packet(v6, extension, flags, &LINUX, &[]);
                assert_eq!(mss(&bytes), Some(1460));
                assert!(clamp(&mut bytes, 1280));
                assert_eq!(mss(&bytes), Some(expected));
                assert!(is_right(&bytes));
                assert!(!clamp(&mut bytes, 1280) && !clamp(&mut bytes, 1500), "never raised");
            }
        }
    }

    #[test]
    fn all_else_is_left_alone() {
        let fine = packet(false, false, 0x02, &LINUX, &[]);
        let mut later = fine.clone();
        later[7] = 1;
        let not_open = packet(false, false, 0x10, &LINUX, &[]);
        let without = packet(false, false, 0x02, &[1, 1, 4, 2], &[]);
        let hidden = packet(false, false, 0x02, &[0, 0, 2, 4, 5, 180], &[]);
        let wrong = packet(false, false, 0x02, &[2, 3, 5, 180], &[]);
        let endless = packet(false, false, 0x02, &[9, 0, 2, 4, 5, 180, 1, 1], &[]);
        let beyond = packet(false, false, 0x02, &[1, 1, 1, 2], &[4, 5, 180]);
        for bytes in [later, not_open, without, hidden, wrong, endless, beyond] {
            let mut after = bytes.clone();
            assert!(!clamp(&mut after, 576), "{bytes:?}");
            assert_eq!(after, bytes);
        }
    }

    proptest! {
        #[test]
        fn the_checksum_stays_right_wherever_the_option_is(
            v6 in any::<bool>(), before in 0..12_usize, value in any::<u16>(), mtu in 500..1500_usize,
            payload in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let [high, low] = value.to_be_bytes();
            let options = [&vec![1; before][..], &[2, 4, high, low]].concat();
            let mut bytes = packet(v6, v6, 0x02, &options, &payload);
            let before = bytes.clone();
            let changed = clamp(&mut bytes, mtu);
            let limit = mtu as u16 - if v6 { 60 } else { 40 };
            prop_assert_eq!(changed, value > limit);
            prop_assert_eq!(mss(&bytes), Some(value.min(limit)));
            prop_assert!(is_right(&bytes));
            prop_assert!(changed || bytes == before);
        }

        #[test]
        fn no_bytes_break_it(mut bytes in prop::collection::vec(any::<u8>(), 0..120), v6 in any::<bool>()) {
            if let Some(first) = bytes.first_mut() {
                *first = if v6 { 0x60 } else { 0x45 };
            }
            let length = bytes.len();
            clamp(&mut bytes, 576);
            prop_assert_eq!(bytes.len(), length);
        }
    }
}
