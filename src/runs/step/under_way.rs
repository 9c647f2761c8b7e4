//! Stops that a daemon is still carrying out although nobody waits for its answer any more. Until the grace of such a
//! container is over, it looks as if nobody had asked for its stop.
//! Waits for them to end; starts none.

use std::time::{Duration, Instant};

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::TryStreamExt as _;

use super::{Progress, lease, replicas};
use crate::domain::ids::ContainerId;
use crate::domain::units::Stamp;
use crate::hosts::Daemon;
use crate::hosts::act::DEFAULT_GRACE;
use crate::release::deeds::Scene;
use crate::release::record::Failure;
use crate::release::replica::Replica;

/// Between the end of a grace and the container's: Docker waits so long for it behind its SIGKILL.
const DYING: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);
/// "Only the last 256 log events are returned": Docker's reference of `docker events`.
const REMEMBERED: usize = 256;
/// For what lies in the daemon's memory.
const LIMIT: Duration = Duration::from_secs(10);

/// Waits until none of what ran before on this host is being stopped any more. `answered`: when its daemon last answered.
pub async fn stops(
    daemon: &Daemon,
    scene: &Scene<'_>,
    progress: &mut dyn Progress,
    answered: &mut Instant,
) -> Result<(), Failure> {
    let mut looking = replicas::Looking::new(daemon, &scene.plan.subject);
    let now = looking.replicas().await?;
    *answered = Instant::now();
    let unmoved: Vec<&Replica> = scene.unmoved(&now).collect();
    if unmoved.is_empty() {
        return Ok(());
    }
    let history = history(daemon).await;
    let mut waited: Vec<(&Replica, Duration)> = unmoved
        .into_iter()
        .map(|replica| {
            (
                replica,
                replica.grace.unwrap_or(DEFAULT_GRACE).saturating_add(DYING),
            )
        })
        .filter(|(replica, longest)| {
            let asked = history.as_ref();
            asked.is_none_or(|history| history.may_be_stopping(&replica.id, *longest))
        })
        .collect();
    let opened = Instant::now();
    while let Some((first, _)) = waited.first() {
        progress.text(&format!(
            "a stop of {} may still be running: waiting for it to end",
            first.name
        ));
        tokio::time::sleep(LOOK).await;
        let now = looking.replicas().await?;
        *answered = Instant::now();
        waited.retain(|(replica, longest)| {
            opened.elapsed() < *longest && scene.unmoved(&now).any(|left| left.id == replica.id)
        });
    }
    Ok(())
}

/// What a daemon remembers to have happened.
#[derive(Debug)]
struct History {
    /// Oldest first.
    happened: Vec<Happened>,
    /// By the daemon's clock.
    now: Stamp,
}

#[derive(Debug)]
struct Happened {
    at: Stamp,
    action: String,
    id: String,
}

impl History {
    /// A stop that was begun longer ago has ended. What the daemon forgot may have been one.
    fn may_be_stopping(&self, id: &ContainerId, longest: Duration) -> bool {
        let is_young = |happened: &Happened| happened.at.until(self.now) <= longest;
        let of_it = self.happened.iter().rev().find(|happened| {
            happened.id == id.as_str() && matches!(happened.action.as_str(), "kill" | "die" | "start")
        });
        match of_it {
            Some(last) => last.action == "kill" && is_young(last),
            None => self.happened.len() >= REMEMBERED && self.happened.first().is_some_and(is_young),
        }
    }
}

/// `None`: it does not tell. One that does not answer at all is found by who looks at its containers next.
async fn history(daemon: &Daemon) -> Option<History> {
    // The clock may be told in whole seconds, cut off: what happened in this one counts, too.
    let now = lease::clock(daemon).await.ok()?.plus(Duration::from_secs(1));
    let (seconds, part) = (now.seconds(), now.0.rem_euclid(1_000_000_000));
    let options = EventsOptionsBuilder::default()
        .since("1")
        .until(&format!("{seconds}.{part:09}"))
        .build();
    let told = daemon.read().events(Some(options)).map_ok(happened);
    match tokio::time::timeout(LIMIT, told.try_collect()).await {
        Ok(Ok(happened)) => Some(History { happened, now }),
        Ok(Err(error)) => {
            tracing::warn!(host = %daemon.name(), %error, "it does not tell what happened lately");
            None
        }
        Err(_) => None,
    }
}

fn happened(event: EventMessage) -> Happened {
    let seconds = event.time.map(Stamp::from_seconds);
    Happened {
        at: event.time_nano.map(Stamp).or(seconds).unwrap_or(Stamp(0)),
        action: event.action.unwrap_or_default(),
        id: event.actor.and_then(|actor| actor.id).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(20);

    /// `(age, action)` of `aa`, oldest first, behind so many younger ones of others.
    fn may_be(own: &[(i64, &str)], others: usize, age_of_others: i64) -> bool {
        let now = Stamp::from_seconds(1_000);
        let of = |id: &str, age: i64, action: &str| Happened {
            at: Stamp::from_seconds(1_000 - age),
            action: action.to_owned(),
            id: id.to_owned(),
        };
        let own = own.iter().map(|(age, action)| of("aa", *age, action));
        let others = (0..others).map(|_| of("bb", age_of_others, "exec_start: true"));
        let history = History {
            happened: own.chain(others).collect(),
            now,
        };
        history.may_be_stopping(&ContainerId::parse("aa").unwrap(), LONGEST)
    }

    #[test]
    fn a_kill_with_no_end_behind_it_is_a_stop_under_way_for_as_long_as_one_takes() {
        assert!(may_be(&[(400, "start"), (3, "kill")], 5, 1));
        assert!(!may_be(&[(400, "start"), (25, "kill")], 5, 1));
        assert!(!may_be(&[(9, "kill"), (8, "die")], 5, 1));
        assert!(!may_be(
            &[(9, "kill"), (8, "die"), (7, "stop"), (6, "start")],
            5,
            1
        ));
        assert!(may_be(
            &[(9, "start"), (2, "kill"), (1, "kill"), (1, "exec_die")],
            5,
            1
        ));
    }

    #[test]
    fn what_a_busy_daemon_forgot_may_have_been_a_stop_and_an_idle_one_remembers_all() {
        assert!(!may_be(&[], 0, 0));
        assert!(!may_be(&[], REMEMBERED - 1, 1));
        assert!(may_be(&[], REMEMBERED, 1));
        assert!(!may_be(&[], REMEMBERED, 25));
    }
}
