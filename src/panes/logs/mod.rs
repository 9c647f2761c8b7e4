//! Logs of any containers across hosts, merged by time: followed, searched, filtered, marked, saved.
//! Follows by orders; reads no stream itself.

pub mod sources;
pub mod range;
pub mod shape;
pub mod index;
pub mod patterns;
pub mod wrap;
pub mod scroll;
pub mod state;
pub mod rest;
pub mod attention;
pub mod view;
mod reading;
mod export;
#[cfg(test)]
mod tests;

use crate::app::layer::{Layer, Purpose};
use crate::app::subject::Subject;
use crate::app::{Command, Effect, Model, PaneId};
use crate::domain::event::HostEvent;
use crate::domain::ids::HostName;
use crate::domain::logs::{FollowId, LogBatch};
use crate::domain::order::Order;
use crate::domain::run::{Output, Part};
use scroll::{Page, Step};
use sources::Scope;
pub use state::Logs;
use state::Seek;

pub const HINTS: &[Command] = &[
    Command::Filter,
    Command::NextMatch,
    Command::ShorterRange,
    Command::LongerRange,
    Command::Follow,
    Command::Timestamps,
    Command::Wrap,
    Command::Json,
    Command::MarkLine,
    Command::Copy,
    Command::Save,
    Command::Back,
];

/// Columns that one step to the side goes.
const PAN: isize = 16;

/// `l`: follows what is selected and shows it.
#[must_use]
pub fn open(model: &mut Model) -> Vec<Effect> {
    let scope = scope_of(model, model.focus);
    model.go(PaneId::Logs);
    match scope {
        Some(scope) => read(model, scope),
        None => Vec::new(),
    }
}

/// Is there something here whose logs can be read? Of a service also before it has a container.
#[must_use]
pub fn can_open(model: &Model) -> bool {
    scope_of(model, model.focus).is_some()
}

/// The marked containers, what is selected, or the service of the run.
fn scope_of(model: &Model, pane: PaneId) -> Option<Scope> {
    let marked = model.containers.marked();
    if pane == PaneId::Containers && !marked.is_empty() {
        return Some(Scope::Containers(marked));
    }
    match crate::panes::subject(model, pane)? {
        Subject::Container(key) => Some(Scope::Containers(vec![key])),
        Subject::Group(group) => Some(Scope::Group(group)),
        Subject::Run(id) => model.runs.get(&id).map(|run| Scope::Group(run.group())),
        Subject::Host(_) => None,
    }
}

fn read(model: &mut Model, scope: Scope) -> Vec<Effect> {
    let id = model.next_follow();
    let mut orders = model.logs.open(scope, &model.fleet, id);
    orders.extend(model.logs.resume(&model.fleet, id));
    effects(model, orders)
}

/// Why the range can't be another one, where it can't.
#[must_use]
pub fn only_range(model: &Model) -> Option<&'static str> {
    match model.logs.scope() {
        Some(Scope::OwnLog) => Some("our own log is shown from as far back as it goes"),
        Some(Scope::Run(_)) => Some("all that was kept of the run's output is shown"),
        Some(Scope::Containers(_) | Scope::Group(_)) | None => None,
    }
}

/// What a run said, or a part of it.
#[must_use]
pub fn open_run(model: &mut Model, part: Part) -> Vec<Effect> {
    model.go(PaneId::Logs);
    read(model, Scope::Run(part))
}

/// `:log`: what this program wrote down about itself.
#[must_use]
pub fn open_own(model: &mut Model) -> Vec<Effect> {
    model.go(PaneId::Logs);
    read(model, Scope::OwnLog)
}

fn effects(model: &mut Model, orders: Vec<Order>) -> Vec<Effect> {
    // Answered by the lines they bring.
    orders
        .into_iter()
        .map(|order| Effect::Order(model.next_order(), order))
        .collect()
}

/// The page that lines are shown on now.
fn page(model: &Model) -> Page {
    let size = model.size;
    let (width, height) = match model.slot(PaneId::Logs) {
        Some(slot) => (slot.body.width, slot.body.height),
        None => (size.width, size.height.saturating_sub(2)),
    };
    Page {
        rows: usize::from(height),
        columns: usize::from(width),
    }
}

#[must_use]
pub fn command(model: &mut Model, command: Command) -> Vec<Effect> {
    let page = page(model);
    let logs = &mut model.logs;
    match command {
        Command::Up => logs.step(Step::Up, page),
        Command::Down => logs.step(Step::Down, page),
        Command::Top => logs.step(Step::Top, page),
        Command::Bottom => logs.step(Step::End, page),
        Command::PageUp => logs.step(Step::Back(page.rows.max(1)), page),
        Command::PageDown => logs.step(Step::Forward(page.rows.max(1)), page),
        Command::HalfUp => logs.step(Step::Back((page.rows / 2).max(1)), page),
        Command::HalfDown => logs.step(Step::Forward((page.rows / 2).max(1)), page),
        Command::Left => logs.pan(-PAN),
        Command::Right => logs.pan(PAN),
        Command::Follow => {
            logs.toggle_following(page);
            let words = if logs.is_following() {
                "new lines are followed"
            } else {
                "stays here; F follows again"
            };
            model.say(words);
        }
        Command::Timestamps => logs.toggle_timestamps(),
        Command::Wrap => {
            logs.toggle_wrap();
            let words = if logs.shown().wrap {
                "long lines are wrapped"
            } else {
                "long lines are cut; Left and Right move in them"
            };
            model.say(words);
        }
        Command::Json => {
            logs.toggle_json();
            let words = if logs.shown().json {
                "JSON lines are taken apart"
            } else {
                "lines are shown as they came"
            };
            model.say(words);
        }
        Command::MarkLine | Command::Mark => logs.mark(page),
        Command::NextMatch => seek(model, Seek::Later, page),
        Command::PreviousMatch => seek(model, Seek::Earlier, page),
        Command::ShorterRange => return range(model, logs_range(model).shorter()),
        Command::LongerRange => return range(model, logs_range(model).longer()),
        Command::Save => ask_file_name(model),
        Command::Open => {
            return match subject(model) {
                Some(Subject::Container(_)) => crate::panes::detail::open(model),
                Some(Subject::Run(run)) => {
                    crate::panes::pipeline::open(model, run);
                    Vec::new()
                }
                Some(Subject::Group(_) | Subject::Host(_)) | None => {
                    model.say("go to a line first: Enter opens its container");
                    Vec::new()
                }
            };
        }
        _ => {}
    }
    Vec::new()
}

fn logs_range(model: &Model) -> range::Range {
    model.logs.range()
}

fn range(model: &mut Model, range: range::Range) -> Vec<Effect> {
    if range == model.logs.range() {
        model.say(format!("{} is as far as it goes", range.word()));
        return Vec::new();
    }
    let id = model.next_follow();
    let orders = model.logs.set_range(range, id);
    effects(model, orders)
}

fn seek(model: &mut Model, seek: Seek, page: Page) {
    if !model.logs.seek(seek, page) && !model.logs.is_seeking() {
        model.say(match seek {
            Seek::Later => "no later match",
            Seek::Earlier => "no earlier match",
        });
    }
}

fn ask_file_name(model: &mut Model) {
    let name = model.logs.file_name(model.now.wall);
    model.layer = Some(Layer::line(Purpose::SaveLogs, &name));
}

pub fn lines(model: &mut Model, id: FollowId, batch: LogBatch) {
    let panes = [crate::panes::detail::receive, crate::panes::problems::receive];
    if !panes.iter().any(|receive| receive(model, id, &batch)) {
        model.logs.receive(id, batch);
    }
}

pub fn output(model: &mut Model, id: FollowId, output: Output) {
    model.logs.receive_output(id, output);
}

/// Before a frame: some of the lines that filter and search have not seen yet. Is there more to do?
pub fn advance(model: &mut Model) -> bool {
    let page = page(model);
    model.logs.advance(page)
}

/// The container of the line one is at; the only one there is.
#[must_use]
pub fn subject(model: &Model) -> Option<Subject> {
    let logs = &model.logs;
    match logs.scope() {
        Some(Scope::OwnLog) => return None,
        Some(Scope::Run(part)) => return Some(Subject::Run(part.run.clone())),
        Some(Scope::Containers(_) | Scope::Group(_)) | None => {}
    }
    if let Some(line) = logs.cursor().and_then(|number| logs.ring().get(number)) {
        return Some(Subject::Container(line.source.as_ref().clone()));
    }
    match logs.sources().keys().as_slice() {
        [only] => Some(Subject::Container(only.clone())),
        _ => None,
    }
}

/// `shop.r42.* on 3 hosts · 15 m · 2 hidden · following`
#[must_use]
pub fn note(model: &Model) -> String {
    let logs = &model.logs;
    let patterns = logs.patterns();
    if logs.scope().is_none() {
        return String::new();
    }
    let mut words = match logs.scope() {
        Some(Scope::OwnLog) => vec!["Pilothouse's own log".to_owned()],
        Some(Scope::Run(part)) => vec![part_words(model, part)],
        Some(Scope::Containers(_) | Scope::Group(_)) | None => {
            vec![logs.sources().title(), logs.range().word().to_owned()]
        }
    };
    let texts = patterns.texts();
    if let Some(keep) = &texts.keep {
        words.push(format!("only /{keep}"));
    }
    match (&texts.hide, patterns.hidden()) {
        (Some(hide), hidden) => words.push(format!("/{hide} hidden: {hidden}")),
        (None, 0) => {}
        (None, hidden) => words.push(format!("hidden: {hidden}")),
    }
    if let (Some(search), Some(found)) = (&texts.search, patterns.found()) {
        let more = if patterns.is_complete(logs.ring()) {
            ""
        } else {
            "+"
        };
        words.push(format!("/{search}: {}{more}", found.len()));
    }
    if logs.marked() > 0 {
        words.push(format!("{} marked", logs.marked()));
    }
    if logs.is_following() {
        words.push("following".to_owned());
    } else if logs.is_behind() {
        words.push("stays, newer below".to_owned());
    }
    if logs.ring().skipped() > 0 {
        words.push(format!("{} lines gone", logs.ring().skipped()));
    }
    words.join(" · ")
}

/// `deploy shop · gate on web-2`
fn part_words(model: &Model, part: &Part) -> String {
    let mut words = match model.runs.get(&part.run) {
        Some(run) => run.name(),
        None => format!("run {}", part.run),
    };
    if let Some(stage) = &part.stage {
        words = format!("{words} · {stage}");
    }
    if let Some(host) = &part.host {
        words = format!("{words} on {host}");
    }
    words
}

/// A search begins with an empty line: `n` repeats the old one.
#[must_use]
pub fn search(_model: &Model) -> String {
    String::new()
}

pub fn set_search(model: &mut Model, text: &str) {
    let page = page(model);
    model.logs.typed(text, page);
}

pub fn search_entered(model: &mut Model) {
    let page = page(model);
    let bad = model.logs.patterns().bad().map(str::to_owned);
    model.logs.entered(page);
    if let Some(why) = bad {
        model.say(format!("not a valid pattern: {why}"));
        return;
    }
    let patterns = model.logs.patterns();
    let is_vain = patterns.found().is_some_and(std::collections::VecDeque::is_empty)
        && patterns.is_complete(model.logs.ring());
    if is_vain && let Some(search) = patterns.texts().search {
        model.say(format!("no line here has /{search}"));
    }
}

pub fn clear(model: &mut Model) -> bool {
    model.logs.clear_one()
}

/// By a number key or `Tab`: what was selected before, unless something is read already.
#[must_use]
pub fn entered(model: &mut Model) -> Vec<Effect> {
    if model.logs.scope().is_some() {
        return Vec::new();
    }
    let before = model.trail.last().copied().filter(|pane| *pane != PaneId::Logs);
    if let Some(scope) = before.and_then(|pane| scope_of(model, pane)) {
        let now = model.now.uptime;
        model.logs.attention.want(scope, now);
    }
    Vec::new()
}

#[must_use]
pub fn copied(model: &Model) -> String {
    model.logs.copied().unwrap_or_default()
}

#[must_use]
pub fn text_to_save(model: &Model) -> String {
    model.logs.saved()
}

/// Containers that were created meanwhile join.
#[must_use]
pub fn tick(model: &mut Model) -> Vec<Effect> {
    if model.logs.scope().is_none() || model.logs.is_resting() {
        return Vec::new();
    }
    let id = model.next_follow();
    let orders = model.logs.join(&model.fleet, id).into_iter().collect();
    effects(model, orders)
}

#[must_use]
pub fn host_event(_model: &mut Model, _host: &HostName, _event: &HostEvent) -> Vec<Effect> {
    Vec::new()
}
