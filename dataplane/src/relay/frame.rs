//! The frame around a relayed datagram.
//!
//! ```text
//!  0        1        2                                                     8
//! +--------+--------+------------------------------------------------------+
//! |  0x06  |  0x00  | zero                                                 |
//! +--------+--------+------------------------------------------------------+
//! | session: agreed by both ends and the relay                             | 16
//! +------------------------------------------------------------------------+
//! | a WireGuard datagram (01..04) or a probe (05), and nothing else        |
//! +------------------------------------------------------------------------+
//! ```
//!
//! The session is big-endian. The header is not authenticated: what is inside is, and a relay looks at where it came from.

use crate::wg::Kind;

/// First byte of every frame.
pub const FIRST_BYTE: u8 = 0x06;
/// Length of the header in bytes.
pub const HEADER: usize = 16;
/// Where the session begins.
const SESSION: usize = 8;
/// The longest frame in bytes: jumbo frames are for local networks, which need no relay.
pub const MAX: usize = 2048;

/// Why a datagram is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Too short, too long, or the header is not as it must be.
    #[error("the datagram is no relay frame of a known format")]
    Malformed,
    /// Inside is neither WireGuard nor a probe.
    #[error("the frame holds something that is not relayed")]
    Inside,
}

/// The header of a session's frames.
#[must_use]
pub fn header(session: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0] = FIRST_BYTE;
    header[SESSION..].copy_from_slice(&session.to_be_bytes());
    header
}

/// The session of a frame, and what is inside.
///
/// # Errors
///
/// Says why it is no frame that is carried.
pub fn parse(datagram: &[u8]) -> Result<(u64, &[u8]), FrameError> {
    let (head, inside) = datagram.split_first_chunk::<HEADER>().ok_or(FrameError::Malformed)?;
    let (start, session) = head.split_at(SESSION);
    let session = session.first_chunk::<8>().ok_or(FrameError::Malformed)?;
    if datagram.len() > MAX || start != [FIRST_BYTE, 0, 0, 0, 0, 0, 0, 0] {
        return Err(FrameError::Malformed);
    }
    match Kind::of(inside) {
        Kind::Initiation | Kind::Session | Kind::Probe => Ok((u64::from_be_bytes(*session), inside)),
        Kind::Relayed | Kind::Quic | Kind::Unknown => Err(FrameError::Inside),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(session: u64, inside: &[u8]) -> Vec<u8> {
        [&header(session), inside].concat()
    }

    #[test]
    fn what_is_not_relayed_is_refused() {
        for inside in [&[][..], &[6; 40], &[0x45; 40], &[0; 40], &[1, 0, 0, 0], &[4, 0, 0, 0, 1]] {
            assert_eq!(parse(&framed(7, inside)), Err(FrameError::Inside), "{inside:?}");
        }
        let probe = [5; 80];
        assert_eq!(parse(&framed(7, &probe)), Ok((7, &probe[..])));
        assert_eq!(parse(&framed(7, &[5; MAX])), Err(FrameError::Malformed));
    }

    proptest! {
        #[test]
        fn a_frame_gives_back_what_was_put_in(session: u64, body in prop::collection::vec(any::<u8>(), 32..1500)) {
            let inside = [&[4, 0, 0, 0][..], &body].concat();
            let frame = framed(session, &inside);
            prop_assert_eq!(parse(&frame), Ok((session, &inside[..])));
        }

        #[test]
        fn any_bytes_are_a_frame_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100), begins: bool) {
            let bytes = if begins { framed(1, &bytes) } else { bytes };
            if let Ok((session, inside)) = parse(&bytes) {
                prop_assert_eq!(framed(session, inside), bytes.clone());
                prop_assert!((1..=5).contains(&inside[0]));
            }
        }

        #[test]
        fn a_reserved_byte_that_is_not_zero_is_refused(at in 1..8_usize, value in 1..=255_u8) {
            let mut frame = framed(9, &[5; 80]);
            frame[at] = value;
            prop_assert_eq!(parse(&frame), Err(FrameError::Malformed));
        }
    }
}
