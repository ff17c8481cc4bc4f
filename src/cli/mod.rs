//! The command line.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::config::Config;
use crate::control::{Notice, Result};

pub mod exit_code;

/// How the daemon tells its terminal what happens.
pub type Ui = Arc<dyn Fn(Notice) + Send + Sync>;

/// Runs a daemon until it is told to stop; `main` passes `daemon::run`, so that no command names it.
pub type Daemon = fn(Config, Option<String>, Ui) -> BoxFuture<'static, Result<()>>;
