//! When to call whom: at once, then with pauses that double and never fall into step with others.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::identity::DeviceId;

/// The first pause. A member that restarts is back after about a second.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, for members that are off: one round of packets every two minutes.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// A new address is tried at once unless we have just tried.
const AFTER_NEWS: Duration = Duration::from_millis(250);

/// Calls to the members that we want to be connected to.
#[derive(Debug)]
pub struct DialPlan {
    seed: u64,
    targets: BTreeMap<DeviceId, Target>,
}

#[derive(Clone, Copy, Debug)]
struct Target {
    state: State,
    failures: u32,
    last: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connected,
    Dialling,
    Waiting { until: Instant },
}

impl DialPlan {
    /// A plan for nobody yet. The seed decides the jitter.
    pub fn new(seed: u64) -> Self {
        Self { seed, targets: BTreeMap::new() }
    }

    /// Sets whom to be connected to; new targets are due at once.
    pub fn set_targets(
        &mut self,
        targets: &BTreeSet<DeviceId>,
        connected: impl Fn(&DeviceId) -> bool,
        now: Instant,
    ) {
        self.targets.retain(|device, _| targets.contains(device));
        for device in targets {
            let state = if connected(device) { State::Connected } else { State::Waiting { until: now } };
            self.targets.entry(*device).or_insert(Target { state, failures: 0, last: None });
        }
    }

    /// A connection with the device stands.
    pub fn handle_connected(&mut self, device: &DeviceId) {
        if let Some(target) = self.targets.get_mut(device) {
            *target = Target { state: State::Connected, failures: 0, last: target.last };
        }
    }

    /// The last connection with the device ended: call at once, it may just have restarted or moved.
    pub fn handle_disconnected(&mut self, device: &DeviceId, now: Instant) {
        if let Some(target) = self.targets.get_mut(device) {
            let until = target.last.map_or(now, |last| now.max(last + AFTER_NEWS));
            target.state = State::Waiting { until };
        }
    }

    /// A call failed; the next one waits twice as long.
    pub fn handle_failed(&mut self, device: &DeviceId, now: Instant) {
        let seed = self.seed;
        if let Some(target) = self.targets.get_mut(device)
            && target.state == State::Dialling
        {
            let pause = pause(seed, device, target.failures);
            target.failures = target.failures.saturating_add(1);
            target.state = State::Waiting { until: now + pause };
        }
    }

    /// There is a new address of the device.
    pub fn handle_news(&mut self, device: &DeviceId, now: Instant) {
        let Some(target) = self.targets.get_mut(device) else { return };
        let soon = target.last.map_or(now, |last| now.max(last + AFTER_NEWS));
        match target.state {
            State::Connected => {}
            // A call to addresses where nobody is takes seconds to fail, and behind two routers that let nothing
            // in, both sides must call at about the same time.
            State::Dialling => target.state = State::Waiting { until: soon },
            State::Waiting { until } => target.state = State::Waiting { until: until.min(soon) },
        }
    }

    /// Our own network changed: everybody is due at once.
    pub fn handle_network_changed(&mut self, now: Instant) {
        for target in self.targets.values_mut() {
            target.failures = 0;
            if let State::Waiting { .. } = target.state {
                target.state = State::Waiting { until: now };
            }
        }
    }

    /// The next device to call now; repeat until `None`.
    pub fn poll_dial(&mut self, now: Instant) -> Option<DeviceId> {
        let device = *self.due(now).first()?;
        self.begin(&device, now);
        Some(device)
    }

    /// Whom to call now, first who has waited longest.
    pub fn due(&self, now: Instant) -> Vec<DeviceId> {
        let mut due: Vec<(Instant, DeviceId)> = Vec::new();
        for (device, target) in &self.targets {
            if let State::Waiting { until } = target.state
                && until <= now
            {
                due.push((until, *device));
            }
        }
        due.sort_unstable();
        due.into_iter().map(|(_, device)| device).collect()
    }

    /// The device is being called.
    pub fn begin(&mut self, device: &DeviceId, now: Instant) {
        if let Some(target) = self.targets.get_mut(device) {
            target.state = State::Dialling;
            target.last = Some(now);
        }
    }

    /// Whom we want and do not have.
    pub fn missing(&self) -> Vec<DeviceId> {
        let missing = self.targets.iter().filter(|(_, target)| target.state != State::Connected);
        missing.map(|(device, _)| *device).collect()
    }

    /// How many calls in a row have failed.
    pub fn failures(&self, device: &DeviceId) -> u32 {
        self.targets.get(device).map_or(0, |target| target.failures)
    }

    /// Whether we want to be connected with the device.
    pub fn wants(&self, device: &DeviceId) -> bool {
        self.targets.contains_key(device)
    }

    /// When the next call is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = |target: &Target| match target.state {
            State::Waiting { until } => Some(until),
            State::Connected | State::Dialling => None,
        };
        self.targets.values().filter_map(due).min()
    }
}

/// The pause after this many failures, give or take a quarter.
fn pause(seed: u64, device: &DeviceId, failures: u32) -> Duration {
    let doubled =
        FIRST_PAUSE.saturating_mul(1u32.checked_shl(failures).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(device.as_bytes()).update(&failures.to_le_bytes());
    let jitter = f64::from(hasher.finalize().as_bytes()[0]) / 256.0;
    doubled.mul_f64(0.75 + jitter / 2.0)
}
