//! What happened to a container, with what happened again and again told once.
//! Words only; the newest is last.

use super::words;
use crate::domain::container::is_clean_exit;
use crate::domain::event::Happening;
use crate::domain::units::Stamp;

/// Events that follow each other again and again: `start`, `die 1`; a longer row of them is told as it was.
const LONGEST: usize = 3;
/// Fewer times are no repetition yet.
const FEWEST: usize = 3;

/// One event, or several that came in the same order over and over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    whats: Vec<String>,
    times: usize,
    /// The last of them.
    pub at: Stamp,
}

impl Happened {
    #[must_use]
    pub fn is_bad(&self) -> bool {
        let is_bad = |what: &String| match what.strip_prefix("die ") {
            Some(code) => !code.parse().is_ok_and(is_clean_exit),
            None => what == "oom" || what.contains("unhealthy"),
        };
        self.whats.iter().any(is_bad)
    }

    /// `start → die 1, 20 times`
    #[must_use]
    pub fn words(&self) -> String {
        match self.whats.as_slice() {
            [what] if self.times == 1 => words::happening(what),
            whats => format!("{}, {} times", whats.join(" → "), self.times),
        }
    }
}

/// In their order, the same number of events told in fewer lines.
#[must_use]
pub fn folded<'a>(happenings: impl Iterator<Item = &'a Happening>) -> Vec<Happened> {
    let all: Vec<&Happening> = happenings.collect();
    let mut told = Vec::new();
    let mut rest = all.as_slice();
    while let [first, ..] = rest {
        let (length, times) = repeated(rest);
        let (these, others) = rest.split_at(length * times);
        told.push(Happened {
            whats: these.iter().take(length).map(|one| one.what.clone()).collect(),
            times,
            at: these.last().map_or(first.at, |last| last.at),
        });
        rest = others;
    }
    told
}

/// How many events repeat from the first on, and how often; one, once, where none do.
fn repeated(rest: &[&Happening]) -> (usize, usize) {
    let times = |length: usize| {
        let mut blocks = rest.chunks_exact(length);
        let is_same = |one: &[&Happening], other: &[&Happening]| {
            one.iter().zip(other).all(|(one, other)| one.what == other.what)
        };
        blocks.next().map_or(0, |first| {
            1 + blocks.take_while(|block| is_same(first, block)).count()
        })
    };
    (1..=LONGEST)
        .map(|length| (length, times(length)))
        .find(|(_, times)| *times >= FEWEST)
        .unwrap_or((1, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ContainerId;

    fn told(whats: &[&str]) -> Vec<String> {
        let id = ContainerId::parse("a0").unwrap();
        let happenings: Vec<Happening> = (0..)
            .zip(whats)
            .map(|(at, what)| Happening {
                id: id.clone(),
                at: Stamp::from_seconds(at),
                what: (*what).to_owned(),
            })
            .collect();
        let all = folded(happenings.iter());
        all.iter()
            .map(|one| format!("{} {}", one.at.seconds(), one.words()))
            .collect()
    }

    #[test]
    fn what_happens_again_and_again_is_told_once_with_the_last_time() {
        let mut whats = vec!["create"];
        whats.extend(["start", "die 1"].repeat(20));
        whats.push("stop");
        let all = told(&whats);
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(
            all[1].starts_with("40 ") && all[1].ends_with(", 20 times"),
            "{all:?}"
        );
        assert!(all[1].contains(" → "), "{all:?}");
    }

    #[test]
    fn an_end_that_was_asked_for_is_not_bad() {
        let is_bad = |what: &str| {
            let whats = vec![what.to_owned()];
            let (times, at) = (1, Stamp::from_seconds(0));
            Happened { whats, times, at }.is_bad()
        };
        for what in ["start", "die 0", "die 130", "die 143", "health healthy"] {
            assert!(!is_bad(what), "{what}");
        }
        for what in ["die 1", "die 137", "oom", "health unhealthy"] {
            assert!(is_bad(what), "{what}");
        }
    }

    #[test]
    fn what_happened_twice_is_told_twice() {
        assert_eq!(told(&["start", "die 1", "start", "die 1"]).len(), 4);
    }
}
