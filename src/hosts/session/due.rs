//! Containers to read again together, a moment later.
//! Only collects them; the session asks.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::ids::ContainerId;

/// Containers to ask about at a moment.
#[derive(Default)]
pub(super) struct Due {
    ids: BTreeSet<ContainerId>,
    at: Option<Instant>,
}

impl Due {
    pub(super) fn add(&mut self, ids: Vec<ContainerId>, after: Duration) {
        if !ids.is_empty() {
            self.ids.extend(ids);
            self.at.get_or_insert_with(|| Instant::now() + after);
        }
    }

    pub(super) fn take(&mut self) -> Vec<ContainerId> {
        self.at = None;
        std::mem::take(&mut self.ids).into_iter().collect()
    }

    pub(super) async fn come(&self) {
        match self.at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}
