//! `recover` and `unlock`: finishes or undoes what a dead run left; removes a lock whose holder is gone.
//! For a protected host the service's name must be given or typed, as in the control room.

use std::time::Duration;

use super::args::{Recover, Unlock};
use super::out::{self, Exit};
use super::plan::{self, Answer};
use super::run;
use super::setup::{Setup, WithState};
use super::target;
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::domain::run::{Outcome, RunStatus, RunView};
use crate::release::record::{Failure, FailureKind};
use crate::runs::{self, Recovery, Said, Unfinished};

pub(super) async fn recover(setup: &WithState<'_>, asked: &Recover) -> Exit {
    if let Err(fault) = setup.may_change("recover a run") {
        return failed(&fault);
    }
    let json = asked.output.json;
    if let Some(id) = &asked.id
        && let Ok(view) = runs::view(setup.state, id)
    {
        let (exit, view) = Box::pin(one(setup, &Unfinished::of(&view), &asked.confirm)).await;
        if json && let Some(view) = view {
            out::json(&view);
        }
        return exit;
    }
    let (mut found, missing) = runs::unfinished(setup.state, &setup.config).await;
    if let Some(id) = &asked.id {
        found.retain(|known| known.run == *id);
    }
    if found.iter().any(|known| known.theirs.is_none()) {
        // A colleague's stands in nobody's way.
        found.retain(|known| known.theirs.is_none());
    }
    missing.iter().for_each(out::fault);
    let mut worst = if missing.is_empty() {
        Exit::Done
    } else {
        Exit::Unreachable
    };
    match &asked.id {
        Some(id) if found.is_empty() && missing.is_empty() => {
            let why = "it is neither on this machine nor in a lock on the hosts";
            return failed(&Fault::new(format!("recover run {id}"), why));
        }
        None if found.is_empty() && missing.is_empty() => out::words("nothing to recover"),
        Some(_) | None => {}
    }
    let mut views = Vec::new();
    for known in &found {
        // One of the others may have taken it up.
        let before = runs::view(setup.state, &known.run);
        if asked.id.is_none() && before.is_ok_and(|view| is_ended(&view)) {
            continue;
        }
        let (exit, view) = Box::pin(one(setup, known, &asked.confirm)).await;
        views.extend(view);
        if exit == Exit::Interrupted {
            return exit;
        }
        worst = worse(worst, exit);
    }
    if json {
        match (views.as_slice(), &asked.id) {
            ([only], Some(_)) => out::json(only),
            (all, _) => out::json(&all),
        }
    }
    worst
}

fn is_ended(view: &RunView) -> bool {
    match &view.status {
        RunStatus::Running => true,
        RunStatus::Dead => false,
        RunStatus::Closed { outcome, .. } => match outcome {
            Outcome::Converged | Outcome::Reverted { .. } => true,
            Outcome::NeedsHuman { .. } => false,
        },
    }
}

fn watching(what: &str, span: Duration) -> String {
    let span = span.as_secs();
    format!(
        "{what}: the clocks disagree about the age of its lock: watching for {span} s whether it is renewed"
    )
}

/// How it ended, and as what it was seen last.
async fn one(setup: &WithState<'_>, known: &Unfinished, confirm: &[String]) -> (Exit, Option<RunView>) {
    let word = known.subject.as_str();
    let said = confirm.iter().any(|said| said == word);
    let is_confirmed = is_confirmed(setup, (word, known.hosts.as_slice()), said, confirm.first());
    if let Err(exit) = is_confirmed {
        return (exit, None);
    }
    let run = known.run.clone();
    if let Some(span) = known.watched {
        out::words(&watching(run.as_str(), span));
    }
    match Box::pin(runs::recover(setup.state, &setup.config, run, setup.access)).await {
        Ok(Recovery::Started(id)) => run::watch(setup, &id).await,
        Ok(Recovery::Unlocked { run, hosts }) => {
            let hosts: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
            out::words(&format!(
                "run {run} had changed nothing yet: removed its locks on {}",
                hosts.join(", ")
            ));
            (Exit::Done, None)
        }
        Err(failure) => (refused(&failure), None),
    }
}

/// Which of two says more that a person has to do: a run that was taken back is as it should be.
fn worse(one: Exit, other: Exit) -> Exit {
    let rank = |exit| match exit {
        Exit::Done => 0,
        Exit::Failed => 1,
        Exit::Usage => 2,
        Exit::Locked => 3,
        Exit::Unreachable => 4,
        Exit::NeedsHuman => 5,
        Exit::Interrupted => 6,
    };
    if rank(other) > rank(one) { other } else { one }
}

pub(super) async fn unlock(setup: &Setup, asked: &Unlock) -> Exit {
    if let Err(fault) = setup.may_change("unlock a service") {
        return failed(&fault);
    }
    let by = runs::who();
    let subject = match target::known(setup, &asked.target) {
        Ok(subject) => subject,
        Err(exit) => return exit,
    };
    let service = setup
        .config
        .service_in(&subject.service, subject.environment.as_deref());
    let hosts = service.ok().and_then(|service| service.deploy.as_ref());
    let hosts = hosts.map(|deploy| deploy.hosts.as_slice()).unwrap_or_default();
    let word = subject.to_string();
    let said = asked.confirm.as_deref() == Some(word.as_str());
    if let Err(exit) = is_confirmed(setup, (&word, hosts), said, asked.confirm.as_ref()) {
        return exit;
    }
    let said = Said {
        reason: &asked.reason,
        by: &by,
        watching: &|span| out::words(&watching(&word, span)),
    };
    match runs::unlock(&setup.config, &subject, said, setup.access).await {
        Ok(unlocking) => {
            if asked.output.json {
                out::json(&unlocking);
            }
            for removed in &unlocking.removed {
                out::words(&format!("{}: removed the lock of {}", removed.host, removed.lock));
            }
            unlocking.renewed.iter().for_each(out::fault);
            unlocking.unreached.iter().for_each(out::fault);
            unlocking.failed.iter().for_each(out::fault);
            if !unlocking.unreached.is_empty() {
                return Exit::Unreachable;
            }
            if !unlocking.renewed.is_empty() {
                return Exit::Locked;
            }
            if !unlocking.failed.is_empty() {
                return Exit::Failed;
            }
            if unlocking.removed.is_empty() {
                out::words(&format!("{subject} is not locked"));
            }
            Exit::Done
        }
        Err(failure) => refused(&failure),
    }
}

/// Where a host is protected the name was said, or is typed now. `other`: what was said instead.
fn is_confirmed(
    setup: &Setup,
    of: (&str, &[HostName]),
    said: bool,
    other: Option<&String>,
) -> Result<(), Exit> {
    let (word, hosts) = of;
    let is_protected = |name: &&HostName| setup.config.host(name).is_some_and(|host| host.protected);
    let protected: Vec<&str> = hosts.iter().filter(is_protected).map(HostName::as_str).collect();
    if said || protected.is_empty() {
        return Ok(());
    }
    match plan::typed(word, &protected, other.map(String::as_str)) {
        Answer::Yes => Ok(()),
        Answer::No => {
            out::words("not confirmed: nothing was changed");
            Err(Exit::Failed)
        }
        Answer::NotAsked(missing) => {
            out::words(&format!("not confirmed: {missing}"));
            Err(Exit::Usage)
        }
    }
}

fn refused(failure: &Failure) -> Exit {
    out::fault(&failure.fault);
    match failure.kind {
        FailureKind::Unreachable => Exit::Unreachable,
        FailureKind::Locked => Exit::Locked,
        FailureKind::Refused | FailureKind::Fenced | FailureKind::Interrupted | FailureKind::Abandoned => {
            Exit::Failed
        }
    }
}

fn failed(fault: &Fault) -> Exit {
    out::fault(fault);
    Exit::Failed
}
