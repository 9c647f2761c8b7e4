//! What the containers that are problems said last: mostly why.
//! A few lines of each that is seen are asked for, anew when it fell again; nothing is followed beyond them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::app::subject::Subject;
use crate::app::{Effect, Model, PaneId};
use crate::domain::ids::ContainerKey;
use crate::domain::logs::{FollowId, LogBatch, LogLine, LogRange};
use crate::domain::order::Order;
use crate::domain::units::Stamp;
use crate::panes::containers::view::since;
use crate::panes::logs::shape::{Level, level, readable};

/// The last line may be empty.
const TAIL: u32 = 5;

/// Whoever passes the page on the way to another asks for nothing.
const DWELL: Duration = Duration::from_millis(300);

#[derive(Debug, Default)]
pub struct Said {
    of: BTreeMap<ContainerKey, Words>,
    /// Since when the page is looked at.
    entered: Option<Duration>,
}

#[derive(Debug)]
struct Words {
    /// Until they came.
    follow: Option<FollowId>,
    came: bool,
    /// It was so since when they were asked for.
    since: Option<Stamp>,
    last: Option<LogLine>,
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

    /// Lines of a log, if they were asked for here.
    pub fn receive(&mut self, id: FollowId, batch: &LogBatch) -> bool {
        let Some(words) = self.of.values_mut().find(|words| words.follow == Some(id)) else {
            return false;
        };
        for line in batch.lines.iter().filter(|line| !line.text.trim().is_empty()) {
            let before = words.last.as_ref().filter(|_| words.came);
            if is_error(line) || !before.is_some_and(is_error) {
                (words.last, words.came) = (Some(line.clone()), true);
            }
        }
        true
    }
}

/// What follows it is mostly where in the program it was.
fn is_error(line: &LogLine) -> bool {
    matches!(level(&readable(&line.text, true)), Some((Level::Error, _)))
}

/// What is seen is asked for; what came, or is seen no more, is not followed any longer.
#[must_use]
pub fn settle(model: &mut Model, seen: &[ContainerKey]) -> Vec<Effect> {
    let is_here = model.focus == PaneId::Problems;
    let said = &mut model.problems.said;
    said.entered = is_here.then(|| said.entered.unwrap_or(model.now.uptime));
    let is_read = said
        .entered
        .is_some_and(|entered| model.now.uptime >= entered + DWELL);
    let mut orders = Vec::new();
    let listed: Vec<&Subject> = model.problems.list.iter().map(|one| &one.subject).collect();
    let is_listed = |key: &ContainerKey| listed.contains(&&Subject::Container(key.clone()));
    for (key, words) in &mut model.problems.said.of {
        if (words.came || !is_here || !is_listed(key))
            && let Some(id) = words.follow.take()
        {
            orders.push(Order::Unfollow(id));
        }
    }
    let gone: Vec<ContainerKey> = model
        .problems
        .said
        .of
        .keys()
        .filter(|key| !is_listed(key))
        .cloned()
        .collect();
    for key in gone {
        model.problems.said.of.remove(&key);
    }
    for key in seen.iter().filter(|_| is_read) {
        let Some(row) = model.fleet.row(key) else { continue };
        let since = since(&row.state());
        let is_known = model
            .problems
            .said
            .of
            .get(key)
            .is_some_and(|words| words.since == since);
        if is_known
            || !model
                .fleet
                .host(&key.host)
                .is_some_and(|host| host.link.is_live())
        {
            continue;
        }
        let id = model.next_follow();
        let before = model.problems.said.of.remove(key);
        orders.extend(
            before
                .as_ref()
                .and_then(|words| words.follow)
                .map(Order::Unfollow),
        );
        let words = Words {
            follow: Some(id),
            came: false,
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
