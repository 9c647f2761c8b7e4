//! What a log view reads, from which follows, and its lines.
//! Holds a bounded number of lines; dropped lines are counted and shown where they were.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::attention::Attention;
use super::index;
use super::patterns::{Patterns, Texts};
use super::range::Range;
use super::scroll::Scroll;
use super::sources::{Scope, Sources};
use crate::config::Looks;
use crate::domain::fleet::Fleet;
use crate::domain::ids::ContainerKey;
use crate::domain::logs::{FollowId, LogBatch, LogLine, LogRange, LogRing, Reached, Stream};
use crate::domain::order::Order;
use crate::domain::run::{Output, RunLine};
use crate::domain::units::Stamp;

/// Columns of `14:03:19.201`.
pub(super) const TIME_WIDTH: usize = 12;

/// No label takes more columns than this.
pub(super) const WIDEST_LABEL: usize = 24;

#[derive(Clone, Debug)]
pub struct Logs {
    /// What is read; nothing before the first container was chosen.
    pub(super) scope: Option<Scope>,
    pub(super) sources: Sources,
    /// The follows that feed this view: one for what was there, one for each later joining.
    pub(super) follows: BTreeSet<FollowId>,
    /// How far each source came: where to go on after nobody looked for a while.
    pub(super) reached: HashMap<Arc<ContainerKey>, Reached>,
    /// Nobody looks: nothing is followed, what was read stays. Those that were there when it was left.
    pub(super) resting: Option<BTreeSet<ContainerKey>>,
    pub(super) attention: Attention,
    pub(super) range: Range,
    pub(super) ring: LogRing,
    /// Lines and bytes of a ring.
    limits: (usize, usize),
    /// Lines asked of each container.
    pub(super) tail: u32,
    pub(super) scroll: Scroll,
    pub(super) patterns: Patterns,
    /// A pattern is being typed.
    pub(super) typing: Option<Typing>,
    /// A match was asked for that is not found yet: older lines are still being searched.
    pub(super) seeking: Option<Seek>,
    /// Lines chosen for copying, by number.
    pub(super) marked: BTreeSet<u64>,
    pub(super) shown: Shown,
    /// Columns gone on the left.
    pub(super) shift: usize,
}

/// What is typed now, and what to come back to if it is given up.
#[derive(Clone, Debug)]
pub(super) struct Typing {
    pub(super) before: Texts,
    pub(super) text: String,
}

/// How lines are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    pub timestamps: bool,
    pub wrap: bool,
    pub json: bool,
}

/// Which match is wanted, the way time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    Later,
    Earlier,
}

impl Logs {
    #[must_use]
    pub fn new(looks: &Looks) -> Self {
        Self {
            scope: None,
            sources: Sources::default(),
            follows: BTreeSet::new(),
            reached: HashMap::new(),
            resting: None,
            attention: Attention::default(),
            range: Range::Tail,
            ring: LogRing::new(looks.log_lines, looks.log_bytes),
            limits: (looks.log_lines, looks.log_bytes),
            tail: looks.log_tail,
            scroll: Scroll::Following,
            patterns: Patterns::default(),
            typing: None,
            seeking: None,
            marked: BTreeSet::new(),
            shown: Shown {
                timestamps: true,
                wrap: false,
                json: true,
            },
            shift: 0,
        }
    }

    #[must_use]
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// Is it no container that is read but a file of this machine? That is read from as far back as it was kept.
    #[must_use]
    pub fn is_file(&self) -> bool {
        match &self.scope {
            Some(Scope::Run(_) | Scope::OwnLog) => true,
            Some(Scope::Containers(_) | Scope::Group(_)) | None => false,
        }
    }

    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    #[must_use]
    pub fn range(&self) -> Range {
        self.range
    }

    #[must_use]
    pub fn shown(&self) -> Shown {
        self.shown
    }

    #[must_use]
    pub fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    #[must_use]
    pub fn attention(&self) -> &Attention {
        &self.attention
    }

    #[must_use]
    pub fn ring(&self) -> &LogRing {
        &self.ring
    }

    /// Follows these from now on, and nothing else. The same again changes nothing.
    #[must_use]
    pub fn open(&mut self, scope: Scope, fleet: &Fleet, id: FollowId) -> Vec<Order> {
        if self.scope.as_ref() == Some(&scope) {
            return Vec::new();
        }
        let mut orders = self.close();
        let file = match &scope {
            Scope::OwnLog => Some(Order::FollowOwnLog(id)),
            Scope::Run(part) => Some(Order::FollowRun(id, part.clone())),
            Scope::Containers(_) | Scope::Group(_) => None,
        };
        if let Some(order) = file {
            self.follows.insert(id);
            orders.push(order);
        }
        self.scope = Some(scope);
        orders.extend(self.join(fleet, id));
        orders
    }

    /// Stops following; the lines go, the patterns stay for the next.
    #[must_use]
    pub fn close(&mut self) -> Vec<Order> {
        self.scope = None;
        self.sources = Sources::default();
        self.empty()
    }

    fn empty(&mut self) -> Vec<Order> {
        self.ring = LogRing::new(self.limits.0, self.limits.1);
        self.reached.clear();
        self.resting = None;
        self.scroll = Scroll::Following;
        self.seeking = None;
        self.marked.clear();
        self.shift = 0;
        self.patterns.restart(&self.ring, self.shown.json);
        std::mem::take(&mut self.follows)
            .into_iter()
            .map(Order::Unfollow)
            .collect()
    }

    /// Follows the containers that belong to what is read and were not there before. Those that were created after
    /// others were followed are read from their beginning.
    #[must_use]
    pub fn join(&mut self, fleet: &Fleet, id: FollowId) -> Option<Order> {
        let scope = self.scope.as_ref().filter(|_| self.resting.is_none())?;
        let is_first = self.sources.is_empty();
        let newest = self.ring.iter().next_back().map(|(_, line)| line.at);
        let targets = self.sources.join(scope, fleet);
        if targets.is_empty() {
            return None;
        }
        let is_younger = |key: &ContainerKey| {
            let created = fleet.row(key).map(|row| row.container.created);
            newest
                .zip(created)
                .is_some_and(|(newest, created)| created >= newest)
        };
        let range = if !is_first && targets.iter().all(is_younger) {
            LogRange::All
        } else {
            self.range.asked(self.tail)
        };
        Some(self.follow(id, targets, range))
    }

    fn follow(&mut self, id: FollowId, targets: Vec<ContainerKey>, range: LogRange) -> Order {
        self.follows.insert(id);
        Order::Follow { id, targets, range }
    }

    /// The same containers, further back or less far.
    #[must_use]
    pub fn set_range(&mut self, range: Range, id: FollowId) -> Vec<Order> {
        if range == self.range {
            return Vec::new();
        }
        self.range = range;
        let mut orders = self.empty();
        if !self.sources.is_empty() {
            orders.push(self.follow(id, self.sources.keys(), range.asked(self.tail)));
        }
        orders
    }

    /// What a follow hands over; of a follow that was given up it is of no consequence.
    pub fn receive(&mut self, id: FollowId, batch: LogBatch) {
        if !self.follows.contains(&id) {
            return;
        }
        if batch.skipped > 0 {
            self.ring.skip(batch.skipped);
            self.say_skipped(&batch);
        }
        for line in batch.lines {
            if line.stream != Stream::Notice {
                let reached = self.reached.entry(Arc::clone(&line.source)).or_default();
                reached.line(line.stream, line.at);
            }
            self.insert(line);
        }
        self.unmark_gone();
    }

    fn unmark_gone(&mut self) {
        let first = self.ring.first();
        if self.marked.first().is_some_and(|number| *number < first) {
            self.marked = self.marked.split_off(&first);
        }
    }

    /// What a run said; of a follow that was given up it is of no consequence.
    pub fn receive_output(&mut self, id: FollowId, output: Output) {
        if !self.follows.contains(&id) {
            return;
        }
        if output.gone > 0 {
            let lines = if output.gone == 1 {
                "line of this run was"
            } else {
                "lines of this run were"
            };
            let text = format!("{} {lines} not kept", output.gone);
            let line = output.lines.first().cloned().unwrap_or_else(|| self.said_last());
            self.take_said(&line, Stream::Notice, text);
        }
        for line in output.lines {
            self.take_said(&line, Stream::Out, line.text.clone());
        }
        self.unmark_gone();
    }

    /// Where and when a word of ours belongs while no line of this part came with it.
    fn said_last(&self) -> RunLine {
        let part = match &self.scope {
            Some(Scope::Run(part)) => Some(part),
            _ => None,
        };
        let newest = self.ring.iter().next_back().map(|(_, line)| line.at);
        RunLine {
            at: newest.unwrap_or_default(),
            stage: part.and_then(|part| part.stage.clone()).unwrap_or_default(),
            host: part.and_then(|part| part.host.clone()),
            text: String::new(),
        }
    }

    fn take_said(&mut self, line: &RunLine, stream: Stream, text: String) {
        if let Some(source) = self.sources.of_run(line) {
            self.insert(LogLine {
                at: line.at,
                source,
                stream,
                text: text.into(),
            });
        }
    }

    /// A line of our own where lines are missing.
    fn say_skipped(&mut self, batch: &LogBatch) {
        let newest = self.ring.iter().next_back().map(|(_, line)| line);
        let (at, source) = match (batch.lines.first().or(newest), self.sources.iter().next()) {
            (Some(line), _) => (line.at, line.source.clone()),
            (None, Some(source)) => (Stamp::default(), Arc::new(source.key.clone())),
            (None, None) => return,
        };
        let lines = if batch.skipped == 1 { "line" } else { "lines" };
        self.insert(LogLine {
            at,
            source,
            stream: Stream::Notice,
            text: format!("{} {lines} skipped", batch.skipped).into(),
        });
    }

    pub(super) fn insert(&mut self, line: LogLine) {
        let number = self.ring.push_line(line);
        if number + 1 == index::end(&self.ring) {
            return;
        }
        self.scroll = self.scroll.after_insertion(number);
        let later = self.marked.split_off(&number);
        self.marked.extend(later.into_iter().map(|marked| marked + 1));
        self.patterns.inserted(number, &self.ring);
    }
}
