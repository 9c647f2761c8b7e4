//! `on_failure = "pause"`: a wave failed, and the hosts that are completely replaced are kept instead of undone.
//! They are committed first, as one record; then the unfinished rest is undone.

use std::collections::BTreeSet;

use super::{Action, Entry, Part, Run, Stage, Way};
use crate::domain::ids::HostName;

impl Run {
    /// Returns `false` if there is nothing to keep, or pausing is not configured; then the run is undone.
    pub(super) fn pause(&mut self, actions: &mut Vec<Action>) -> bool {
        let Some(trouble) = &self.trouble else {
            return false;
        };
        let ahead = self.road.get(self.at..).unwrap_or_default();
        let in_wave = matches!(
            ahead.first().and_then(|group| group.first()),
            Some(Stage::Wave(..))
        );
        if !self.plan.pauses() || !in_wave || trouble.cancelled || self.part.is_some() {
            return false;
        }
        let unfinished: BTreeSet<HostName> = ahead
            .iter()
            .flatten()
            .filter_map(|stage| match stage {
                Stage::Wave(n, _) => Some(*n),
                _ => None,
            })
            .collect::<BTreeSet<u32>>()
            .into_iter()
            .flat_map(|n| self.plan.wave(n).hosts().cloned().collect::<Vec<_>>())
            .collect();
        let is_kept = |host: &&HostName| !unfinished.contains(*host) && !self.lost.contains_key(*host);
        let hosts: BTreeSet<HostName> = self.order.iter().filter(is_kept).cloned().collect();
        // The commit is a record on the first host in lock order.
        let can_commit = self
            .order
            .first()
            .is_some_and(|first| !self.lost.contains_key(first));
        if hosts.is_empty() || !can_commit {
            return false;
        }
        let why = trouble.why.clone();
        self.trouble = None;
        self.part = Some(Part {
            hosts: hosts.clone(),
            why: why.clone(),
        });
        actions.push(Action::Write(Entry::Kept { hosts, why }));
        self.road = vec![vec![Stage::Commit]];
        self.at = 0;
        self.enter(actions);
        true
    }

    /// The committed part according to the ledger, with the reason from the journal if it has one.
    pub(super) fn part_of(&mut self, hosts: Option<BTreeSet<HostName>>) -> Option<Part> {
        let known = self.part.take();
        let hosts = hosts?;
        let why = known.map_or_else(|| "it was paused".to_owned(), |part| part.why);
        Some(Part { hosts, why })
    }

    /// On the way back nothing is kept; on the way on after a recovery the kept part is journaled again.
    pub(super) fn settle_part(&mut self, before: Way, actions: &mut Vec<Action>) {
        match (self.way, &self.part) {
            (Way::On, Some(_)) if self.void.is_some() => self.part = None,
            (Way::On, Some(part)) if before == Way::Ask => actions.push(Action::Write(Entry::Kept {
                hosts: part.hosts.clone(),
                why: part.why.clone(),
            })),
            (Way::Back, _) => self.part = None,
            (Way::On | Way::Out | Way::Ask, _) => {}
        }
    }

    /// After a partial commit, each stage applies either to the kept hosts or to the others.
    fn kept(&self) -> Option<&BTreeSet<HostName>> {
        match (self.way, &self.part) {
            (Way::On, Some(part)) => Some(&part.hosts),
            (Way::On, None) | (Way::Out | Way::Ask | Way::Back, _) => None,
        }
    }

    pub(super) fn is_kept(&self, host: &HostName) -> bool {
        self.kept().is_none_or(|kept| kept.contains(host))
    }

    pub(super) fn is_rest(&self, host: &HostName) -> bool {
        self.kept().is_none_or(|kept| !kept.contains(host))
    }

    /// `SPLIT: r42 on web-1 and web-2, as before on web-3`
    pub(super) fn split_words(&self, part: &Part) -> String {
        let known = self.order.iter().filter(|host| !self.lost.contains_key(*host));
        let (kept, rest): (Vec<&HostName>, Vec<&HostName>) =
            known.partition(|host| part.hosts.contains(*host));
        let names = |hosts: &[&HostName]| {
            let words: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
            words.join(", ")
        };
        let release = self.decision.as_ref().map_or_else(
            || "the new release".to_owned(),
            |decision| decision.release.to_string(),
        );
        let mut words = format!("SPLIT: {release} on {}", names(&kept));
        if !rest.is_empty() {
            words = format!("{words}; as before on {}", names(&rest));
        }
        words
    }
}
