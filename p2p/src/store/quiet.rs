//! Calls into sled, which panics on some damaged files, made to return.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether a panic on this thread is expected, and answered with an error instead of a report.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `call`; if it panics, returns what it said. The panic is not reported on stderr: the error that is made
/// of it says more.
pub(super) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                report(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    // Nothing of ours is left half-changed: `call` owns or rebuilds what it touches.
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    QUIET.set(before);
    result.map_err(|payload| said(&*payload))
}

fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    // The first line says what; the rest are values.
    let text = text.unwrap_or_else(|| "no message".to_owned());
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}
