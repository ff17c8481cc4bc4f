//! Makes changes, each written down first, and takes them back.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use tracing::{debug, info, warn};

use super::change::Change;
use super::journal::{Entry, Journal, JournalError};
use super::netlink::{Netlink, NetlinkError};
use crate::control::{Cause, Failure};

/// The machine, with the memory of what we did to it.
///
/// Take everything back with [`Host::undo_all`] before dropping it; what a drop leaves behind, the next
/// [`Host::open`] on the same state folder takes back.
#[derive(Debug)]
pub struct Host {
    journal: Journal,
    netlink: Netlink,
    /// The kernel has refused IPv6 once, and is not asked again.
    without_ipv6: bool,
}

/// A change to the machine could not be made or taken back.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The journal could not be written, so nothing was changed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There is no link of that name.
    #[error("cannot run `{change}`: there is no network interface {}", change.link())]
    NoLink {
        /// What was to be done.
        change: Change,
    },
    /// The kernel refused.
    #[error("cannot run `{change}`: {source}")]
    Refused {
        /// What was to be done.
        change: Change,
        /// What the kernel said.
        source: NetlinkError,
    },
    /// The kernel did not say which network interfaces there are.
    #[error("cannot see the network interfaces of this machine: {source}")]
    Links {
        /// What the kernel said.
        source: NetlinkError,
    },
    /// The kernel's netlink socket could not be opened.
    #[error("cannot talk to the kernel about network interfaces: {0}")]
    Netlink(io::Error),
    /// Some changes could not be taken back; they stay in the journal for the next start.
    #[error("{count} changes to this machine could not be taken back; the first: {first}")]
    Left {
        /// How many.
        count: usize,
        /// Why the first one could not.
        first: String,
    },
}

impl Host {
    /// Opens the journal in the state folder and takes back what an earlier run left on the machine.
    ///
    /// Call it with the [`StateLock`](super::StateLock) held: two daemons must not share a journal.
    pub async fn open(state: &Path) -> Result<Self, HostError> {
        let path: PathBuf = state.join("journal");
        let journal = Journal::open(&path)?;
        let netlink = Netlink::open().map_err(HostError::Netlink)?;
        let mut host = Self { journal, netlink, without_ipv6: false };
        let left = host.journal.entries().count();
        if left > 0 {
            info!(left, "taking back what an earlier run left on this machine");
            host.undo_all().await?;
        }
        Ok(host)
    }

    /// Whether there is a network interface of this name.
    pub async fn has_link(&self, name: &str) -> Result<bool, HostError> {
        let found = self.netlink.index(name).await;
        found.map(|index| index.is_some()).map_err(|source| HostError::Links { source })
    }

    /// Makes a change; one that is already made counts as made. Where IPv6 is switched off, a change that
    /// needs it is left out with a warning: the mesh works with IPv4 alone.
    pub async fn apply(&mut self, change: Change) -> Result<(), HostError> {
        self.apply_all(vec![change]).await
    }

    /// Makes changes in order with one write of the journal, which matters for a thousand routes.
    /// On a failure the ones after it are not made; the ones before it stand.
    pub async fn apply_all(&mut self, changes: Vec<Change>) -> Result<(), HostError> {
        let wanted: Vec<Change> = {
            let made: BTreeSet<_> = self.journal.entries().map(|entry| &entry.change).collect();
            let left_out = |change: &Change| made.contains(change) || (self.without_ipv6 && change.is_ipv6());
            changes.into_iter().filter(|change| !left_out(change)).collect()
        };
        let mut links = BTreeMap::new();
        let mut planned = Vec::with_capacity(wanted.len());
        for change in wanted {
            let index = match links.get(change.link()) {
                Some(index) => *index,
                None => match self.netlink.index(change.link()).await {
                    Ok(Some(index)) => *links.entry(change.link().to_owned()).or_insert(index),
                    Ok(None) => return Err(HostError::NoLink { change }),
                    Err(source) => return Err(HostError::Refused { change, source }),
                },
            };
            planned.push((change, index));
        }
        let entries = self.journal.record(planned)?;
        let mut failed = None;
        let mut unmade = Vec::new();
        for entry in entries {
            if failed.is_none() && !(self.without_ipv6 && entry.change.is_ipv6()) {
                info!(command = %entry.change, "changing this machine");
                match self.netlink.apply(entry.index, &entry.change).await {
                    Ok(()) => continue,
                    Err(error) if entry.change.is_ipv6() && error.means_no_ipv6() => {
                        warn!(command = %entry.change, "IPv6 is switched off on this machine; going on without");
                        self.without_ipv6 = true;
                    }
                    Err(source) => failed = Some(HostError::Refused { change: entry.change, source }),
                }
            }
            unmade.push(entry.sequence);
        }
        self.journal.forget(&unmade)?;
        failed.map_or(Ok(()), Err)
    }

    /// Takes one change back; one that was never made is no error.
    pub async fn undo(&mut self, change: &Change) -> Result<(), HostError> {
        self.undo_each(vec![change.clone()]).await
    }

    /// Takes some changes back, in the order given, with one write of the journal.
    pub async fn undo_each(&mut self, changes: Vec<Change>) -> Result<(), HostError> {
        let entries: Vec<Entry> = changes
            .iter()
            .filter_map(|change| self.journal.entries().find(|entry| entry.change == *change))
            .cloned()
            .collect();
        self.undo_entries(entries).await
    }

    /// Takes everything back, last first. Goes on over failures and reports them at the end.
    pub async fn undo_all(&mut self) -> Result<(), HostError> {
        let entries: Vec<Entry> = self.journal.entries().rev().cloned().collect();
        self.undo_entries(entries).await
    }

    /// What is in force now, in the order it was made.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.journal.entries().map(|entry| &entry.change)
    }

    async fn undo_entries(&mut self, entries: Vec<Entry>) -> Result<(), HostError> {
        let mut undone = Vec::with_capacity(entries.len());
        let mut first = None;
        let mut count = 0;
        for entry in entries {
            match self.undo_entry(&entry).await {
                Ok(()) => undone.push(entry.sequence),
                Err(source) => {
                    warn!(command = %entry.change, error = %source, "cannot take this back");
                    count += 1;
                    first.get_or_insert_with(|| format!("`{}`: {source}", entry.change));
                }
            }
        }
        self.journal.forget(&undone)?;
        match first {
            Some(first) => Err(HostError::Left { count, first }),
            None => Ok(()),
        }
    }

    async fn undo_entry(&self, entry: &Entry) -> Result<(), NetlinkError> {
        if self.netlink.index(entry.change.link()).await? != Some(entry.index) {
            debug!(command = %entry.change, "the network interface is gone, and this with it");
            return Ok(());
        }
        info!(command = %entry.change, "taking back");
        self.netlink.undo(entry.index, &entry.change).await
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        match &error {
            HostError::Journal(JournalError::Io { path, source }) => Self::io(path.display(), source),
            HostError::Refused { source, .. } if source.is_not_permitted() => {
                Self::new(Cause::NotPrivileged, error.to_string())
                    .hint("run as root, or give the program the capability CAP_NET_ADMIN")
            }
            HostError::Journal(_)
            | HostError::NoLink { .. }
            | HostError::Refused { .. }
            | HostError::Links { .. }
            | HostError::Netlink(_)
            | HostError::Left { .. } => Self::new(Cause::Failed, error.to_string()),
        }
    }
}
