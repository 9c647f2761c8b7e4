//! One container's log: past lines, then new ones, across restarts and lost connections.
//! Neither loses nor repeats lines; what cannot be read is reported in a notice line.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Read;
use super::door::Door;
use super::frames::Frames;
use super::gulps::Gulps;
use super::look::Look;
use super::pieces::{Line, Pieces};
use super::seen::Seen;
use crate::domain::ids::ContainerKey;
use crate::domain::logs::{LogLine, LogRange, Stream};
use crate::domain::units::{Stamp, short_span};
use crate::hosts::back_off::BackOff;
use crate::hosts::connect::Daemon;
use crate::hosts::happening;
use crate::hosts::lines::Lines;
use crate::hosts::listing::{encode, wall_clock};
use crate::hosts::trouble::Trouble;
use crate::hosts::wire::within;

/// The head of the answer; reading the tail of a log of gigabytes takes a daemon this long and longer.
const OPEN_LIMIT: Duration = Duration::from_mins(1);
const EVENTS_LIMIT: Duration = Duration::from_secs(10);
/// Who follows a range of time asks for it with a tail: the daemon then reads the file from its end, and no screen holds
/// more. Who reads it once gets all of it.
const LONGEST_RANGE: u32 = 200_000;
/// Without a tail a daemon reads through all that is older before it says a word, some 100 MB a second.
const READ_THROUGH_LIMIT: Duration = Duration::from_mins(10);
/// How often a stopped container is inspected, in case its start event was missed.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// A second connection over ssh with a jump is open within this.
const REACH_QUIETLY: Duration = Duration::from_secs(15);
/// Daemon clocks are read in whole seconds, so only larger steps count as set back.
const CLOCK_STEP: Duration = Duration::from_secs(2);
/// A link that is cut is noticed within this.
const UNNOTICED: Duration = Duration::from_secs(30);
/// Lines passed on at a time.
const BATCH: usize = 256;

/// A message from a source to the merge.
#[derive(Debug)]
pub(super) enum Word {
    Lines(Vec<LogLine>),
    /// All earlier lines were passed on.
    CaughtUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Existing lines only.
    Once,
    /// Existing and new lines, until nobody listens or the container is removed.
    Follow,
}

pub(super) struct Source {
    pub(super) key: Arc<ContainerKey>,
    pub(super) door: Door,
    pub(super) range: LogRange,
    pub(super) mode: Mode,
    pub(super) out: mpsc::Sender<Word>,
}

/// Why a source ended.
enum Over {
    /// Everything requested was read, or nobody listens.
    Quietly,
    /// It cannot be read.
    Said(String),
    /// The container was removed.
    Gone,
}

/// Why reading was interrupted.
enum Stretch {
    /// The stream ended; the container may have stopped.
    Ended,
    Broken(Trouble),
    Over(Over),
}

struct Reader {
    source: Source,
    seen: Seen,
    /// Once the range was passed on, older lines are not requested again. By the daemon's clock.
    floor: Stamp,
    caught_up: bool,
    /// The number of received pieces of old lines, which a daemon counts as lines of its tail.
    written: u32,
    /// Whether the interruption was already reported.
    said: bool,
    /// When the last stream ended.
    ended: Instant,
    /// The last line before the clock was set back, once that was reported.
    set_back: Option<Stamp>,
}

impl Source {
    pub(super) async fn run(self) -> Read {
        let range = self.range;
        let mut reader = Reader {
            source: self,
            seen: Seen::new(range),
            floor: Stamp(0),
            caught_up: false,
            written: 0,
            said: false,
            ended: Instant::now(),
            set_back: None,
        };
        match reader.read_all().await {
            Over::Quietly => Read::Whole,
            Over::Said(words) => {
                // Whoever listened may be gone by now.
                drop(reader.notice(words).await);
                Read::Short
            }
            Over::Gone => {
                drop(reader.notice("the container is gone".to_owned()).await);
                match reader.source.mode {
                    // It was followed to its end.
                    Mode::Follow => Read::Whole,
                    Mode::Once => Read::Short,
                }
            }
        }
    }
}

impl Reader {
    async fn read_all(&mut self) -> Over {
        let mut back_off = BackOff::default();
        loop {
            let before = self.seen.last();
            let daemon = match self.reach().await {
                Ok(daemon) => daemon,
                Err(over) => return over,
            };
            let trouble = match self.read_from(&daemon).await {
                Stretch::Over(over) => return over,
                Stretch::Ended => {
                    if self.seen.last() != before {
                        back_off.reset();
                    }
                    tokio::time::sleep(back_off.next(fastrand::f64()) / 8).await;
                    continue;
                }
                Stretch::Broken(trouble) => trouble,
            };
            if trouble.is_final() || self.source.mode == Mode::Once {
                return Over::Said(format!("could not read the log: {trouble}"));
            }
            if self.seen.last() != before {
                back_off.reset();
            }
            if !self.said {
                self.said = true;
                let host = self.source.door.host().clone();
                if let Err(over) = self
                    .notice(format!("{host} lost ({trouble}), resuming when it is back"))
                    .await
                {
                    return over;
                }
            }
            tokio::time::sleep(back_off.next(fastrand::f64())).await;
        }
    }

    /// The daemon; says that it is waited for when that takes long, and does not wait for ever when nothing is followed.
    async fn reach(&mut self) -> Result<Daemon, Over> {
        let host = self.source.door.host().clone();
        if let Ok(reached) = tokio::time::timeout(REACH_QUIETLY, self.source.door.bulk()).await {
            return reached.map_err(|fault| Over::Said(fault.to_string()));
        }
        match self.source.mode {
            Mode::Once => Err(Over::Said(format!(
                "could not read the log: {host} does not answer"
            ))),
            Mode::Follow => {
                if !self.said {
                    self.said = true;
                    self.notice(format!("waiting for {host}")).await?;
                }
                self.source
                    .door
                    .bulk()
                    .await
                    .map_err(|fault| Over::Said(fault.to_string()))
            }
        }
    }

    /// Reads until the stream, the connection or the container ends.
    async fn read_from(&mut self, daemon: &Daemon) -> Stretch {
        let look = match self.look(daemon).await {
            Ok(look) => look,
            Err(Trouble::Refused { status: 404, .. }) => {
                return Stretch::Over(Over::Gone);
            }
            Err(trouble) => return Stretch::Broken(trouble),
        };
        // By another clock what was read says nothing of from where to go on.
        let from = match self.set_back(&look).await {
            Ok(from) => from,
            Err(over) => return Stretch::Over(over),
        };
        if !self.caught_up {
            let query = from.map_or_else(
                || self.first_query(look.now),
                |from| format!("since={}", moment(from)),
            );
            let path = self.path(&query);
            match self.stream(daemon, &path, &look).await {
                Stretch::Ended => {}
                other => return other,
            }
            self.floor = look.now;
            self.caught_up = true;
            if let Err(over) = self.say_left_out().await {
                return Stretch::Over(over);
            }
            if self.source.out.send(Word::CaughtUp).await.is_err() {
                return Stretch::Over(Over::Quietly);
            }
        }
        if self.source.mode == Mode::Once {
            return Stretch::Over(Over::Quietly);
        }
        // What was written up to the floor is handed on; the two seconds are what a daemon's clock is told with.
        let since = self
            .seen
            .since()
            .unwrap_or_default()
            .max(self.floor.minus(CLOCK_STEP));
        let since = from.map_or(since, |from| from.min(since));
        let path = self.path(&format!("follow=true&since={}", moment(since)));
        match self.stream(daemon, &path, &look).await {
            Stretch::Ended => {}
            other => return other,
        }
        // A follower is let go when the container stops, sometimes before its last piece was sent.
        if let Some(since) = self.seen.since() {
            let since = from.map_or(since, |from| from.min(since));
            let path = self.path(&format!("since={}", moment(since)));
            match self.stream(daemon, &path, &look).await {
                Stretch::Ended => {}
                other => return other,
            }
        }
        self.wait_for_start(daemon).await
    }

    fn is_set_back(&self, look: &Look) -> bool {
        self.seen
            .last()
            .is_some_and(|last| last > look.now.plus(CLOCK_STEP))
    }

    /// Was the daemon's clock set back while nothing was read? Said once, with what cannot be known: a line of the
    /// time that is passed through twice may be one that was handed on. From when to ask then.
    async fn set_back(&mut self, look: &Look) -> Result<Option<Stamp>, Over> {
        let Some(last) = self.seen.last().filter(|_| self.is_set_back(look)) else {
            return Ok(None);
        };
        if self.set_back != Some(last) {
            self.set_back = Some(last);
            let host = self.source.door.host().clone();
            let by = short_span(look.now.until(last));
            self.notice(format!(
                "the clock of {host} was set back by {by} or more: lines from around then may be missing or shown twice"
            ))
            .await?;
        }
        Ok(Some(look.now.minus(self.ended.elapsed() + UNNOTICED)))
    }

    fn first_query(&self, now: Stamp) -> String {
        if let Some(since) = self.seen.since() {
            return format!("since={}", moment(since));
        }
        match self.source.range {
            LogRange::Tail(lines) => format!("tail={lines}"),
            LogRange::Last(span) => {
                let since = moment(now.minus(span));
                match self.source.mode {
                    Mode::Once => format!("since={since}"),
                    Mode::Follow => format!("tail={LONGEST_RANGE}&since={since}"),
                }
            }
            LogRange::All | LogRange::After(_) => "tail=all".to_owned(),
        }
    }

    /// Reports that a tail may have omitted older lines of the range.
    async fn say_left_out(&self) -> Result<(), Over> {
        let is_followed = self.source.mode == Mode::Follow;
        if is_followed && matches!(self.source.range, LogRange::Last(_)) && self.written >= LONGEST_RANGE {
            let words =
                format!("only the last {LONGEST_RANGE} lines of this range are read, older ones are not");
            return self.notice(words).await;
        }
        Ok(())
    }

    fn path(&self, query: &str) -> String {
        format!(
            "/containers/{}/logs?stdout=true&stderr=true&timestamps=true&{query}",
            self.source.key.id
        )
    }

    async fn look(&self, daemon: &Daemon) -> Result<Look, Trouble> {
        Look::at(daemon, &self.source.key.id).await
    }

    async fn stream(&mut self, daemon: &Daemon, path: &str, look: &Look) -> Stretch {
        if self.is_set_back(look) {
            self.seen.reopened_after_set_back();
        } else {
            self.seen.reopened();
        }
        let stretch = self.read_stream(daemon, path, look.has_terminal).await;
        self.ended = Instant::now();
        stretch
    }

    async fn read_stream(&mut self, daemon: &Daemon, path: &str, has_terminal: bool) -> Stretch {
        let is_read_through =
            self.source.mode == Mode::Once && matches!(self.source.range, LogRange::Last(_));
        let limit = if is_read_through {
            READ_THROUGH_LIMIT
        } else {
            OPEN_LIMIT
        };
        let mut gulps = match within(limit, daemon.wire().get(path)).await {
            Ok(response) => Gulps::new(response.into_body()),
            Err(trouble) => return Stretch::Broken(trouble),
        };
        self.said = false;
        let mut frames = Frames::default();
        let mut pieces = Pieces::default();
        let mut lines = Vec::new();
        loop {
            let read = tokio::select! {
                biased;
                read = gulps.next() => read,
                () = self.source.out.closed() => return Stretch::Over(Over::Quietly),
                () = self.source.door.lost() => return Stretch::Broken(Trouble::Lost),
            };
            let gulp = match read {
                Ok(Some(gulp)) => gulp,
                Ok(None) => {
                    pieces.end(&mut lines);
                    return match self.hand_on(&mut lines).await {
                        Ok(()) => Stretch::Ended,
                        Err(over) => Stretch::Over(over),
                    };
                }
                Err(fault) => return Stretch::Broken(Trouble::Broken(fault)),
            };
            if has_terminal {
                pieces.raw(&gulp, &mut lines);
                self.written(lines.len());
            } else {
                frames.push(&gulp);
                loop {
                    match frames.next() {
                        Ok(Some((stream, frame))) => {
                            pieces.framed(stream, &frame, &mut lines);
                            self.written(1);
                        }
                        Ok(None) => break,
                        Err(super::frames::Garbled) => {
                            return Stretch::Broken(Trouble::Unreadable("no log stream".to_owned()));
                        }
                    }
                }
            }
            if let Err(over) = self.hand_on(&mut lines).await {
                return Stretch::Over(over);
            }
        }
    }

    fn written(&mut self, pieces: usize) {
        if !self.caught_up {
            self.written = self
                .written
                .saturating_add(u32::try_from(pieces).unwrap_or(u32::MAX));
        }
    }

    async fn hand_on(&mut self, lines: &mut Vec<Line>) -> Result<(), Over> {
        let mut batch = Vec::new();
        for line in lines.drain(..) {
            if self.seen.is_new(&line) {
                batch.push(self.log_line(line));
            }
            if batch.len() == BATCH {
                self.send(std::mem::take(&mut batch)).await?;
            }
        }
        if batch.is_empty() {
            Ok(())
        } else {
            self.send(batch).await
        }
    }

    fn log_line(&self, line: Line) -> LogLine {
        LogLine {
            at: line.at,
            source: Arc::clone(&self.source.key),
            stream: line.stream,
            text: line.text,
        }
    }

    async fn send(&self, lines: Vec<LogLine>) -> Result<(), Over> {
        self.source
            .out
            .send(Word::Lines(lines))
            .await
            .map_err(|_closed| Over::Quietly)
    }

    async fn notice(&self, words: String) -> Result<(), Over> {
        let at = self.seen.last().unwrap_or_else(wall_clock);
        let line = LogLine {
            at,
            source: Arc::clone(&self.source.key),
            stream: Stream::Notice,
            text: words.into(),
        };
        self.send(vec![line]).await
    }

    /// Waits until a stopped container is started again.
    async fn wait_for_start(&mut self, daemon: &Daemon) -> Stretch {
        let filters = serde_json::json!({
            "type": ["container"], "container": [self.source.key.id.as_str()], "event": ["start", "destroy", "remove"],
        });
        let since = wall_clock().minus(Duration::from_secs(10));
        let path = format!(
            "/events?since={}&filters={}",
            moment(since),
            encode(&filters.to_string())
        );
        let mut events = match Lines::get(daemon.wire(), &path, EVENTS_LIMIT, happening::LONGEST_LINE).await {
            Ok(events) => events,
            Err(trouble) => return Stretch::Broken(trouble),
        };
        loop {
            match self.look(daemon).await {
                Ok(look) if look.is_running => return Stretch::Ended,
                Ok(_) => {}
                Err(Trouble::Refused { status: 404, .. }) => {
                    return Stretch::Over(Over::Gone);
                }
                Err(trouble) => return Stretch::Broken(trouble),
            }
            let told = tokio::select! {
                told = tokio::time::timeout(LOOK_EVERY, events.next()) => told,
                () = self.source.out.closed() => return Stretch::Over(Over::Quietly),
                () = self.source.door.lost() => return Stretch::Broken(Trouble::Lost),
            };
            match told {
                Ok(Ok(Some(_))) | Err(_) => {}
                Ok(Ok(None)) => {
                    return Stretch::Broken(Trouble::Unreadable("the event stream ended".to_owned()));
                }
                Ok(Err(trouble)) => return Stretch::Broken(trouble),
            }
        }
    }
}

/// Seconds and milliseconds, rounded down: what every engine reads.
fn moment(at: Stamp) -> String {
    let millis = at.0.max(0) / 1_000_000;
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}
