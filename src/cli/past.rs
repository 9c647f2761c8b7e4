//! What the demo has behind it: runs of the last days, as journals in its own state folder.
//! Told by the writer of real runs; nothing of it was done on any host.

use std::time::Duration;

use crate::config::Config;
use crate::domain::exit::Exit;
use crate::domain::fault::Fault;
use crate::domain::ids::{ReleaseNumber, ServiceName};
use crate::domain::plan::RunRequest;
use crate::domain::run::{Outcome, RunKind};
use crate::domain::units::Stamp;
use crate::release::plan::{Actor, Plan};
use crate::release::record::{Entry, Failure, Finding};
use crate::release::road::road;
use crate::release::stage::{Stage, Step, Way};
use crate::runs::State;
use crate::runs::begin::draft::draft;
use crate::runs::disk::journal::write_whole;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

enum End {
    Converged,
    /// The gate of its first host failed.
    Gate(&'static str),
    /// In its gate.
    Cancelled,
}

struct Past {
    kind: RunKind,
    service: &'static str,
    environment: Option<&'static str>,
    to: Option<u32>,
    by: &'static str,
    /// Seconds.
    ago: u64,
    end: End,
}

const fn past(kind: RunKind, service: &'static str, by: &'static str, ago: u64) -> Past {
    Past {
        kind,
        service,
        environment: None,
        to: None,
        by,
        ago,
        end: End::Converged,
    }
}

const fn deploy(service: &'static str, to: u32, by: &'static str, ago: u64) -> Past {
    Past {
        to: Some(to),
        ..past(RunKind::Deploy, service, by, ago)
    }
}

/// The oldest first; those that converged made the releases that the fleet of the demo has.
const RUNS: [Past; 15] = [
    Past {
        environment: Some("production"),
        ..deploy("api", 16, "ops-a", 5 * DAY)
    },
    deploy("search", 6, "ops-a", 4 * DAY),
    deploy("worker", 22, "ops-a", 4 * DAY - HOUR),
    deploy("web", 87, "ops-b", 3 * DAY + 5 * HOUR),
    deploy("shop", 40, "ops-a", 3 * DAY + 2 * HOUR),
    Past {
        environment: Some("production"),
        ..deploy("api", 17, "ops-b", 2 * DAY)
    },
    Past {
        end: End::Gate("exited with 1 after 4 s"),
        ..past(RunKind::Deploy, "worker", "ops-a", DAY + 3 * HOUR)
    },
    deploy("worker", 23, "ops-b", DAY),
    past(RunKind::Build, "web", "ci", 5 * HOUR + 20 * MINUTE),
    Past {
        end: End::Cancelled,
        ..past(RunKind::Deploy, "web", "ops-b", 5 * HOUR + 12 * MINUTE)
    },
    deploy("web", 88, "ops-a", 5 * HOUR),
    Past {
        environment: Some("staging"),
        ..deploy("api", 24, "ops-a", 3 * HOUR)
    },
    past(RunKind::Build, "shop", "ci", 2 * HOUR + 11 * MINUTE),
    past(RunKind::Test, "shop", "ci", 2 * HOUR + 9 * MINUTE),
    deploy("shop", 41, "ops-b", 2 * HOUR),
];

/// As if they had been: `now` is when the demo begins.
pub(super) async fn write(state: &State, config: &Config, now: Stamp) -> Result<(), Fault> {
    for (n, past) in (1..).zip(&RUNS) {
        let started = now.minus(Duration::from_secs(past.ago));
        let by = Actor {
            login: past.by.to_owned(),
            machine: "bastion-1".to_owned(),
            via: None,
        };
        let service =
            ServiceName::parse(past.service).map_err(|why| Fault::new("write the demo's runs", why))?;
        let mut request = RunRequest::new(past.kind, service);
        request.environment = past.environment.map(str::to_owned);
        request.image = past.to.map(|to| format!("v{to}"));
        let mut file = Box::pin(draft(n, config, &request, by, started)).await?;
        file.plan.to = past.to.map(ReleaseNumber);
        let dir = state.create(&file)?;
        write_whole(&dir, told(&file.plan, past, n))?;
    }
    Ok(())
}

fn told(plan: &Plan, past: &Past, n: u64) -> Vec<(Stamp, Entry)> {
    let mut journal = Vec::new();
    let mut at = plan.started;
    journal.push((at, Entry::Opened(Box::new(plan.clone()))));
    let mut outcome = Outcome::Converged;
    let mut ways = vec![Way::On, Way::Out];
    while let Some(way) = ways.pop() {
        'way: for stage in road(plan, way).into_iter().flatten() {
            let steps = steps(plan, &stage);
            for step in &steps {
                journal.push((at, Entry::Intent(step.clone())));
            }
            let is_gate = stage == Stage::Gate && way == Way::Out;
            if let (true, Some(why)) = (is_gate, why(past, plan)) {
                at = at.plus(Duration::from_secs(4));
                let mut left = steps.into_iter();
                if let (End::Gate(words), Some(step)) = (&past.end, left.next()) {
                    let why = Failure::refused(Fault::new(step.to_string(), *words));
                    let took = Duration::from_secs(4);
                    journal.push((at, Entry::Failed { step, took, why }));
                }
                let way = Way::Back;
                let turned = why.clone();
                journal.push((at, Entry::Turned { way, why: turned }));
                let cancelled = matches!(past.end, End::Cancelled);
                outcome = Outcome::Reverted { why, cancelled };
                ways = vec![way];
                break 'way;
            }
            let took = usual(&stage, n);
            at = at.plus(took);
            for step in steps {
                let finding = Finding::Nothing;
                journal.push((at, Entry::Done { step, took, finding }));
            }
        }
    }
    let exit = match &outcome {
        Outcome::Converged => Exit::Done,
        Outcome::Reverted { cancelled: true, .. } => Exit::Interrupted,
        Outcome::Reverted { cancelled: false, .. } | Outcome::NeedsHuman { .. } => Exit::Failed,
    };
    journal.push((at, Entry::Closed { outcome, exit }));
    journal
}

/// Why it was taken back, if it was.
fn why(past: &Past, plan: &Plan) -> Option<String> {
    match past.end {
        End::Converged => None,
        End::Gate(words) => Some(format!("gate on {}: {words}", plan.targets.first()?)),
        End::Cancelled => Some(format!("cancelled by {}", past.by)),
    }
}

fn steps(plan: &Plan, stage: &Stage) -> Vec<Step> {
    let hosts = plan.hosts_of(stage).into_iter();
    hosts
        .map(|host| Step {
            stage: stage.clone(),
            host,
        })
        .collect()
}

/// No two runs take the same.
fn usual(stage: &Stage, n: u64) -> Duration {
    let seconds = match stage {
        Stage::Build => 31 + n % 9,
        Stage::Test(_) => 8 + n % 5,
        Stage::Image | Stage::Gate => 4 + n % 3,
        Stage::Create | Stage::Stop | Stage::Start | Stage::Retire => 1 + n % 2,
        _ => 0,
    };
    Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StateDir;
    use crate::domain::run::RunStatus;
    use crate::sim::{Fleet, Scenario};

    #[tokio::test]
    async fn the_demo_begins_with_runs_that_ended() {
        let folder = tempfile::tempdir().unwrap();
        let fleet = Fleet::start(Scenario::demo(), folder.path()).unwrap();
        let config = fleet.config();
        let dir = StateDir {
            dir: Some(folder.path().join("state")),
            ..StateDir::default()
        };
        let state = State::open(&dir, &|_| None).unwrap();
        write(&state, &config, crate::cli::now()).await.unwrap();
        let runs = crate::runs::list(&state);
        assert_eq!(runs.len(), RUNS.len());
        let is_over = |status: &RunStatus| matches!(status, RunStatus::Closed { .. });
        assert!(runs.iter().all(|run| is_over(&run.status)), "{runs:#?}");
        let good = |run: &&crate::domain::run::RunView| run.steps_done == run.steps_total;
        assert_eq!(runs.iter().filter(good).count(), RUNS.len() - 2, "{runs:#?}");
        fleet.stop().await;
    }
}
