//! What must be known about a container before its log can be read.
//! Read again before each stream: the container may have been started, or the daemon's clock set back.

use std::time::Duration;

use serde_json::Value;

use crate::domain::ids::ContainerId;
use crate::domain::units::Stamp;
use crate::hosts::connect::Daemon;
use crate::hosts::listing::clock;
use crate::hosts::trouble::Trouble;

const LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Look {
    pub(super) has_terminal: bool,
    pub(super) is_running: bool,
    /// By the daemon's clock.
    pub(super) now: Stamp,
}

impl Look {
    pub(super) async fn at(daemon: &Daemon, id: &ContainerId) -> Result<Self, Trouble> {
        let path = format!("/containers/{id}/json");
        let (look, date) = daemon.wire().get_bytes(&path, LIMIT).await?;
        let look: Value =
            serde_json::from_slice(&look).map_err(|fault| Trouble::Unreadable(fault.to_string()))?;
        let is = |path: &str| look.pointer(path).and_then(Value::as_bool).unwrap_or(false);
        Ok(Self {
            has_terminal: is("/Config/Tty"),
            is_running: is("/State/Running"),
            now: clock(date.as_deref()),
        })
    }
}
