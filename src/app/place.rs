//! The panes, and where a key has which meaning.
//! Names only; what a pane does is in `panes/`.

use serde::{Deserialize, Serialize};

/// One pane. On a small terminal it is a page of its own; from 120 columns on several are shown side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaneId {
    Services,
    Containers,
    Problems,
    Logs,
    Hosts,
    Pipeline,
    Runs,
    /// Everything about one container; reached from a row, left by `Esc`.
    Detail,
    /// The plan of a deploy or rollback; opened by its key, left by `Esc`.
    Plan,
}

impl PaneId {
    /// In the order of `Tab` and of the number keys.
    pub const RING: [Self; 7] = [
        Self::Services,
        Self::Containers,
        Self::Problems,
        Self::Logs,
        Self::Hosts,
        Self::Pipeline,
        Self::Runs,
    ];

    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Services => "Services",
            Self::Containers => "Containers",
            Self::Problems => "Problems",
            Self::Logs => "Logs",
            Self::Hosts => "Hosts",
            Self::Pipeline => "Pipeline",
            Self::Runs => "Runs",
            Self::Detail => "Container",
            Self::Plan => "Plan",
        }
    }

    /// The places whose commands are available here; the first one that has the key wins.
    #[must_use]
    pub fn places(self) -> &'static [Place] {
        match self {
            Self::Logs => &[Place::Logs, Place::Reading, Place::Fleet, Place::Everywhere],
            Self::Detail => &[Place::Reading, Place::Fleet, Place::Everywhere],
            Self::Plan => &[Place::Everywhere],
            Self::Services
            | Self::Containers
            | Self::Problems
            | Self::Hosts
            | Self::Pipeline
            | Self::Runs => &[Place::Fleet, Place::Everywhere],
        }
    }
}

/// Where a command is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Everywhere,
    /// Wherever something can be selected: every pane but the plan.
    Fleet,
    /// Panes of running text: logs, a container's page.
    Reading,
    Logs,
}

impl Place {
    /// Heading of the help page.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::Fleet => "On the selection",
            Self::Reading => "In text",
            Self::Logs => "In logs",
        }
    }
}
