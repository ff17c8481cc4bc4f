//! One TCP connection between two machines, and how long it stood still.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Machine, within};

/// What is written at once, and how often: about 1.6 MB/s, so that the processor is not what is measured.
const BLOCK: usize = 16 * 1024;
const PAUSE: Duration = Duration::from_millis(10);

/// Connecting takes no longer.
const CONNECT: Duration = Duration::from_secs(20);

/// A download that goes on until it is dropped.
#[derive(Debug)]
pub struct Flow {
    stop: Option<Sender<()>>,
    arrivals: Arc<Mutex<Arrivals>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Arrivals {
    bytes: u64,
    last: Instant,
    longest: Duration,
    ended: Option<String>,
}

impl Flow {
    /// Downloads from `server`, at this address of it, to `client`.
    ///
    /// # Panics
    ///
    /// When no connection comes about.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a test bench lives in real time")]
    pub fn start(client: &Machine, server: &Machine, address: IpAddr) -> Self {
        let listening = server.listen_tcp(&SocketAddr::new(address, 0).to_string());
        let Ok(to) = listening.local_addr() else { panic!("{}: no address", server.name()) };
        let (stop, stopped) = channel();
        let sending = std::thread::spawn(move || {
            let Ok((mut stream, _)) = listening.accept() else { return };
            let block = [7; BLOCK];
            while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                if stream.write_all(&block).is_err() {
                    return;
                }
            }
        });
        let connected = within(CONNECT, || client.connect_tcp(to, CONNECT));
        let Some(mut stream) = connected else { panic!("{} does not reach {to} by TCP", client.name()) };
        let now = Instant::now();
        let arrivals = Arrivals { bytes: 0, last: now, longest: Duration::ZERO, ended: None };
        let arrivals = Arc::new(Mutex::new(arrivals));
        let shared = arrivals.clone();
        let receiving = std::thread::spawn(move || {
            let mut buffer = [0; BLOCK];
            loop {
                let read = stream.read(&mut buffer);
                let mut arrivals = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                match read {
                    Ok(0) => arrivals.ended = Some("closed".to_owned()),
                    Ok(length) => arrivals.bytes += length as u64,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => arrivals.ended = Some(error.to_string()),
                }
                arrivals.longest = arrivals.longest.max(now.saturating_duration_since(arrivals.last));
                arrivals.last = now;
                if arrivals.ended.is_some() {
                    return;
                }
            }
        });
        Self { stop: Some(stop), arrivals, threads: vec![sending, receiving] }
    }

    /// How many bytes have arrived.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// Waits until it stands still no more: until `bytes` more have arrived.
    ///
    /// # Panics
    ///
    /// When the connection ends, or `limit` passes.
    pub fn goes_on(&self, bytes: u64, limit: Duration) {
        let aim = self.received() + bytes;
        let arrived = within(limit, || {
            let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            assert!(arrivals.ended.is_none(), "the download ended: {:?}", arrivals.ended);
            (arrivals.bytes >= aim).then_some(())
        });
        assert!(arrived.is_some(), "the download stands still after {limit:?}, at {} bytes", self.received());
    }

    /// From now on another outage is measured.
    #[expect(clippy::disallowed_methods, reason = "a test bench lives in real time")]
    pub fn mark(&self) {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.longest = Duration::ZERO;
        arrivals.last = Instant::now();
    }

    /// The longest time without a byte since the mark.
    #[must_use]
    pub fn outage(&self) -> Duration {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).longest
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        // The sender stops, its stream closes, the receiver reads the end. One that nothing reaches any more is
        // left to the end of the process.
        self.stop = None;
        if !std::thread::panicking() {
            let done = || self.threads.iter().all(JoinHandle::is_finished).then_some(());
            let _ = within(Duration::from_secs(2), done);
        }
    }
}

/// How long it takes to bring `bytes` from `server`, at this address of it, to `client`, by one TCP connection as
/// fast as it goes; none when it is not all there within `limit`.
///
/// # Panics
///
/// When no connection comes about.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a test bench lives in real time")]
pub fn transfer(
    client: &Machine,
    server: &Machine,
    address: IpAddr,
    bytes: u64,
    limit: Duration,
) -> Option<Duration> {
    let begin = Instant::now();
    let listening = server.listen_tcp(&SocketAddr::new(address, 0).to_string());
    let Ok(to) = listening.local_addr() else { panic!("{}: no address", server.name()) };
    std::thread::spawn(move || {
        let Ok((mut stream, _)) = listening.accept() else { return };
        let block = vec![7; 64 * 1024];
        let mut left = bytes;
        while left > 0 {
            let length = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if stream.write_all(&block[..length]).is_err() {
                return;
            }
            left -= length as u64;
        }
    });
    let Some(mut stream) = within(CONNECT, || client.connect_tcp(to, CONNECT)) else {
        panic!("{} does not reach {to} by TCP", client.name())
    };
    let mut buffer = vec![0; 64 * 1024];
    let mut received = 0;
    while received < bytes {
        let left = limit.checked_sub(begin.elapsed()).filter(|left| !left.is_zero())?;
        stream.set_read_timeout(Some(left)).ok()?;
        match stream.read(&mut buffer) {
            Ok(0) => return None,
            Ok(length) => received += length as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(begin.elapsed())
}
