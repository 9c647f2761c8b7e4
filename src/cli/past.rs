//! The history of the demo: runs of the last days, as journals in its own state folder.
//! Writes journals only: none of these runs was carried out on a host.

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
    /// The release, and its image's tag.
    to: Option<(u32, &'static str)>,
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

const fn deploy(service: &'static str, to: u32, tag: &'static str, by: &'static str, ago: u64) -> Past {
    Past {
        to: Some((to, tag)),
        ..past(RunKind::Deploy, service, by, ago)
    }
}

/// The oldest first; those that converged made the releases that the fleet of the demo has.
const RUNS: [Past; 15] = [
    Past {
        environment: Some("production"),
        ..deploy("api", 16, "v16", "ops-a", 5 * DAY)
    },
    deploy("search", 6, "v6", "ops-a", 4 * DAY),
    deploy("worker", 22, "v22", "ops-a", 4 * DAY - HOUR),
    deploy("web", 87, "v87", "ops-b", 3 * DAY + 5 * HOUR),
    deploy("shop", 40, "v40", "ops-a", 3 * DAY + 2 * HOUR),
    Past {
        environment: Some("production"),
        ..deploy("api", 17, "v17", "ops-b", 2 * DAY)
    },
    Past {
        end: End::Gate("exited with 1 after 4 s"),
        ..past(RunKind::Deploy, "worker", "ops-a", DAY + 3 * HOUR)
    },
    deploy("worker", 23, "v23", "ops-b", DAY),
    past(RunKind::Build, "web", "ci", 5 * HOUR + 20 * MINUTE),
    Past {
        end: End::Cancelled,
        ..past(RunKind::Deploy, "web", "ops-b", 5 * HOUR + 12 * MINUTE)
    },
    deploy("web", 88, "v88", "ops-a", 5 * HOUR),
    Past {
        environment: Some("staging"),
        ..deploy("api", 24, "v18", "ops-a", 3 * HOUR)
    },
    past(RunKind::Build, "shop", "ci", 2 * HOUR + 11 * MINUTE),
    past(RunKind::Test, "shop", "ci", 2 * HOUR + 9 * MINUTE),
    deploy("shop", 41, "v41", "ops-b", 2 * HOUR),
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
        request.image = past.to.map(|(_, tag)| tag.to_owned());
        let mut file = Box::pin(draft(n, config, &request, by, started)).await?;
        file.plan.to = past.to.map(|(release, _)| ReleaseNumber(release));
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
    journal.push((
        at,
        Entry::Closed {
            outcome,
            exit,
            hints: Vec::new(),
        },
    ));
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
    #[test]
    fn what_was_deployed_is_on_the_fleet_with_its_image() {
        let fleet = Scenario::demo();
        let containers: Vec<_> = fleet.hosts.iter().flat_map(|host| &host.containers).collect();
        for past in RUNS.iter().filter(|past| matches!(past.end, End::Converged)) {
            let Some((release, tag)) = past.to else { continue };
            let subject = [Some(past.service), past.environment].into_iter().flatten();
            let name = format!("{}.r{release}.", subject.collect::<Vec<_>>().join("."));
            let image = format!("/{}:{tag}", past.service);
            let is_it = |container: &&&crate::sim::ContainerPlan| {
                let its = container.asked["Image"].as_str().unwrap_or_default();
                container.name.starts_with(&name) && its.ends_with(&image)
            };
            assert!(
                containers.iter().any(|container| is_it(&container)),
                "{name} {image}"
            );
        }
    }
}
