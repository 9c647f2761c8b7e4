//! `pilothouse rollback SERVICE --list`: every release the hosts know of, newest first.
//! From ledgers and containers alone, so the list is the same on every machine.

use super::out::{self, Exit};
use super::run;
use super::setup::WithState;
use crate::domain::ids::HostName;
use crate::domain::plan::{KnownRelease, RunRequest};
use crate::domain::reference::Reference;
use crate::domain::units::short_span;
use crate::runs;

pub(super) async fn list(setup: &WithState<'_>, request: &RunRequest, json: bool) -> Exit {
    let asked = Box::pin(runs::plan(setup.state, &setup.config, request, setup.access)).await;
    let plan = match asked {
        Ok(plan) => plan,
        Err(fault) => {
            out::fault(&fault);
            return Exit::Failed;
        }
    };
    let all: Vec<&HostName> = plan.hosts.iter().map(|(host, _)| host).collect();
    if json {
        out::json(&plan.releases);
    } else {
        let rows: Vec<_> = plan.releases.iter().map(|one| cells(one, &all)).collect();
        out::table(
            ["RELEASE", "AGO", "WHO", "IMAGE", "DIGEST", "GIT", "KEPT", ""],
            &rows,
        );
    }
    if plan.releases.is_empty() {
        plan.stops().for_each(out::fault);
        return match run::exit_of(&plan) {
            Exit::Done => Exit::Failed,
            other => other,
        };
    }
    if plan.unreached.is_empty() {
        return Exit::Done;
    }
    // What the others know is told; what those know that did not answer may be more.
    for host in &plan.unreached {
        out::words(&format!(
            "{host} did not answer: it is not known which releases it retains"
        ));
    }
    Exit::Unreachable
}

fn cells(one: &KnownRelease, all: &[&HostName]) -> [String; 8] {
    let none = || "–".to_owned();
    let now = super::now();
    let digest = one.digest.as_ref().map(Reference::short);
    let digest = digest.or_else(|| one.image.as_ref().map(|id| id.short().to_owned()));
    let names: Vec<&str> = one.kept.iter().map(HostName::as_str).collect();
    let kept = match names.len() {
        0 => "nowhere".to_owned(),
        kept if kept == all.len() => "everywhere".to_owned(),
        _ => names.join(", "),
    };
    let said = match (&one.refused, one.runs, one.default) {
        (_, true, false) => "runs".to_owned(),
        (_, true, true) => "running, the default rollback".to_owned(),
        (_, false, true) => "the default rollback".to_owned(),
        (Some(why), false, false) => why.clone(),
        (None, false, false) => String::new(),
    };
    [
        one.release.to_string(),
        one.at.map_or_else(none, |at| short_span(at.until(now))),
        one.by.clone().unwrap_or_else(none),
        if one.reference.is_empty() {
            none()
        } else {
            one.reference.clone()
        },
        digest.unwrap_or_else(none),
        one.git
            .as_deref()
            .map_or_else(none, |git| git.get(..12).unwrap_or(git).to_owned()),
        kept,
        said,
    ]
}
