//! The daemon: start order, one loop, reverse stop order.
//!
//! ```text
//!  lock ─► host journal ─► sockets ─► found │ join │ resume a mesh ─► session ─► local API ─► loop
//!    ▲                                                                   │
//!    └──────────────────────── the same, backwards ◄─────────────────────┘
//! ```
//!
//! One task, the [`core`] loop, owns all state and answers everything: requests of the local API come in
//! over a bounded channel ([`requests`]), what the mesh says comes from `p2p`, what the packets say from
//! the [`bridge`]. A [`session`] is one mesh in service: its records, its control connections, its
//! tunnel, its routes. Joining another mesh ends the session, [`joining`] borrows the sockets, and a new
//! session begins; when the join fails the old one is started again.
//!
//! What is absent: decisions about trust (`p2p`), about packets (`dataplane`) and about the machine
//! (`host`). The daemon only brings them together.

mod advice;
mod answers;
mod becoming;
mod bridge;
mod core;
mod diagnosis;
mod failures;
mod interfaces;
mod joining;
mod machine;
mod mapping;
mod nat;
mod pinging;
mod ports;
mod refusals;
mod relaying;
mod requests;
mod session;
mod state;
mod stranded;
mod view;
mod whereabouts;

use std::sync::Arc;

use warren_p2p::invite::InviteCode;

use crate::cli::Ui;
use crate::config::Config;
use crate::control::server::Server;
use crate::control::{Cause, Failure, Result};
use crate::host::{Host, StateLock};

/// Runs the daemon until it is told to stop, and leaves the machine as it was found.
///
/// With `code`, joins that mesh first; without, resumes the mesh the device is in, or founds one.
/// `ui` is told what happens, in order.
///
/// # Errors
///
/// Whatever keeps the daemon from starting. Nothing is half-made then: a mesh that was not joined leaves
/// no folder, and changes to the machine are taken back.
pub async fn run(config: Config, code: Option<String>, ui: Ui) -> Result<()> {
    // Before anything else: a mistyped code leaves no trace.
    let code = code.map(|code| code.parse::<InviteCode>()).transpose().map_err(failures::code)?;
    let lock = StateLock::acquire(&config.state)?;
    let state = state::StateDir::open(&config.state)?;
    let host = Host::open(&config.state).await?;
    // Asked before an invite is spent or a mesh is founded, for what could not be put into service.
    if host.has_link(&config.tun).await? {
        return Err(failures::tun_name_taken(&config.tun));
    }
    let bridge = bridge::Bridge::start(config.port)?;
    let mut signals = machine::Signals::listen()?;
    let (service, requests) = requests::channel();
    let socket = config.socket.clone();

    let mut core = core::Core::new(config, state, host, bridge, requests, ui)?;
    let started = tokio::select! {
        started = core.start(code) => started,
        () = signals.received() => Err(Failure::new(Cause::Failed, "stopped before it was ready")),
    };
    let result = match started {
        Ok(()) => match Server::start(&socket, Arc::new(service)).await {
            Ok(server) => {
                let result = core.serve(&mut signals).await;
                // Before the API ends, which waits for running answers.
                core.abandon_join();
                server.stop().await;
                result
            }
            Err(failure) => Err(failure),
        },
        Err(failure) => Err(failure),
    };
    let stopped = core.stop().await;
    drop(lock);
    result.and(stopped)
}
