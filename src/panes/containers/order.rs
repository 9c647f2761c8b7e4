//! The order of the rows.
//! Ties are broken by name, host and id, so that equal rows never change places.

use std::sync::Arc;

use crate::app::Model;
use crate::domain::container::State;
use crate::domain::fleet::Row;
use crate::domain::ids::ContainerKey;
use crate::domain::natural;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    #[default]
    Name,
    Host,
    State,
    Cpu,
    Memory,
    Age,
}

impl SortBy {
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Name => Self::Host,
            Self::Host => Self::State,
            Self::State => Self::Cpu,
            Self::Cpu => Self::Memory,
            Self::Memory => Self::Age,
            Self::Age => Self::Name,
        }
    }

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Host => "host",
            Self::State => "state",
            Self::Cpu => "cpu",
            Self::Memory => "mem",
            Self::Age => "up",
        }
    }

    /// Changes all the time by itself.
    pub(super) fn is_figure(self) -> bool {
        match self {
            Self::Cpu | Self::Memory => true,
            Self::Name | Self::Host | Self::State | Self::Age => false,
        }
    }
}

/// Largest first for figures, worst first for states, youngest first for ages.
pub(super) fn sorted(model: &Model, keys: Vec<ContainerKey>) -> Vec<ContainerKey> {
    let pane = &model.containers;
    let place = |key: ContainerKey| match model.fleet.row(&key) {
        Some(row) => (rank(pane.sort, row), Arc::clone(&row.container.name), key),
        None => (0, "".into(), key),
    };
    let mut rows: Vec<(i64, Arc<str>, ContainerKey)> = keys.into_iter().map(place).collect();
    rows.sort_by(|(rank, name, key), (other_rank, other_name, other)| {
        let names = natural::compare(name, other_name);
        let hosts = key.host.cmp(&other.host);
        let ties = match pane.sort {
            SortBy::Host => hosts.then(names),
            SortBy::Name | SortBy::State | SortBy::Cpu | SortBy::Memory | SortBy::Age => names.then(hosts),
        };
        rank.cmp(other_rank)
            .then(ties)
            .then_with(|| key.id.cmp(&other.id))
    });
    if pane.reverse {
        rows.reverse();
    }
    rows.into_iter().map(|(_, _, key)| key).collect()
}

fn rank(sort: SortBy, row: &Row) -> i64 {
    match sort {
        SortBy::Name | SortBy::Host => 0,
        SortBy::State => match row.container.state {
            _ if row.is_unwell() => 0,
            State::Restarting { .. } | State::Dead => 0,
            State::Exited { .. } => 4,
            State::Created | State::Removing => 3,
            State::Paused { .. } => 1,
            State::Running { .. } => 2,
        },
        SortBy::Cpu => {
            let recent = row.history.iter().rev().take(5).filter_map(|sample| sample.cpu);
            let (sum, count) = recent.fold((0.0_f32, 0_u8), |(sum, count), cpu| (sum + cpu, count + 1));
            #[expect(
                clippy::cast_possible_truncation,
                reason = "tenths of a percent order well enough"
            )]
            let mean = (sum / f32::from(count.max(1)) * 10.0) as i64;
            -mean
        }
        SortBy::Memory => -row
            .history
            .last()
            .map_or(0, |sample| i64::try_from(sample.memory.0).unwrap_or(i64::MAX)),
        SortBy::Age => -row.container.state.since().map_or(0, |at| at.0),
    }
}
