//! What containers have written: computed for the span that somebody asks for, followed by sleeping until the next line.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::behaviour::{Chatter, Stream};
use super::chatter;
use super::clock::rfc3339_full;
use super::container::{Container, Life, Line};
use super::engine::Engine;
use super::events::moment;
use super::http::{Answer, Ask, Refused, bad, stream};
use crate::domain::units::Stamp;

/// Of one chatter, as a rotated log would have lost the older ones.
const KEPT: u64 = 20_000;
/// Docker cuts longer lines into pieces of this size.
const PIECE: usize = 16 << 10;
/// A chatty container's lines are sent together, this often.
const BATCH: Duration = Duration::from_millis(20);
/// Bytes sent in one piece.
const SEND: usize = 64 << 10;

impl Container {
    /// Its lines after `from` and up to `to`, oldest first.
    pub(super) fn lines(&self, from: Stamp, to: Stamp) -> Vec<Line> {
        let to = self.paused_at.map_or(to, |paused| to.min(paused));
        let mut lines: Vec<Line> = self
            .extra
            .iter()
            .filter(|line| line.at > from && line.at <= to)
            .cloned()
            .collect();
        for life in &self.lives {
            let end = life.ended.unwrap_or(to).min(to);
            for said in &life.conduct.opening {
                let at = life.started.plus(said.after);
                if at > from && at <= end {
                    lines.push(Line {
                        at,
                        stream: said.stream,
                        text: said.text.clone(),
                    });
                }
            }
            for (number, talk) in life.conduct.chatter.iter().enumerate() {
                let seed = life.seed.wrapping_add(u64::try_from(number).unwrap_or(0));
                gather(&mut lines, life, talk, seed, from, end);
            }
            if let Some(ended) = life.ended.filter(|ended| *ended > from && *ended <= to) {
                for (number, text) in life.words.iter().enumerate() {
                    lines.push(Line {
                        at: Stamp(ended.0 - 1_000_000 + i64::try_from(number).unwrap_or(0) * 1_000),
                        stream: Stream::Err,
                        text: text.clone(),
                    });
                }
            }
        }
        lines.sort_by_key(|line| line.at);
        lines
    }

    /// When it will write its next line by itself.
    fn next_line(&self, after: Stamp) -> Option<Stamp> {
        let life = self
            .lives
            .back()
            .filter(|life| life.ended.is_none() && self.paused_at.is_none())?;
        let opening = life
            .conduct
            .opening
            .iter()
            .map(|said| life.started.plus(said.after));
        let talk = life.conduct.chatter.iter().enumerate().map(|(number, talk)| {
            let seed = life.seed.wrapping_add(u64::try_from(number).unwrap_or(0));
            let first = number_before(life, talk, after);
            (first..first + 4)
                .map(|number| time_of(life, talk, seed, number))
                .find(|at| *at > after)
                .unwrap_or(after)
        });
        let extra = self.extra.iter().rev().map(|line| line.at);
        opening
            .chain(talk)
            .chain(extra.take_while(|at| *at > after))
            .filter(|at| *at > after)
            .min()
    }
}

/// The line that is due about then, or the one before.
fn number_before(life: &Life, talk: &Chatter, at: Stamp) -> u64 {
    let every = talk.every.as_nanos().max(1);
    let due = life.started.until(at).as_nanos() / every;
    u64::try_from(due).unwrap_or(u64::MAX).saturating_sub(2)
}

fn time_of(life: &Life, talk: &Chatter, seed: u64, number: u64) -> Stamp {
    let every = u64::try_from(talk.every.as_nanos()).unwrap_or(u64::MAX).max(1);
    let jitter = chatter::mix(seed ^ 0x5eed, number) % (every * 2 / 5).max(1);
    life.started
        .plus(Duration::from_nanos(every.saturating_mul(number + 1) + jitter))
}

fn gather(lines: &mut Vec<Line>, life: &Life, talk: &Chatter, seed: u64, from: Stamp, to: Stamp) {
    let last = number_before(life, talk, to).saturating_add(3);
    let first = number_before(life, talk, from).max(last.saturating_sub(KEPT));
    for number in first..=last {
        let at = time_of(life, talk, seed, number);
        if at <= from || at > to {
            continue;
        }
        let text = chatter::text(&talk.style, seed, number);
        for (offset, part) in text.lines().enumerate() {
            lines.push(Line {
                at: Stamp(at.0 + i64::try_from(offset).unwrap_or(0) * 1_000),
                stream: talk.stream,
                text: part.to_owned(),
            });
        }
    }
}

/// Which lines a client wants, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Output and error.
    pub(super) streams: (bool, bool),
    pub(super) times: bool,
    pub(super) tty: bool,
}

impl Wanted {
    fn admits(self, line: &Line) -> bool {
        match line.stream {
            // A terminal has one stream for both.
            Stream::Err if !self.tty => self.streams.1,
            Stream::Out | Stream::Err => self.streams.0,
        }
    }

    pub(super) fn write(self, to: &mut Vec<u8>, line: &Line) {
        let mut rest = line.text.as_bytes();
        loop {
            let cut = rest.len().min(PIECE);
            let (piece, later) = rest.split_at(cut);
            let mut text = Vec::with_capacity(piece.len() + 34);
            if self.times {
                text.extend(rfc3339_full(line.at).as_bytes());
                text.push(b' ');
            }
            text.extend(piece);
            if later.is_empty() {
                text.extend(if self.tty { &b"\r\n"[..] } else { b"\n" });
            }
            if self.tty {
                to.extend(&text);
            } else {
                frame(to, line.stream, &text);
            }
            rest = later;
            if rest.is_empty() {
                return;
            }
        }
    }
}

/// Stream, three zeros, length, bytes.
pub(super) fn frame(to: &mut Vec<u8>, stream: Stream, text: &[u8]) {
    to.extend([
        match stream {
            Stream::Out => 1,
            Stream::Err => 2,
        },
        0,
        0,
        0,
    ]);
    to.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    to.extend(text);
}

pub(super) fn answer(engine: &Arc<Engine>, name: &str, ask: &Ask) -> Answer {
    let since = asked_moment(ask, "since")?;
    let until = asked_moment(ask, "until")?;
    let tail = ask.query("tail").and_then(|text| text.parse::<usize>().ok());
    let (id, wanted) = {
        let world = engine.world();
        let container = world.container(name)?;
        let wanted = Wanted {
            streams: (ask.flag("stdout"), ask.flag("stderr")),
            times: ask.flag("timestamps"),
            tty: container.is_tty(),
        };
        (container.id.clone(), wanted)
    };
    if wanted.streams == (false, false) {
        return Err(bad("Bad parameters: you must choose at least one stream"));
    }
    let follow = ask.flag("follow");
    let content = if wanted.tty {
        "application/vnd.docker.raw-stream"
    } else {
        "application/octet-stream"
    };
    let (pieces, reply) = stream(content);
    let mut follower = Follower {
        engine: Arc::clone(engine),
        id,
        wanted,
        pieces,
        cursor: Stamp(since.map_or(i64::MIN, |since| since.0.saturating_sub(1))),
        until,
    };
    engine.spawn(async move {
        if follower.past(tail).await && follow {
            follower.follow().await;
        }
    });
    Ok(reply)
}

fn asked_moment(ask: &Ask, key: &str) -> Result<Option<Stamp>, Refused> {
    ask.query(key)
        .filter(|text| !text.is_empty() && *text != "0")
        .map(moment)
        .transpose()
}

/// Somebody who reads a container's lines.
pub(super) struct Follower {
    pub(super) engine: Arc<Engine>,
    pub(super) id: String,
    pub(super) wanted: Wanted,
    pub(super) pieces: tokio::sync::mpsc::Sender<Bytes>,
    /// Everything up to here was sent.
    pub(super) cursor: Stamp,
    pub(super) until: Option<Stamp>,
}

impl Follower {
    /// Lines that have come since, and whether more may come.
    fn fresh(&mut self) -> (Vec<Line>, Option<Stamp>, bool) {
        let world = self.engine.world();
        let to = self.until.map_or(world.now, |until| world.now.min(until));
        let over = self.until.is_some_and(|until| world.now >= until);
        let Some(container) = world.containers.get(&self.id) else {
            return (Vec::new(), None, false);
        };
        let mut lines = container.lines(self.cursor, to);
        lines.retain(|line| self.wanted.admits(line));
        self.cursor = to.max(self.cursor);
        (
            lines,
            container.next_line(self.cursor),
            container.is_up() && !over,
        )
    }

    async fn send(&self, lines: &[Line]) -> bool {
        let mut bytes = Vec::new();
        for line in lines {
            self.wanted.write(&mut bytes, line);
            if bytes.len() >= SEND && self.pieces.send(std::mem::take(&mut bytes).into()).await.is_err() {
                return false;
            }
        }
        bytes.is_empty() || self.pieces.send(bytes.into()).await.is_ok()
    }

    /// What was written so far; false when there is nothing to follow.
    pub(super) async fn past(&mut self, tail: Option<usize>) -> bool {
        let (mut lines, _, more) = self.fresh();
        if let Some(tail) = tail {
            lines.drain(..lines.len().saturating_sub(tail));
        }
        self.send(&lines).await && more
    }

    /// Whoever attaches to a container that never ran wants its first life.
    pub(super) async fn wait_for_start(&self, patient: bool) {
        let mut pulse = self.engine.pulse();
        let never_ran = |follower: &Self| {
            let world = follower.engine.world();
            let container = world.containers.get(&follower.id);
            container.is_some_and(|container| container.lives.is_empty())
        };
        while patient && never_ran(self) && !self.pieces.is_closed() {
            tokio::select! {
                () = self.pieces.closed() => return,
                changed = pulse.changed() => if changed.is_err() { return },
            }
        }
    }

    pub(super) async fn follow(mut self) {
        let mut pulse = self.engine.pulse();
        loop {
            let (lines, next, more) = self.fresh();
            if !self.send(&lines).await || !more {
                return;
            }
            // A pace beyond what a reader can tell apart is sent in batches.
            let soonest = self.cursor.plus(if lines.len() > 1 {
                BATCH
            } else {
                Duration::from_millis(1)
            });
            let wake = match (next, self.until) {
                (None, until) => until,
                (Some(next), None) => Some(next.max(soonest)),
                (Some(next), Some(until)) => Some(next.max(soonest).min(until)),
            };
            let due = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(self.engine.clock.instant(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => (),
                () = self.pieces.closed() => return,
                changed = pulse.changed() => if changed.is_err() { return },
            }
        }
    }
}
