//! The number of each verdict since the listener started, returned by `GET /health`.
//! Numbers only: no names, no addresses.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::verdict::Verdict;

#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<Tally>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    taken: BTreeMap<&'static str, u64>,
    refused: BTreeMap<&'static str, u64>,
    /// What was refused when it was last told.
    told: BTreeMap<&'static str, u64>,
}

impl Counts {
    fn tally<T>(&self, act: impl FnOnce(&mut Tally) -> T) -> T {
        // Numbers are whole whatever panicked.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn count(&self, verdict: &Verdict) {
        self.tally(|tally| {
            let kind = match verdict {
                Verdict::Started(_) | Verdict::Pong | Verdict::Ignored(_) => &mut tally.taken,
                Verdict::Refused(_) => &mut tally.refused,
            };
            let count = kind.entry(verdict.word()).or_default();
            *count = count.saturating_add(1);
        });
    }

    pub(super) fn answer(&self) -> Value {
        self.tally(|tally| json!({ "taken": tally.taken, "refused": tally.refused }))
    }

    /// What was refused since this was last asked: `3 unsigned, 1 replayed`; `None` when nothing was.
    pub(super) fn news(&self) -> Option<String> {
        self.tally(|tally| {
            let new: Vec<String> = tally
                .refused
                .iter()
                .filter_map(|(word, count)| {
                    let since = count - tally.told.get(word).copied().unwrap_or(0).min(*count);
                    (since > 0).then(|| format!("{since} {word}"))
                })
                .collect();
            tally.told = tally.refused.clone();
            (!new.is_empty()).then(|| new.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Refusal;
    use super::*;

    #[test]
    fn what_was_refused_is_told_once() {
        let counts = Counts::default();
        assert_eq!(counts.news(), None);
        for _ in 0..3 {
            counts.count(&Verdict::Refused(Refusal::Unsigned));
        }
        counts.count(&Verdict::Pong);
        assert_eq!(counts.news().as_deref(), Some("3 unsigned"));
        counts.count(&Verdict::Refused(Refusal::Replayed));
        assert_eq!(counts.news().as_deref(), Some("1 replayed"));
        assert_eq!(counts.news(), None);
        assert_eq!(
            counts.answer(),
            json!({ "taken": { "ping": 1 }, "refused": { "unsigned": 3, "replayed": 1 } })
        );
    }
}
