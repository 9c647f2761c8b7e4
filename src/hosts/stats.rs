//! Statistics of the containers on the screen: one stream each, one batch per second for all.
//! Opens only what was requested; a stream that ends is reopened while its container runs.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::lines::Lines;
use super::stats_message;
use super::trouble::Trouble;
use super::wire::ReadWire;
use crate::domain::ids::ContainerId;
use crate::domain::sample::{Counters, Sample};

/// The head of the answer comes with the first figures, which the collector has once a second.
const OPEN_LIMIT: Duration = Duration::from_secs(20);
/// A collector that says nothing this long has lost the container; streams come once a second.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
const REOPEN_FIRST: Duration = Duration::from_secs(1);
const REOPEN_LONGEST: Duration = Duration::from_secs(15);
/// Some 2 KB on a usual machine; a figure a core and a device is in it.
const LONGEST_LINE: usize = 1 << 20;

/// The latest sample of each container since it was last taken.
type Board = Arc<Mutex<HashMap<ContainerId, Sample>>>;

/// The streams of one connection; dropping it ends them.
pub(super) struct Stats {
    wire: ReadWire,
    board: Board,
    streams: HashMap<ContainerId, AbortOnDropHandle<()>>,
}

impl Stats {
    pub(super) fn new(wire: ReadWire) -> Self {
        Self {
            wire,
            board: Board::default(),
            streams: HashMap::new(),
        }
    }

    /// How many streams the connection carries beside the events, a list and two requests; where sshd refuses to
    /// forward sockets that is little, and more would keep the events waiting.
    pub(super) fn fits(&self) -> usize {
        self.wire
            .tunnel()
            .and_then(|tunnel| tunnel.streams())
            .map_or(usize::MAX, |streams| streams.saturating_sub(4))
    }

    /// Streams for exactly these from now on.
    pub(super) fn want(&mut self, ids: &HashSet<ContainerId>) {
        self.streams.retain(|id, _| ids.contains(id));
        for id in ids {
            if !self.streams.contains_key(id) {
                let task = tokio::spawn(follow(self.wire.clone(), id.clone(), Arc::clone(&self.board)));
                self.streams.insert(id.clone(), AbortOnDropHandle::new(task));
            }
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.streams.is_empty()
    }

    /// What came since the last time.
    pub(super) fn take(&mut self) -> Vec<(ContainerId, Sample)> {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board
            .drain()
            .filter(|(id, _)| self.streams.contains_key(id))
            .collect()
    }
}

/// Until it is aborted: whether the container runs is known by its events, not by the end of a stream.
async fn follow(wire: ReadWire, id: ContainerId, board: Board) {
    let path = format!("/containers/{id}/stats?stream=true");
    let mut before: Option<Counters> = None;
    let mut pause = REOPEN_FIRST;
    loop {
        let earlier = before.map(|counters| counters.at);
        if let Err(trouble) = stream(&wire, &path, &id, &board, &mut before).await {
            tracing::debug!(container = %id.short(), %trouble, "statistics ended");
        }
        if before.map(|counters| counters.at) == earlier {
            pause = (pause * 2).min(REOPEN_LONGEST);
        } else {
            pause = REOPEN_FIRST;
        }
        tokio::time::sleep(pause.mul_f64(1.0 - 0.25 * fastrand::f64())).await;
    }
}

async fn stream(
    wire: &ReadWire,
    path: &str,
    id: &ContainerId,
    board: &Board,
    before: &mut Option<Counters>,
) -> Result<(), Trouble> {
    let mut lines = Lines::get(wire, path, OPEN_LIMIT, LONGEST_LINE).await?;
    loop {
        let Ok(line) = tokio::time::timeout(SILENCE_LIMIT, lines.next()).await else {
            return Err(Trouble::Late(SILENCE_LIMIT));
        };
        let Some(line) = line? else {
            return Ok(());
        };
        if lines.has_more() {
            // We were late; a newer message is here already.
            continue;
        }
        let counters = stats_message::read(&line).map_err(|fault| Trouble::Unreadable(fault.to_string()))?;
        if let Some(now) = counters {
            let sample = Sample::from_counters(before.as_ref(), &now);
            *before = Some(now);
            board
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(id.clone(), sample);
        }
    }
}
