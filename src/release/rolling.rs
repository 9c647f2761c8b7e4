//! Rolling deploys: replicas are replaced in waves over all hosts, each ready before the next one begins.
//! Decides only the waves and the order within each; what happens to a replica is in `deeds`.

use super::plan::Plan;
use super::road::Group;
use super::stage::{Stage, Turn};
use crate::config::service::{OnFailure, Order, Rolling, Strategy};
use crate::domain::ids::HostName;

/// The replicas of a host that belong to a wave, by their index among the new ones and among the old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    first: usize,
    /// `None` for the last share of a host, which takes all the rest.
    end: Option<usize>,
}

impl Share {
    const NOTHING: Self = Self {
        first: 0,
        end: Some(0),
    };

    #[must_use]
    pub fn has(self, place: usize) -> bool {
        place >= self.first && self.end.is_none_or(|end| place < end)
    }
}

/// The hosts of one wave, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wave {
    pub shares: Vec<(HostName, Share)>,
}

impl Wave {
    pub fn hosts(&self) -> impl Iterator<Item = &HostName> {
        self.shares.iter().map(|(host, _)| host)
    }

    #[must_use]
    pub fn share(&self, host: &HostName) -> Share {
        let own = self.shares.iter().find(|(name, _)| name == host);
        own.map_or(Share::NOTHING, |(_, share)| *share)
    }
}

/// In the order of the configuration, the canary host first and alone; empty for the strategy `recreate`.
#[must_use]
pub fn waves(plan: &Plan) -> Vec<Wave> {
    let (Some(rolling), Some(deploy)) = (plan.rolling(), plan.deploy()) else {
        return Vec::new();
    };
    let replicas = usize::try_from(deploy.replicas).unwrap_or(usize::MAX);
    let batch = rolling.batch.size(plan.targets.len().saturating_mul(replicas));
    let is_canary = |host: &HostName| rolling.canary.as_ref() == Some(host);
    let (canary, others): (Vec<&HostName>, Vec<&HostName>) =
        plan.targets.iter().partition(|host| is_canary(host));
    let mut waves = cut(&canary, replicas, batch);
    waves.extend(cut(&others, replicas, batch));
    waves
}

fn cut(hosts: &[&HostName], replicas: usize, batch: usize) -> Vec<Wave> {
    let places: Vec<(&HostName, usize)> = hosts
        .iter()
        .flat_map(|host| (0..replicas).map(move |place| (*host, place)))
        .collect();
    places
        .chunks(batch)
        .map(|places| {
            let mut wave = Wave::default();
            for (host, place) in places {
                let end = (place + 1 < replicas).then_some(place + 1);
                match wave.shares.last_mut() {
                    Some((last, share)) if last == *host => share.end = end,
                    Some(_) | None => wave.shares.push(((*host).clone(), Share { first: *place, end })),
                }
            }
            wave
        })
        .collect()
}

/// The waves towards the commit.
pub(super) fn out(plan: &Plan, order: Order) -> Vec<Group> {
    let turns = match order {
        Order::StopFirst => [Turn::Stop, Turn::Start, Turn::Gate, Turn::Before],
        Order::StartFirst => [Turn::Start, Turn::Gate, Turn::Before, Turn::Stop],
    };
    let has_tests = !plan.tests_before().is_empty();
    let taken = turns
        .into_iter()
        .filter(|turn| has_tests || *turn != Turn::Before);
    let taken: Vec<Turn> = taken.collect();
    numbers(waves(plan).len())
        .flat_map(|n| taken.iter().map(move |turn| vec![Stage::Wave(n, *turn)]))
        .collect()
}

/// Undoes the first `begun` waves, the last of them first.
#[must_use]
pub fn back(plan: &Plan, begun: u32) -> Vec<Group> {
    let Some(rolling) = plan.rolling() else {
        return Vec::new();
    };
    let turns = match rolling.order {
        Order::StopFirst => [Turn::Halt, Turn::Restore, Turn::Regate],
        Order::StartFirst => [Turn::Restore, Turn::Regate, Turn::Halt],
    };
    let all: Vec<u32> = numbers(waves(plan).len()).filter(|n| *n <= begun).collect();
    all.into_iter()
        .rev()
        .flat_map(|n| turns.map(|turn| vec![Stage::Wave(n, turn)]))
        .collect()
}

fn numbers(count: usize) -> impl Iterator<Item = u32> {
    1..=u32::try_from(count).unwrap_or(u32::MAX)
}

impl Plan {
    #[must_use]
    pub fn rolling(&self) -> Option<&Rolling> {
        match &self.deploy()?.strategy {
            Strategy::Rolling(rolling) => Some(rolling),
            Strategy::Recreate => None,
        }
    }

    /// Counted from 1.
    #[must_use]
    pub fn wave(&self, n: u32) -> Wave {
        let index = usize::try_from(n).ok().and_then(|n| n.checked_sub(1));
        index
            .and_then(|index| waves(self).into_iter().nth(index))
            .unwrap_or_default()
    }

    /// Whether finished waves are kept if a later one fails.
    #[must_use]
    pub fn pauses(&self) -> bool {
        self.rolling()
            .is_some_and(|rolling| rolling.on_failure == OnFailure::Pause)
    }

    /// Whether old and new replicas run side by side for a while.
    #[must_use]
    pub fn starts_first(&self) -> bool {
        self.rolling()
            .is_some_and(|rolling| rolling.order == Order::StartFirst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(hosts: &[&str], replicas: usize, batch: usize) -> Vec<String> {
        let hosts: Vec<HostName> = hosts.iter().map(|name| HostName::parse(name).unwrap()).collect();
        let hosts: Vec<&HostName> = hosts.iter().collect();
        cut(&hosts, replicas, batch)
            .iter()
            .map(|wave| {
                let parts = wave.shares.iter().map(|(host, share)| {
                    let end = share.end.map(|end| end.to_string()).unwrap_or_default();
                    format!("{host}[{}..{end}]", share.first)
                });
                parts.collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    #[test]
    fn waves_are_cut_over_replicas_and_hosts_and_the_last_of_a_host_takes_what_is_left() {
        assert_eq!(shapes(&["a", "b"], 1, 1), ["a[0..]", "b[0..]"]);
        assert_eq!(shapes(&["a", "b", "c"], 1, 2), ["a[0..] b[0..]", "c[0..]"]);
        assert_eq!(shapes(&["a", "b"], 2, 3), ["a[0..] b[0..1]", "b[1..]"]);
        assert_eq!(shapes(&["a"], 3, 1), ["a[0..1]", "a[1..2]", "a[2..]"]);
        assert!(shapes(&[], 3, 1).is_empty());
    }

    #[test]
    fn every_place_is_in_exactly_one_share_of_its_host() {
        let host = HostName::parse("a").unwrap();
        for batch in 1..6 {
            let waves = cut(&[&host], 4, batch);
            for place in [0, 1, 2, 3, 9, usize::MAX] {
                let having = waves.iter().filter(|wave| wave.share(&host).has(place));
                assert_eq!(having.count(), 1, "place {place}, batch {batch}");
            }
        }
    }
}
