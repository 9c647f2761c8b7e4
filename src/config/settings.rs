//! Settings of this program: looks, state folder, Pilothouse's own log.

use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Dark or light, as the terminal's background is known or guessed (`COLORFGBG`); dark otherwise.
    #[default]
    Auto,
    Dark,
    Light,
    /// The terminal's own sixteen colours.
    Ansi,
    /// No colour at all; also `NO_COLOR`.
    Mono,
}

/// How a person is told of the end of a run whose terminal they may not be looking at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notify {
    #[default]
    Off,
    Bell,
    /// A notification of the desktop by the terminal (OSC 9: iTerm2, Kitty, Windows Terminal, Ghostty, foot …).
    Osc9,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looks {
    pub theme: Theme,
    /// ASCII twins instead of glyphs; `None`: when the locale is not UTF-8.
    pub ascii: Option<bool>,
    /// The terminal's title says what runs.
    pub title: bool,
    pub notify: Notify,
    pub log_lines: usize,
    pub log_bytes: usize,
    /// Lines asked of each container when its log is opened.
    pub log_tail: u32,
}

impl Default for Looks {
    fn default() -> Self {
        Self {
            theme: Theme::Auto,
            ascii: None,
            title: true,
            notify: Notify::Off,
            log_lines: 20_000,
            log_bytes: 8 << 20,
            log_tail: 500,
        }
    }
}

/// Where runs are kept: `None` is the user's own state folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir {
    pub dir: Option<PathBuf>,
    /// Colleagues of this group may follow runs.
    pub group: Option<String>,
    /// Finished runs older than this are removed, and all but the last `keep_runs` of a service; never its very last.
    pub keep_for: Duration,
    pub keep_runs: usize,
}

impl Default for StateDir {
    fn default() -> Self {
        Self {
            dir: None,
            group: None,
            keep_for: Duration::from_hours(2160),
            keep_runs: 50,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnLog {
    /// A filter as `tracing` has it: `info`, `pilothouse=debug`.
    pub level: String,
    /// Bytes of one file before the next is begun, and how many are kept.
    pub max_bytes: u64,
    pub keep_files: usize,
}

impl Default for OwnLog {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            max_bytes: 4 << 20,
            keep_files: 4,
        }
    }
}
