//! Logs of any containers across hosts, merged by time into batches.
//! All buffers are bounded: a slow reader first slows the daemons down, then gets the number of skipped lines.

mod frames;
mod gulps;
mod pieces;
mod seen;
mod door;
mod look;
mod source;
mod merge;
mod outbox;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

pub use source::Mode;

use super::connect::Daemon;
use crate::domain::event::Event;
use crate::domain::ids::{ContainerId, ContainerKey, HostName};
use crate::domain::logs::{FollowId, LogBatch, LogRange};
use door::Door;
use merge::Merge;
use outbox::Outbox;
use source::{Source, Word};

/// Batches of a source waiting for the merge; when it is full, the daemon has to wait.
const LANE: usize = 4;
/// Batches on their way to a command's output.
const BATCHES: usize = 4;
/// Lines taken from the merge at a time.
const STEP: usize = 1_024;

/// Logs for the command line, which has no actors. Dropping it stops reading.
pub struct LogStream {
    batches: mpsc::Receiver<Event>,
    /// The reading tasks.
    tasks: JoinSet<Read>,
}

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    Whole,
    /// A log could not be read completely; a notice among the lines says which and why.
    Short,
}

/// Reads the logs of these, merged by time.
#[must_use]
pub fn read(targets: Vec<(Daemon, ContainerId)>, range: LogRange, mode: Mode) -> LogStream {
    let (sink, batches) = mpsc::channel(BATCHES);
    let targets = targets
        .into_iter()
        .map(|(daemon, id)| {
            (
                ContainerKey {
                    host: daemon.name().clone(),
                    id,
                },
                Door::Own(daemon),
                range,
            )
        })
        .collect();
    let mut tasks = JoinSet::new();
    tasks.spawn(merge(FollowId(0), targets, mode, sink));
    LogStream { batches, tasks }
}

impl LogStream {
    /// The next lines; `None` when all sources have ended.
    pub async fn next(&mut self) -> Option<LogBatch> {
        loop {
            match self.batches.recv().await? {
                Event::Logs(_, batch) => return Some(batch),
                Event::Host(..)
                | Event::Output(..)
                | Event::Run(_)
                | Event::Unreadable(..)
                | Event::OlderRuns(_)
                | Event::LeftLocks(_)
                | Event::Planned(..)
                | Event::Done(..) => {}
            }
        }
    }

    /// The result, once there are no more lines.
    pub async fn ended(mut self) -> Read {
        self.batches.close();
        all_of(&mut self.tasks).await
    }
}

/// A task that was aborted or panicked has not read to the end.
async fn all_of(tasks: &mut JoinSet<Read>) -> Read {
    let mut read = Read::Whole;
    while let Some(ended) = tasks.join_next().await {
        if !matches!(ended, Ok(Read::Whole)) {
            read = Read::Short;
        }
    }
    read
}

/// The follows of the control room, each a task.
pub(super) struct Desk {
    bulk: mpsc::Sender<Event>,
    follows: HashMap<FollowId, AbortOnDropHandle<()>>,
}

impl Desk {
    pub(super) fn new(bulk: mpsc::Sender<Event>) -> Self {
        Self {
            bulk,
            follows: HashMap::new(),
        }
    }

    /// Replaces a follow of the same id.
    pub(super) fn follow(
        &mut self,
        id: FollowId,
        targets: Vec<(ContainerKey, watch::Receiver<Option<Daemon>>, LogRange)>,
    ) {
        let targets = targets
            .into_iter()
            .map(|(key, daemon, range)| {
                let host: HostName = key.host.clone();
                (key, Door::Actor { host, daemon }, range)
            })
            .collect();
        let bulk = self.bulk.clone();
        let task = tokio::spawn(async move {
            // Who looks at it reads the notices.
            merge(id, targets, Mode::Follow, bulk).await;
        });
        self.follows.retain(|_, task| !task.is_finished());
        self.follows.insert(id, AbortOnDropHandle::new(task));
    }

    pub(super) fn unfollow(&mut self, id: FollowId) {
        self.follows.remove(&id);
    }
}

/// Runs until every source has ended or nobody listens.
async fn merge(
    id: FollowId,
    targets: Vec<(ContainerKey, Door, LogRange)>,
    mode: Mode,
    sink: mpsc::Sender<Event>,
) -> Read {
    // Owns the sources: they end with this.
    let mut tasks = JoinSet::new();
    let mut lanes = Vec::with_capacity(targets.len());
    for (key, door, range) in targets {
        let (out, lane) = mpsc::channel(LANE);
        tasks.spawn(
            Source {
                key: Arc::new(key),
                door,
                range,
                mode,
                out,
            }
            .run(),
        );
        lanes.push(Some(lane));
    }
    let mut merge = Merge::new(lanes.len(), Instant::now());
    let mut outbox = Outbox::default();
    loop {
        let now = Instant::now();
        let again = merge.take(now, outbox.room().min(STEP), outbox.lines());
        if lanes.iter().all(Option::is_none) && again.is_none() && outbox.is_empty() {
            return all_of(&mut tasks).await;
        }
        let has_room = outbox.room() > 0;
        tokio::select! {
            biased;
            sent = sink.reserve(), if outbox.is_due(now) => match sent {
                Ok(permit) => permit.send(Event::Logs(id, outbox.take(Instant::now()))),
                Err(_closed) => return Read::Whole,
            },
            () = sink.closed() => return Read::Whole,
            (lane, word) = hear(&mut lanes, &merge), if has_room => {
                let now = Instant::now();
                match word {
                    Some(Word::Lines(written)) => merge.push(lane, written, now),
                    Some(Word::CaughtUp) => merge.caught_up(lane),
                    None => {
                        merge.ended(lane);
                        if let Some(lane) = lanes.get_mut(lane) {
                            *lane = None;
                        }
                    }
                }
            }
            () = until(outbox.due_at(), again.filter(|_| has_room)) => outbox.shed(Instant::now()),
        }
    }
}

/// The next message of any lane with room; waits forever if there is none or all have ended.
async fn hear(lanes: &mut [Option<mpsc::Receiver<Word>>], merge: &Merge) -> (usize, Option<Word>) {
    let mut next = pin!(std::future::poll_fn(|context| {
        for (index, lane) in lanes.iter_mut().enumerate() {
            if let Some(lane) = lane
                && merge.has_room(index)
                && let Poll::Ready(word) = lane.poll_recv(context)
            {
                return Poll::Ready((index, word));
            }
        }
        Poll::Pending
    }));
    next.as_mut().await
}

/// Waits for the earlier of two optional times.
async fn until(one: Option<Instant>, other: Option<Instant>) {
    match one.into_iter().chain(other).min() {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
