//! Fuzzes [`warren_fuzz::datagram_stream`]; without the fuzzer, runs it on the files given as arguments.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = warren_fuzz::datagram_stream(bytes);
});

#[cfg(not(fuzzing))]
fn main() {
    warren_fuzz::reproduce(warren_fuzz::datagram_stream);
}
