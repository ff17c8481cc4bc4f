//! What a daemon in the foreground says: how it started, and who comes, goes and changes the path.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::{info, warn};

use super::output::{Printer, Style};
use super::status;
use super::values::Rtt;
use super::{Ui, invite, join};
use crate::control::client::Client;
use crate::control::{InviteTerms, Notice, Peer, Relation, Status};

/// Where the story goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// To people who look at it now.
    Terminal,
    /// To a log, which is no place for an invite code.
    Log,
}

/// Lifetime of the invite that a new mesh starts with: three days, as for any other.
const FIRST_INVITE_S: u64 = 72 * 3600;

/// Tells a daemon's story.
#[derive(Debug, Clone)]
pub(super) struct Live {
    printer: Printer,
    voice: Voice,
    client: Client,
    story: Arc<Mutex<Story>>,
}

/// What was told so far.
#[derive(Debug, Default)]
struct Story {
    founded: bool,
    last: Option<Status>,
}

impl Live {
    /// `client` asks the daemon for the first invite once it answers.
    pub(super) fn new(printer: Printer, voice: Voice, client: Client) -> Self {
        Self { printer, voice, client, story: Arc::default() }
    }

    /// Listens to a daemon in this process.
    pub(super) fn listener(&self) -> Ui {
        let live = self.clone();
        Arc::new(move |notice| {
            if live.note(&notice) {
                let live = live.clone();
                tokio::spawn(async move { live.offer_first_invite().await });
            }
        })
    }

    /// Tells a notice. True when the mesh is new and running, so that an invite is the next thing needed.
    pub(super) fn note(&self, notice: &Notice) -> bool {
        self.printer.json(notice);
        let mut story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
        match notice {
            Notice::Founded { mesh } => {
                story.founded = true;
                self.say(&format!("founded the mesh {}", self.printer.err(mesh, Style::Bold)));
            }
            Notice::Join { step } => join::words(step, self.printer).iter().for_each(|line| self.say(line)),
            Notice::Ready { status } => {
                let alone = story.founded && status.peers.is_empty();
                self.ready(status, alone);
                story.last = Some((**status).clone());
                return alone && self.voice == Voice::Terminal && !self.printer.is_json();
            }
            Notice::Changed { status } => {
                if let Some(before) = &story.last {
                    changes(before, status).iter().for_each(|line| self.say(line));
                }
                story.last = Some((**status).clone());
            }
            Notice::Stopping => self.say("stopping ..."),
            Notice::Other => {}
        }
        false
    }

    /// Makes the invite that a new mesh starts with, and shows it with its picture.
    pub(super) async fn offer_first_invite(&self) {
        let terms = InviteTerms {
            relation: Relation::Own,
            uses: 1,
            expires_s: FIRST_INVITE_S,
            allow: None,
            only: Vec::new(),
        };
        match self.client.create_invite(&terms).await {
            Ok(made) => invite::show(&made, true, self.printer),
            Err(failure) => self.printer.warning(format_args!("no invite could be made: {failure}")),
        }
    }

    /// Says one line.
    pub(super) fn say(&self, line: &str) {
        match self.voice {
            Voice::Terminal => self.printer.remark(line),
            Voice::Log => info!("{line}"),
        }
    }

    fn ready(&self, status: &Status, alone: bool) {
        match self.voice {
            Voice::Terminal => {
                self.printer.remark("");
                for line in status::lines(status, self.printer) {
                    self.printer.remark(line);
                }
                self.printer.remark("");
            }
            Voice::Log => {
                let device = &status.device;
                info!("ready: {} at {}, port {}/udp", device.name, device.ipv4, device.port);
                if alone {
                    info!("no other devices yet; `warren invite` makes a code for the next one");
                }
                for warning in &status.warnings {
                    warn!("{}", warning.message);
                }
            }
        }
    }
}

/// What a person would want to hear of: peers that came, went, or changed their path.
fn changes(before: &Status, after: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    for peer in &after.peers {
        let name = &peer.name;
        let old = before.peers.iter().find(|old| old.id == peer.id);
        if old.is_none() {
            lines.push(format!("{name} joined the mesh"));
        }
        match (old.is_some_and(|old| old.online), peer.online) {
            (false, true) => lines.push(format!("● {name} is online{}", path(peer))),
            (true, false) => lines.push(format!("○ {name} is offline")),
            (true, true) => {
                let way = |peer: &Peer| peer.path.as_ref().map(|path| (status::way(path), path.endpoint));
                if peer.path.is_some() && old.and_then(way) != way(peer) {
                    lines.push(format!("● {name} is reached{}", path(peer)));
                }
            }
            (false, false) => {}
        }
        if let Some(old) = old.filter(|old| old.name != *name) {
            lines.push(format!("{} is now called {name}", old.name));
        }
    }
    for old in &before.peers {
        if !after.peers.iter().any(|peer| peer.id == old.id) {
            lines.push(format!("{} left the mesh", old.name));
        }
    }
    for warning in &after.warnings {
        if !before.warnings.contains(warning) {
            lines.push(format!("warning: {}", warning.message));
        }
    }
    lines
}

fn path(peer: &Peer) -> String {
    let Some(path) = &peer.path else { return String::new() };
    let rtt = path.rtt_ms.map_or_else(String::new, |ms| format!(", {}", Rtt { ms }));
    let why = peer.why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    format!(": {} {}{rtt}{why}", status::way(path), path.endpoint)
}

#[cfg(test)]
mod tests;
