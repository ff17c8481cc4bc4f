//! What the program says about itself: always on stderr, for people or as JSON lines.

use std::io;

use tracing_subscriber::EnvFilter;

/// What is logged when nobody asks: what happened to the machine and the mesh, and what is wrong.
/// (The netlink library warns of every attribute that a newer kernel adds, Kademlia of a mesh of one.)
const DEFAULT: &str =
    "warn,netlink_packet_route=error,libp2p_kad=error,warren=info,warren_p2p=info,warren_dataplane=info";
/// What clients log when nobody asks, and a daemon whose terminal gets the story instead.
const QUIET: &str = "warn,netlink_packet_route=error,libp2p_kad=error";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people, coloured or not.
    Human {
        /// Whether stderr is a terminal that wants colours.
        colour: bool,
    },
    /// One JSON object a line.
    Json,
}

/// Who logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The daemon.
    Daemon,
    /// A short-lived command, whose errors are told apart from its log.
    Client,
}

/// Starts logging. `directives` are those of `--log`, else `RUST_LOG`, else a default.
///
/// An error is what is wrong with the directives.
pub fn start(directives: Option<&str>, source: Source, form: Form) -> Result<(), String> {
    let from_environment = std::env::var("RUST_LOG").ok();
    let default = match source {
        Source::Daemon => DEFAULT,
        Source::Client => QUIET,
    };
    let chosen =
        directives.or(from_environment.as_deref()).filter(|text| !text.is_empty()).unwrap_or(default);
    let filter =
        EnvFilter::try_new(chosen).map_err(|error| format!("'{chosen}' is no log filter: {error}"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // A second start (tests in one process) keeps the first.
    let _ = match form {
        Form::Human { colour } => lines.with_ansi(colour).with_target(false).try_init(),
        Form::Json => lines.json().try_init(),
    };
    Ok(())
}
