//! Health checks of simulated containers: what each probe finds, and when that changes the state.
//! No probe is a timer: the next change is computed and planned, the probes between are derived when asked for.

use std::time::Duration;

use serde_json::{Value, json};

use super::behaviour::HealthScript;
use super::clock::rfc3339;
use super::container::{Check, Container, Health};
use super::shell;
use super::world::{Deed, World};
use crate::domain::units::Stamp;

/// Probes looked ahead at once.
const AHEAD: u64 = 512;
/// As Docker keeps them.
const PROBES_KEPT: u64 = 5;

impl World {
    /// Plans the next change of its health, from what it is now.
    pub(super) fn plan_health(&mut self, id: &str) {
        let now = self.now;
        let Some(container) = self.containers.get(id).filter(|container| container.is_up()) else {
            return;
        };
        let Some(check) = container.check() else {
            return;
        };
        if container.ordered_health.is_some() {
            return;
        }
        let command = self.probe_result(container, &check);
        let first = probes_before(container, &check, now) + 1;
        let mut streak = container.failing_streak;
        for number in first..first + AHEAD {
            let at = probe_time(container, &check, number);
            let good = finds(container, &check, number, command.0);
            streak = if good { 0 } else { streak.saturating_add(1) };
            let in_grace = container.started.until(at) < check.grace;
            let to = if good {
                Health::Healthy
            } else if streak >= check.retries && !in_grace {
                Health::Unhealthy
            } else {
                container.health
            };
            if in_grace && !good {
                streak = 0;
            }
            if to != container.health {
                self.plan(at, id, Deed::Health { to, streak });
                return;
            }
        }
        let again = probe_time(container, &check, first + AHEAD);
        // A check whose script never changes again needs no second look.
        if matches!(container.behaviour.health, HealthScript::Flips { .. }) {
            self.plan(again, id, Deed::LookAtHealth);
        }
    }

    pub(super) fn set_health(&mut self, id: &str, to: Health, streak: u32) {
        let Some(container) = self.containers.get_mut(id).filter(|container| container.is_up()) else {
            return;
        };
        container.failing_streak = streak;
        if container.health != to {
            container.health = to;
            self.emit_container(id, &format!("health_status: {}", word(to)), &[]);
        }
        self.plan_health(id);
    }

    /// Exit code and output of the check's own command, as far as the simulated shell knows it.
    fn probe_result(&self, container: &Container, check: &Check) -> (i32, String) {
        let argv: Vec<String> = match check.test.split_first() {
            Some((kind, rest)) if kind == "CMD-SHELL" => ["/bin/sh".to_owned(), "-c".to_owned()]
                .into_iter()
                .chain(rest.iter().cloned())
                .collect(),
            Some((kind, rest)) if kind == "CMD" => rest.to_vec(),
            _ => check.test.clone(),
        };
        let tree = self.tree(&container.place("/").0);
        let word = argv.first().map(String::as_str).unwrap_or_default();
        if container.behaviour.health != HealthScript::Command || !shell::knows(&tree, word) {
            return (0, String::new());
        }
        let played = shell::play(&self.stage(container), &tree, &argv);
        let text = played.text();
        (played.end.map_or(0, |(_, code)| code), text)
    }

    /// `State.Health` of an inspection.
    pub(super) fn health_view(&self, container: &Container) -> Option<Value> {
        let check = container.check()?;
        let command = self.probe_result(container, &check);
        let last = probes_before(
            container,
            &check,
            if container.is_up() {
                self.now
            } else {
                container.finished
            },
        );
        let probes: Vec<Value> = (1..=last)
            .rev()
            .take(usize::try_from(PROBES_KEPT).unwrap_or(5))
            .map(|number| {
                let at = probe_time(container, &check, number);
                let good = container
                    .ordered_health
                    .unwrap_or_else(|| finds(container, &check, number, command.0));
                let output = match (good, command.1.is_empty()) {
                    (_, false) => command.1.clone(),
                    (true, true) => "ok\n".to_owned(),
                    (false, true) => "connection refused: nothing listens on :80\n".to_owned(),
                };
                json!({
                    "Start": rfc3339(at),
                    "End": rfc3339(at.plus(Duration::from_millis(38))),
                    "ExitCode": i32::from(!good),
                    "Output": output,
                })
            })
            .collect();
        let streak = if container.health == Health::Unhealthy {
            container.failing_streak.max(check.retries)
        } else {
            container.failing_streak
        };
        Some(json!({
            "Status": word(container.health),
            "FailingStreak": streak,
            "Log": probes.into_iter().rev().collect::<Vec<_>>(),
        }))
    }
}

pub(super) fn word(health: Health) -> &'static str {
    match health {
        Health::Unchecked => "none",
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

fn probe_time(container: &Container, check: &Check, number: u64) -> Stamp {
    let interval = u64::try_from(check.interval.as_nanos()).unwrap_or(u64::MAX);
    container
        .started
        .plus(Duration::from_nanos(interval.saturating_mul(number)))
}

/// How many probes were made up to then; the first comes one interval after the start.
fn probes_before(container: &Container, check: &Check, now: Stamp) -> u64 {
    let interval = check.interval.as_nanos().max(1);
    u64::try_from(container.started.until(now).as_nanos() / interval).unwrap_or(u64::MAX)
}

fn finds(container: &Container, check: &Check, number: u64, command: i32) -> bool {
    let age = container.started.until(probe_time(container, check, number));
    match container.behaviour.health {
        HealthScript::Command => command == 0,
        HealthScript::GoodAfter(after) => age >= after,
        HealthScript::Bad => false,
        HealthScript::Flips { good, bad } => {
            let round = (good + bad).as_nanos().max(1);
            age.as_nanos() % round < good.as_nanos()
        }
    }
}
