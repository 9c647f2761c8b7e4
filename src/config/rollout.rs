//! How new replicas of a service replace the old ones.
//! Serialisable, because it is part of plans: recovery uses the same strategy.

use serde::{Deserialize, Serialize};

use crate::domain::ids::HostName;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// All hosts at once, the old stopped before the new is started.
    #[default]
    Recreate,
    /// Batch by batch, each good before the next begins.
    Rolling(Rolling),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolling {
    pub batch: Batch,
    pub order: Order,
    pub on_failure: OnFailure,
    /// Replaced before all others, by itself.
    pub canary: Option<HostName>,
}

/// How many replicas are replaced at once, counted over all hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Batch {
    Count(u32),
    /// Of all replicas on all hosts, rounded up.
    Percent(u32),
}

impl Default for Batch {
    fn default() -> Self {
        Self::Count(1)
    }
}

impl Batch {
    /// Of so many replicas in all; at least one.
    #[must_use]
    pub fn size(self, all: usize) -> usize {
        match self {
            Self::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Self::Percent(percent) => all
                .saturating_mul(usize::try_from(percent).unwrap_or(100))
                .div_ceil(100),
        }
        .max(1)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    #[default]
    StopFirst,
    /// Old and new run side by side until the new is good.
    StartFirst,
}

/// What becomes of the batches that are done when a later one fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// They are put back, the last one first.
    #[default]
    Revert,
    /// Hosts that are wholly replaced are committed, the others put back: the service is SPLIT until somebody goes on.
    Pause,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_counted_or_a_part_of_all_rounded_up_and_never_nothing() {
        assert_eq!(Batch::Count(3).size(10), 3);
        assert_eq!(Batch::Percent(25).size(10), 3);
        assert_eq!(Batch::Percent(1).size(10), 1);
        assert_eq!(Batch::Percent(100).size(10), 10);
        assert_eq!(Batch::default().size(0), 1);
    }
}
