//! Warren.

fn main() {}
