//! How long a run and each of its stages will take, from the earlier ones of its kind and service.
//! The median of the last five: one that hung for an hour changes nothing.

use std::time::Duration;

use super::follow::Reader;
use crate::domain::run::{RunKind, RunView};

const LAST: usize = 5;

/// What earlier runs took, newest first.
pub struct Figures(Vec<Figure>);

struct Figure {
    kind: RunKind,
    subject: String,
    /// Only of one that converged.
    whole: Option<Duration>,
    stages: Vec<(String, Duration)>,
}

impl Figures {
    #[must_use]
    pub fn of<'a>(readers: impl Iterator<Item = &'a Reader>) -> Self {
        let figures = readers.filter_map(|reader| {
            let fold = reader.fold()?;
            let stages = fold
                .stage_times()
                .map(|(name, took)| (name.to_owned(), took))
                .collect();
            Some(Figure {
                kind: fold.plan().kind,
                subject: fold.plan().subject.to_string(),
                whole: fold.took_in_all(),
                stages,
            })
        });
        Self(figures.collect())
    }

    /// Writes into the run what is known.
    pub fn estimate(&self, view: &mut RunView) {
        let subject = view.subject();
        let earlier: Vec<&Figure> = self
            .0
            .iter()
            .filter(|figure| figure.kind == view.kind && figure.subject == subject)
            .collect();
        view.estimate = median(earlier.iter().filter_map(|figure| figure.whole));
        for stage in &mut view.stages {
            stage.estimate = median(earlier.iter().filter_map(|figure| {
                let of = figure.stages.iter().find(|(name, _)| *name == stage.name);
                of.map(|(_, took)| *took)
            }));
        }
    }
}

fn median(all: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut last: Vec<Duration> = all.take(LAST).collect();
    last.sort_unstable();
    last.get(last.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_hung_does_not_count() {
        let seconds = [3, 3600, 2, 4, 3, 999].map(Duration::from_secs);
        assert_eq!(median(seconds.into_iter()), Some(Duration::from_secs(3)));
        assert_eq!(median(std::iter::empty()), None);
    }
}
