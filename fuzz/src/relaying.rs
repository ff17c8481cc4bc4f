//! Targets of relaying: what members say of it, and the stream of datagrams over TCP.

use warren_p2p::node::{Now, Output};
use warren_p2p::record::codec::{decode, encode};
use warren_p2p::relay::Message;
use warren_p2p::swarm::datagrams::frame::{Decoder, append};

use crate::bench::{NOW, instant};
use crate::p2p::connected;

/// Bytes of one message, as the shell limits them.
pub(crate) const BYTES: usize = 256;

/// What a member says about relaying to a node that is connected with it, twice.
#[must_use]
pub fn relay_message(bytes: &[u8]) -> bool {
    let Ok(message) = decode::<Message>(bytes, BYTES) else { return false };
    assert_eq!(encode(&message, BYTES).as_deref(), Ok(bytes), "a message has one spelling");
    let now = Now { instant: instant(), wall: NOW };
    let (mut node, member) = connected(now);
    while node.poll_output(now).is_some() {}
    for _ in 0..2 {
        node.handle_relaying(member, message, now);
        let outputs: Vec<Output> = std::iter::from_fn(|| node.poll_output(now)).take(100).collect();
        assert!(outputs.len() < 100, "one message makes the node busy without end");
        assert!(
            outputs.iter().all(|output| !matches!(output, Output::Relaying { peer, .. } if *peer != member)),
            "nobody else is told: the mesh has two members"
        );
        assert!(!outputs.iter().any(|output| matches!(output, Output::Event(_))), "nothing is agreed on");
    }
    true
}

/// A stream of datagrams, in pieces whose size its first byte says.
#[must_use]
pub fn datagram_stream(bytes: &[u8]) -> bool {
    let Some((cut, stream)) = bytes.split_first() else { return false };
    let (mut decoder, mut again, mut honest) = (Decoder::default(), Vec::new(), true);
    'read: for piece in stream.chunks(usize::from(*cut).max(1)) {
        decoder.push(piece);
        loop {
            match decoder.datagram() {
                Ok(Some(datagram)) => {
                    assert!(append(&datagram, &mut again), "what came in can go out");
                }
                Ok(None) => break,
                Err(_) => {
                    honest = false;
                    break 'read;
                }
            }
        }
    }
    assert!(stream.starts_with(&again), "a stream has one spelling");
    honest && !again.is_empty()
}
