//! Finding out whether a member can be reached by somebody it has never sent a packet to.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use libp2p::{PeerId, identity::Keypair};

use super::{Error, config, connection::handshake};

/// A handshake takes one round trip and nothing is to open first; more is not worth the wait.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether `peer` answers at `address` when it is called from a port of its own choosing by a stranger: a router that
/// lets in only whom we have called lets this call not in.
///
/// The stranger is one indeed: a key made for this call, so that its connection is nobody's session. The other side
/// finishes the handshake, which proves its identity to us, and then its gate refuses.
pub(crate) async fn is_reachable(peer: PeerId, address: SocketAddr) -> bool {
    let called = tokio::time::timeout(PATIENCE, call(address)).await;
    matches!(called, Ok(Ok(who)) if who == peer)
}

async fn call(address: SocketAddr) -> Result<PeerId, Error> {
    let any = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let configs = config::build(&Keypair::generate_ed25519())?;
    let endpoint = quinn::Endpoint::client(any)?;
    let (peer, _connection) = handshake(endpoint.connect_with(configs.client, address, "l")?).await?;
    endpoint.close(0u32.into(), &[]);
    Ok(peer)
}
