//! The time ranges of logs, changed with `<` and `>`.
//! Six fixed steps.

use std::time::Duration;

use crate::domain::logs::LogRange;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Range {
    /// The last lines of each container, however old.
    #[default]
    Tail,
    Minute,
    FiveMinutes,
    Quarter,
    Hour,
    All,
}

impl Range {
    const ALL: [Self; 6] = [
        Self::Tail,
        Self::Minute,
        Self::FiveMinutes,
        Self::Quarter,
        Self::Hour,
        Self::All,
    ];

    #[must_use]
    pub fn longer(self) -> Self {
        Self::ALL
            .into_iter()
            .find(|other| *other > self)
            .unwrap_or(Self::All)
    }

    #[must_use]
    pub fn shorter(self) -> Self {
        Self::ALL
            .into_iter()
            .rfind(|other| *other < self)
            .unwrap_or(Self::Tail)
    }

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tail => "tail",
            Self::Minute => "1 m",
            Self::FiveMinutes => "5 m",
            Self::Quarter => "15 m",
            Self::Hour => "1 h",
            Self::All => "all",
        }
    }

    /// As a daemon is asked; `tail` lines of each container.
    #[must_use]
    pub fn asked(self, tail: u32) -> LogRange {
        match self {
            Self::Tail => LogRange::Tail(tail),
            Self::Minute => LogRange::Last(Duration::from_mins(1)),
            Self::FiveMinutes => LogRange::Last(Duration::from_mins(5)),
            Self::Quarter => LogRange::Last(Duration::from_mins(15)),
            Self::Hour => LogRange::Last(Duration::from_hours(1)),
            Self::All => LogRange::All,
        }
    }
}
