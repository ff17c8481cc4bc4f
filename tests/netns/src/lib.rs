//! Machines, home routers and cut cables, made of Linux network namespaces.
//!
//! A [`World`] is an Internet with nothing on it. Networks are plugged into it ([`World::public`],
//! [`World::home`], [`World::lan`]) and machines into those ([`World::machine`]). A machine is a network
//! namespace with its own `/etc/resolv.conf`, where commands run ([`Machine::run`]) and where a warren daemon
//! can live ([`Machine::up`]) with a state directory and a socket of its own.
//!
//! ```text
//!                    Internet (198.18.0.0/24, 2001:db8::/64)
//!           ┌───────────────────┼───────────────────┐
//!        public               home                home          a router each; homes translate, and DROP
//!           │                   │                   │           whatever nobody behind them asked for
//!      198.18.1.x            10.0.x.y            10.0.x.y
//! ```
//!
//! What stands between a network and the Internet is one of ten [`Kind`]s ([`World::behind`]), each shown by the
//! lab to be what it is called. Everything from one network to another passes the [`Middle`], where the weather is
//! made. A [`Flow`] is a download that knows how long it stood still.
//!
//! The kernel is real: real routes, real NAT, real TUN devices. Only the cables are short. No root is needed,
//! because everything lives in one user namespace ([`enter_user_namespace`], first thing in `main`), and
//! everything is gone with the process.
//!
//! Waiting is always for a condition, with a deadline ([`until`]); nothing sleeps for a fixed time. What a test
//! leaves behind on a machine is found by comparing [`Footprint`]s.
//!
//! Absent on purpose: knowledge of meshes and invites, which belongs to the tests.

mod daemon;
mod delay;
mod flow;
mod footprint;
mod kind;
mod machine;
mod mapper;
mod middle;
mod namespace;
mod network;
mod node;
mod outcome;
mod wait;
mod world;

pub use daemon::Daemon;
pub use flow::{Flow, transfer};
pub use footprint::Footprint;
pub use kind::Kind;
pub use machine::Machine;
pub use mapper::Mapper;
pub use middle::Middle;
pub use namespace::enter_user_namespace;
pub use network::Network;
pub use outcome::Outcome;
pub use wait::{until, within};
pub use world::World;
