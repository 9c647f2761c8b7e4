//! The only writer of the model: messages go in, effects come out.
//! Never waits, reads no clock, draws nothing.

use std::time::Duration;

use crokey::{KeyCombination, key};

use super::act;
use super::availability::{Refusal, availability};
use super::command::Command;
use super::cursor::Motion;
use super::effect::{Effect, Lend, Save};
use super::layer::{Layer, LineEdit, Purpose, scrolled};
use super::model::{Model, Redraw};
use super::msg::Msg;
use super::orders;
use super::palette::Palette;
use super::place::{PaneId, Place};
use super::promote;
use super::question::{Intent, Verdict};
use super::recovery;
use super::watch;
use crate::domain::event::Event;
use crate::domain::ids::HostName;
use crate::domain::order::Order;
use crate::domain::run::RunKind;
use crate::domain::units::Now;
use crate::panes;

/// Figures change every second on every host: one frame shows them all.
const FIGURES_WITHIN: Duration = Duration::from_millis(250);

#[must_use]
pub fn update(model: &mut Model, msg: Msg, now: Now) -> Vec<Effect> {
    let before = std::mem::replace(&mut model.now, now);
    match msg {
        Msg::Key(pressed) => {
            refresh(model);
            model.changed();
            model.ended = None;
            key_pressed(model, pressed)
        }
        Msg::Paste(text) => {
            model.changed();
            pasted(model, &text);
            Vec::new()
        }
        Msg::Resized(size) => {
            model.size = size;
            model.stale = true;
            model.changed();
            Vec::new()
        }
        Msg::Event(event) => happened(model, event),
        Msg::Fault(fault) => {
            model.changed();
            model.notices.fault(now.wall, &fault);
            Vec::new()
        }
        Msg::Lent => watch::withdraw(model),
        Msg::Returned(Lend::Shell(_)) => Vec::new(),
        Msg::Returned(Lend::Host(host)) => vec![Effect::Order(model.next_order(), Order::Retry(host))],
        Msg::Tick => tick(model, before),
        Msg::Frame => {
            refresh(model);
            recovery::offer(model);
            model.redraw = Redraw::No;
            if panes::logs::advance(model) {
                model.changed();
            }
            settle(model)
        }
    }
}

/// Requests the data that is visible now and cancels the rest.
fn settle(model: &mut Model) -> Vec<Effect> {
    let mut effects = watch::settle(model);
    effects.extend(panes::settle(model));
    effects.extend(titled(model));
    effects
}

/// The title, if it has changed.
fn titled(model: &mut Model) -> Option<Effect> {
    let title = super::title::of(model);
    let is_new = model.setup.config.looks.title && title != model.title;
    is_new.then(|| {
        model.title.clone_from(&title);
        Effect::Title(title)
    })
}

/// Updates the data derived from fleet and runs.
fn refresh(model: &mut Model) {
    if std::mem::take(&mut model.stale) {
        panes::refresh(model);
    }
}

/// Redraws only if something visible counts seconds, or a new minute has begun.
fn tick(model: &mut Model, before: Now) -> Vec<Effect> {
    let minute = |now: Now| now.wall.seconds().div_euclid(60);
    let is_new_minute = minute(before) != minute(model.now);
    // What is told of ages is told anew.
    model.stale |= is_new_minute;
    if is_new_minute || model.tells_seconds() {
        model.changed_by(Duration::ZERO);
    }
    let mut effects = panes::tick(model);
    effects.extend(super::locks::ask(model));
    if model.wake_at().is_some() {
        effects.extend(settle(model));
    }
    effects
}

fn happened(model: &mut Model, event: Event) -> Vec<Effect> {
    match event {
        Event::Host(name, event) => {
            if event.is_figure() {
                model.changed_by(FIGURES_WITHIN);
            } else {
                model.changed();
            }
            model.stale = true;
            let effects = panes::before_host_event(model, &name, &event);
            model.fleet.apply(&name, event);
            effects
        }
        Event::Logs(id, batch) => {
            panes::logs::lines(model, id, batch);
            // Whoever reads them waits for them; beside other panes they are looked at now and then.
            if matches!(model.focus, PaneId::Logs | PaneId::Detail | PaneId::Problems) {
                model.changed();
            } else {
                model.changed_by(FIGURES_WITHIN);
            }
            Vec::new()
        }
        Event::Output(id, output) => {
            panes::logs::output(model, id, output);
            model.changed();
            Vec::new()
        }
        Event::Run(run) => {
            model.changed();
            model.stale = true;
            recovery::heard(model, &run);
            let effects = panes::run_changed(model, &run);
            model.runs.insert(run.id.clone(), *run);
            effects
        }
        Event::Unreadable(run, why) => {
            model.changed();
            model.stale = true;
            model.runs.remove(&run);
            model.unreadable.insert(run, why);
            Vec::new()
        }
        Event::OlderRuns(count) => {
            model.changed();
            model.older_runs = count;
            Vec::new()
        }
        Event::LeftLocks(left) => {
            super::locks::told(model, left);
            Vec::new()
        }
        Event::Planned(id, plan) => {
            model.changed();
            panes::plan::planned(model, id, plan)
        }
        Event::Done(id, result) => {
            model.changed();
            orders::done(model, id, result);
            Vec::new()
        }
    }
}

fn pasted(model: &mut Model, text: &str) {
    match &mut model.layer {
        Some(Layer::Palette(palette)) => {
            palette.line.paste(text);
            palette.typed(PALETTE_ROWS);
        }
        Some(Layer::Line(edit)) => {
            edit.line.paste(text);
            line_changed(model);
        }
        // A pasted text never answers a question, and is no row of keystrokes either.
        Some(
            Layer::Question(_)
            | Layer::Promotions(_)
            | Layer::Help { .. }
            | Layer::Notices { .. }
            | Layer::Left { .. },
        )
        | None => {}
    }
}

/// Rows of the palette that are shown at once.
pub const PALETTE_ROWS: usize = 12;

fn key_pressed(model: &mut Model, pressed: KeyCombination) -> Vec<Effect> {
    if pressed == key!(ctrl - c) {
        return vec![Effect::Leave];
    }
    model.notices.key_pressed();
    model.key_pressed = Some(model.now.uptime);
    match model.layer.take() {
        None => {
            if let Some(command) = model.keymap.meaning(model.focus, pressed) {
                return command_given(model, command);
            }
            let words = meaningless(model, pressed);
            model.say(words);
            Vec::new()
        }
        Some(Layer::Question(question)) => question_key(model, *question, pressed),
        Some(Layer::Palette(palette)) => palette_key(model, palette, pressed),
        Some(Layer::Promotions(list)) => promote::pressed(model, list, pressed),
        Some(Layer::Line(edit)) => line_key(model, edit, pressed),
        Some(Layer::Left { run, top }) => panes::pipeline::left::pressed(model, run, top, pressed),
        Some(Layer::Help { top }) => {
            let rows = super::help::rows(model).len();
            if let Some(top) = scrolled(model, pressed, top, rows) {
                model.layer = Some(Layer::Help { top });
            }
            Vec::new()
        }
        Some(Layer::Notices { top }) => {
            let rows = model.notices.iter().len();
            if let Some(top) = scrolled(model, pressed, top, rows) {
                model.layer = Some(Layer::Notices { top });
            }
            Vec::new()
        }
    }
}

/// Why a key does nothing here.
fn meaningless(model: &Model, pressed: KeyCombination) -> String {
    let Some(command) = model.keymap.elsewhere(pressed) else {
        return "this key does nothing: press ? for the keys".to_owned();
    };
    let why = match command.place() {
        _ if model.focus == PaneId::Plan => "leave the plan first: press Esc",
        Place::Logs => "only in logs: press l or 4",
        Place::Reading => "only in text: logs, or the page of a container",
        Place::Fleet | Place::Everywhere => "not on this page",
    };
    format!("{}: {why}", command.short())
}

fn question_key(
    model: &mut Model,
    mut question: super::question::Question,
    pressed: KeyCombination,
) -> Vec<Effect> {
    // The page beneath may be longer than the screen: what types nothing may move it.
    let moves = [key!(up), key!(down), key!(pageup), key!(pagedown)].contains(&pressed);
    if moves && let Some(command) = model.keymap.meaning(PaneId::Plan, pressed) {
        // It takes its rows of the page while that moves.
        model.layer = Some(Layer::Question(Box::new(question)));
        return panes::command(model, command);
    }
    match question.key(pressed, model.now.uptime) {
        Verdict::Pending => {
            model.layer = Some(Layer::Question(Box::new(question)));
            Vec::new()
        }
        Verdict::Yes => act::carry_out(model, question.intent),
        Verdict::Instead(request) => panes::plan::open(model, *request),
        Verdict::No => {
            model.say(match question.intent {
                Intent::Recover(_) => "nothing was changed; X asks again",
                Intent::Approve(..) => "it still waits; A asks again",
                Intent::Act { .. } | Intent::Launch(_) | Intent::Cancel(_) => "nothing was changed",
            });
            if model.focus == PaneId::Plan {
                model.back();
            }
            Vec::new()
        }
    }
}

fn palette_key(model: &mut Model, mut palette: Box<Palette>, pressed: KeyCombination) -> Vec<Effect> {
    if pressed == key!(esc) {
        return Vec::new();
    }
    if pressed == key!(enter) {
        let found = palette.found();
        if let Some(command) = palette.cursor.key().or(found.first()) {
            return command_given(model, *command);
        }
        model.say(format!("there is no command {:?}", palette.line.text()));
        return Vec::new();
    }
    if pressed == key!(up) || pressed == key!(ctrl - p) {
        palette.step(PALETTE_ROWS, Motion::Up);
    } else if pressed == key!(down) || pressed == key!(ctrl - n) || pressed == key!(tab) {
        palette.step(PALETTE_ROWS, Motion::Down);
    } else if palette.line.key(pressed) {
        palette.typed(PALETTE_ROWS);
    }
    model.layer = Some(Layer::Palette(palette));
    Vec::new()
}

fn line_key(model: &mut Model, mut edit: Box<LineEdit>, pressed: KeyCombination) -> Vec<Effect> {
    if pressed == key!(esc) {
        if let Purpose::Filter(pane) = edit.purpose {
            panes::set_filter(model, pane, "");
        }
        return Vec::new();
    }
    if pressed == key!(enter) {
        return match edit.purpose {
            Purpose::NoFilter => Vec::new(),
            Purpose::Filter(pane) => {
                panes::filter_entered(model, pane);
                Vec::new()
            }
            Purpose::SaveLogs => {
                let text = panes::logs::text_to_save(model);
                let path = std::path::PathBuf::from(edit.line.text());
                let id = model.next_order();
                model
                    .orders
                    .expect(id, Some(format!("saved to {}", path.display())));
                vec![Effect::Save(id, Save { path, text })]
            }
        };
    }
    let moves = pressed == key!(up) || pressed == key!(down);
    if moves && let Some(command) = model.keymap.meaning(model.focus, pressed) {
        model.layer = Some(Layer::Line(edit));
        return panes::command(model, command);
    }
    edit.line.key(pressed);
    model.layer = Some(Layer::Line(edit));
    line_changed(model);
    Vec::new()
}

fn line_changed(model: &mut Model) {
    if let Some(Layer::Line(edit)) = &model.layer
        && let Purpose::Filter(pane) = edit.purpose
    {
        let text = edit.line.text().to_owned();
        panes::set_filter(model, pane, &text);
    }
}

/// A command, from its key or from the palette.
#[must_use]
pub fn command_given(model: &mut Model, command: Command) -> Vec<Effect> {
    if let Err(Refusal(words)) = availability(model, command) {
        model.say(format!("{}: {words}", command.short()));
        if command == Command::Filter {
            model.layer = Some(Layer::line(Purpose::NoFilter, ""));
        }
        return Vec::new();
    }
    match command {
        Command::Quit => vec![Effect::Leave],
        Command::Suspend => vec![Effect::Suspend],
        Command::Redraw => vec![Effect::Redraw],
        Command::Help => layer(model, Layer::Help { top: 0 }),
        Command::OwnLog => panes::logs::open_own(model),
        Command::Notices => layer(model, Layer::Notices { top: 0 }),
        Command::Palette => {
            let mut palette = Box::<Palette>::default();
            palette.typed(PALETTE_ROWS);
            layer(model, Layer::Palette(palette))
        }
        Command::Filter => {
            // What a run said is searched where it can be read.
            let mut effects = Vec::new();
            if model.focus == PaneId::Pipeline {
                effects = panes::pipeline::whole_output(model);
            }
            let written = panes::filter(model, model.focus);
            effects.extend(layer(model, Layer::line(Purpose::Filter(model.focus), &written)));
            effects
        }
        Command::Back => back(model),
        Command::Zoom => {
            model.zoomed = !model.zoomed;
            Vec::new()
        }
        Command::NextPane => step_ring(model, 1),
        Command::PreviousPane => step_ring(model, PaneId::RING.len() - 1),
        Command::GoServices => go(model, PaneId::Services),
        Command::GoContainers => go(model, PaneId::Containers),
        Command::GoProblems => go(model, PaneId::Problems),
        Command::GoLogs => go(model, PaneId::Logs),
        Command::GoHosts => go(model, PaneId::Hosts),
        Command::GoPipeline => go(model, PaneId::Pipeline),
        Command::GoRuns => go(model, PaneId::Runs),
        Command::Logs => panes::logs::open(model),
        Command::Inspect => panes::detail::inspect(model),
        Command::Shell => act::shell(model),
        Command::Restart | Command::Toggle | Command::Pause | Command::Kill | Command::Remove => {
            act::ask(model, command)
        }
        Command::Build => act::pipeline(model, RunKind::Build),
        Command::Test => act::pipeline(model, RunKind::Test),
        Command::Push => act::pipeline(model, RunKind::Push),
        Command::Deploy => act::pipeline(model, RunKind::Deploy),
        Command::Rollback => act::pipeline(model, RunKind::Rollback),
        Command::Pipeline => act::pipeline(model, RunKind::Pipeline),
        Command::Adopt => super::adopt::open(model),
        Command::Promote => {
            promote::open(model);
            Vec::new()
        }
        Command::Cancel => act::ask_cancel(model),
        Command::Approve => act::ask_approve(model),
        Command::Recover => recovery::ask(model),
        Command::Retry => host_order(model, Order::Retry),
        Command::Measure => panes::hosts::measure(model),
        Command::Copy => super::copy::copy(model),
        Command::Up
        | Command::Down
        | Command::Top
        | Command::Bottom
        | Command::PageUp
        | Command::PageDown
        | Command::HalfUp
        | Command::HalfDown
        | Command::Left
        | Command::Right
        | Command::Open
        | Command::EarlierRun
        | Command::LaterRun
        | Command::Mark
        | Command::All
        | Command::Columns
        | Command::Sort
        | Command::SortReverse
        | Command::NextMatch
        | Command::PreviousMatch
        | Command::Wrap
        | Command::ShorterRange
        | Command::LongerRange
        | Command::Follow
        | Command::Timestamps
        | Command::Json
        | Command::MarkLine
        | Command::Save => panes::command(model, command),
    }
}

fn layer(model: &mut Model, layer: Layer) -> Vec<Effect> {
    model.layer = Some(layer);
    Vec::new()
}

fn go(model: &mut Model, pane: PaneId) -> Vec<Effect> {
    model.go(pane);
    panes::entered(model, pane)
}

fn step_ring(model: &mut Model, by: usize) -> Vec<Effect> {
    let ring = PaneId::RING;
    let at = ring.iter().position(|pane| *pane == model.focus).unwrap_or(0);
    match ring.get((at + by) % ring.len()) {
        Some(pane) => go(model, *pane),
        None => Vec::new(),
    }
}

/// `Esc`: clears the notice, then the pane's filter, then returns to the previous pane.
fn back(model: &mut Model) -> Vec<Effect> {
    if model.notices.dismiss() || panes::clear(model) {
        return Vec::new();
    }
    let left = model.focus;
    if !model.back() && model.focus != PaneId::Services {
        model.focus = PaneId::Services;
    }
    panes::left(model, left)
}

fn host_order(model: &mut Model, order: fn(HostName) -> Order) -> Vec<Effect> {
    let Some(super::subject::Subject::Host(host)) = model.subject() else {
        return Vec::new();
    };
    let id = model.next_order();
    model.orders.expect(id, None);
    model.say(format!("asking {host} again"));
    vec![Effect::Order(id, order(host))]
}
