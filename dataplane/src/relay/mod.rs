//! One member carries datagrams between two others: the frame, the table of sessions, and what it may cost.
//!
//! # Model
//!
//! A relay R and two members A and B agree on a *session*, a number that nobody else knows (control plane, not here). What
//! A has for B goes to R in a [`frame`]; R looks up the session, and if the frame came from where A has proved itself to
//! R, hands the same bytes on to where B has proved itself. R opens nothing: inside are WireGuard and the probes of A and B,
//! which run end to end, so a relayed path is verified, measured and kept like any other.
//!
//! ```text
//!      A ── 06 session ┌WireGuard B┐ ──► R ── 06 session ┌WireGuard B┐ ──► B
//!          over the path that R has       over the path that R has
//!          with its peer A                with its peer B
//! ```
//!
//! # Bounds
//!
//! One datagram in is one datagram out, of the same size, towards a device that proved it wants it: nothing is
//! amplified, nobody is flooded through us. Frames are not nested, so there is no loop. Each peer has a [`Quota`] of what it
//! may send through us: bytes a day and packets a second. A session ends the moment it is removed, or one of its ends is.
//!
//! A buffer of frames that came with one receive call (UDP GRO) leaves with one send call (GSO).
//!
//! # Absent
//!
//! Who may relay for whom and which relay is best: the control plane agrees, `path` measures. The engine finds the ends' paths.

mod forward;
pub mod frame;
mod quota;

pub use forward::{Forwarding, SessionReport};
pub(crate) use forward::{Forwards, Refused};
pub(crate) use quota::Exceeded;
pub use quota::Quota;
