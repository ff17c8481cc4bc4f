//! Everything we do to the machine, and how it is taken back.
//!
//! A [`Change`] names a state of the machine and knows its inverse. Before it is made it stands, synced,
//! in the [`journal`]; when it is taken back that is noted too. So whatever ends the daemon, the journal
//! lists at most what was done and never less, and [`Host::open`] takes back what an earlier run left.
//!
//! ```text
//! apply:  find the link ─► journal ─► netlink        undo:  netlink ─► journal
//! ```
//!
//! Undoing is forgiving: what is gone already counts as taken back. It touches a link only while that
//! link has the number it had when the change was made, so a stranger who reuses the name is safe.
//! Only this daemon's own journal is read; nobody else's address, route or link is ever changed.

mod apply;
mod change;
pub mod check;
mod journal;
mod lock;
mod netlink;
mod route_watch;

pub use apply::{Host, HostError};
pub use change::Change;
pub use journal::JournalError;
pub use lock::StateLock;
pub use netlink::NetlinkError;
pub use route_watch::RouteWatch;
