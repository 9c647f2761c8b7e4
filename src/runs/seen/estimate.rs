//! Estimates the duration of a run and of each stage from earlier runs of the same kind and service; for a stage that this
//! kind of run has not had yet, from other runs.
//! Uses the median of the last five, so that a single outlier has no effect.

use std::time::Duration;

use super::follow::Reader;
use crate::domain::run::{RunKind, RunView};

const LAST: usize = 5;

/// The durations of earlier runs, newest first.
pub struct Figures(Vec<Figure>);

struct Figure {
    kind: RunKind,
    subject: String,
    /// Only for a run that converged.
    whole: Option<Duration>,
    stages: Vec<(String, Duration)>,
}

impl Figure {
    fn is_of(&self, subject: &str, kind: RunKind) -> bool {
        self.kind == kind && self.subject == subject
    }

    fn took(&self, stage: &str) -> Option<Duration> {
        let of = self.stages.iter().find(|(name, _)| name == stage);
        of.map(|(_, took)| *took)
    }
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

    /// Sets the estimates of the run.
    pub fn estimate(&self, view: &mut RunView) {
        let subject = view.subject();
        let same = self.0.iter().filter(|figure| figure.is_of(&subject, view.kind));
        view.estimate = median(same.filter_map(|figure| figure.whole));
        for stage in &mut view.stages {
            stage.estimate = self.of_stage(&subject, view.kind, &stage.name);
        }
    }

    fn of_stage(&self, subject: &str, kind: RunKind, stage: &str) -> Option<Duration> {
        let of = |is_meant: &dyn Fn(&Figure) -> bool| {
            let figures = self.0.iter().filter(|figure| is_meant(figure));
            median(figures.filter_map(|figure| figure.took(stage)))
        };
        of(&|figure| figure.is_of(subject, kind)).or_else(|| of(&|figure| figure.subject == subject))
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

    #[test]
    fn a_stage_that_this_kind_of_run_never_had_is_known_from_others_of_the_service() {
        let figure = |kind, subject: &str, stages: &[(&str, u64)]| Figure {
            kind,
            subject: subject.to_owned(),
            whole: Some(Duration::from_mins(1)),
            stages: stages
                .iter()
                .map(|(name, took)| ((*name).to_owned(), Duration::from_secs(*took)))
                .collect(),
        };
        let figures = Figures(vec![
            figure(RunKind::Test, "shop", &[("test unit", 7), ("build", 90)]),
            figure(RunKind::Pipeline, "shop", &[("build", 30)]),
            figure(RunKind::Pipeline, "cart", &[("push", 5)]),
        ]);
        let secs = |of: &[(RunKind, &str)]| -> Vec<Option<u64>> {
            let took = of
                .iter()
                .map(|(kind, stage)| figures.of_stage("shop", *kind, stage));
            took.map(|took| took.map(|took| took.as_secs())).collect()
        };
        let asked = ["build", "test unit", "push"].map(|stage| (RunKind::Pipeline, stage));
        assert_eq!(secs(&asked), [Some(30), Some(7), None]);
    }
}
