//! A rolling run that is paused: a wave failed, and the hosts that are wholly replaced are kept instead of put back.
//! What is kept is committed first, as one record; behind it the rest is taken back, as far as it was begun.

use std::collections::BTreeSet;

use super::{Action, Entry, Part, Run, Stage, Way};
use crate::domain::ids::HostName;

impl Run {
    /// False: there is nothing to keep, or it was not wanted; the run turns back.
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

    /// What the ledger says was committed, with the reason that the journal may know.
    pub(super) fn part_of(&mut self, hosts: Option<BTreeSet<HostName>>) -> Option<Part> {
        let known = self.part.take();
        let hosts = hosts?;
        let why = known.map_or_else(|| "it was paused".to_owned(), |part| part.why);
        Some(Part { hosts, why })
    }

    /// On the way back nothing is kept; on the way on after a recovery everybody must be told what is.
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

    /// Behind the commit of a part, each stage is for what is kept or for what is not.
    pub(super) fn in_part<'a>(
        &self,
        stage: &Stage,
        hosts: impl Iterator<Item = &'a HostName>,
    ) -> Vec<HostName> {
        let kept = match (self.way, &self.part) {
            (Way::On, Some(part)) => Some(&part.hosts),
            (Way::On, None) | (Way::Out | Way::Ask | Way::Back, _) => None,
        };
        let is_for = |host: &&HostName| match (kept, stage) {
            (Some(kept), Stage::Settle | Stage::Promote | Stage::Retire | Stage::Prove | Stage::CleanUp) => {
                kept.contains(*host)
            }
            (Some(kept), Stage::Wave(..) | Stage::Halt | Stage::Restore | Stage::Remove | Stage::Check) => {
                !kept.contains(*host)
            }
            (_, _) => true,
        };
        hosts.filter(is_for).cloned().collect()
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
