//! When a started replica counts as good: the same start, no restart, running, healthy where a check is declared, steadily.
//! Judges what was seen and when; looking again is the driver's.

use std::time::Duration;

use super::replica::{Replica, Up};
use crate::config::service::Gate;
use crate::domain::container::Health;

/// One replica behind the gate.
#[derive(Clone, Debug)]
pub struct Watch {
    name: String,
    started_at: String,
    restarts: u64,
    /// Since when, counted from the opening of the gate, it has looked good without a break.
    good_since: Option<Duration>,
    /// It was good before; a container that was unhealthy before may be so again.
    must_be_healthy: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What to show meanwhile: `starting, 4 s of 60 s`.
    Wait(String),
    Good,
    Bad(String),
}

impl Watch {
    /// From the first look after it was started.
    #[must_use]
    pub fn new(first: &Replica, must_be_healthy: bool) -> Self {
        Self {
            name: first.name.clone(),
            started_at: first.started_at.clone(),
            restarts: first.restarts,
            good_since: None,
            must_be_healthy,
        }
    }

    /// `now` counts from the opening of the gate; `None`: the container is gone.
    pub fn look(&mut self, gate: &Gate, now: Duration, seen: Option<&Replica>) -> Verdict {
        let name = &self.name;
        let Some(seen) = seen else {
            return Verdict::Bad(format!("{name} is gone"));
        };
        match seen.state {
            Up::Running => {}
            Up::Created | Up::Paused | Up::Restarting | Up::Exited { .. } | Up::Dead | Up::Removing => {
                return Verdict::Bad(format!("{name} {}", said(seen)));
            }
        }
        if seen.started_at != self.started_at || seen.restarts != self.restarts {
            return Verdict::Bad(format!("{name} was started again meanwhile"));
        }
        let health = if self.must_be_healthy {
            seen.health
        } else {
            Health::Unchecked
        };
        match health {
            Health::Unhealthy => return Verdict::Bad(format!("{name} is unhealthy")),
            Health::Starting => {
                self.good_since = None;
                return if now >= gate.within {
                    Verdict::Bad(format!(
                        "{name} is still starting after {} s",
                        gate.within.as_secs()
                    ))
                } else {
                    Verdict::Wait(format!(
                        "starting, {} s of {} s",
                        now.as_secs(),
                        gate.within.as_secs()
                    ))
                };
            }
            Health::Healthy | Health::Unchecked => {}
        }
        let since = *self.good_since.get_or_insert(now);
        let steady = now.saturating_sub(since);
        if steady >= gate.steady {
            return Verdict::Good;
        }
        let word = match health {
            Health::Healthy => "healthy",
            Health::Unchecked | Health::Starting | Health::Unhealthy => "running",
        };
        Verdict::Wait(format!(
            "{word}, {} s of {} s",
            steady.as_secs(),
            gate.steady.as_secs().max(1)
        ))
    }
}

fn said(seen: &Replica) -> String {
    match &seen.error {
        Some(error) if !error.is_empty() => format!("is {}: {error}", seen.state),
        Some(_) | None => match seen.state {
            Up::Exited { .. } => seen.state.to_string(),
            Up::Created | Up::Running | Up::Paused | Up::Restarting | Up::Dead | Up::Removing => {
                format!("is {}", seen.state)
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ContainerId;
    use crate::release::replica::Policy;

    fn replica(state: Up, health: Health) -> Replica {
        Replica {
            kept: std::collections::BTreeMap::new(),
            id: ContainerId::parse("a1").unwrap(),
            name: "shop.r2.1".to_owned(),
            release: None,
            previous: None,
            run: None,
            image: String::new(),
            state,
            started_at: "t1".to_owned(),
            restarts: 0,
            health,
            policy: Policy::No,
            error: None,
        }
    }

    fn gate() -> Gate {
        Gate {
            steady: Duration::from_secs(3),
            within: Duration::from_mins(1),
        }
    }

    fn verdicts(looks: &[(u64, Replica)]) -> Vec<Verdict> {
        let mut watch = Watch::new(&looks[0].1, true);
        looks
            .iter()
            .map(|(at, seen)| watch.look(&gate(), Duration::from_secs(*at), Some(seen)))
            .collect()
    }

    #[test]
    fn a_replica_is_good_once_it_ran_steadily_for_the_minimum_time() {
        let up = replica(Up::Running, Health::Unchecked);
        let seen = verdicts(&[(0, up.clone()), (2, up.clone()), (3, up)]);
        assert!(matches!(seen[1], Verdict::Wait(_)));
        assert_eq!(seen[2], Verdict::Good);
    }

    #[test]
    fn starting_waits_until_the_limit_and_unhealthy_fails_at_once() {
        let starting = replica(Up::Running, Health::Starting);
        let seen = verdicts(&[(0, starting.clone()), (59, starting.clone()), (60, starting)]);
        assert_eq!(seen[1], Verdict::Wait("starting, 59 s of 60 s".to_owned()));
        assert!(matches!(seen[2], Verdict::Bad(_)));
        let seen = verdicts(&[(0, replica(Up::Running, Health::Unhealthy))]);
        assert_eq!(seen[0], Verdict::Bad("shop.r2.1 is unhealthy".to_owned()));
    }

    #[test]
    fn the_time_of_being_good_begins_anew_after_a_relapse() {
        let healthy = replica(Up::Running, Health::Healthy);
        let starting = replica(Up::Running, Health::Starting);
        let seen = verdicts(&[
            (0, healthy.clone()),
            (2, starting),
            (4, healthy.clone()),
            (6, healthy),
        ]);
        assert!(matches!(seen[3], Verdict::Wait(_)), "{seen:?}");
    }

    #[test]
    fn a_restart_behind_the_gate_fails_even_if_it_runs_again() {
        let first = replica(Up::Running, Health::Unchecked);
        let mut again = first.clone();
        again.started_at = "t2".to_owned();
        assert!(matches!(verdicts(&[(0, first), (1, again)])[1], Verdict::Bad(_)));
    }

    #[test]
    fn an_exit_is_told_with_its_code() {
        let up = replica(Up::Running, Health::Unchecked);
        let out = replica(Up::Exited { code: 137, oom: true }, Health::Unchecked);
        assert_eq!(
            verdicts(&[(0, up), (1, out)])[1],
            Verdict::Bad("shop.r2.1 killed for memory (code 137)".to_owned())
        );
    }
}
