//! A network in memory on virtual time.
