//! When a started replica counts as ready: running since the same start, healthy if it has a health check, probes passed,
//! for the configured time. Judges observations; the driver makes them.

use std::time::Duration;

use super::replica::{Replica, Up};
use crate::config::service::Gate;
use crate::domain::container::Health;

/// A single relapse may be part of starting, a second one bad luck.
const FLAPS: u32 = 3;

/// The observation of one replica.
#[derive(Clone, Debug)]
pub struct Watch {
    name: String,
    started_at: String,
    restarts: u64,
    /// Since when it has been ready without interruption, counted from the start of the gate.
    good_since: Option<Duration>,
    /// Consecutive passes of its probe.
    passes: u32,
    /// How often it became ready and then failed again.
    relapses: u32,
    /// Whether it must become healthy; a container that was unhealthy before the run need not.
    must_be_healthy: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The progress to show: `starting, 4 s of 60 s`.
    Wait(String),
    Good,
    Bad(String),
}

impl Watch {
    /// Starts from the first observation after it was started.
    #[must_use]
    pub fn new(first: &Replica, must_be_healthy: bool) -> Self {
        Self {
            name: first.name.clone(),
            started_at: first.started_at.clone(),
            restarts: first.restarts,
            good_since: None,
            passes: 0,
            relapses: 0,
            must_be_healthy,
        }
    }

    /// `now` counts from the start of the gate. `seen`: `None` if the container is gone. `probed`: the result of its probe, if
    /// it has one; `Err` says why it failed.
    pub fn look(
        &mut self,
        gate: &Gate,
        now: Duration,
        seen: Option<&Replica>,
        probed: Option<&Result<(), String>>,
    ) -> Verdict {
        let name = &self.name.clone();
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
            return Verdict::Bad(format!("{name} was restarted during the gate"));
        }
        let health = if self.must_be_healthy {
            seen.health
        } else {
            Health::Unchecked
        };
        match health {
            Health::Unhealthy => return Verdict::Bad(format!("{name} is unhealthy")),
            Health::Starting => {
                if let Some(flaps) = self.relapse("its health check started over") {
                    return flaps;
                }
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
        if let Some(probe) = &gate.probe {
            match self.probed(gate, &probe.words(), now, probed) {
                Verdict::Good => {}
                other => return other,
            }
        }
        let since = *self.good_since.get_or_insert(now);
        let steady = now.saturating_sub(since);
        if steady >= gate.steady {
            return Verdict::Good;
        }
        let word = match health {
            _ if gate.probe.is_some() => "answering",
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

impl Watch {
    fn probed(
        &mut self,
        gate: &Gate,
        probe: &str,
        now: Duration,
        probed: Option<&Result<(), String>>,
    ) -> Verdict {
        let why = match probed {
            Some(Ok(())) => {
                self.passes = self.passes.saturating_add(1);
                None
            }
            Some(Err(why)) => Some(why.as_str()),
            None => None,
        };
        if let Some(why) = why {
            if let Some(flaps) = self.relapse(&format!("{probe}: {why}")) {
                return flaps;
            }
        } else if self.passes >= gate.times {
            return Verdict::Good;
        }
        let said = why.map_or_else(
            || format!("passed {} of {} times", self.passes, gate.times),
            str::to_owned,
        );
        let limit = gate.within.as_secs();
        if now >= gate.within {
            Verdict::Bad(format!(
                "{} does not pass {probe} within {limit} s: {said}",
                self.name
            ))
        } else {
            Verdict::Wait(format!("{probe}: {said}, {} s of {limit} s", now.as_secs()))
        }
    }

    /// It is not ready now. After enough relapses it counts as flapping.
    fn relapse(&mut self, why: &str) -> Option<Verdict> {
        self.passes = 0;
        self.good_since.take()?;
        self.relapses += 1;
        (self.relapses >= FLAPS).then(|| {
            Verdict::Bad(format!(
                "{} is flapping: was ready and then not, {FLAPS} times; last: {why}",
                self.name
            ))
        })
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
    use crate::config::service::Probe;
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
            grace: None,
            health,
            policy: Policy::No,
            error: None,
        }
    }

    fn gate() -> Gate {
        Gate {
            steady: Duration::from_secs(3),
            within: Duration::from_mins(1),
            ..Gate::default()
        }
    }

    /// What its probe said at each second, and what was made of it.
    fn probed(answers: &[Result<(), &str>], times: u32) -> Vec<Verdict> {
        let gate = Gate {
            probe: Some(Probe::Tcp(80)),
            times,
            ..gate()
        };
        let up = replica(Up::Running, Health::Unchecked);
        let mut watch = Watch::new(&up, true);
        let answers = answers.iter().enumerate();
        answers
            .map(|(at, answer)| {
                let answer = answer.map_err(str::to_owned);
                watch.look(&gate, Duration::from_secs(at as u64), Some(&up), Some(&answer))
            })
            .collect()
    }

    fn verdicts(looks: &[(u64, Replica)]) -> Vec<Verdict> {
        let mut watch = Watch::new(&looks[0].1, true);
        looks
            .iter()
            .map(|(at, seen)| watch.look(&gate(), Duration::from_secs(*at), Some(seen), None))
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
    fn a_probe_must_pass_so_often_in_a_row_and_then_stay_so() {
        let seen = probed(
            &[Ok(()), Err("refused"), Ok(()), Ok(()), Ok(()), Ok(()), Ok(())],
            2,
        );
        assert_eq!(
            seen[0],
            Verdict::Wait("tcp :80: passed 1 of 2 times, 0 s of 60 s".to_owned())
        );
        assert_eq!(seen[1], Verdict::Wait("tcp :80: refused, 1 s of 60 s".to_owned()));
        assert_eq!(seen[3], Verdict::Wait("answering, 0 s of 3 s".to_owned()));
        assert_eq!(seen[5], Verdict::Wait("answering, 2 s of 3 s".to_owned()));
        assert_eq!(seen[6], Verdict::Good);
    }

    #[test]
    fn a_probe_that_never_passes_fails_with_what_it_was_told_last() {
        let answers = vec![Err("it answered 503"); 61];
        assert_eq!(
            probed(&answers, 1)[60],
            Verdict::Bad("shop.r2.1 does not pass tcp :80 within 60 s: it answered 503".to_owned())
        );
    }

    #[test]
    fn what_flaps_fails_long_before_its_time_is_over() {
        let answers: Vec<Result<(), &str>> = (0..12)
            .map(|at| {
                if at % 2 == 0 {
                    Ok(())
                } else {
                    Err("it answered 500")
                }
            })
            .collect();
        let seen = probed(&answers, 1);
        assert_eq!(
            seen[5],
            Verdict::Bad(
                "shop.r2.1 is flapping: was ready and then not, 3 times; last: tcp :80: it answered 500"
                    .to_owned()
            )
        );
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
