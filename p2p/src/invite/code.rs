//! The text that people paste.
//!
//! ```text
//! "warren1" base32( version 1 | doors 1 | invite seed 16 | mesh id 32 | terms 16
//!                   | IPv4 doors, 6 each | IPv6 doors, 18 each | checksum 4 )
//! version  = 1, or 2 where the public rendezvous is one more door
//! doors    = number of IPv4 doors << 4 | number of IPv6 doors
//! checksum = first 4 bytes of BLAKE3 of all before
//! ```
//!
//! Any case, white space and hyphens anywhere, `o` for `0`, `i` and `l` for `1` are read; 235 characters with
//! four IPv6 doors.
//!
//! The rendezvous as a door says only: members leave their addresses under the key of this invite. Which public network
//! that is stands in the newcomer's own configuration, not in the code: an address of one of its nodes has some 100
//! characters, and nobody who makes up a code shall choose whom a newcomer talks to. It takes no byte: the version tells
//! it, so that a Warren that knows no rendezvous says to bring it up to date.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::identity::{BASE32, Identity};
use crate::limits::DOORS;
use crate::record::{MeshId, RecordId};

/// What every code begins with, and the number of its text form.
const PREFIX: &str = "warren1";
/// The number of the binary form.
const VERSION: u8 = 1;
/// The same form, and the rendezvous is a door.
const VERSION_RENDEZVOUS: u8 = 2;
const HEAD: usize = 2 + 16 + 32 + 16;
const IPV4_DOOR: usize = 4 + 2;
const IPV6_DOOR: usize = 16 + 2;
const CHECKSUM: usize = 4;

/// Everything a newcomer needs. Holds a secret: whoever reads the code can use the invite.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteCode {
    seed: Zeroizing<[u8; 16]>,
    mesh: MeshId,
    terms: [u8; 16],
    doors: Vec<SocketAddr>,
    rendezvous: bool,
}

/// Why a text is no invite code that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// It does not begin as codes do.
    #[error("this is not an invite code: a code begins with {PREFIX}")]
    NotACode,
    /// The end is missing.
    #[error("this invite code is cut off: it has {found} characters where {expected} belong; copy all of it")]
    Truncated {
        /// Characters there are, the first seven included.
        found: usize,
        /// Characters there should be.
        expected: usize,
    },
    /// The checksum, or the alphabet, shows an error.
    #[error("this invite code looks mistyped; copy it again, whole and unchanged")]
    Mistyped,
    /// A newer Warren made it.
    #[error("this invite code was made by a newer version of Warren; bring this one up to date")]
    NewerVersion,
    /// It was made wrongly: it is whole, but says something impossible.
    #[error("this invite code is whole but wrong: {0}; ask for a new one")]
    Invalid(&'static str),
}

impl InviteCode {
    /// A code for the invite of this seed and record. Keeps the first [`DOORS`] doors that are addresses one can
    /// connect to.
    pub fn new(seed: [u8; 16], mesh: MeshId, invite: &RecordId, doors: &[SocketAddr]) -> Self {
        let mut terms = [0; 16];
        terms.copy_from_slice(&invite.as_bytes()[..16]);
        let mut kept: Vec<SocketAddr> = Vec::new();
        for door in doors.iter().map(|door| SocketAddr::new(door.ip().to_canonical(), door.port())) {
            if is_door(&door) && !kept.contains(&door) && kept.len() < DOORS {
                kept.push(door);
            }
        }
        // IPv4 first, as the bytes have them, so that reading the code gives the same value.
        kept.sort_by_key(SocketAddr::is_ipv6);
        Self { seed: Zeroizing::new(seed), mesh, terms, doors: kept, rendezvous: false }
    }

    /// The same invite by other doors.
    pub fn with_doors(&self, doors: &[SocketAddr]) -> Self {
        let code = Self::new(*self.seed, self.mesh, &RecordId::from_bytes(self.padded_terms()), doors);
        Self { rendezvous: self.rendezvous, ..code }
    }

    /// The same invite, with the public rendezvous as one more door.
    pub fn with_rendezvous(self) -> Self {
        Self { rendezvous: true, ..self }
    }

    /// The mesh it leads to.
    pub fn mesh(&self) -> MeshId {
        self.mesh
    }

    /// The beginning of the Invite record's id.
    pub fn terms(&self) -> [u8; 16] {
        self.terms
    }

    /// Addresses of members to try first.
    pub fn doors(&self) -> &[SocketAddr] {
        &self.doors
    }

    /// Whether members leave their addresses at a public rendezvous, under the key of the invite.
    pub fn rendezvous(&self) -> bool {
        self.rendezvous
    }

    /// The invite key, whole.
    pub fn invite_identity(&self) -> Identity {
        Identity::generate(blake3::derive_key("warren invite key v1", &*self.seed))
    }

    fn padded_terms(&self) -> [u8; 32] {
        let mut terms = [0; 32];
        terms[..16].copy_from_slice(&self.terms);
        terms
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let ipv6 = self.doors.iter().filter(|door| door.is_ipv6()).count();
        let ipv4 = self.doors.len() - ipv6;
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD + DOORS * IPV6_DOOR + CHECKSUM));
        let version = if self.rendezvous { VERSION_RENDEZVOUS } else { VERSION };
        bytes.extend([version, (ipv4 << 4 | ipv6) as u8]);
        bytes.extend(&*self.seed);
        bytes.extend(self.mesh.as_bytes());
        bytes.extend(self.terms);
        for door in &self.doors {
            match door.ip() {
                IpAddr::V4(address) => bytes.extend(address.octets()),
                IpAddr::V6(address) => bytes.extend(address.octets()),
            }
            bytes.extend(door.port().to_be_bytes());
        }
        let checksum = checksum(&bytes);
        bytes.extend(checksum);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodeError> {
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(CodeError::Mistyped)?;
        if checksum(body).ct_ne(sum).into() {
            return Err(CodeError::Mistyped);
        }
        let rendezvous = match body.first() {
            Some(&VERSION) => false,
            Some(&VERSION_RENDEZVOUS) => true,
            Some(_) | None => return Err(CodeError::NewerVersion),
        };
        let (ipv4, ipv6) = door_counts(body).ok_or(CodeError::Mistyped)?;
        if ipv4 + ipv6 > DOORS {
            return Err(CodeError::Invalid("it names too many doors"));
        }
        let mut rest = body.get(2..).ok_or(CodeError::Mistyped)?;
        let seed = Zeroizing::new(take(&mut rest)?);
        let mesh = MeshId::from_bytes(take(&mut rest)?);
        let terms = take(&mut rest)?;
        let mut doors = Vec::with_capacity(ipv4 + ipv6);
        for _ in 0..ipv4 {
            let address = Ipv4Addr::from(take::<4>(&mut rest)?);
            doors.push(SocketAddr::from((address, u16::from_be_bytes(take(&mut rest)?))));
        }
        for _ in 0..ipv6 {
            let address = Ipv6Addr::from(take::<16>(&mut rest)?);
            doors.push(SocketAddr::from((address, u16::from_be_bytes(take(&mut rest)?))));
        }
        if !rest.is_empty() {
            return Err(CodeError::Invalid("something follows its last door"));
        }
        if !doors.iter().all(is_door) {
            return Err(CodeError::Invalid("a door in it is no address to connect to"));
        }
        Ok(Self { seed, mesh, terms, doors, rendezvous })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], CodeError> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(CodeError::Mistyped)?;
    *bytes = rest;
    Ok(*taken)
}

fn door_counts(bytes: &[u8]) -> Option<(usize, usize)> {
    bytes.get(1).map(|doors| (usize::from(doors >> 4), usize::from(doors & 0x0f)))
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let [a, b, c, d, ..] = *blake3::hash(bytes).as_bytes();
    [a, b, c, d]
}

/// Whether one can connect to the address from outside the device. IPv6 link-local addresses need an interface,
/// which means nothing elsewhere.
fn is_door(door: &SocketAddr) -> bool {
    let address = door.ip();
    let scoped = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    let mapped = address != address.to_canonical();
    door.port() != 0 && !address.is_unspecified() && !address.is_multicast() && !scoped && !mapped
}

impl fmt::Display for InviteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", *Zeroizing::new(BASE32.encode(&self.to_bytes())))
    }
}

impl fmt::Debug for InviteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteCode(..)")
    }
}

impl FromStr for InviteCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut plain = Zeroizing::new(String::with_capacity(text.len()));
        plain
            .extend(text.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_lowercase()));
        let rest = plain.strip_prefix("warren").ok_or(CodeError::NotACode)?;
        let rest = match rest.chars().next() {
            Some('1' | 'l' | 'i') => &rest[1..],
            Some('2'..='9') => return Err(CodeError::NewerVersion),
            Some(_) => return Err(CodeError::NotACode),
            None => {
                return Err(CodeError::Truncated {
                    found: plain.len(),
                    expected: characters(HEAD + CHECKSUM),
                });
            }
        };
        if !rest.is_ascii() {
            return Err(CodeError::Mistyped);
        }
        let expected = expected_characters(rest);
        let found = plain.len();
        if expected.is_none_or(|expected| found < expected) {
            let expected = expected.unwrap_or_else(|| characters(HEAD + CHECKSUM));
            return Err(CodeError::Truncated { found, expected });
        }
        let mut bytes = Zeroizing::new(BASE32.decode(rest.as_bytes()).map_err(|_| CodeError::Mistyped)?);
        let code = Self::from_bytes(&bytes);
        bytes.zeroize();
        code
    }
}

/// How many characters a code of so many bytes has.
const fn characters(bytes: usize) -> usize {
    PREFIX.len() + (bytes * 8).div_ceil(5)
}

/// How many characters the code has if its first ones are right. `None` if not even those are there. A version
/// not known here may have any length.
fn expected_characters(rest: &str) -> Option<usize> {
    // 8 characters are 5 whole bytes; two are needed.
    let head = BASE32.decode(rest.get(..8)?.as_bytes()).unwrap_or_default();
    let (ipv4, ipv6) = match door_counts(&head) {
        Some((ipv4, ipv6)) if matches!(head[0], VERSION | VERSION_RENDEZVOUS) && ipv4 + ipv6 <= DOORS => {
            (ipv4, ipv6)
        }
        Some(_) | None => return Some(0),
    };
    Some(characters(HEAD + ipv4 * IPV4_DOOR + ipv6 * IPV6_DOOR + CHECKSUM))
}
