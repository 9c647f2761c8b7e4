//! The page of one container: state, recent events, last lines, configuration.
//! Requests an inspection when it is opened and whenever its row changes.

pub mod content;
pub mod graph;
pub mod happened;
pub mod view;
pub mod words;

use crate::app::cursor::Motion;
use crate::app::subject::Subject;
use crate::app::{Command, Effect, Model, PaneId};
use crate::domain::container::Health;
use crate::domain::event::HostEvent;
use crate::domain::fleet::Row as FleetRow;
use crate::domain::ids::{ContainerKey, HostName};
use crate::domain::logs::{FollowId, LogBatch, LogRange, LogRing};
use crate::domain::order::Order;
use crate::panes::page::{Reader, Row};
use crate::ui::theme::{Glyphs, UNICODE};

pub const HINTS: &[Command] = &[
    Command::Logs,
    Command::Shell,
    Command::Inspect,
    Command::Restart,
    Command::Toggle,
    Command::Remove,
    Command::Filter,
    Command::NextMatch,
    Command::Back,
];

/// Lines kept of its log, and asked for.
const LINES: usize = 100;
const TAIL: u32 = 20;
const BYTES: usize = 128 << 10;

/// Seconds between two looks at a health check's output.
const PROBES_EVERY: u64 = 5;

#[derive(Clone, Debug)]
pub struct DetailPage {
    key: Option<ContainerKey>,
    /// What was last known of it, once it is gone.
    gone: Option<Box<FleetRow>>,
    /// The inspection as it came.
    raw: bool,
    reader: Reader,
    /// Its last lines, and the follow that brings them.
    lines: LogRing,
    follow: Option<FollowId>,
}

impl Default for DetailPage {
    fn default() -> Self {
        Self {
            key: None,
            gone: None,
            raw: false,
            reader: Reader::default(),
            lines: LogRing::new(LINES, BYTES),
            follow: None,
        }
    }
}

impl DetailPage {
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }
}

/// `Enter` on a container.
#[must_use]
pub fn open(model: &mut Model) -> Vec<Effect> {
    let Some(Subject::Container(key)) = model.subject() else {
        return Vec::new();
    };
    let mut effects = close(model);
    model.go(PaneId::Detail);
    model.detail = DetailPage {
        key: Some(key.clone()),
        ..DetailPage::default()
    };
    effects.push(order(model, Order::Inspect(key.clone())));
    effects.push(follow(model, key));
    effects
}

/// `i`: the inspection as it came; on the page itself, the page again.
#[must_use]
pub fn inspect(model: &mut Model) -> Vec<Effect> {
    if model.focus == PaneId::Detail {
        model.detail.raw = !model.detail.raw;
        model.detail.reader = Reader::default();
        return Vec::new();
    }
    let effects = open(model);
    model.detail.raw = model.focus == PaneId::Detail;
    effects
}

fn order(model: &mut Model, order: Order) -> Effect {
    Effect::Order(model.next_order(), order)
}

/// Lines of its log, if the follow is its own.
pub fn receive(model: &mut Model, id: FollowId, batch: &LogBatch) -> bool {
    let own = model.detail.follow == Some(id);
    if own {
        model.detail.lines.push(batch.clone());
    }
    own
}

#[must_use]
pub fn command(model: &mut Model, command: Command) -> Vec<Effect> {
    let height = model.height_of(PaneId::Detail);
    let page = rows(model, &UNICODE);
    let reader = &mut model.detail.reader;
    if let Some(motion) = Motion::of(command) {
        reader.step(motion, page.len(), height);
    }
    match command {
        Command::NextMatch | Command::PreviousMatch => {
            let forward = command == Command::NextMatch;
            if !reader.seek(forward, &page, height) {
                model.say("no match on this page");
            }
        }
        _ => {}
    }
    Vec::new()
}

#[must_use]
pub fn rows(model: &Model, glyphs: &'static Glyphs) -> Vec<Row> {
    let page = &model.detail;
    let width = model
        .slot(PaneId::Detail)
        .map_or(model.size.width, |slot| slot.body.width);
    content::rows(&content::Scene {
        page,
        row: known(model),
        link: page
            .key
            .as_ref()
            .and_then(|key| model.fleet.host(&key.host))
            .map(|host| &host.link),
        part: known(model).and_then(|row| model.services.part(&row.container)),
        now: model.now.wall,
        columns: usize::from(width),
        glyphs,
    })
}

fn known(model: &Model) -> Option<&FleetRow> {
    let key = model.detail.key.as_ref()?;
    model.fleet.row(key).or(model.detail.gone.as_deref())
}

#[must_use]
pub fn subject(model: &Model) -> Option<Subject> {
    model.detail.key.clone().map(Subject::Container)
}

#[must_use]
pub fn note(model: &Model) -> String {
    let Some(row) = known(model) else {
        return String::new();
    };
    let what = if model.detail.raw { "inspect " } else { "" };
    format!("{what}{}", row.container.name)
}

/// A search begins with an empty line.
#[must_use]
pub fn search(_model: &Model) -> String {
    String::new()
}

pub fn set_search(model: &mut Model, text: &str) {
    model.detail.reader.search(text);
}

pub fn search_entered(model: &mut Model) {
    let height = model.height_of(PaneId::Detail);
    let page = rows(model, &UNICODE);
    let reader = &mut model.detail.reader;
    if let Some(why) = reader.bad().map(str::to_owned) {
        reader.clear();
        model.say(format!("not a valid pattern: {why}"));
    } else if reader.pattern().is_some() && !reader.seek(true, &page, height) {
        model.say("no match on this page");
    }
}

pub fn clear(model: &mut Model) -> bool {
    model.detail.reader.clear()
}

#[must_use]
pub fn left(model: &mut Model) -> Vec<Effect> {
    close(model)
}

fn close(model: &mut Model) -> Vec<Effect> {
    let follow = std::mem::take(&mut model.detail).follow;
    follow
        .map(|id| order(model, Order::Unfollow(id)))
        .into_iter()
        .collect()
}

/// While the page is left for another, its lines are not followed; when one comes back they are read anew.
#[must_use]
pub fn settle(model: &mut Model) -> Vec<Effect> {
    let seen = model.focus == PaneId::Detail;
    let Some(key) = model.detail.key.clone() else {
        return Vec::new();
    };
    match (seen, model.detail.follow) {
        (false, Some(id)) => {
            model.detail.follow = None;
            vec![order(model, Order::Unfollow(id))]
        }
        (true, None) if model.fleet.row(&key).is_some() => {
            model.detail.lines = LogRing::new(LINES, BYTES);
            let mut effects = vec![order(model, Order::Inspect(key.clone()))];
            effects.push(follow(model, key));
            effects
        }
        (true, _) | (false, None) => Vec::new(),
    }
}

fn follow(model: &mut Model, key: ContainerKey) -> Effect {
    let id = model.next_follow();
    model.detail.follow = Some(id);
    let (targets, range) = (vec![key], LogRange::Tail(TAIL));
    order(model, Order::Follow { id, targets, range })
}

/// A fact about a host is about to be applied.
#[must_use]
pub fn host_event(model: &mut Model, host: &HostName, event: &HostEvent) -> Vec<Effect> {
    let Some(key) = model.detail.key.clone().filter(|key| key.host == *host) else {
        return Vec::new();
    };
    let goes = match event {
        HostEvent::Changed(container) if container.id == key.id && model.focus == PaneId::Detail => {
            return vec![order(model, Order::Inspect(key))];
        }
        HostEvent::Removed(id) => *id == key.id,
        HostEvent::Listed(all) => !all.iter().any(|container| container.id == key.id),
        HostEvent::Changed(_)
        | HostEvent::Adopted(_)
        | HostEvent::Link(_)
        | HostEvent::Engine(_)
        | HostEvent::Samples(_)
        | HostEvent::Load(_)
        | HostEvent::Inspected(_)
        | HostEvent::Happened(_) => false,
    };
    if goes && let Some(row) = model.fleet.row(&key) {
        model.detail.gone = Some(Box::new(row.clone()));
    }
    Vec::new()
}

/// What its health check says comes with no event: asked again while somebody looks.
#[must_use]
pub fn tick(model: &mut Model) -> Vec<Effect> {
    let due = model.now.uptime.as_secs().is_multiple_of(PROBES_EVERY);
    let Some(key) = model
        .detail
        .key
        .clone()
        .filter(|_| due && model.focus == PaneId::Detail)
    else {
        return Vec::new();
    };
    let is_live = model
        .fleet
        .host(&key.host)
        .is_some_and(|host| host.link.is_live());
    let is_checked = model
        .fleet
        .row(&key)
        .is_some_and(|row| row.container.state.is_running() && row.container.health != Health::Unchecked);
    if is_live && is_checked {
        vec![order(model, Order::Inspect(key))]
    } else {
        Vec::new()
    }
}

#[must_use]
pub fn on_screen(model: &Model) -> Vec<ContainerKey> {
    model.detail.key.iter().cloned().collect()
}
