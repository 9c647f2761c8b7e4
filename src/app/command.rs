//! The table of all commands of the screen: name in the configuration, word in the key line,
//! default keys and description. Keymap, key line, help, palette, `pilothouse keys` and the man page read it.

use crokey::{KeyCombination, key};

use super::place::Place;

/// Variant, configuration name, word in the key line, default keys, place; the doc comment is the text users read.
macro_rules! commands {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $name:literal, $short:literal on [$($key:expr),*] in $place:ident; )+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Command { $( $(#[doc = $doc])+ $variant, )+ }

        impl Command {
            /// In the order of the help page.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in `[keys]` and in the palette.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The word beside its key in the key line.
            #[must_use]
            pub fn short(self) -> &'static str {
                match self { $(Self::$variant => $short),+ }
            }

            /// Its description.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii_start()),+ }
            }

            #[must_use]
            pub fn place(self) -> Place {
                match self { $(Self::$variant => Place::$place),+ }
            }

            /// The keys without the user's changes.
            #[must_use]
            pub fn default_keys(self) -> &'static [KeyCombination] {
                match self {
                    $(Self::$variant => {
                        const KEYS: &[KeyCombination] = &[$($key),*];
                        KEYS
                    }),+
                }
            }
        }
    };
}

commands! {
    /// Move up
    Up = "up", "up" on [key!(up), key!(k)] in Everywhere;
    /// Move down
    Down = "down", "down" on [key!(down), key!(j)] in Everywhere;
    /// Move to the first row
    Top = "top", "top" on [key!(home), key!(g)] in Everywhere;
    /// Move to the last row; in logs also follow again
    Bottom = "bottom", "bottom" on [key!(end), key!(shift-g)] in Everywhere;
    /// Move up a page
    PageUp = "page-up", "page up" on [key!(pageup), key!(ctrl-b)] in Everywhere;
    /// Move down a page
    PageDown = "page-down", "page down" on [key!(pagedown), key!(ctrl-f)] in Everywhere;
    /// Move up half a page
    HalfUp = "half-up", "half up" on [key!(ctrl-u)] in Everywhere;
    /// Move down half a page
    HalfDown = "half-down", "half down" on [key!(ctrl-d)] in Everywhere;
    /// Move left in long lines, or to the previous stage
    Left = "left", "left" on [key!(left), key!(h)] in Everywhere;
    /// Move right in long lines, or to the next stage
    Right = "right", "right" on [key!(right)] in Everywhere;
    /// Open the selection; log in to a host that asks for it
    Open = "open", "open" on [key!(enter)] in Everywhere;
    /// Clear the notice, then the filter, then go back
    Back = "back", "back" on [key!(esc)] in Everywhere;
    /// Filter the rows, or search the text; a leading ! inverts
    Filter = "filter", "filter" on [key!('/')] in Everywhere;
    /// Run a command by its name
    Palette = "palette", "command" on [key!(':')] in Everywhere;
    /// Show the keys for this page
    Help = "help", "help" on [key!('?'), key!(f1)] in Everywhere;
    /// Go to the next pane
    NextPane = "next-pane", "next page" on [key!(tab)] in Everywhere;
    /// Go to the previous pane
    PreviousPane = "previous-pane", "previous page" on [key!(shift-backtab)] in Everywhere;
    /// Show only this pane, or all panes again
    Zoom = "zoom", "full screen" on [key!(f)] in Everywhere;
    /// Go to the services
    GoServices = "services", "services" on [key!(1)] in Everywhere;
    /// Go to the containers
    GoContainers = "containers", "containers" on [key!(2)] in Everywhere;
    /// Go to the problems
    GoProblems = "problems", "problems" on [key!(3)] in Everywhere;
    /// Go to the logs
    GoLogs = "log-pane", "logs" on [key!(4)] in Everywhere;
    /// Go to the hosts
    GoHosts = "hosts", "hosts" on [key!(5)] in Everywhere;
    /// Go to the pipeline of the service
    GoPipeline = "stages", "pipeline" on [key!(6)] in Everywhere;
    /// Go to the runs
    GoRuns = "runs", "runs" on [key!(7)] in Everywhere;
    /// Show Pilothouse's own log
    OwnLog = "log", "own log" on [] in Everywhere;
    /// Show the notices of this session
    Notices = "notices", "notices" on [] in Everywhere;
    /// Redraw the screen
    Redraw = "redraw", "redraw" on [key!(ctrl-l)] in Everywhere;
    /// Suspend and return to the shell (fg resumes)
    Suspend = "suspend", "suspend" on [key!(ctrl-z)] in Everywhere;
    /// Quit; runs continue
    Quit = "quit", "quit" on [key!(q)] in Everywhere;

    /// Show the logs of the selection
    Logs = "logs", "logs" on [key!(l)] in Fleet;
    /// Open a shell in the container
    Shell = "shell", "shell" on [key!(e)] in Fleet;
    /// Show everything about the container
    Inspect = "inspect", "inspect" on [key!(i)] in Fleet;
    /// Restart the container
    Restart = "restart", "restart" on [key!(r)] in Fleet;
    /// Start or stop the container
    Toggle = "start-stop", "start/stop" on [key!(s)] in Fleet;
    /// Pause or unpause the container
    Pause = "pause", "pause" on [key!(z)] in Fleet;
    /// Kill the container (SIGKILL)
    Kill = "kill", "kill" on [key!(shift-k)] in Fleet;
    /// Remove the container; its volumes are kept
    Remove = "remove", "remove" on [key!(shift-d)] in Fleet;
    /// Mark the row; actions apply to all marked rows
    Mark = "mark", "mark" on [key!(space)] in Fleet;
    /// Copy the name of the selected row
    Copy = "copy", "copy" on [key!(y)] in Fleet;
    /// Show all containers, or only running ones
    All = "all", "all" on [key!(a)] in Fleet;
    /// Show other columns
    Columns = "columns", "columns" on [key!(c)] in Fleet;
    /// Sort by the next column
    Sort = "sort", "sort" on [key!(o)] in Fleet;
    /// Reverse the sort order
    SortReverse = "sort-reverse", "reverse" on [key!(shift-o)] in Fleet;
    /// Reconnect to a lost host now
    Retry = "retry", "retry" on [key!(ctrl-r)] in Fleet;
    /// Measure the host's load and disk
    Measure = "measure", "measure" on [key!(shift-m)] in Fleet;
    /// Build the service's image
    Build = "build", "build" on [key!(b)] in Fleet;
    /// Run the service's tests in the image just built
    Test = "test", "test" on [key!(t)] in Fleet;
    /// Push the image to its registry
    Push = "push", "push" on [key!(p)] in Fleet;
    /// Show the plan to deploy the service and confirm it
    Deploy = "deploy", "deploy" on [key!(d)] in Fleet;
    /// Show the releases to roll back to and their plan
    Rollback = "rollback", "roll back" on [key!(shift-r)] in Fleet;
    /// Build, test, push and deploy
    Pipeline = "pipeline", "pipeline" on [key!(shift-p)] in Fleet;
    /// Show the plan to promote to another environment
    Promote = "promote", "promote" on [] in Fleet;
    /// Show the plan to adopt running containers
    Adopt = "adopt", "adopt" on [] in Fleet;
    /// Show the service's previous run
    EarlierRun = "earlier-run", "earlier run" on [key!('[')] in Fleet;
    /// Show the service's next run
    LaterRun = "later-run", "later run" on [key!(']')] in Fleet;
    /// Cancel the run and undo its changes
    Cancel = "cancel", "cancel" on [key!(x)] in Fleet;
    /// Approve or deny a run that waits for approval
    Approve = "approve", "approve" on [key!(shift-a)] in Fleet;
    /// Finish or undo a run that died, lost a host or needs a human
    Recover = "recover", "recover" on [key!(shift-x)] in Fleet;

    /// Go to the next match
    NextMatch = "next-match", "next" on [key!(n)] in Reading;
    /// Go to the previous match
    PreviousMatch = "previous-match", "previous" on [key!(shift-n)] in Reading;
    /// Wrap long lines, or cut them
    Wrap = "wrap", "wrap" on [key!(w)] in Reading;

    /// Show a shorter time range
    ShorterRange = "shorter-range", "shorter" on [key!('<')] in Logs;
    /// Show a longer time range
    LongerRange = "longer-range", "longer" on [key!('>')] in Logs;
    /// Follow new lines, or stop following
    Follow = "follow", "follow" on [key!(shift-f)] in Logs;
    /// Show or hide the time of each line
    Timestamps = "timestamps", "time" on [key!(t)] in Logs;
    /// Format JSON lines, or show them unchanged
    Json = "json", "json" on [key!(shift-j)] in Logs;
    /// Mark the line
    MarkLine = "mark-line", "mark" on [key!(m)] in Logs;
    /// Save the shown lines to a file
    Save = "save", "save" on [key!(ctrl-s)] in Logs;
}

impl Command {
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|command| command.name() == name)
    }
}
