//! What the containers that are problems said last: mostly why.
//! A few lines of each that is seen are asked for, anew when it fell again; nothing is followed beyond them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Problems;
use crate::app::subject::Subject;
use crate::app::{Effect, Model, PaneId};
use crate::domain::ids::ContainerKey;
use crate::domain::logs::{FollowId, LogBatch, LogLine, LogRange, Stream};
use crate::domain::order::Order;
use crate::domain::units::Stamp;
use crate::panes::logs::shape::{Level, level, readable};

/// The last line may be empty.
const TAIL: u32 = 5;

/// Whoever passes the page on the way to another asks for nothing.
const DWELL: Duration = Duration::from_millis(300);

/// The first line may be sent alone; the others follow it within a few milliseconds.
const REST: Duration = Duration::from_millis(300);

#[derive(Debug, Default)]
pub struct Said {
    of: BTreeMap<ContainerKey, Words>,
    look: Look,
}

/// Who looks at the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Look {
    #[default]
    Nobody,
    /// Who is there by then reads it.
    Passing(Duration),
    Reader,
}

#[derive(Debug)]
struct Words {
    /// Until they came.
    follow: Option<FollowId>,
    /// When the first of them came.
    came: Option<Duration>,
    /// It was so since when they were asked for.
    since: Option<Stamp>,
    last: Option<LogLine>,
}

impl Words {
    /// By then all of them have come.
    fn due(&self) -> Option<Duration> {
        self.follow?;
        self.came.map(|came| came + REST)
    }
}

impl Said {
    /// The last line that says it is an error, else the last that is not empty.
    #[must_use]
    pub fn last(&self, subject: &Subject) -> Option<&LogLine> {
        match subject {
            Subject::Container(key) => self.of.get(key)?.last.as_ref(),
            Subject::Host(_) | Subject::Run(_) | Subject::Group(_) => None,
        }
    }

    /// When `settle` has something to do.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let read = match self.look {
            Look::Passing(until) => Some(until),
            Look::Nobody | Look::Reader => None,
        };
        let come = self.of.values().filter_map(Words::due);
        come.chain(read).min()
    }

    /// Lines of a log, if they were asked for here.
    pub fn receive(&mut self, id: FollowId, batch: &LogBatch, now: Duration) -> bool {
        let Some(words) = self.of.values_mut().find(|words| words.follow == Some(id)) else {
            return false;
        };
        // What we ourselves say in a log are no words of the container.
        let is_its = |line: &&LogLine| line.stream != Stream::Notice && !line.text.trim().is_empty();
        for line in batch.lines.iter().filter(is_its) {
            let before = words.last.as_ref().filter(|_| words.came.is_some());
            if is_error(line) || !before.is_some_and(is_error) {
                words.last = Some(line.clone());
                words.came.get_or_insert(now);
            }
        }
        true
    }

    /// Somebody who stays is no passer-by.
    fn seen(&mut self, is_here: bool, now: Duration) {
        self.look = match self.look {
            _ if !is_here => Look::Nobody,
            Look::Nobody => Look::Passing(now + DWELL),
            Look::Passing(until) if now < until => Look::Passing(until),
            Look::Passing(_) | Look::Reader => Look::Reader,
        };
    }

    /// Those that are asked for no longer: all of them came, or nobody sees them. What is no problem is forgotten.
    fn ended(&mut self, listed: &BTreeSet<&Subject>, now: Duration) -> Vec<FollowId> {
        let mut ended = Vec::new();
        let look = self.look;
        self.of.retain(|key, words| {
            let subject = Subject::Container(key.clone());
            let is_listed = listed.contains(&&subject);
            let is_whole = words.due().is_some_and(|due| now >= due);
            if (is_whole || look == Look::Nobody || !is_listed)
                && let Some(id) = words.follow.take()
            {
                ended.push(id);
                // What was cut off is asked for anew.
                words.came = words.came.filter(|_| is_whole);
            }
            is_listed
        });
        ended
    }

    /// Were they asked for since it is as it is, and are they there or on their way?
    fn is_known(&self, key: &ContainerKey, since: Option<Stamp>) -> bool {
        let words = self.of.get(key).filter(|words| words.since == since);
        words.is_some_and(|words| words.came.is_some() || words.follow.is_some())
    }
}

/// What follows it is mostly where in the program it was.
fn is_error(line: &LogLine) -> bool {
    matches!(level(&readable(&line.text, true)), Some((Level::Error, _)))
}

/// What is seen is asked for; what came, or is seen no more, is not followed any longer.
#[must_use]
pub fn settle(model: &mut Model, seen: &[ContainerKey]) -> Vec<Effect> {
    let now = model.now.uptime;
    let Problems { list, said, .. } = &mut model.problems;
    said.seen(model.focus == PaneId::Problems, now);
    let listed: BTreeSet<&Subject> = list.iter().map(|one| &one.subject).collect();
    let ended = said.ended(&listed, now);
    let mut orders: Vec<Order> = ended.into_iter().map(Order::Unfollow).collect();
    let is_read = said.look == Look::Reader;
    for key in seen.iter().filter(|_| is_read) {
        let Some(row) = model.fleet.row(key) else { continue };
        let since = row.state().since();
        let host = model.fleet.host(&key.host);
        let is_live = host.is_some_and(|host| host.link.is_live());
        if !is_live || model.problems.said.is_known(key, since) {
            continue;
        }
        let id = model.next_follow();
        let before = model.problems.said.of.remove(key);
        let follow = before.as_ref().and_then(|words| words.follow);
        orders.extend(follow.map(Order::Unfollow));
        let words = Words {
            follow: Some(id),
            came: None,
            since,
            last: before.and_then(|words| words.last),
        };
        model.problems.said.of.insert(key.clone(), words);
        let (targets, range) = (vec![key.clone()], LogRange::Tail(TAIL));
        orders.push(Order::Follow { id, targets, range });
    }
    orders
        .into_iter()
        .map(|order| Effect::Order(model.next_order(), order))
        .collect()
}
