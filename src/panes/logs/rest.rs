//! Logs that are no longer visible: their streams end, the lines stay, and reading resumes where it stopped.
//! Lines that can no longer be read are reported.

use std::sync::Arc;

use super::state::Logs;
use crate::domain::fleet::Fleet;
use crate::domain::logs::{FollowId, LogLine, LogRange, Stream};
use crate::domain::order::Order;

impl Logs {
    #[must_use]
    pub fn is_resting(&self) -> bool {
        self.resting.is_some()
    }

    /// Ends the streams; the lines and the place in them stay.
    #[must_use]
    pub fn rest(&mut self, fleet: &Fleet) -> Vec<Order> {
        if self.scope.is_none() || self.resting.is_some() {
            return Vec::new();
        }
        let there = self
            .sources
            .keys()
            .into_iter()
            .filter(|key| fleet.row(key).is_some());
        self.resting = Some(there.collect());
        std::mem::take(&mut self.follows)
            .into_iter()
            .map(Order::Unfollow)
            .collect()
    }

    /// Goes on from the last line of each container.
    #[must_use]
    pub fn resume(&mut self, fleet: &Fleet, id: FollowId) -> Vec<Order> {
        let Some(there) = self.resting.take() else {
            return Vec::new();
        };
        let (here, gone): (Vec<_>, Vec<_>) = there.into_iter().partition(|key| fleet.row(key).is_some());
        for key in gone {
            let source = Arc::new(key);
            let at = self.reached.get(&source).copied().unwrap_or_default().last();
            self.insert(LogLine {
                at,
                source,
                stream: Stream::Notice,
                text: "removed while it was not followed: later output was not read".into(),
            });
        }
        let range = |key: &_| match self.reached.get(key) {
            Some(reached) if reached.is_some() => LogRange::After(*reached),
            _ => self.range.asked(self.tail),
        };
        let targets: Vec<_> = here
            .into_iter()
            .map(|key| {
                let range = range(&key);
                (key, range)
            })
            .collect();
        if targets.is_empty() {
            return Vec::new();
        }
        self.follows.insert(id);
        vec![Order::Resume { id, targets }]
    }
}
