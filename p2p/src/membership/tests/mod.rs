//! What the rules of membership promise, as sentences.

mod admins;
mod exchange;
mod finding;
mod joining;
mod properties;
