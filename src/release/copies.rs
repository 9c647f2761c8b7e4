//! Merges the copies of one history, one per host, and finds what was committed since a run last read them.
//! Compares contents: clocks of two machines may differ by hours, so times are used only if nothing else distinguishes two entries.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::decision::{Decision, Facts};
use super::ledger::{Ledger, LedgerEntry};
use crate::domain::ids::{HostName, ReleaseNumber, RunId};

/// Commits of each copy that a decision remembers: the last one is compared, and a copy may have been restored from a backup.
const REMEMBERED: usize = 10;

/// The contents of the copies when a run read them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// The runs of the last commits.
    pub runs: BTreeSet<RunId>,
    /// Whether the copy of the first host in lock order had a commit; if it has none of these later, it was lost.
    pub first: bool,
}

impl Past {
    #[must_use]
    pub fn of(order: &[HostName], facts: &Facts) -> Self {
        let read = |host: &HostName| facts.get(host).and_then(|seen| seen.ledger.read());
        Self {
            runs: order
                .iter()
                .filter_map(read)
                .flat_map(|ledger| ledger.committed().rev().take(REMEMBERED))
                .map(|entry| entry.run.clone())
                .collect(),
            first: order
                .first()
                .and_then(read)
                .is_some_and(|ledger| ledger.committed().next().is_some()),
        }
    }

    /// Whether the first host, which now has `now`, has lost its copy.
    #[must_use]
    pub fn is_lost(&self, now: &Ledger) -> bool {
        self.first && !now.committed().any(|entry| self.runs.contains(&entry.run))
    }

    /// Whether the last commit is neither this run's nor one it had seen.
    #[must_use]
    pub fn is_over(&self, run: &RunId, now: &Ledger) -> bool {
        now.committed()
            .next_back()
            .is_some_and(|last| last.run != *run && !self.runs.contains(&last.run))
    }
}

impl Decision {
    /// Whether another run was committed since this one was decided. Runs it saw under its locks do not count, however long it had
    /// waited for them.
    #[must_use]
    pub fn is_superseded(&self, run: &RunId, now: &Ledger) -> bool {
        match &self.past {
            Some(past) => past.is_over(run, now),
            // An earlier program's: all that it wrote down is which release was the last.
            None => now
                .committed()
                .next_back()
                .is_some_and(|last| last.run != *run && Some(last.release) != self.from),
        }
    }
}

/// Everything that any of the copies holds, each once: a copy that lacks something is filled up, and of two that went
/// different ways the one that knows more has the last word.
#[must_use]
pub fn joined<'a>(copies: impl IntoIterator<Item = &'a Ledger>) -> Option<Ledger> {
    let mut copies = copies.into_iter();
    let first = copies.next()?.clone();
    Some(copies.fold(first, |joined, copy| join(&joined, copy)))
}

impl Ledger {
    /// This copy with the entries that only `other` has; keeps its own generation and its own unlocks.
    #[must_use]
    pub fn filled_from(self, other: Option<&Self>) -> Self {
        match other {
            Some(other) => Self {
                entries: join(&self, other).entries,
                ..self
            },
            None => self,
        }
    }
}

fn join(one: &Ledger, other: &Ledger) -> Ledger {
    let (ahead, behind) = match compare(one, other) {
        Ordering::Less => (other, one),
        Ordering::Equal | Ordering::Greater => (one, other),
    };
    let mut entries = ahead.entries.clone();
    // Behind what it stands behind in its own copy, so before all that was done without knowing of it.
    let mut place = 0;
    for entry in &behind.entries {
        let known = entries.iter().position(|known| is_same(known, entry));
        if known.is_none() {
            entries.insert(place, entry.clone());
        }
        place = known.unwrap_or(place).saturating_add(1).max(place);
    }
    Ledger {
        generation: one.generation.max(other.generation),
        entries,
        unlocked: ahead.unlocked.clone(),
    }
}

fn is_same(one: &LedgerEntry, other: &LedgerEntry) -> bool {
    one.run == other.run && one.result == other.result
}

/// Which of two copies is further: the one that the other lacks something of; of two that both lack something,
///
/// 1. the one whose own commits go out from a release that only the other one committed,
/// 2. the one with the higher release, as numbers are given out under the locks,
/// 3. the one with more commits, with more entries, written more often,
/// 4. by the clocks.
fn compare(one: &Ledger, other: &Ledger) -> Ordering {
    let (own, others) = (beside(one, other), beside(other, one));
    match (own.is_empty(), others.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Less,
        (false, true) => return Ordering::Greater,
        (false, false) => {}
    }
    let rank = |ledger: &Ledger, own: &[&LedgerEntry], others: &[&LedgerEntry]| {
        let commits = own.iter().filter(|entry| entry.is_committed());
        let last = own.last();
        (
            goes_out_from(own, others),
            commits.clone().map(|entry| entry.release).max(),
            commits.count(),
            own.len(),
            ledger.generation,
            last.map(|entry| (entry.at, entry.run.clone())),
        )
    };
    rank(one, &own, &others).cmp(&rank(other, &others, &own))
}

/// Entries that only `one` has.
fn beside<'a>(one: &'a Ledger, other: &Ledger) -> Vec<&'a LedgerEntry> {
    let is_alone = |entry: &&LedgerEntry| !other.entries.iter().any(|known| is_same(known, entry));
    one.entries.iter().filter(is_alone).collect()
}

fn goes_out_from(own: &[&LedgerEntry], others: &[&LedgerEntry]) -> bool {
    let committed = |entries: &[&LedgerEntry]| -> BTreeSet<ReleaseNumber> {
        let committed = entries.iter().filter(|entry| entry.is_committed());
        committed.map(|entry| entry.release).collect()
    };
    let (own_ones, other_ones) = (committed(own), committed(others));
    let froms = own.iter().filter_map(|entry| entry.from);
    froms
        .filter(|from| other_ones.contains(from))
        .any(|from| !own_ones.contains(&from))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ledger::LedgerResult;
    use super::super::ledger::tests::entry;
    use super::*;
    use crate::domain::units::Stamp;

    /// `c7<6`: run 7 committed r7 over r6; `x7<6`: it was taken back.
    fn ledger(words: &str) -> Ledger {
        let entries = words.split_whitespace().map(|word| {
            let (number, from) = word.get(1..).unwrap().split_once('<').unwrap();
            let reverted = LedgerResult::Reverted {
                why: "a test".to_owned(),
            };
            LedgerEntry {
                from: from.parse().ok().map(ReleaseNumber),
                result: if word.starts_with('c') {
                    LedgerResult::Committed
                } else {
                    reverted
                },
                ..entry(&format!("run-{number}"), number.parse().unwrap())
            }
        });
        entries.fold(Ledger::default(), |ledger, entry| ledger.with(entry))
    }

    fn stamped(mut ledger: Ledger, seconds: &[i64]) -> Ledger {
        for (entry, seconds) in ledger.entries.iter_mut().zip(seconds) {
            entry.at = Stamp::from_seconds(*seconds);
        }
        ledger
    }

    fn words(ledger: &Ledger) -> String {
        let words: Vec<String> = ledger
            .entries
            .iter()
            .map(|entry| entry.run.as_str().trim_start_matches("run-").to_owned())
            .collect();
        words.join(" ")
    }

    fn check(one: &str, other: &str, wanted: &str) {
        for (one, other) in [(one, other), (other, one)] {
            let (one, other) = (ledger(one), ledger(other));
            assert_eq!(words(&joined([&one, &other]).unwrap()), wanted);
        }
    }

    #[test]
    fn what_a_copy_lacks_it_gets_whatever_the_clocks_said() {
        check("c4<3 c5<4 c6<5", "c4<3 c5<4", "4 5 6");
        let ahead = stamped(ledger("c5<4 c6<5"), &[9_000, 1_800]);
        let behind = stamped(ledger("c5<4"), &[9_000]);
        for copies in [[&ahead, &behind], [&behind, &ahead]] {
            let both = joined(copies).unwrap();
            assert_eq!(both.committed().next_back().unwrap().release, ReleaseNumber(6));
        }
    }

    #[test]
    fn of_two_that_went_different_ways_the_one_that_knows_more_has_the_last_word() {
        check("c5<4 c6<5", "c5<4 x7<6", "5 6 7");
        check("c5<4 c6<5", "c5<4 c7<5", "5 6 7");
        check("c5<4 c6<5 c9<6", "c5<4 c7<5 c8<7", "5 7 8 6 9");
        // Equally long ones too are the same afterwards.
        let (one, other) = (ledger("c5<4 c6<5"), ledger("c5<4 c7<5"));
        let (one, other) = (
            one.clone().filled_from(Some(&other)),
            other.filled_from(Some(&one)),
        );
        assert_eq!(one.entries, other.entries);
    }

    #[test]
    fn a_run_is_past_once_another_than_those_it_saw_was_committed() {
        let past = Past {
            runs: BTreeSet::from([RunId::parse("run-5").unwrap()]),
            first: true,
        };
        let run = RunId::parse("run-6").unwrap();
        for (now, is_past) in [
            ("c4<3 c5<4", false),
            ("c4<3 c5<4 c6<5", false),
            ("c4<3 c5<4 c7<5", true),
            ("c4<3 c5<4 c6<5 c7<6", true),
            ("c4<3 c5<4 x7<5", false),
            ("", false),
        ] {
            let now = stamped(ledger(now), &[7, 5, 3, 1]);
            assert_eq!(past.is_over(&run, &now), is_past, "{}", words(&now));
        }
    }

    #[test]
    fn a_copy_that_holds_nothing_of_what_it_held_was_lost() {
        let past = |first| Past {
            runs: BTreeSet::from([RunId::parse("run-5").unwrap()]),
            first,
        };
        assert!(past(true).is_lost(&ledger("")));
        assert!(past(true).is_lost(&ledger("x6<5")));
        assert!(!past(true).is_lost(&ledger("c5<4 x6<5")));
        assert!(!past(false).is_lost(&ledger("")), "there was none to lose");
    }

    #[derive(Clone, Debug)]
    struct Deed {
        clock: i64,
        commits: bool,
        /// Which hosts it reached; the first one's ledger is the commit.
        reached: [bool; 3],
        /// Whose volume is gone behind it.
        loses: usize,
    }

    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let deed = (
            -10_000..10_000_i64,
            prop::bool::weighted(0.8),
            any::<[bool; 3]>(),
            0..12_usize,
        );
        let deed = deed.prop_map(|(clock, commits, reached, loses)| Deed {
            clock,
            commits,
            reached,
            loses,
        });
        prop::collection::vec(deed, 0..25)
    }

    fn but(copies: &[Ledger; 3], at: usize) -> Option<Ledger> {
        let others = copies.iter().enumerate().filter(|(other, _)| *other != at);
        joined(others.map(|(_, copy)| copy))
    }

    proptest! {
        /// Runs of bastions whose clocks are hours apart; copies that fail, and volumes that go.
        #[test]
        fn no_commit_is_forgotten_and_the_last_one_is_the_last(deeds in deeds()) {
            let mut copies: [Ledger; 3] = Default::default();
            let mut truth: Vec<ReleaseNumber> = Vec::new();
            for (n, deed) in (1..).zip(deeds) {
                let entry = LedgerEntry {
                    at: Stamp::from_seconds(deed.clock),
                    from: truth.last().copied(),
                    result: if deed.commits {
                        LedgerResult::Committed
                    } else {
                        LedgerResult::Reverted { why: "a test".to_owned() }
                    },
                    ..entry(&format!("run-{n}"), n)
                };
                for at in 0..copies.len() {
                    if deed.reached[at] || (deed.commits && at == 0) {
                        let others = deed.commits.then(|| but(&copies, at)).flatten();
                        copies[at] = copies[at].clone().filled_from(others.as_ref()).with(entry.clone());
                    }
                }
                if deed.commits {
                    truth.push(entry.release);
                }
                let committed = |copy: &Ledger| -> Vec<ReleaseNumber> {
                    copy.committed().map(|entry| entry.release).collect()
                };
                if deed.loses < copies.len()
                    && but(&copies, deed.loses).is_some_and(|others| committed(&others) == truth)
                {
                    copies[deed.loses] = Ledger::default();
                }
                let all = joined(&copies).unwrap();
                prop_assert_eq!(committed(&all), truth.clone());
            }
        }

        #[test]
        fn two_copies_say_the_same_whichever_is_asked_first(
            one in prop::collection::vec((1..30_u32, 0..30_u32), 0..12),
            other in prop::collection::vec((1..30_u32, 0..30_u32), 0..12),
        ) {
            let made = |runs: Vec<(u32, u32)>| {
                let words: Vec<String> = runs.iter().map(|(run, from)| format!("c{run}<{from}")).collect();
                ledger(&words.join(" "))
            };
            let (one, other) = (made(one), made(other));
            let (first, second) = (joined([&one, &other]).unwrap(), joined([&other, &one]).unwrap());
            let runs = |ledger: &Ledger| -> BTreeSet<RunId> {
                ledger.entries.iter().map(|entry| entry.run.clone()).collect()
            };
            prop_assert_eq!(runs(&first), &runs(&one) | &runs(&other));
            if runs(&one) != runs(&other) {
                prop_assert_eq!(&first.entries, &second.entries);
            }
            prop_assert_eq!(&joined([&first, &one, &other]).unwrap().entries, &first.entries);
        }
    }
}
