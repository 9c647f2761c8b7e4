//! `pilothouse __run DIR`: carries out one run from its first record to its last, in its own session.
//! Also recovers a run left by an earlier process: its journal says what remains to be done.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::cancel;
use super::driver::{Driver, Ended};
use super::finish::{self, Finish};
use super::hands::{Earlier, Hands, Local};
use super::pen::Pen;
use super::turn::Waiting;
use crate::domain::exit::Exit;
use crate::domain::fault::Fault;
use crate::domain::run::Outcome;
use crate::release::record::{Entry, Record};
use crate::release::run::{Left, Run};
use crate::runs::begin::launch;
use crate::runs::begin::secrets::{Handed, Redactor};
use crate::runs::disk::journal::Journal;
use crate::runs::disk::output::Output;
use crate::runs::disk::state::{State, hold_alive, read_run_file};
use crate::runs::step::orphans;

/// The limit for the input with the secrets.
const MOST_SECRETS: u64 = 4 << 20;

/// The exit code of the run: those of the command line.
#[must_use]
pub fn runner(dir: &Path) -> ExitCode {
    // A session leader already: started by hand, or by systemd.
    if let Err(error) = rustix::process::setsid() {
        tracing::debug!(%error, "no new session");
    }
    let exit = match run(dir) {
        Ok(exit) => exit,
        Err(fault) => {
            tracing::error!(%fault, dir = %dir.display(), "the run ended without a result");
            say(format!("{fault}\n").as_bytes());
            Exit::NeedsHuman
        }
    };
    ExitCode::from(u8::from(exit))
}

/// Writes to the launcher, which may have exited: a broken pipe is ignored.
fn say(words: &[u8]) {
    let mut out = std::io::stdout();
    if let Err(error) = out.write_all(words).and_then(|()| out.flush()) {
        tracing::debug!(%error, "nobody listens");
    }
}

fn run(dir: &Path) -> Result<Exit, Fault> {
    let mut handed = read_handed()?;
    let mut file = read_run_file(dir)?;
    let held = hold_alive(dir).map_err(|error| Fault::new(format!("hold {}", dir.display()), error))?;
    let Some(alive) = held else {
        return Err(Fault::new(
            format!("carry out run {}", file.plan.run),
            "another process is doing so",
        ));
    };
    let (mut journal, records) = Journal::open(dir)?;
    journal.reserve(dir)?;
    let by = crate::runs::who();
    let machine = by.machine.clone();
    let (run, earlier) = if records.is_empty() {
        journal.write(super::pen::now(), Entry::Opened(Box::new(file.plan.clone())))?;
        (Run::new(file.plan.clone()), Earlier::default())
    } else {
        let left = left(&records, &file.plan.run)?;
        // What is recovered stands on nothing new.
        file.behind.clear();
        let orphans = orphans::end(dir, &file.plan.run);
        if orphans > 0 {
            tracing::info!(orphans, "stopped commands left by the earlier process");
        }
        cancel::forget(dir).map_err(|error| Fault::new("clear earlier cancel requests", error))?;
        journal.write(super::pen::now(), Entry::Resumed { by })?;
        let earlier = Earlier {
            decision: left.decision.clone(),
            tags: left.tags.clone(),
            built: left.built.clone(),
            stopping: left.stopping.clone(),
        };
        (Run::resumed(left), earlier)
    };
    let state = State::around(dir)?;
    let waiting = Waiting::enter(state.clone(), &file)?;
    let redactor = Redactor::new(&handed);
    let output = Output::open(dir, redactor.clone())
        .map_err(|error| Fault::new(format!("keep the output in {}", dir.display()), error))?;
    let pen = Pen::new(journal, output, redactor);
    let here = Local {
        state,
        machine,
        dir: dir.to_path_buf(),
        pen: pen.clone(),
    };
    let finish = handed.finish.take();
    let hands = Hands::new(file, handed, here, earlier);
    say(launch::READY);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::new("start the runtime", error))?;
    let ended = runtime.block_on(async {
        let stopped = signals()?;
        Driver::new(run, hands, dir.to_path_buf())
            .drive(waiting, stopped)
            .await
    })?;
    Ok(match ended {
        Ended::Closed { outcome, exit } => {
            log(&outcome);
            // Closed: whoever waits for this run need not wait for who is told.
            drop(alive);
            if let Some(finish) = &finish {
                runtime.block_on(told(finish, dir, exit, &pen));
            }
            exit
        }
        Ended::Left { why, exit } => {
            tracing::warn!(why, "the run was left open");
            exit
        }
    })
}

/// Unless the system ends us first.
async fn told(finish: &Finish, dir: &Path, exit: Exit, pen: &Pen) {
    let mut aside = pen.aside(finish::STAGE);
    let telling = finish::tell(finish, dir, exit, &mut aside);
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => tokio::select! {
            () = telling => {}
            _ = terminated.recv() => tracing::warn!("stopped before the result was delivered"),
        },
        Err(_) => telling.await,
    }
}

fn log(outcome: &Outcome) {
    match outcome {
        Outcome::Converged => tracing::info!("converged"),
        Outcome::Reverted { why, .. } => tracing::warn!(why, "reverted"),
        Outcome::NeedsHuman { why, differences } => tracing::error!(why, ?differences, "needs a human"),
    }
}

fn left(records: &[Record], run: &crate::domain::ids::RunId) -> Result<Left, Fault> {
    let what = || format!("recover run {run}");
    let left =
        Left::read(records).ok_or_else(|| Fault::new(what(), "its journal does not begin with its plan"))?;
    let last = records.iter().rev().find_map(|record| match &record.entry {
        Entry::Closed { outcome, .. } => Some(outcome),
        _ => None,
    });
    match (left.closed, last) {
        (true, Some(Outcome::Converged | Outcome::Reverted { .. })) => {
            Err(Fault::new(what(), "it has ended, and nothing is left to recover"))
        }
        (true | false, _) => Ok(left),
    }
}

/// Reads one JSON object from standard input; empty if there are no secrets.
fn read_handed() -> Result<Handed, Fault> {
    let fault = |error: &dyn std::fmt::Display| Fault::new("read the secrets from standard input", error);
    let mut text = Vec::new();
    std::io::stdin()
        .take(MOST_SECRETS)
        .read_to_end(&mut text)
        .map_err(|error| fault(&error))?;
    if text.is_empty() {
        return Ok(Handed::default());
    }
    // The error of a parser may quote what it read.
    serde_json::from_slice(&text).map_err(|_quoting| fault(&"they are not in the expected format"))
}

/// SIGHUP is ignored; SIGTERM and SIGINT cancel the run.
fn signals() -> Result<mpsc::Receiver<&'static str>, Fault> {
    let (wish, wishes) = mpsc::channel(4);
    let kinds = [
        (SignalKind::hangup(), None),
        (SignalKind::terminate(), Some("the system (SIGTERM)")),
        (SignalKind::interrupt(), Some("an interrupt (SIGINT)")),
    ];
    for (kind, who) in kinds {
        let mut signal = signal(kind).map_err(|error| Fault::new("listen for signals", error))?;
        let wish = wish.clone();
        // Ends with the runtime, which ends with the run.
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                if let Some(who) = who
                    && wish.send(who).await.is_err()
                {
                    return;
                }
            }
        });
    }
    Ok(wishes)
}
