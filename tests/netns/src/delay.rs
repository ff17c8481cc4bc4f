//! Delay without the kernel's help: packets wait in this process, in a queue behind a TUN device.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// The device's name in the middle.
const NAME: &str = "delay";

/// A router drops rather than queues without end.
const MOST_WAITING: usize = 50_000;

/// The end is noticed within this.
const TICK: Duration = Duration::from_millis(100);

/// Two threads: one takes packets in, one gives them back when their time has come.
#[derive(Debug)]
pub(crate) struct Delay {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    nanoseconds: AtomicU64,
    ended: AtomicBool,
    waiting: Mutex<VecDeque<(Instant, Vec<u8>)>>,
    more: Condvar,
}

impl Delay {
    /// Makes the device in the middle's namespace; routes into it are for the caller to lay.
    pub(crate) fn start(ix: &patchbay::Ix, one_way: Duration) -> Self {
        let made = ix.run_sync(|| Ok(DeviceBuilder::new().name(NAME).layer(Layer::L3).build_sync()?));
        let device = Arc::new(made.unwrap_or_else(|error| panic!("no TUN device for the delay: {error:#}")));
        let shared = Arc::new(Shared {
            nanoseconds: AtomicU64::new(nanoseconds(one_way)),
            ended: AtomicBool::new(false),
            waiting: Mutex::new(VecDeque::new()),
            more: Condvar::new(),
        });
        if let Err(error) = device.set_nonblocking(true) {
            panic!("the delay's device: {error}");
        }
        let (taking, giving) = ((device.clone(), shared.clone()), (device, shared.clone()));
        let threads = vec![
            std::thread::spawn(move || take(&taking.0, &taking.1)),
            std::thread::spawn(move || give(&giving.0, &giving.1)),
        ];
        Self { shared, threads }
    }

    pub(crate) fn device(&self) -> &'static str {
        NAME
    }

    /// Packets that come in from now on wait this long.
    pub(crate) fn set(&self, one_way: Duration) {
        self.shared.nanoseconds.store(nanoseconds(one_way), Ordering::Relaxed);
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.shared.more.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a test bench lives in real time")]
fn take(device: &SyncDevice, shared: &Shared) {
    let mut buffer = vec![0; 65_536];
    while !shared.ended.load(Ordering::Relaxed) {
        let length = match device.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut ready = [rustix::event::PollFd::new(device, rustix::event::PollFlags::IN)];
                let tick = rustix::event::Timespec { tv_sec: 0, tv_nsec: i64::from(TICK.subsec_nanos()) };
                let _ = rustix::event::poll(&mut ready, Some(&tick));
                continue;
            }
            // The world is gone.
            Err(_) => return,
        };
        let due = Instant::now() + Duration::from_nanos(shared.nanoseconds.load(Ordering::Relaxed));
        let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST_WAITING {
            waiting.push_back((due, buffer[..length].to_vec()));
            shared.more.notify_one();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test bench lives in real time")]
fn give(device: &SyncDevice, shared: &Shared) {
    while !shared.ended.load(Ordering::Relaxed) {
        let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match waiting.front() {
            Some((due, _)) if *due <= now => {
                let packet = waiting.pop_front();
                drop(waiting);
                if let Some((_, packet)) = packet {
                    // One that the kernel does not want is one lost.
                    let _ = device.send(&packet);
                }
            }
            first => {
                let pause = first.map_or(TICK, |(due, _)| due.saturating_duration_since(now).min(TICK));
                drop(shared.more.wait_timeout(waiting, pause));
            }
        }
    }
}
