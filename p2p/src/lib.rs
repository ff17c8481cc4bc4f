//! Who we are, whom we trust, where they are.
