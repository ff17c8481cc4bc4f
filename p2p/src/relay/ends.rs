//! The side of those who are relayed: which relays to ask, and how many to keep.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    Message, Output, Session, Why,
    middle::{AWAY, UNWANTED},
};
use crate::identity::DeviceId;

/// Relays for one peer: the one in use, and one that is warm.
const RELAYS: usize = 2;
/// Sessions with one peer: two that each of us asked for.
const PER_PEER: usize = 4;
/// Sessions in all.
const ALL: usize = 512;
/// A relay that has not answered by then is joined by the next one.
const PATIENCE: Duration = Duration::from_secs(1);
/// A relay that has not answered is not asked again before this time,
const SILENT: Duration = Duration::from_secs(10);
/// nor one that said the peer is not there: at first, and at most, for whoever is off for long stays so. When it is back,
/// it connects with us too, as somebody wants it here.
const ABSENT: Duration = Duration::from_secs(5);
const ABSENT_MAX: Duration = Duration::from_secs(60);
/// nor one that said no.
const REFUSED: Duration = Duration::from_secs(60);
/// How often a relay is told that we go on wanting it. Whoever does not want it leaves that to the other end.
const RENEW: Duration = Duration::from_secs(240);

/// A relay as the choice sees it: connected directly, and willing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub relay: DeviceId,
    /// How long a message to it and back takes, if that is known.
    pub round_trip: Option<Duration>,
}

/// A session that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered {
    /// By whom.
    pub relay: DeviceId,
    /// With whom.
    pub peer: DeviceId,
    /// Under which number.
    pub session: Session,
}

#[derive(Debug)]
struct Held {
    session: Session,
    /// When we last asked for it, or were offered it.
    renewed: Instant,
    away: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Instant,
    /// Not to be asked again before.
    again: Instant,
    /// It said no, or had its time.
    answered: bool,
}

/// A peer that is relayed, or wants to be.
#[derive(Debug, Default)]
struct Wish {
    /// We look for relays; else the peer does.
    ours: bool,
    held: BTreeMap<DeviceId, Held>,
    asked: BTreeMap<DeviceId, Asked>,
    /// How often in a row it was not there.
    absences: u32,
}

/// Our sessions through others.
#[derive(Debug, Default)]
pub struct Ends {
    wishes: BTreeMap<DeviceId, Wish>,
}

impl Ends {
    /// Packets wait for this peer, and no way is known.
    pub fn want(&mut self, peer: DeviceId) {
        self.wishes.entry(peer).or_default().ours = true;
    }

    /// There is a better way to this peer, or nothing to say to it.
    pub fn unneeded(&mut self, peer: &DeviceId, out: &mut Vec<Output>) {
        let Some(wish) = self.wishes.remove(peer) else { return };
        for (relay, held) in wish.held {
            out.push(Output::Send(relay, Message::Close { session: held.session }));
            out.push(Output::Ended { peer: *peer, relay, session: held.session });
        }
    }

    /// Whether the peer has relays, or we look for some.
    pub fn is_wanted(&self, peer: &DeviceId) -> bool {
        self.wishes.contains_key(peer)
    }

    /// The relays that we have for a peer.
    pub fn relays(&self, peer: &DeviceId) -> BTreeSet<DeviceId> {
        self.wishes.get(peer).into_iter().flat_map(|wish| wish.held.keys().copied()).collect()
    }

    /// A relay offers a session; `known` says whether it is with a member that we see.
    pub fn offer(
        &mut self,
        Offered { relay, peer, session }: Offered,
        known: bool,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let all: usize = self.wishes.values().map(|wish| wish.held.len()).sum();
        let wish = self.wishes.get(&peer);
        let held = wish.and_then(|wish| wish.held.get(&relay));
        let full = held.is_none() && (all >= ALL || wish.is_some_and(|wish| wish.held.len() >= PER_PEER));
        if !known || relay == peer || full || self.is_taken(session, &peer, &relay) {
            let why = if full { Why::Full } else { Why::Unknown };
            return out.push(Output::Send(relay, Message::Refuse { peer, why }));
        }
        out.push(Output::Send(relay, Message::Accept { session }));
        let wish = self.wishes.entry(peer).or_default();
        wish.asked.remove(&relay);
        wish.absences = 0;
        let before = wish.held.insert(relay, Held { session, renewed: now, away: None });
        match before {
            Some(before) if before.session == session => return,
            Some(before) => out.push(Output::Ended { peer, relay, session: before.session }),
            None => {}
        }
        out.push(Output::Begun { peer, relay, session });
    }

    /// Whether a number stands for another peer or relay already. Numbers are 64 random bits: somebody repeats what it
    /// was told, to lead packets astray.
    fn is_taken(&self, session: Session, peer: &DeviceId, relay: &DeviceId) -> bool {
        let held = |(other, wish): (&DeviceId, &Wish)| {
            let mut held = wish.held.iter();
            held.any(|(by, held)| held.session == session && (other != peer || by != relay))
        };
        self.wishes.iter().any(held)
    }

    /// A relay says no.
    pub fn refused(
        &mut self,
        relay: DeviceId,
        peer: DeviceId,
        why: Why,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Some(wish) = self.wishes.get_mut(&peer) else { return };
        let pause = match why {
            Why::NotConnected => {
                let doubled = ABSENT.saturating_mul(1u32.checked_shl(wish.absences).unwrap_or(u32::MAX));
                wish.absences = wish.absences.saturating_add(1);
                doubled.min(ABSENT_MAX)
            }
            Why::NotRelaying | Why::Unknown | Why::Full | Why::Declined => REFUSED,
        };
        wish.asked.insert(relay, Asked { at: now, again: now + pause, answered: true });
        if let Some(held) = wish.held.remove(&relay) {
            out.push(Output::Ended { peer, relay, session: held.session });
        }
    }

    /// A relay ended a session. False if it was none of ours through that relay.
    pub fn closed(&mut self, relay: DeviceId, session: Session, now: Instant, out: &mut Vec<Output>) -> bool {
        let through = |wish: &Wish| wish.held.get(&relay).is_some_and(|held| held.session == session);
        let Some((peer, wish)) = self.wishes.iter_mut().find(|(_, wish)| through(wish)) else {
            return false;
        };
        wish.held.remove(&relay);
        wish.asked.insert(relay, Asked { at: now, again: now + ABSENT, answered: true });
        out.push(Output::Ended { peer: *peer, relay, session });
        true
    }

    /// A peer is connected with us, so it is with others too: whoever said that it is not there is asked again at once.
    pub fn is_back(&mut self, peer: &DeviceId) {
        if let Some(wish) = self.wishes.get_mut(peer).filter(|wish| wish.absences > 0) {
            wish.absences = 0;
            wish.asked.clear();
        }
    }

    /// A member is connected directly again: sessions through it are renewed at once.
    pub fn connected(&mut self, relay: &DeviceId, now: Instant) {
        for wish in self.wishes.values_mut() {
            wish.asked.remove(relay);
            if let Some(held) = wish.held.get_mut(relay)
                && held.away.take().is_some()
            {
                held.renewed = now.checked_sub(RENEW).unwrap_or(held.renewed);
            }
        }
    }

    /// The last direct connection with a member ended.
    pub fn disconnected(&mut self, relay: &DeviceId, now: Instant) {
        for held in self.wishes.values_mut().filter_map(|wish| wish.held.get_mut(relay)) {
            held.away.get_or_insert(now);
        }
    }

    /// Ends sessions with, and through, whoever is no member any more or may not be seen.
    pub fn retain(&mut self, may: impl Fn(&DeviceId) -> bool, out: &mut Vec<Output>) {
        for (peer, wish) in &mut self.wishes {
            let gone = !may(peer);
            for (relay, held) in wish.held.extract_if(.., |relay, _| gone || !may(relay)) {
                out.push(Output::Ended { peer: *peer, relay, session: held.session });
            }
        }
        self.wishes.retain(|peer, _| may(peer));
    }

    /// Asks who must be asked and ends what is over. `candidates` are all members that relay, are connected with us and
    /// may see us.
    pub fn review(&mut self, candidates: &[Candidate], now: Instant, out: &mut Vec<Output>) {
        for (peer, wish) in &mut self.wishes {
            let away = |held: &Held| held.away.is_some_and(|since| since + AWAY <= now);
            for (relay, held) in wish.held.extract_if(.., |_, held| away(held)) {
                out.push(Output::Ended { peer: *peer, relay, session: held.session });
            }
            // The other end wants it no more, and word of that was lost.
            let unwanted = |held: &Held| !wish.ours && held.renewed + UNWANTED <= now;
            for (relay, held) in wish.held.extract_if(.., |_, held| unwanted(held)) {
                out.push(Output::Send(relay, Message::Close { session: held.session }));
                out.push(Output::Ended { peer: *peer, relay, session: held.session });
            }
            for (relay, held) in &mut wish.held {
                if wish.ours && held.away.is_none() && held.renewed + RENEW <= now {
                    held.renewed = now;
                    out.push(Output::Send(*relay, Message::Open { peer: *peer }));
                }
            }
            wish.asked.retain(|_, asked| asked.again > now);
            for asked in wish.asked.values_mut() {
                asked.answered |= asked.at + PATIENCE <= now;
            }
            let serving = wish.held.values().filter(|held| held.away.is_none()).count();
            let pending = wish.asked.values().filter(|asked| !asked.answered).count();
            let missing = RELAYS.saturating_sub(serving + pending);
            if !wish.ours || missing == 0 {
                continue;
            }
            let free = |candidate: &&Candidate| {
                candidate.relay != *peer
                    && !wish.held.contains_key(&candidate.relay)
                    && !wish.asked.contains_key(&candidate.relay)
            };
            let mut fit: Vec<&Candidate> = candidates.iter().filter(free).collect();
            fit.sort_by_key(|candidate| (candidate.round_trip.unwrap_or(Duration::MAX), candidate.relay));
            for candidate in fit.into_iter().take(missing) {
                wish.asked.insert(candidate.relay, Asked { at: now, again: now + SILENT, answered: false });
                out.push(Output::Send(candidate.relay, Message::Open { peer: *peer }));
            }
        }
        // The peer's wish of which nothing is left.
        self.wishes.retain(|_, wish| wish.ours || !wish.held.is_empty());
    }

    /// When [`Self::review`] is due by itself.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let of = |wish: &Wish| {
            let held = wish.held.values().map(|held| match held.away {
                Some(since) => since + AWAY,
                None if wish.ours => held.renewed + RENEW,
                None => held.renewed + UNWANTED,
            });
            let short = wish.ours && wish.held.values().filter(|held| held.away.is_none()).count() < RELAYS;
            let asked = wish
                .asked
                .values()
                .filter(|_| short)
                .map(|asked| if asked.answered { asked.again } else { asked.at + PATIENCE });
            held.chain(asked).min()
        };
        self.wishes.values().filter_map(of).min()
    }
}
