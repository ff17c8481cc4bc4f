//! Real logs under partitions and lies, against a reference that is too simple to be wrong.

mod admins;
mod chance;
mod stories;
