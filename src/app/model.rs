//! Everything the screen knows: the fleet, the runs, each pane's state, the layer above them.
//! Only `update` writes it; drawing only reads it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::keymap::Keymap;
use super::layer::Layer;
use super::layout::{Layout, Size, Slot, Wishes, is_room};
use super::locks::Locks;
use super::notices::Notices;
use super::orders::Orders;
use super::place::PaneId;
use super::question::Question;
use super::subject::Subject;
use super::watch::Watch;
use crate::config::Config;
use crate::domain::container::State;
use crate::domain::fault::Fault;
use crate::domain::fleet::Fleet;
use crate::domain::ids::{HostName, RunId};
use crate::domain::logs::FollowId;
use crate::domain::order::Access;
use crate::domain::run::RunView;
use crate::domain::units::Now;
use crate::panes::{
    containers::Containers, detail::DetailPage, hosts::Hosts, logs::Logs, pipeline::Pipeline, plan::PlanPage,
    problems::Problems, runs::Runs, services::Services,
};

/// The input known before the first event.
#[derive(Clone, Debug)]
pub struct Setup {
    pub config: Arc<Config>,
    pub access: Access,
    /// Shown in the header.
    pub demo: bool,
    /// Whether the terminal takes text for its clipboard.
    pub clipboard: bool,
    /// Login of the person and the machine, as runs name them: `ops-a@bastion-1`.
    pub actor: String,
    pub size: Size,
}

/// The whole state of the screen. Written by `update::update` only, read by drawing.
#[derive(Debug)]
pub struct Model {
    pub setup: Setup,
    pub keymap: Keymap,
    pub now: Now,
    pub size: Size,
    pub fleet: Fleet,
    /// The runs of the state folder that were loaded.
    pub runs: BTreeMap<RunId, RunView>,
    /// Runs that cannot be read, and why.
    pub unreadable: BTreeMap<RunId, Fault>,
    /// The number of older runs that were not loaded.
    pub older_runs: usize,
    pub focus: PaneId,
    /// Show only the focused pane, even if there is room for more.
    pub zoomed: bool,
    /// Panes that `Esc` returns to, the most recent last.
    pub trail: Vec<PaneId>,
    pub layer: Option<Layer>,
    pub notices: Notices,
    pub orders: Orders,
    pub watch: Watch,
    pub services: Services,
    pub containers: Containers,
    pub problems: Problems,
    pub logs: Logs,
    pub hosts: Hosts,
    pub pipeline: Pipeline,
    pub run_list: Runs,
    pub detail: DetailPage,
    pub plan: PlanPage,
    /// Dead runs whose recovery has still to be offered.
    pub(super) offers: VecDeque<RunId>,
    /// Runs that lost a host, and whose recovery was offered since it answers again.
    pub(super) offered: BTreeSet<RunId>,
    /// When the last key was pressed, by `now`: a question must not come up under fingers.
    pub(super) key_pressed: Option<Duration>,
    /// Locks of runs on other machines.
    pub locks: Locks,
    /// The last id given out; follows and orders never share or reuse one.
    ids: u64,
    /// How the last run ended that was seen in progress, until a key is pressed.
    pub ended: Option<String>,
    /// The terminal's title.
    pub(super) title: String,
    /// Whether data derived from fleet and runs is out of date.
    pub(super) stale: bool,
    pub(super) redraw: Redraw,
}

/// When the screen has to be redrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redraw {
    No,
    /// Not urgent: figures that change all the time.
    By(Duration),
    Now,
}

impl Model {
    #[must_use]
    pub fn new(setup: Setup, now: Now) -> Self {
        let (keymap, faults) = Keymap::new(&setup.config.keys);
        let names = setup.config.hosts.iter().map(|host| host.name.clone());
        let mut notices = Notices::default();
        for fault in &faults {
            notices.fault(now.wall, &fault.fault);
        }
        Self {
            keymap,
            now,
            size: setup.size,
            fleet: Fleet::new(names, now.wall),
            runs: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            older_runs: 0,
            focus: PaneId::Services,
            zoomed: false,
            trail: Vec::new(),
            layer: None,
            notices,
            orders: Orders::default(),
            watch: Watch::default(),
            services: Services::default(),
            containers: Containers::default(),
            problems: Problems::default(),
            logs: Logs::new(&setup.config.looks),
            hosts: Hosts::default(),
            pipeline: Pipeline::default(),
            run_list: Runs::default(),
            detail: DetailPage::default(),
            plan: PlanPage::default(),
            offers: VecDeque::new(),
            offered: BTreeSet::new(),
            key_pressed: None,
            locks: Locks::default(),
            ids: 0,
            ended: None,
            title: String::new(),
            stale: true,
            redraw: Redraw::Now,
            setup,
        }
    }

    #[must_use]
    pub fn layout(&self) -> Layout {
        let notice = self.notices.current().is_some();
        Layout::new(
            self.size,
            Wishes {
                focus: self.focus,
                zoomed: self.zoomed,
                notice,
                left: crate::panes::services::view::whole_width(self.services.widest()),
                hosts: u16::try_from(self.fleet.hosts().len()).unwrap_or(u16::MAX),
                pipeline: crate::panes::pipeline::wanted_height(self),
                containers: crate::panes::containers::wanted_height(self),
            },
        )
    }

    /// Whether several panes are shown side by side.
    #[must_use]
    pub fn in_room(&self) -> bool {
        is_room(self.size, self.focus, self.zoomed)
    }

    /// The pane's position, if it is visible.
    #[must_use]
    pub fn slot(&self, pane: PaneId) -> Option<Slot> {
        self.layout().slot(pane).copied()
    }

    /// Rows of the pane's body; if it is not visible, the rows it would have alone.
    #[must_use]
    pub fn height_of(&self, pane: PaneId) -> usize {
        let height = self
            .slot(pane)
            .map_or_else(|| self.size.height.saturating_sub(2), |slot| slot.body.height);
        usize::from(height)
    }

    /// Columns of the pane's body; none while it is not drawn.
    #[must_use]
    pub fn width_of(&self, pane: PaneId) -> u16 {
        self.slot(pane).map_or(0, |slot| slot.body.width)
    }

    /// Focuses the pane; `Esc` returns from it. The services are home: from there `Esc` goes nowhere.
    pub fn go(&mut self, pane: PaneId) {
        if pane == PaneId::Services {
            self.trail.clear();
            self.focus = pane;
        }
        if self.focus != pane {
            self.trail.retain(|earlier| *earlier != pane);
            self.trail.push(self.focus);
            self.focus = pane;
        }
    }

    /// Returns to the previous pane; `false` if there is none.
    pub fn back(&mut self) -> bool {
        match self.trail.pop() {
            Some(pane) => {
                self.focus = pane;
                true
            }
            None => false,
        }
    }

    pub fn ask(&mut self, question: Question) {
        self.layer = Some(Layer::Question(Box::new(question)));
    }

    /// Shows an answer to the key just pressed, until the next key.
    pub fn say(&mut self, text: impl Into<String>) {
        self.notices.answer(self.now.wall, text);
    }

    #[must_use]
    pub fn next_order(&mut self) -> crate::domain::order::OrderId {
        self.ids += 1;
        crate::domain::order::OrderId(self.ids)
    }

    #[must_use]
    pub fn next_follow(&mut self) -> FollowId {
        self.ids += 1;
        FollowId(self.ids)
    }

    /// The target of a command.
    #[must_use]
    pub fn subject(&self) -> Option<Subject> {
        crate::panes::subject(self, self.focus)
    }

    #[must_use]
    pub fn is_protected(&self, host: &HostName) -> bool {
        self.setup.config.host(host).is_some_and(|host| host.protected)
    }

    /// Whether something visible changes every second, or may: a young age, a countdown, a run, a question that waits.
    pub(super) fn tells_seconds(&self) -> bool {
        const YOUNG: Duration = Duration::from_mins(1);
        let now = self.now.wall;
        let young = |state: &State| state.since().is_some_and(|since| since.until(now) <= YOUNG);
        self.runs.values().any(RunView::is_open)
            || self.fleet.hosts().any(|(_, host)| !host.link.is_live())
            || self.fleet.rows().any(|(_, row)| young(&row.container.state))
            || matches!(self.focus, PaneId::Detail | PaneId::Plan)
            || super::recovery::is_waiting(self)
    }

    /// When `update` needs a tick before the next full second.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        let dues = [
            self.watch.due(),
            self.logs.attention().due(),
            self.problems.said().due(),
        ];
        dues.into_iter().flatten().min()
    }

    /// When the screen has to be redrawn.
    #[must_use]
    pub fn redraw(&self) -> Redraw {
        self.redraw
    }

    /// Something visible has changed: redraw at once.
    pub(crate) fn changed(&mut self) {
        self.redraw = Redraw::Now;
    }

    /// Something visible but not urgent has changed: redraw within the given time.
    pub(crate) fn changed_by(&mut self, within: Duration) {
        let by = self.now.uptime + within;
        self.redraw = match self.redraw {
            Redraw::No => Redraw::By(by),
            Redraw::By(earlier) => Redraw::By(earlier.min(by)),
            Redraw::Now => Redraw::Now,
        };
    }
}
