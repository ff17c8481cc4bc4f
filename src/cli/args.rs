//! What can be typed: commands, flags and their help. Nothing here asks the system anything.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::exit_code;
use super::values::{Allow, Lifetime, Seconds};
use crate::control::Grant;

/// Your devices in one private network, with no account, no server and no vendor.
///
/// Without a command: what is going on (`warren status`).
#[derive(Debug, Parser)]
#[command(name = "warren", version, max_term_width = 100, after_long_help = exit_code::describe())]
#[command(after_help = "Start: `sudo warren up` on the first device, `sudo warren up CODE` on the next.\n\
                        `warren --help` lists the exit codes.")]
pub struct Arguments {
    /// What holds for every command.
    #[command(flatten)]
    pub everywhere: Everywhere,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What holds for every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Everywhere {
    /// Print JSON, one value or one a line, instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// The daemon's socket [default: /run/warren/warren.sock]
    #[arg(long, global = true, value_name = "PATH", env = "WARREN_SOCKET", hide_env = true)]
    pub socket: Option<PathBuf>,
    /// What to log on stderr, as `debug` or `warren=trace` (also RUST_LOG)
    #[arg(long, global = true, value_name = "FILTER", env = "WARREN_LOG", hide_env = true)]
    pub log: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: found a mesh, join one with CODE, or go on with the one this device is in
    Up(Box<Up>),
    /// Stop the daemon and take back what it did to this machine
    Down,
    /// Leave the mesh for good; to come back, this device needs a new invite
    Leave,
    /// Join the mesh of an invite code
    Join(Join),
    /// Invite a device: prints a code to paste on it
    #[command(args_conflicts_with_subcommands = true)]
    Invite(Invite),
    /// List this device and its peers with everything known of them
    Peers(Peers),
    /// Show the mesh, the peers and how packets reach them
    Status,
    /// Ping a peer through the mesh and show the path taken
    Ping(Ping),
    /// Show the network this device is in: UDP, NAT, the router's ports, relays, clock
    Netcheck,
    /// Show every way to a peer, or to each, with what came of it and what to do
    Doctor(Doctor),
    /// Allow a peer something on this device
    Allow(Change),
    /// Take back what a peer is allowed on this device
    Deny(Change),
}

/// What `up` and `join` say about secrets.
const SECRET: &str = "A code is a secret. Given as an argument it is moved out of the process list at once;\n\
from stdin or the variable WARREN_CODE it never gets there.";

/// What `up` says about its other sources.
const SOURCES: &str = "Each option can also come from a variable (WARREN_NAME for --name) or, without its dashes, from\n\
the configuration file; a flag beats the variable, the variable the file. Only the file has mtu,\n\
subnet, and allow: what other people's devices may do here until told otherwise; relay = \"auto\",\n\
\"on\" or \"off\": whether to forward for members that cannot reach each other, within\n\
relay_bytes_per_day (\"50GB\") and relay_packets_per_second (20000) for each of them; tcp_ports =\n\
[443]: further TCP ports to listen on, for members in networks that let out little else.";

/// `warren up`
#[derive(Debug, Args)]
#[command(after_help = format!("{SECRET}\n\n{SOURCES}"))]
pub struct Up {
    #[command(flatten)]
    pub(super) code: Code,
    /// Name of the mesh, should one be founded [default: home]
    #[arg(long, value_name = "NAME", env = "WARREN_MESH", hide_env = true)]
    pub mesh: Option<String>,
    /// What to call this device [default: the host's name]
    #[arg(long, value_name = "DEVICE", env = "WARREN_NAME", hide_env = true)]
    pub name: Option<String>,
    /// Folder of keys and records [default: /var/lib/warren]
    #[arg(long, value_name = "DIR", env = "WARREN_STATE", hide_env = true)]
    pub state: Option<PathBuf>,
    /// UDP and TCP port to listen on [default: 41820, or the next free one]
    #[arg(long, value_name = "N", env = "WARREN_PORT", hide_env = true,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Name of the network interface [default: warren0]
    #[arg(long, value_name = "NAME", env = "WARREN_TUN", hide_env = true)]
    pub tun: Option<String>,
    /// Configuration file [default: /etc/warren/warren.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "WARREN_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
    /// Do not look for members in the local network by multicast
    #[arg(long, env = "WARREN_NO_MDNS", hide_env = true)]
    pub no_mdns: bool,
    /// Do not ask the router for a port that leads here (UPnP, NAT-PMP, PCP)
    #[arg(long, env = "WARREN_NO_PORT_MAPPING", hide_env = true)]
    pub no_port_mapping: bool,
    /// Go to the background once connected
    #[arg(short, long)]
    pub detach: bool,
    /// The background half of --detach
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub detached: bool,
}

/// An invite code, wherever it comes from.
#[derive(Debug, Args)]
pub(super) struct Code {
    /// Invite code; `-` reads it from stdin
    #[arg(value_name = "CODE", env = "WARREN_CODE", hide_env = true, num_args = 1..)]
    pub(super) code: Vec<String>,
}

/// `warren join`
#[derive(Debug, Args)]
#[command(after_help = SECRET)]
pub struct Join {
    #[command(flatten)]
    pub(super) code: Code,
    /// What to call this device [default: the host's name]
    #[arg(long, value_name = "DEVICE")]
    pub name: Option<String>,
}

/// `warren invite`
#[derive(Debug, Args)]
pub struct Invite {
    /// What to do with invites other than making one.
    #[command(subcommand)]
    pub command: Option<InviteCommand>,
    /// For somebody else's devices, not your own
    #[arg(long)]
    pub guest: bool,
    /// How many devices it admits
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub uses: u32,
    /// For how long: 30m, 72h, 7d
    #[arg(long, value_name = "TIME", default_value = "72h")]
    pub expires: Lifetime,
    /// What your devices allow the newcomer, or `nothing` [default: incoming,files]
    #[arg(long, value_name = "GRANT,..")]
    pub allow: Option<Allow>,
    /// The devices a guest gets to see [default: all]
    #[arg(long, value_name = "DEVICE,..", value_delimiter = ',', requires = "guest")]
    pub only: Vec<String>,
    /// Show the code as a picture too
    #[arg(long)]
    pub qr: bool,
}

/// `warren invite list`, `warren invite revoke`
#[derive(Debug, Subcommand)]
pub enum InviteCommand {
    /// List the invites that can still be used
    List {
        /// Also those that cannot: expired, used up, revoked
        #[arg(long)]
        all: bool,
    },
    /// Withdraw an invite
    Revoke {
        /// Its id, or the start of it, as `warren invite list` shows it
        id: String,
    },
}

/// `warren peers`
#[derive(Debug, Args)]
pub struct Peers {
    /// Only peers to which all of these apply: online, offline, internal, external, allows-incoming,
    /// allows-files, allows-routing, allows-lan (to this device), incoming-allowed, files-allowed,
    /// routing-allowed, lan-allowed (to the peer)
    #[arg(short, long, value_name = "WORD,..", default_value = "", hide_default_value = true)]
    pub filter: String,
}

/// `warren ping`
#[derive(Debug, Args)]
pub struct Ping {
    /// Name, address, or start of the id
    pub peer: String,
    /// Stop after so many [default: until Ctrl+C]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,
    /// Seconds from one to the next
    #[arg(short, long, value_name = "SECONDS", default_value = "1")]
    pub interval: Seconds,
    /// Stop once the path is direct, with exit code 1 if it never is
    #[arg(long)]
    pub until_direct: bool,
    /// Seconds to wait for an answer
    #[arg(short = 'W', long, value_name = "SECONDS", default_value = "2")]
    pub timeout: Seconds,
}

/// `warren doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Name, address, or start of the id [default: all peers]
    pub peer: Option<String>,
}

/// `warren allow`, `warren deny`
#[derive(Debug, Args)]
pub struct Change {
    /// Name, address, or start of the id
    pub peer: String,
    /// incoming, files, routing, lan, or ports: tcp/22, udp/27015-27030
    #[arg(required = true, value_name = "GRANT")]
    pub grants: Vec<Grant>,
}
