//! The TUN device: where the kernel hands us packets and takes them back.

use std::future::poll_fn;
use std::io;
use std::path::Path;

use tun_rs::{AsyncDevice, DeviceBuilder, GROTable, SyncDevice, VIRTIO_NET_HDR_LEN};

use super::memory::{self, DriverEnd, MemoryTun};
use crate::engine::HEAD_ROOM;

/// How many packets one read may be split into: 64 KiB at the smallest segment that is common, 536 bytes, twice over.
const SEGMENTS: usize = 256;
/// Longest name of a network interface, in bytes (Linux: IFNAMSIZ without the final zero).
const MAX_NAME: usize = 15;
/// The device file behind every TUN device on Linux.
const CONTROL: &str = "/dev/net/tun";

/// Why there is no TUN device.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// The kernel has no TUN driver, or the container was not given it.
    #[error(
        "{CONTROL} is missing: load the kernel module with `modprobe tun`, or give the container that device"
    )]
    NoDevice,
    /// We may not make network interfaces.
    #[error("making a network interface needs the capability CAP_NET_ADMIN, which this process lacks")]
    NotPermitted,
    /// Another interface has this name.
    #[error("a network interface named {0} exists already: give another name")]
    NameTaken(String),
    /// No interface can have this name.
    #[error(
        "{0:?} cannot be the name of a network interface: 1 to {MAX_NAME} characters, no space, no slash"
    )]
    BadName(String),
    /// Anything else.
    #[error("the network interface could not be made: {0}")]
    Io(#[source] io::Error),
}

/// A TUN device that no driver reads yet. It disappears when it is dropped.
#[derive(Debug)]
pub struct TunDevice {
    name: String,
    index: u32,
    mtu: u16,
    kind: Kind<Box<SyncDevice>>,
}

enum Kind<K> {
    Kernel(K),
    Memory(DriverEnd),
}

impl<K> std::fmt::Debug for Kind<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kernel(_) => "Kernel",
            Self::Memory(_) => "Memory",
        })
    }
}

impl TunDevice {
    /// Make a device with a name of the kernel's choice or the given one. It has an MTU, but no address and is
    /// not up. The kernel hands over segments of up to 64 KiB where it can.
    pub fn create(name: Option<&str>, mtu: u16) -> Result<Self, TunError> {
        if !Path::new(CONTROL).exists() {
            // tun-rs would make the file node; that is for the administrator to do.
            return Err(TunError::NoDevice);
        }
        if let Some(name) = name {
            check_name(name)?;
        }
        let build = |offload: bool| {
            let builder = DeviceBuilder::new().mtu(mtu).offload(offload).inherit_enable_state();
            name.into_iter().fold(builder, |builder, name| builder.name(name)).build_sync()
        };
        // Kernels without these offloads say so in several ways.
        let no_offload = |error: &io::Error| {
            error.kind() == io::ErrorKind::InvalidInput || error.kind() == io::ErrorKind::Unsupported
        };
        let device = build(true).or_else(|error| if no_offload(&error) { build(false) } else { Err(error) });
        let device = device.map_err(|error| explain(error, name))?;
        let name = device.name().map_err(TunError::Io)?;
        let index = device.if_index().map_err(TunError::Io)?;
        Ok(Self { name, index, mtu, kind: Kind::Kernel(Box::new(device)) })
    }

    /// A device in memory, and the end that plays the kernel.
    pub fn memory(name: &str, mtu: u16) -> (Self, MemoryTun) {
        let (driver, outside) = memory::pair();
        (Self { name: name.to_owned(), index: 0, mtu, kind: Kind::Memory(driver) }, outside)
    }

    /// The name of the interface.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The index of the interface. 0 in memory.
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Register with the runtime whose context we are in.
    pub(super) fn open(self) -> io::Result<Tun> {
        let kind = match self.kind {
            Kind::Kernel(device) => Kind::Kernel(AsyncDevice::new(*device)?),
            Kind::Memory(end) => Kind::Memory(end),
        };
        Ok(Tun {
            kind,
            original: vec![0; VIRTIO_NET_HDR_LEN + usize::from(u16::MAX)],
            packets: vec![vec![0; usize::from(self.mtu) + HEAD_ROOM]; SEGMENTS],
            sizes: vec![0; SEGMENTS],
            filled: 0,
            table: GROTable::new(),
        })
    }
}

/// A TUN device in the hands of a driver.
pub(super) struct Tun {
    kind: Kind<AsyncDevice>,
    /// What the kernel hands over, before it is split.
    original: Vec<u8>,
    packets: Vec<Vec<u8>>,
    sizes: Vec<usize>,
    filled: usize,
    table: GROTable,
}

impl Tun {
    /// Read once; see [`Self::packets`]. Fails with `WouldBlock` when there is nothing.
    pub(super) fn try_recv(&mut self) -> io::Result<()> {
        self.filled = 0;
        match &mut self.kind {
            Kind::Kernel(device) => {
                self.filled =
                    device.try_recv_multiple(&mut self.original, &mut self.packets, &mut self.sizes, 0)?;
            }
            Kind::Memory(end) => {
                for (place, size) in self.packets.iter_mut().zip(&mut self.sizes) {
                    let packet = match end.try_recv() {
                        Ok(packet) => packet,
                        Err(_) if self.filled > 0 => break,
                        Err(error) => return Err(error),
                    };
                    *size = packet.len();
                    *place = packet;
                    self.filled += 1;
                }
            }
        }
        Ok(())
    }

    /// What the last read brought.
    pub(super) fn packets(&self) -> impl Iterator<Item = &[u8]> {
        let packets = self.packets.iter().zip(&self.sizes).take(self.filled);
        packets.filter_map(|(packet, size)| packet.get(..*size))
    }

    /// Wait until there is something to read.
    pub(super) async fn readable(&mut self) -> io::Result<()> {
        match &mut self.kind {
            Kind::Kernel(device) => device.readable().await,
            Kind::Memory(end) => {
                poll_fn(|cx| end.poll_readable(cx)).await;
                Ok(())
            }
        }
    }

    /// Write packets, each behind [`HEAD_ROOM`] bytes; those of one connection go out joined. Their contents are
    /// used up. An error says that some were not taken.
    pub(super) async fn send(&mut self, packets: &mut [Vec<u8>]) -> io::Result<()> {
        match &mut self.kind {
            Kind::Kernel(device) => {
                device.send_multiple(&mut self.table, packets, HEAD_ROOM).await.map(|_| ())
            }
            Kind::Memory(end) => {
                let refused = packets.iter().filter_map(|packet| packet.get(HEAD_ROOM..));
                let refused = refused.filter(|packet| !end.try_send(packet)).count();
                if refused == 0 { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
            }
        }
    }
}

impl std::fmt::Debug for Tun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tun").field(&self.kind).finish()
    }
}

fn check_name(name: &str) -> Result<(), TunError> {
    let bad = |c: char| c.is_whitespace() || c == '/' || c == ':' || c == '%' || c.is_control();
    if name.is_empty() || name.len() > MAX_NAME || name == "." || name == ".." || name.contains(bad) {
        return Err(TunError::BadName(name.to_owned()));
    }
    // An idle persistent TUN device would be taken over silently.
    if Path::new("/sys/class/net").join(name).exists() {
        return Err(TunError::NameTaken(name.to_owned()));
    }
    Ok(())
}

fn explain(error: io::Error, name: Option<&str>) -> TunError {
    match (error.kind(), name) {
        (io::ErrorKind::PermissionDenied, _) => TunError::NotPermitted,
        (io::ErrorKind::NotFound, _) => TunError::NoDevice,
        (io::ErrorKind::ResourceBusy, Some(name)) => TunError::NameTaken(name.to_owned()),
        _ => TunError::Io(error),
    }
}

/// The errors of a device that will never work again: "file descriptor in bad state" (deleted) and "no such device".
pub(super) fn is_gone(error: &io::Error) -> bool {
    const EBADF: i32 = 9;
    const ENODEV: i32 = 19;
    const EBADFD: i32 = 77;
    matches!(error.raw_os_error(), Some(EBADF | ENODEV | EBADFD))
}
