//! How a mesh begins.

use super::{Body, Device, Genesis, MeshId, Name, Os, Record, RecordError, Timestamp, Verified};
use crate::identity::{Identity, Subnet};

/// What a founder decides.
#[derive(Debug, Clone)]
pub struct Founding {
    /// What people call the mesh.
    pub mesh_name: Name,
    /// Where its IPv4 addresses come from.
    pub subnet: Subnet,
    /// The founder's name.
    pub name: Name,
    /// The founder's operating system.
    pub os: Os,
    /// 16 random bytes.
    pub nonce: [u8; 16],
}

/// Founds a mesh: its Genesis record, whose id is the mesh id, and the founder's first Device record.
pub fn found(
    identity: &Identity,
    founding: Founding,
    now: Timestamp,
) -> Result<(MeshId, [Verified<Record>; 2]), RecordError> {
    let Founding { mesh_name, subnet, name, os, nonce } = founding;
    let author = identity.device_id();
    let sign = |mesh, sequence, body| {
        Verified::sign(Record { mesh, author, sequence, authority: None, issued_at: now, body }, identity)
    };
    let genesis = Genesis { mesh_name, subnet, name, os, nonce };
    let genesis = sign(MeshId::UNFOUNDED, 0, Body::Genesis(genesis))?;
    let mesh = MeshId::from(genesis.id());
    let wireguard = identity.wireguard_public(&mesh, 0);
    let device = Device { name: None, wireguard, epoch: 0, relay: true, exit: false };
    let device = sign(mesh, 1, Body::Device(device))?;
    Ok((mesh, [genesis, device]))
}
