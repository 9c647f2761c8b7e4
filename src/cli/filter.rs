//! Filters of `runs` and `history`: by time, person, result, kind and host.
//! Decides only whether an entry matches; reading the entries is up to the command.

use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::out::{self, Exit};
use super::setup::Setup;
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, ServiceName};
use crate::domain::run::{Outcome, RunKind, RunStatus, RunView};
use crate::domain::units::Stamp;
use crate::release::ledger::LedgerResult;
use crate::release::subject::Subject;
use crate::runs::seen::history::{Chapter, Deed};

#[derive(Debug, Args)]
#[command(next_help_heading = "Filters (and `--host NAME`)")]
pub struct Filter {
    /// Only entries that began after this: `2h`, `7d`, `2026-11-20`, `2026-11-20T14:30`, in this machine's time zone
    #[arg(long, value_name = "WHEN", value_parser = since)]
    pub since: Option<Since>,
    /// Only entries of this person
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Only entries with this result or state
    #[arg(long, value_enum)]
    pub result: Option<Ending>,
    /// Only entries of this kind
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
    /// Show at most this many, newest first
    #[arg(short = 'n', long, default_value_t = 100)]
    pub limit: usize,
}

#[derive(Clone, Copy, Debug)]
pub enum Since {
    Ago(Duration),
    At(Stamp),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ending {
    Done,
    /// Failed or cancelled, with all changes undone
    Reverted,
    Cancelled,
    NeedsHuman,
    Running,
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Build,
    Test,
    Push,
    Deploy,
    Rollback,
    Adopt,
    Pipeline,
    /// A lock that was removed by hand; only in `history`
    Unlock,
}

/// The same with a clock looked at.
pub(super) struct Wanted<'f> {
    filter: &'f Filter,
    since: Option<Stamp>,
    hosts: &'f [HostName],
}

impl Filter {
    /// What can match nothing is a mistake, and said.
    pub(super) fn resolve<'f>(&'f self, setup: &'f Setup) -> Result<Wanted<'f>, Exit> {
        let now = super::now();
        let since = self.since.map(|since| match since {
            Since::Ago(span) => now.minus(span),
            Since::At(moment) => moment,
        });
        if since.is_some_and(|since| since > now) {
            let fault = Fault::new("list what began since then", "that time is in the future");
            out::fault(&fault.hint("`--since 2h`, or a date that is not in the future"));
            return Err(Exit::Usage);
        }
        Ok(Wanted {
            filter: self,
            since,
            hosts: &setup.named,
        })
    }
}

impl Wanted<'_> {
    fn takes(&self, at: Stamp, by: (&str, &str), kind: Kind, hosts: &[HostName]) -> bool {
        let (actor, machine) = by;
        let is_by = |name: &String| *name == actor || *name == format!("{actor}@{machine}");
        self.since.is_none_or(|since| at >= since)
            && self.filter.by.as_ref().is_none_or(is_by)
            && self.filter.kind.is_none_or(|wanted| wanted == kind)
            && (self.hosts.is_empty() || self.hosts.iter().any(|host| hosts.contains(host)))
    }

    pub(super) fn takes_run(&self, view: &RunView) -> bool {
        let ending = match &view.status {
            RunStatus::Running => Ending::Running,
            RunStatus::Dead => Ending::Dead,
            RunStatus::Closed { outcome, .. } => match outcome {
                Outcome::Converged => Ending::Done,
                Outcome::Reverted { cancelled: true, .. } => Ending::Cancelled,
                Outcome::Reverted { cancelled: false, .. } => Ending::Reverted,
                Outcome::NeedsHuman { .. } => Ending::NeedsHuman,
            },
        };
        let hosts = worked_on(view);
        self.takes(
            view.started,
            (&view.actor, &view.machine),
            kind(view.kind),
            &hosts,
        ) && self.filter.result.is_none_or(|wanted| wanted == ending)
    }

    pub(super) fn takes_chapter(&self, chapter: &Chapter) -> bool {
        let (kind, ending) = match &chapter.deed {
            Deed::Unlock { .. } => (Kind::Unlock, Some(Ending::Done)),
            Deed::Release(release) => {
                let ending = match release.result {
                    LedgerResult::Committed => Ending::Done,
                    LedgerResult::Reverted { .. } => Ending::Reverted,
                    LedgerResult::NeedsHuman { .. } => Ending::NeedsHuman,
                };
                (kind(release.kind), Some(ending))
            }
        };
        // The configuration was narrowed to these hosts: their ledgers alone were asked.
        let hosts = &chapter.told_by;
        self.takes(chapter.at, (&chapter.actor, &chapter.machine), kind, hosts)
            && self.filter.result.is_none_or(|wanted| Some(wanted) == ending)
    }
}

/// The hosts that it replaces something on, and those that its stages are done on.
fn worked_on(view: &RunView) -> Vec<HostName> {
    let cells = view.stages.iter().flat_map(|stage| &stage.cells);
    let named = cells.filter_map(|(host, _)| host.clone());
    view.hosts.iter().cloned().chain(named).collect()
}

/// Of this service, and in this environment, where they are named.
pub(super) fn is_of(wanted: (Option<&Subject>, Option<&str>), place: (&ServiceName, Option<&str>)) -> bool {
    let ((subject, named), (service, environment)) = (wanted, place);
    let fits = |wanted: &Subject| {
        wanted.service == *service
            && (wanted.environment.is_none() || wanted.environment.as_deref() == environment)
    };
    subject.is_none_or(fits) && (named.is_none() || named == environment)
}

fn kind(kind: RunKind) -> Kind {
    match kind {
        RunKind::Build => Kind::Build,
        RunKind::Test => Kind::Test,
        RunKind::Push => Kind::Push,
        RunKind::Deploy => Kind::Deploy,
        RunKind::Rollback => Kind::Rollback,
        RunKind::Adopt => Kind::Adopt,
        RunKind::Pipeline => Kind::Pipeline,
    }
}

fn since(text: &str) -> Result<Since, String> {
    let wrong =
        || format!("{text:?} is not a point in time; try `2h`, `7d`, `2026-11-20` or `2026-11-20T14:30`");
    let stamp = |moment: Timestamp| {
        let nanos = i64::try_from(moment.as_nanosecond());
        nanos.map(|nanos| Since::At(Stamp(nanos))).map_err(|_far| wrong())
    };
    if let Ok(moment) = text.parse::<Timestamp>() {
        return stamp(moment);
    }
    if let Ok(day) = text.parse::<DateTime>() {
        let here = day.to_zoned(TimeZone::system()).map_err(|_unknown| wrong())?;
        return stamp(here.timestamp());
    }
    super::args::duration(&days(text))
        .map(Since::Ago)
        .map_err(|_why| wrong())
}

/// Spans of a clock know no days: `7d` is so many hours.
fn days(text: &str) -> String {
    let count = text.strip_suffix('d').and_then(|count| count.parse::<u32>().ok());
    count.map_or_else(|| text.to_owned(), |count| format!("{}h", u64::from(count) * 24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_span_back_a_day_or_a_time_and_nothing_else() {
        for (text, hours) in [("2h", 2), ("7d", 168), ("90m", 1)] {
            let Ok(Since::Ago(span)) = since(text) else {
                panic!("{text}")
            };
            assert_eq!(span.as_secs() / 3600, hours, "{text}");
        }
        let Ok(Since::At(moment)) = since("2026-11-20T14:30:00Z") else {
            panic!()
        };
        assert_eq!(moment.seconds(), 1_795_185_000);
        assert!(matches!(since("2026-11-20"), Ok(Since::At(_))));
        assert!(matches!(since("2026-11-20T14:30"), Ok(Since::At(_))));
        for wrong in [
            "",
            "-2h",
            "yesterday",
            "2026-13-01",
            "99999999999d",
            "2026-11-20junk",
        ] {
            assert!(since(wrong).is_err(), "{wrong:?}");
        }
    }
}
