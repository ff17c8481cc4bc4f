//! Datagrams in a stream of bytes: each behind its length, 16 bits, big-endian.

/// Bytes of the longest datagram.
pub const LONGEST: usize = u16::MAX as usize;
const HEADER: usize = 2;

/// Nothing is as short as an empty datagram: whoever sends one does not speak this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a datagram of no bytes")]
pub struct Empty;

/// Appends a datagram to what is to be sent. False, and nothing appended, if it is empty or too long.
pub fn append(datagram: &[u8], to: &mut Vec<u8>) -> bool {
    match u16::try_from(datagram.len()) {
        Ok(length @ 1..) => {
            to.extend_from_slice(&length.to_be_bytes());
            to.extend_from_slice(datagram);
            true
        }
        Ok(0) | Err(_) => false,
    }
}

/// Takes bytes as they come and gives datagrams.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// Where the next frame begins.
    at: usize,
}

impl Decoder {
    /// Takes bytes. Call [`Self::datagram`] until it has no more, or what is kept grows.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole datagram.
    ///
    /// # Errors
    ///
    /// When the stream is not one of datagrams; nothing of it can be believed any more.
    pub fn datagram(&mut self) -> Result<Option<Vec<u8>>, Empty> {
        let rest = &self.bytes[self.at..];
        let Some((length, rest)) = rest.split_first_chunk::<HEADER>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*length));
        if length == 0 {
            return Err(Empty);
        }
        let Some(datagram) = rest.get(..length) else { return Ok(None) };
        self.at += HEADER + length;
        Ok(Some(datagram.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_datagram_ends_the_stream() {
        let mut decoder = Decoder::default();
        decoder.push(&[0, 0]);
        assert_eq!(decoder.datagram(), Err(Empty));
        assert!(!append(&[], &mut Vec::new()));
        assert!(!append(&vec![0; LONGEST + 1], &mut Vec::new()));
    }

    proptest! {
        #[test]
        fn datagrams_come_out_as_they_went_in_however_the_bytes_are_cut(
            datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..20),
            cut in 1usize..64,
        ) {
            let mut bytes = Vec::new();
            for datagram in &datagrams {
                prop_assert!(append(datagram, &mut bytes));
            }
            let (mut decoder, mut came) = (Decoder::default(), Vec::new());
            for piece in bytes.chunks(cut) {
                decoder.push(piece);
                while let Some(datagram) = decoder.datagram().unwrap() {
                    came.push(datagram);
                }
            }
            prop_assert_eq!(came, datagrams);
        }
    }
}
