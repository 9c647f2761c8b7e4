//! The stages of a service's run on its hosts, its output, and its earlier runs.
//! Shows the journal; does not affect the run.

pub mod grid;
pub mod left;
pub mod view;
pub mod words;

use crate::app::layer::Layer;
use crate::app::subject::Subject;
use crate::app::{Command, Effect, Model, PaneId};
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, RunId};
use crate::domain::plan::RunRequest;
use crate::domain::run::{Outcome, Part, RunKind, RunLine, RunStatus, RunView};
use crate::domain::units::Stamp;

pub const HINTS: &[Command] = &[
    Command::Open,
    Command::Cancel,
    Command::Approve,
    Command::Recover,
    Command::Logs,
    Command::Build,
    Command::Test,
    Command::Deploy,
    Command::Rollback,
    Command::Back,
];

/// More hosts than this are scrolled in the room.
const HOSTS_IN_ROOM: usize = 8;

/// Rows of output in the room.
const OUTPUT_IN_ROOM: usize = 3;

#[derive(Clone, Debug, Default)]
pub struct Pipeline {
    /// Asked to be seen: by `Enter` in the runs, or because it was just started here.
    chosen: Option<RunId>,
    /// Just asked for, and when; its run is shown as soon as it is there.
    awaited: Option<(RunRequest, Stamp)>,
    /// Only this host's output.
    host: Option<HostName>,
    /// Only this stage's output.
    stage: Option<String>,
    /// Lines of output below the page.
    back: usize,
}

impl Pipeline {
    #[must_use]
    pub fn host(&self) -> Option<&HostName> {
        self.host.as_ref()
    }

    #[must_use]
    pub fn stage(&self) -> Option<&str> {
        self.stage.as_deref()
    }

    #[must_use]
    pub fn back(&self) -> usize {
        self.back
    }

    #[must_use]
    pub fn awaited(&self) -> Option<&RunRequest> {
        self.awaited.as_ref().map(|(request, _)| request)
    }
}

/// The run that is shown: the chosen one, else the latest of the service selected. On the page of its own that of any
/// service, as long as none is chosen; in the room none but the selected service's.
#[must_use]
pub fn shown(model: &Model) -> Option<&RunView> {
    let chosen = model.pipeline.chosen.as_ref().and_then(|id| model.runs.get(id));
    let rows = model.services.rows();
    match model.services.selected().map(|row| &row.group) {
        Some(selected) if model.in_room() => {
            let is_its = |run: &&RunView| run.group() == *selected;
            // Of what has no row there is nothing else to show beside it.
            let has_focus = model.focus == PaneId::Pipeline;
            let has_no_row = |run: &RunView| !rows.iter().any(|row| row.group == run.group());
            let chosen = chosen.filter(|run| is_its(run) || (has_focus && has_no_row(run)));
            chosen.or_else(|| latest(model, is_its))
        }
        Some(_) | None => chosen.or_else(|| latest(model, |_| true)),
    }
}

/// An open run, else the newest.
fn latest(model: &Model, is_meant: impl Fn(&&RunView) -> bool) -> Option<&RunView> {
    let runs = model.runs.values().filter(is_meant);
    runs.max_by_key(|run| (run.is_open(), run.started))
}

/// All runs of the same service and environment, oldest first.
#[must_use]
pub fn same_subject<'a>(model: &'a Model, run: &RunView) -> Vec<&'a RunView> {
    let mut runs: Vec<&RunView> = model
        .runs
        .values()
        .filter(|other| other.service == run.service && other.environment == run.environment)
        .collect();
    runs.sort_by_key(|run| run.started);
    runs
}

/// What is chosen of the run: a stage, a host, both, or all of it.
#[must_use]
pub fn part(model: &Model, run: &RunView) -> Part {
    Part {
        run: run.id.clone(),
        stage: model.pipeline.stage.clone(),
        host: model.pipeline.host.clone(),
    }
}

/// The last lines of what is chosen.
#[must_use]
pub fn output<'a>(model: &Model, run: &'a RunView) -> Vec<&'a RunLine> {
    let part = part(model, run);
    run.output.iter().filter(|line| part.holds(line)).collect()
}

/// Rows wanted in the room for what is selected; 0 when there is nothing to show.
#[must_use]
pub fn wanted_height(model: &Model) -> u16 {
    let Some(run) = shown(model) else {
        // One that has the focus is seen.
        return u16::from(model.focus == PaneId::Pipeline);
    };
    let hosts = grid::hosts(run).len();
    let scrolled = usize::from(hosts > HOSTS_IN_ROOM);
    let whole = usize::from(grid::has_whole_stages(run));
    // Of one that is over nothing more will be said.
    let said = if run.is_open() || !run.output.is_empty() {
        OUTPUT_IN_ROOM
    } else {
        0
    };
    let left = left::differences(run).map_or(0, |(_, left)| left.len().min(view::LEFT_SHOWN + 1));
    let rows = 3 + left + whole + hosts.clamp(1, HOSTS_IN_ROOM) + scrolled + 1 + said;
    u16::try_from(rows).unwrap_or(u16::MAX)
}

/// A run was just asked for: show it as soon as it is there.
pub fn show(model: &mut Model, request: &RunRequest) {
    model.go(PaneId::Pipeline);
    super::services::select(model, &request.group());
    model.pipeline = Pipeline {
        awaited: Some((request.clone(), model.now.wall)),
        ..Pipeline::default()
    };
}

/// `Enter` on a run of any age.
pub fn open(model: &mut Model, run: RunId) {
    model.go(PaneId::Pipeline);
    if let Some(group) = model.runs.get(&run).map(RunView::group) {
        super::services::select(model, &group);
    }
    model.pipeline = Pipeline {
        chosen: Some(run),
        ..Pipeline::default()
    };
}

#[must_use]
pub fn command(model: &mut Model, command: Command) -> Vec<Effect> {
    let Some(run) = shown(model) else {
        return Vec::new();
    };
    let hosts: Vec<HostName> = grid::hosts(run).into_iter().cloned().collect();
    let lines = output(model, run).len();
    let part = part(model, run);
    let opens_left = opens_left(model);
    let page = model
        .height_of(PaneId::Pipeline)
        .saturating_sub(hosts.len() + 5)
        .max(1);
    let pipeline = &mut model.pipeline;
    let at = pipeline
        .host
        .as_ref()
        .and_then(|host| hosts.iter().position(|other| other == host));
    match command {
        Command::Up => {
            pipeline.host = at
                .and_then(|row| row.checked_sub(1))
                .and_then(|row| hosts.get(row))
                .cloned();
            pipeline.back = 0;
        }
        Command::Down => {
            let row = at.map_or(0, |row| row + 1).min(hosts.len().saturating_sub(1));
            pipeline.host = hosts.get(row).cloned();
            pipeline.back = 0;
        }
        Command::PageUp | Command::HalfUp => {
            pipeline.back = (pipeline.back + page).min(lines.saturating_sub(1));
        }
        Command::PageDown | Command::HalfDown => pipeline.back = pipeline.back.saturating_sub(page),
        Command::Top => pipeline.back = lines.saturating_sub(1),
        Command::Bottom => pipeline.back = 0,
        Command::Left => step(model, Side::Left),
        Command::Right => step(model, Side::Right),
        Command::EarlierRun => turn(model, true),
        Command::LaterRun => turn(model, false),
        Command::Open if opens_left => {
            model.layer = Some(Layer::Left {
                run: part.run,
                top: 0,
            });
        }
        Command::Open => {
            return crate::panes::logs::open_run(model, part);
        }
        _ => {}
    }
    Vec::new()
}

/// Does `Enter` show what the run left that needs a human? Of a stage or a host it is the output.
#[must_use]
pub fn opens_left(model: &Model) -> bool {
    let is_whole = model.pipeline.stage.is_none() && model.pipeline.host.is_none();
    is_whole && shown(model).is_some_and(|run| left::differences(run).is_some())
}

/// Where what the shown run said can be read and searched.
#[must_use]
pub fn whole_output(model: &mut Model) -> Vec<Effect> {
    match shown(model).map(|run| part(model, run)) {
        Some(part) => crate::panes::logs::open_run(model, part),
        None => Vec::new(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// To the stage beside the chosen one; from none to the one that something happens in. Left of the first is none.
fn step(model: &mut Model, side: Side) {
    let Some(run) = shown(model) else {
        return;
    };
    let names: Vec<&String> = run.stages.iter().map(|stage| &stage.name).collect();
    let chosen = model.pipeline.stage.as_ref();
    let at = chosen.and_then(|stage| names.iter().position(|name| *name == stage));
    let to = match (at, side) {
        (None, _) => Some(grid::active(run)),
        (Some(at), Side::Left) => at.checked_sub(1),
        (Some(at), Side::Right) => Some((at + 1).min(names.len().saturating_sub(1))),
    };
    let stage = to.and_then(|to| names.get(to)).map(|name| (*name).clone());
    model.pipeline.stage = stage;
    model.pipeline.back = 0;
}

/// To the run of the service before this one, or after it.
fn turn(model: &mut Model, earlier: bool) {
    let Some(run) = shown(model) else {
        return;
    };
    let runs = same_subject(model, run);
    let at = runs.iter().position(|other| other.id == run.id).unwrap_or(0);
    let to = if earlier { at.checked_sub(1) } else { Some(at + 1) };
    match to.and_then(|to| runs.get(to)) {
        Some(run) => {
            model.pipeline = Pipeline {
                chosen: Some(run.id.clone()),
                ..Pipeline::default()
            };
        }
        None if earlier => model.say("there is no earlier run of it"),
        None => model.say("this is its latest run"),
    }
}

#[must_use]
pub fn subject(model: &Model) -> Option<Subject> {
    shown(model).map(|run| Subject::Run(run.id.clone()))
}

#[must_use]
pub fn note(model: &Model) -> String {
    match shown(model) {
        None => String::new(),
        Some(run) => format!("{} {}", run.kind.word(), run.id),
    }
}

pub fn clear(model: &mut Model) -> bool {
    model.pipeline.back = 0;
    let had_host = model.pipeline.host.take().is_some();
    model.pipeline.stage.take().is_some() || had_host
}

pub fn refresh(model: &mut Model) {
    let gone = |id: &RunId| !model.runs.contains_key(id);
    if model.pipeline.chosen.as_ref().is_some_and(gone) {
        model.pipeline.chosen = None;
    }
}

/// The old state is still in `model.runs`.
#[must_use]
pub fn run_changed(model: &mut Model, run: &RunView) -> Vec<Effect> {
    let before = model.runs.get(&run.id);
    let is_new = before.is_none();
    let was_open = before.is_some_and(RunView::is_open);
    let is_awaited = model.pipeline.awaited.as_ref().is_some_and(|(request, asked)| {
        let is_it = request.kind == run.kind
            && request.service == run.service
            && request.environment == run.environment;
        // A short one may be over before it is seen for the first time.
        is_it && (run.is_open() || run.started >= *asked)
    });
    let is_ours = is_new && is_awaited;
    if is_ours {
        model.pipeline.awaited = None;
        model.pipeline.chosen = Some(run.id.clone());
    }
    if (was_open || is_ours)
        && let RunStatus::Closed { outcome, .. } = &run.status
    {
        tell(model, run, outcome);
        let words = format!("{}: {}", run.name(), words::ended(run, outcome));
        model.ended = Some(words.clone());
        return vec![Effect::Notify(words)];
    }
    Vec::new()
}

/// How a run ended that was seen under way; read until dismissed.
fn tell(model: &mut Model, run: &RunView, outcome: &Outcome) {
    let now = model.now.wall;
    let what = run.name();
    match outcome {
        Outcome::Converged => model
            .notices
            .done(now, format!("{what}: {}", words::achieved(run))),
        Outcome::Reverted { why, cancelled: true } => {
            model.notices.done(
                now,
                format!("{what}: cancelled, everything is as it was before ({why})"),
            );
        }
        Outcome::Reverted {
            why,
            cancelled: false,
        } => {
            let mut hints = run.hints.clone();
            hints.push("everything is as it was before".to_owned());
            hints.push("press Enter on the run in runs for its output".to_owned());
            let hint = hints.join("; ");
            // The others are verbs.
            let what = match run.kind {
                RunKind::Pipeline => format!("run the {what}"),
                RunKind::Build
                | RunKind::Test
                | RunKind::Push
                | RunKind::Deploy
                | RunKind::Rollback
                | RunKind::Adopt => what,
            };
            model.notices.fault(now, &Fault::new(what, why).hint(hint));
        }
        Outcome::NeedsHuman { why, .. } => {
            let hint = "the page of the run lists what is left";
            let fault = Fault::new(format!("bring {what} to an end"), why).hint(hint);
            model.notices.fault(now, &fault);
        }
    }
}
