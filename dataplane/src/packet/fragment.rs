//! IPv4 packets cut up for a path that is too narrow for them (RFC 791, 3.2).

use super::IpPacket;
use super::icmp::{fold, sum};
use super::ip::IPV4_HEADER;

/// Fragments begin at multiples of this many bytes.
const UNIT: usize = 8;
/// "More fragments" in the second byte pair that holds flags and offset.
const MORE: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;
/// This option is copied into every fragment (RFC 791, 3.1).
const COPIED: u8 = 0x80;

/// The pieces of `packet`, none longer than `mtu` bytes, in order. A piece of a packet may be cut up once more. Nothing where
/// that may not be done ([`IpPacket::may_be_fragmented`]), or where `mtu` has no room for a header and a unit of payload.
pub fn fragment<'a>(packet: &IpPacket<'a>, mtu: usize) -> impl Iterator<Item = Vec<u8>> + use<'a> {
    let (header, payload) = packet.bytes().split_at_checked(packet.header_length()).unwrap_or_default();
    let room = mtu.saturating_sub(header.len()) / UNIT * UNIT;
    let whole = packet.may_be_fragmented() && room > 0;
    let later = later_header(header);
    let flags = header.get(6..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u16::from_be_bytes);
    let pieces = payload.chunks(room.max(UNIT)).filter(move |_| whole);
    pieces.enumerate().map_while(move |(index, piece)| {
        let at = index * room;
        let more = at + piece.len() < payload.len() || flags & MORE != 0;
        let offset = usize::from(flags & OFFSET) + at / UNIT;
        let offset = u16::try_from(offset).ok().filter(|offset| *offset <= OFFSET)?;
        let header = if index == 0 { header } else { &later };
        Some(assemble(header, (flags & !(MORE | OFFSET)) | offset | if more { MORE } else { 0 }, piece))
    })
}

fn assemble(header: &[u8], flags: u16, piece: &[u8]) -> Vec<u8> {
    let mut bytes = [header, piece].concat();
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let mut put = |at: usize, value: u16| {
        if let Some(field) = bytes.get_mut(at..at + 2) {
            field.copy_from_slice(&value.to_be_bytes());
        }
    };
    put(2, length);
    put(6, flags);
    put(10, 0);
    let checksum = fold(sum(bytes.get(..header.len()).unwrap_or_default()));
    if let Some(field) = bytes.get_mut(10..12) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    bytes
}

/// The header of the fragments after the first: without the options that are not copied.
fn later_header(header: &[u8]) -> Vec<u8> {
    let (fixed, mut options) = header.split_at_checked(IPV4_HEADER).unwrap_or((header, &[]));
    let mut kept = fixed.to_vec();
    // End of list, or nonsense: nothing more to be copied.
    while let Some(kind) = options.first().copied().filter(|kind| *kind != 0) {
        let length = if kind == 1 { 1 } else { options.get(1).map_or(0, |length| usize::from(*length)) };
        let Some((option, rest)) = options.split_at_checked(length).filter(|_| length > 0) else { break };
        if kind & COPIED != 0 {
            kept.extend_from_slice(option);
        }
        options = rest;
    }
    kept.resize(kept.len().next_multiple_of(4), 0);
    if let Some(first) = kept.first().copied() {
        let words = (kept.len() / 4) as u8;
        kept[0] = (first & 0xf0) | words;
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A packet with these options (padded), flags and offset, identification 7.
    fn packet(options: &[u8], flags: u16, payload: &[u8]) -> Vec<u8> {
        let header = IPV4_HEADER + options.len().next_multiple_of(4);
        let mut bytes = vec![0; header];
        bytes[0] = 0x40 | (header / 4) as u8;
        bytes[4..6].copy_from_slice(&[0, 7]);
        bytes[8..10].copy_from_slice(&[64, 17]);
        bytes[12..20].copy_from_slice(&[100, 64, 0, 1, 100, 64, 0, 2]);
        bytes[20..20 + options.len()].copy_from_slice(options);
        assemble(&bytes, flags, payload)
    }

    fn pieces(bytes: &[u8], mtu: usize) -> Vec<Vec<u8>> {
        fragment(&IpPacket::parse(bytes).unwrap(), mtu).collect()
    }

    fn flags(bytes: &[u8]) -> u16 {
        u16::from_be_bytes([bytes[6], bytes[7]])
    }

    #[test]
    fn a_packet_is_cut_at_multiples_of_eight_bytes() {
        let bytes = packet(&[], 0, &[9; 1400]);
        let pieces = pieces(&bytes, 600);
        let shape: Vec<_> = pieces.iter().map(|piece| (piece.len(), flags(piece))).collect();
        assert_eq!(shape, [(596, MORE), (596, MORE | 72), (268, 144)]);
    }

    #[test]
    fn what_must_not_be_cut_is_not() {
        assert_eq!(pieces(&packet(&[], 0x4000, &[9; 1400]), 600), Vec::<Vec<u8>>::new());
        assert_eq!(pieces(&packet(&[], 0, &[9; 1400]), 27), Vec::<Vec<u8>>::new());
        let mut v6 = vec![0; 1040];
        v6[0] = 0x60;
        v6[4..7].copy_from_slice(&[3, 232, 17]);
        assert_eq!(pieces(&v6, 600), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn only_options_that_say_so_are_copied() {
        // No operation, record route (not copied), router alert (copied).
        let bytes = packet(&[1, 7, 3, 4, 148, 4, 0, 0], 0, &[9; 100]);
        let pieces = pieces(&bytes, 84);
        assert_eq!(pieces[0][20..28], [1, 7, 3, 4, 148, 4, 0, 0]);
        assert_eq!((pieces[1][0], &pieces[1][20..24]), (0x46, &[148, 4, 0, 0][..]));
    }

    proptest! {
        #[test]
        fn the_pieces_make_the_packet_again(
            payload in prop::collection::vec(any::<u8>(), 1..3000),
            options in prop::collection::vec(any::<u8>(), 0..40),
            mtu in 68..1500_usize,
            offset in 0..1000_u16,
            more in any::<bool>(),
        ) {
            let before = offset | if more { MORE } else { 0 };
            let bytes = packet(&options, before, &payload);
            let pieces = pieces(&bytes, mtu);
            let mut again = Vec::new();
            for (index, piece) in pieces.iter().enumerate() {
                prop_assert!(piece.len() <= mtu);
                let parsed = IpPacket::parse(piece).unwrap();
                let header = parsed.header_length();
                prop_assert_eq!(fold(sum(&piece[..header])), 0, "the checksum is right");
                prop_assert_eq!(usize::from(flags(piece) & OFFSET), usize::from(offset) + again.len() / UNIT);
                let last = index + 1 == pieces.len();
                prop_assert_eq!(flags(piece) & MORE != 0, more || !last);
                prop_assert_eq!(&piece[4..6], &bytes[4..6]);
                prop_assert_eq!(&piece[12..20], &bytes[12..20]);
                again.extend_from_slice(parsed.payload());
            }
            prop_assert_eq!(again, payload);
        }
    }
}
