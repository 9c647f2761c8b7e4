//! `build`, `test`, `deploy`, `promote`, `rollback`, `adopt`, `pipeline`: plan, question, launch, follow.
//! Ending the command does not end the run, which is its own process.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use super::args::{
    AdoptArgs, BuildArgs, Built, HowToRun, Image, ImageArgs, PipelineArgs, PromoteArgs, PushArgs,
    RollbackArgs, Target,
};
use super::out::{self, Exit};
use super::plan::{self, Answer};
use super::releases;
use super::setup::WithState;
use super::target;
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, RunId};
use crate::domain::plan::{Origin, PlanView, RunRequest};
use crate::domain::run::{Cell, Outcome, Part, RunKind, RunStatus, RunView};
use crate::domain::units::short_span;
use crate::runs::seen::transcript::Transcript;
use crate::runs::{self, State};

/// Of a flood so much is read between two looks at the cells: 256 KiB each.
const BITES: usize = 4;

/// A run along the pipeline of a service: all of it, or one of its stages.
struct Forward {
    kind: RunKind,
    target: Target,
    which: Option<Image>,
    built: Built,
    how: HowToRun,
}

pub(super) async fn build(setup: &WithState<'_>, asked: BuildArgs) -> Exit {
    let BuildArgs { target, built, how } = asked;
    let kind = RunKind::Build;
    forward(
        setup,
        Forward {
            kind,
            target,
            which: None,
            built,
            how,
        },
    )
    .await
}

/// `test` and `deploy`
pub(super) async fn of_image(setup: &WithState<'_>, kind: RunKind, asked: ImageArgs) -> Exit {
    let ImageArgs { target, which, how } = asked;
    let (which, built) = (Some(which), Built::default());
    forward(
        setup,
        Forward {
            kind,
            target,
            which,
            built,
            how,
        },
    )
    .await
}

pub(super) async fn pipeline(setup: &WithState<'_>, asked: PipelineArgs) -> Exit {
    let PipelineArgs {
        target,
        which,
        built,
        how,
    } = asked;
    let (kind, which) = (RunKind::Pipeline, Some(which));
    forward(
        setup,
        Forward {
            kind,
            target,
            which,
            built,
            how,
        },
    )
    .await
}

async fn forward(setup: &WithState<'_>, asked: Forward) -> Exit {
    let kind = asked.kind;
    let image = asked.which.and_then(|which| which.image.or(which.tag));
    let subject = match target::deployed(setup, kind, &asked.target) {
        Ok(subject) => subject,
        Err(exit) => return exit,
    };
    let mut dependants = Vec::new();
    if asked.built.with_dependants {
        dependants = setup.config.after.dependants(&subject.service);
        if dependants.is_empty() {
            let what = format!("{} {} with its dependants", kind.word(), subject.service);
            let hint = format!("a service declares it with `after = [\"{}\"]`", subject.service);
            out::fault(&Fault::new(what, "no service depends on it").hint(hint));
            return Exit::Usage;
        }
    }
    let request = RunRequest {
        dependants,
        environment: subject.environment,
        image,
        revision: asked.built.revision,
        reason: asked.how.reason.clone(),
        wait: asked.how.patience.waits(at_terminal()),
        ..RunRequest::new(kind, subject.service)
    };
    run(setup, request, &asked.how).await
}

pub(super) async fn push(setup: &WithState<'_>, asked: PushArgs) -> Exit {
    if let Err(exit) = target::service(setup, &asked.service) {
        return exit;
    }
    let request = RunRequest {
        image: asked.image,
        tags: asked.tags,
        reason: asked.how.reason.clone(),
        wait: asked.how.patience.waits(at_terminal()),
        ..RunRequest::new(RunKind::Push, asked.service)
    };
    run(setup, request, &asked.how).await
}

pub(super) async fn back(setup: &WithState<'_>, asked: RollbackArgs) -> Exit {
    let subject = match target::deployed(setup, RunKind::Rollback, &asked.target) {
        Ok(subject) => subject,
        Err(exit) => return exit,
    };
    let request = RunRequest {
        environment: subject.environment,
        to: asked.to,
        reason: asked.how.reason.clone(),
        wait: asked.how.patience.waits(at_terminal()),
        ..RunRequest::new(RunKind::Rollback, subject.service)
    };
    if asked.list {
        return releases::list(setup, &request, asked.how.output.json).await;
    }
    run(setup, request, &asked.how).await
}

pub(super) async fn adopt(setup: &WithState<'_>, asked: AdoptArgs) -> Exit {
    let subject = match target::deployed(setup, RunKind::Adopt, &asked.target) {
        Ok(subject) => subject,
        Err(exit) => return exit,
    };
    let request = RunRequest {
        environment: subject.environment,
        reason: asked.how.reason.clone(),
        found: asked.from,
        wait: asked.how.patience.waits(at_terminal()),
        ..RunRequest::new(RunKind::Adopt, subject.service)
    };
    run(setup, request, &asked.how).await
}

pub(super) async fn promote(setup: &WithState<'_>, asked: PromoteArgs) -> Exit {
    let (from, to) = match target::promoted(setup, &asked) {
        Ok(places) => places,
        Err(exit) => return exit,
    };
    let request = RunRequest {
        environment: to,
        reason: asked.how.reason.clone(),
        origin: Some(Origin {
            environment: from,
            release: None,
        }),
        wait: asked.how.patience.waits(at_terminal()),
        ..RunRequest::new(RunKind::Deploy, asked.service)
    };
    run(setup, request, &asked.how).await
}

/// Does a person see what is said?
fn at_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

async fn run(setup: &WithState<'_>, request: RunRequest, how: &HowToRun) -> Exit {
    let plan = match Box::pin(runs::plan(setup.state, &setup.config, &request, setup.access)).await {
        Ok(plan) => plan,
        Err(fault) => return failed(&fault),
    };
    if how.dry_run {
        if how.output.json {
            out::json(&plan);
        } else {
            plan::print(&plan);
        }
        return exit_of(&plan);
    }
    if plan.is_stopped() {
        plan.stops().for_each(out::fault);
        return exit_of(&plan);
    }
    // Building, testing and pushing replace nothing: they are asked about where a host is protected only.
    let replaces = match request.kind {
        RunKind::Deploy | RunKind::Rollback | RunKind::Adopt | RunKind::Pipeline => true,
        RunKind::Build | RunKind::Test | RunKind::Push => false,
    };
    if replaces || !plan.protected.is_empty() {
        if how.confirm.is_none() && !how.yes {
            plan::print(&plan);
        }
        match plan::confirm(&plan, how) {
            Answer::Yes => {}
            Answer::No => {
                out::words("not confirmed: nothing was changed");
                return Exit::Failed;
            }
            Answer::NotAsked(missing) => {
                out::words(&format!("not confirmed: {missing}"));
                return Exit::Usage;
            }
        }
    }
    if let Err(fault) = setup.may_change(request.word()) {
        return failed(&fault);
    }
    // What the plan saw, not merely what was asked.
    let request = &plan.request;
    let run = match Box::pin(runs::launch(setup.state, &setup.config, request, runs::who())).await {
        Ok(run) => run,
        Err(fault) => return failed(&fault),
    };
    if !request.dependants.is_empty() {
        return Box::pin(and_behind(setup, request, run, how)).await;
    }
    if how.detach {
        out::line(run.as_str());
        return Exit::Done;
    }
    follow(setup, &run, how.output.json).await
}

/// What `--dry-run` and a run that would not be started exit with: a host that did not answer counts before a lock.
pub(super) fn exit_of(plan: &PlanView) -> Exit {
    if !plan.is_stopped() {
        Exit::Done
    } else if !plan.unreached.is_empty() {
        Exit::Unreachable
    } else if plan.refusals.is_empty() {
        Exit::Locked
    } else {
        Exit::Failed
    }
}

/// The run and those behind it, followed one after the other; the first that did not end well gives the exit code.
async fn and_behind(setup: &WithState<'_>, request: &RunRequest, run: RunId, how: &HowToRun) -> Exit {
    let begun = runs::launch_behind(setup.state, &setup.config, request, &run, &runs::who()).await;
    let behind = match begun {
        Ok(behind) => behind,
        Err(fault) => return failed(&fault),
    };
    let all = std::iter::once(run).chain(behind.into_iter().map(|(_, run)| run));
    if how.detach {
        all.for_each(|run| out::line(run.as_str()));
        return Exit::Done;
    }
    let mut exit = Exit::Done;
    let mut views = Vec::new();
    for run in all {
        let (ended, view) = watch(setup, &run).await;
        views.extend(view);
        if exit == Exit::Done {
            exit = ended;
        }
        if ended == Exit::Interrupted {
            return ended;
        }
    }
    if how.output.json {
        out::json(&views);
    }
    exit
}

fn failed(fault: &Fault) -> Exit {
    out::fault(fault);
    Exit::Failed
}

/// Words about each cell as it changes, to stderr; the whole run as JSON at its end if that was asked for.
pub(super) async fn follow(setup: &WithState<'_>, id: &RunId, json: bool) -> Exit {
    let (exit, view) = watch(setup, id).await;
    if json && let Some(view) = view {
        out::json(&view);
    }
    exit
}

/// How it ended, and as what it was seen last.
pub(super) async fn watch(setup: &WithState<'_>, id: &RunId) -> (Exit, Option<RunView>) {
    let mut told = Told::of(setup.state, id);
    let mut last = None;
    let show = |view: &RunView| {
        told.tell(view);
        last = Some(view.clone());
    };
    let followed = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {
            out::words(&format!("the run continues: pilothouse follow {id}, or pilothouse cancel {id}"));
            return (Exit::Interrupted, None);
        }
        followed = runs::follow(setup.state, id, show) => followed,
    };
    match followed {
        Ok(exit) => {
            if let Some(view) = &last {
                out::words(&ending(view));
            }
            (exit, last)
        }
        Err(fault) => (failed(&fault), None),
    }
}

/// The run's end in words.
pub(super) fn ending(view: &RunView) -> String {
    let mut words = result(view);
    for note in &view.notes {
        words.push_str("\n  note: ");
        words.push_str(note);
    }
    for hint in &view.hints {
        words.push_str("\n  hint: ");
        words.push_str(hint);
    }
    words
}

fn result(view: &RunView) -> String {
    let subject = view.name();
    match &view.status {
        RunStatus::Running => format!("{subject} continues"),
        RunStatus::Dead => format!(
            "{subject}: its runner died; finish or revert it: pilothouse recover {}",
            view.id
        ),
        RunStatus::Closed { outcome, at } => {
            let took = short_span(view.started.until(*at));
            match outcome {
                Outcome::Converged => format!("{subject}: done in {took}"),
                Outcome::Reverted { why, .. } => format!("{subject}: everything is as before: {why}"),
                Outcome::NeedsHuman { why, differences } => {
                    let head = format!("{subject} needs a human: {why}");
                    std::iter::once(&head)
                        .chain(differences)
                        .map(String::as_str)
                        .collect::<Vec<_>>()
                        .join("\n  ")
                }
            }
        }
    }
}

/// What was said already, so that each change is said once.
struct Told {
    cells: BTreeMap<(usize, Option<HostName>), String>,
    transcript: Transcript,
    waiting: Option<String>,
}

impl Told {
    fn of(state: &State, run: &RunId) -> Self {
        let whole = Part {
            run: run.clone(),
            stage: None,
            host: None,
        };
        Self {
            cells: BTreeMap::new(),
            transcript: Transcript::of(state, whole),
            waiting: None,
        }
    }

    fn tell(&mut self, view: &RunView) {
        if self.waiting != view.waiting {
            self.waiting.clone_from(&view.waiting);
            if let Some(whom) = &view.waiting {
                out::words(&format!("waiting {whom}"));
            }
        }
        for (index, stage) in view.stages.iter().enumerate() {
            for (host, cell) in &stage.cells {
                let mut words = cell_words(cell);
                if let (Cell::Done { .. }, Some(tested)) = (cell, &stage.tested) {
                    words = [words, tested.words()].join("  ").trim_end().into();
                }
                let key = (index, host.clone());
                if words.is_empty() || self.cells.get(&key) == Some(&words) {
                    continue;
                }
                out::words(&match host {
                    Some(host) => format!("{:<10} {host}  {words}", stage.name),
                    None => format!("{:<10} {words}", stage.name),
                });
                self.cells.insert(key, words);
            }
        }
        self.output(view);
    }

    /// All that is there of a run that has ended; of one that floods so much at once that its cells are told, too.
    fn output(&mut self, view: &RunView) {
        let most = if view.is_open() { BITES } else { usize::MAX };
        for _ in 0..most {
            let output = match self.transcript.read() {
                Ok(Some(output)) => output,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, run = %view.id, "its output is not read");
                    return;
                }
            };
            if output.gone > 0 {
                out::words(&format!("  … {} lines skipped", output.gone));
            }
            for line in output.lines {
                out::words(&format!("  {}", line.text));
            }
        }
    }
}

fn cell_words(cell: &Cell) -> String {
    match cell {
        Cell::Waiting => String::new(),
        Cell::Running { text, .. } if text.is_empty() => "begun".to_owned(),
        Cell::Running { text, .. } => text.clone(),
        Cell::Done { took } if took.as_secs() == 0 => "✓".to_owned(),
        Cell::Done { took } => format!("✓ {}", short_span(*took)),
        Cell::Flaky { took, text } => format!("✓ {}  {text}", short_span(*took)),
        Cell::Failed { why, .. } => format!("✗ {why}"),
        Cell::Undone => "undone".to_owned(),
        Cell::Skipped => "skipped".to_owned(),
    }
}
