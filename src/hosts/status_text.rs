//! Parses Docker's status column ("Up 2 hours (healthy)", "Exited (137) 3 minutes ago").
//! The list has these facts in no other form; the times are only as exact as the text.

use std::time::Duration;

use crate::domain::container::{Health, State};
use crate::domain::units::Stamp;

/// The state named by `word`, with what the status text adds to it, and the health check's result.
pub(super) fn read(word: &str, status: &str, taken: Stamp) -> (State, Health) {
    let since = age(status).map(|age| taken.minus(age));
    let state = match word {
        "created" | "configured" | "initialized" => State::Created,
        "running" | "stopping" => State::Running { since },
        "paused" => State::Paused { since },
        "restarting" => State::Restarting {
            code: code(status),
            since,
        },
        "removing" => State::Removing,
        "dead" => State::Dead,
        // `exited`, Podman's `stopped`, and words that are yet to be invented.
        _ => State::exited(code(status).unwrap_or(0), since, false),
    };
    (state, health(status))
}

fn health(status: &str) -> Health {
    if status.ends_with("(healthy)") {
        Health::Healthy
    } else if status.ends_with("(unhealthy)") {
        Health::Unhealthy
    } else if status.ends_with("starting)") {
        Health::Starting
    } else {
        Health::Unchecked
    }
}

/// `Exited (137) 3 minutes ago` → 137
fn code(status: &str) -> Option<i32> {
    let (_, rest) = status.split_once('(')?;
    rest.split_once(')')?.0.parse().ok()
}

/// The span that the text tells, as Docker writes spans (docker/go-units `HumanDuration`).
fn age(status: &str) -> Option<Duration> {
    let text = match status.strip_prefix("Up ") {
        Some(rest) => rest.split(" (").next()?,
        None => status.split_once(") ")?.1.strip_suffix(" ago")?,
    };
    let seconds = match text {
        "Less than a second" => 0,
        "About a minute" => 60,
        "About an hour" => 3_600,
        counted => {
            let (number, unit) = counted.split_once(' ')?;
            number.parse::<u64>().ok()?.checked_mul(unit_seconds(unit)?)?
        }
    };
    Some(Duration::from_secs(seconds))
}

fn unit_seconds(unit: &str) -> Option<u64> {
    match unit.trim_end_matches('s') {
        "second" => Some(1),
        "minute" => Some(60),
        "hour" => Some(3_600),
        "day" => Some(86_400),
        "week" => Some(7 * 86_400),
        "month" => Some(30 * 86_400),
        "year" => Some(365 * 86_400),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Stamp = Stamp(1_000_000_000_000_000_000);

    fn ago(seconds: u64) -> Stamp {
        NOW.minus(Duration::from_secs(seconds))
    }

    #[test]
    fn every_form_of_docker_is_understood() {
        let cases = [
            (
                "running",
                "Up 2 hours",
                State::Running {
                    since: Some(ago(7_200)),
                },
                Health::Unchecked,
            ),
            (
                "running",
                "Up About a minute (healthy)",
                State::Running { since: Some(ago(60)) },
                Health::Healthy,
            ),
            (
                "running",
                "Up Less than a second (health: starting)",
                State::Running { since: Some(ago(0)) },
                Health::Starting,
            ),
            (
                "running",
                "Up 3 weeks (unhealthy)",
                State::Running {
                    since: Some(ago(21 * 86_400)),
                },
                Health::Unhealthy,
            ),
            (
                "paused",
                "Up 5 minutes (Paused)",
                State::Paused {
                    since: Some(ago(300)),
                },
                Health::Unchecked,
            ),
            (
                "exited",
                "Exited (137) 3 minutes ago",
                State::Exited {
                    code: 137,
                    at: Some(ago(180)),
                    oom: false,
                },
                Health::Unchecked,
            ),
            (
                "restarting",
                "Restarting (1) 5 seconds ago",
                State::Restarting {
                    code: Some(1),
                    since: Some(ago(5)),
                },
                Health::Unchecked,
            ),
            ("created", "Created", State::Created, Health::Unchecked),
            (
                "removing",
                "Removal In Progress",
                State::Removing,
                Health::Unchecked,
            ),
            ("dead", "Dead", State::Dead, Health::Unchecked),
        ];
        for (word, status, state, health) in cases {
            assert_eq!(read(word, status, NOW), (state, health), "{status}");
        }
    }

    #[test]
    fn words_that_nobody_knows_leave_the_moment_open() {
        let (state, _) = read("running", "Up a good while", NOW);
        assert_eq!(state, State::Running { since: None });
    }
}
