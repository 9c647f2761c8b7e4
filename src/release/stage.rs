//! The stages of a run and their steps: a step is one stage on one host, the smallest unit in the journal.
//! Their order is in [`super::road`]; what a step does on its host is in [`super::deeds`].

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::ids::HostName;

/// A stage of a run, done on one host, on several, or (`Local`) on the machine of the run. Written into the journal, so
/// names stay readable by later versions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Connects to the host and reads the id of its daemon.
    Connect,
    /// Records which images the tags of the run refer to before it; `Sweep` restores them if the run is undone.
    Mark,
    Build,
    /// Brings the image to the hosts that test it.
    Fetch,
    /// A test, by its name.
    Test(String),
    Push,
    /// A custom stage in a container, by its name.
    Run(String),
    /// A custom stage on the machine of the run, by its name: a command, or an approval.
    Local(String),
    /// Removes everything the run created besides replicas: test containers, networks, volumes, tags.
    Sweep,

    Lock,
    Preflight,
    /// Writes the decision into every lock, so that any machine can recover the run from the hosts alone.
    Pin,
    /// Records on the host that these containers are the release; the containers are not changed.
    Adopt,
    /// Undoes `Adopt`.
    Disown,
    Image,
    Create,
    Stop,
    Start,
    Gate,
    /// The `before_switch` tests of each new replica, once it is ready.
    Before,
    /// The `after_switch` tests from outside, once every new replica is ready.
    After,
    /// One turn of one wave of a rolling deploy; waves are counted from 1.
    Wave(u32, Turn),
    /// Watches all new replicas again before the commit, at least once.
    Bake,
    Commit,

    /// Recovery reads from the ledger of the first host in lock order whether the run was committed.
    Inquire,

    /// Stops the new replicas.
    Halt,
    /// Starts the containers that ran before the run.
    Restore,
    /// Waits until they are as ready as they were.
    Regate,
    /// Removes the new containers.
    Remove,
    /// Compares the host with the snapshot.
    Check,

    /// Right after the commit: sets the restart policies, so that a reboot starts the new replicas and not the old ones.
    Promote,
    /// After a crash: stops the old replicas and starts the new ones, whatever state they are in.
    Settle,
    /// Copies the ledger entry to the other hosts.
    Copy,
    Retire,
    /// Compares the host with the decision.
    Prove,
    CleanUp,
    /// Where it was refused: what keeps its restart policy comes back with the next restart of its daemon.
    RetireAgain,

    /// Writes the result of a run that was not committed to the ledgers.
    Record,
    Unlock,

    /// Reads once what there is on the host, without a lock, before a run ends that undoes nothing.
    Look,
}

/// A step forwards or back within a wave: the stage of that name, for the wave's replicas only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    Stop,
    Start,
    Gate,
    Before,
    Halt,
    Restore,
    Regate,
}

impl Turn {
    #[must_use]
    pub fn stage(self) -> Stage {
        match self {
            Self::Stop => Stage::Stop,
            Self::Start => Stage::Start,
            Self::Gate => Stage::Gate,
            Self::Before => Stage::Before,
            Self::Halt => Stage::Halt,
            Self::Restore => Stage::Restore,
            Self::Regate => Stage::Regate,
        }
    }
}

/// The hosts of a stage. Lost ones are left out where its steps are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostsOf {
    /// Every host of the run; in a recovery those of the decision.
    Known,
    /// One after the other, in lock order.
    InTurn,
    /// Hosts where the run may set a tag.
    Marked,
    Builder,
    /// Hosts that run containers of the run's image other than replicas.
    Tests,
    /// The host of this stage's container.
    Container,
    /// No host: the step has an arbitrary host name.
    Local,
    /// The first in lock order.
    First,
    /// All but the first.
    Others,
    Targets,
    /// The targets; in a paused run those that are kept.
    Kept,
    /// The targets; in a paused run those that are not kept.
    Rest,
    /// The hosts of this wave that are not kept.
    Wave(u32),
    /// Hosts where something other than replicas may have been created.
    Worked,
    /// Hosts where the run may hold a lock.
    Touched,
    /// Hosts where the old release could not be retired.
    Unretired,
}

/// Other properties of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    /// It changes a host, so the lock is checked first. Resources named after the run need no lock.
    Changing,
    /// It stops what ran before: a daemon finishes that, whoever hears of it.
    StoppingOld,
    /// It brings up what the run made or woke.
    StartingNew,
    /// It makes what `Sweep` takes away again.
    Making,
    /// A pipeline stage other than build and the release: before the deploy or after it.
    Work,
    /// It counts against the `concurrency` of its host.
    Counted,
    /// It can be interrupted when the run is undone. Stages that change containers are always finished.
    Interruptible,
    /// If it fails on the way back or on, the comparison or proof that follows decides.
    Proven,
    /// If it fails on the way back or on, that is reported and does not make the run a failure.
    Optional,
}

/// Everything the state machine and the views know about a stage.
struct Traits {
    hosts: HostsOf,
    /// Its column in the pipeline pane; empty: not shown.
    column: Cow<'static, str>,
    /// The text shown while it is in progress and has no live text of its own.
    doing: &'static str,
    is: &'static [Is],
}

fn row(
    hosts: HostsOf,
    column: impl Into<Cow<'static, str>>,
    doing: &'static str,
    is: &'static [Is],
) -> Traits {
    Traits {
        hosts,
        column: column.into(),
        doing,
        is,
    }
}

impl Stage {
    /// The table of all stages.
    fn traits(&self) -> Traits {
        use HostsOf::{
            Builder, Container, First, InTurn, Kept, Known, Local, Marked, Others, Rest, Targets, Tests,
            Touched, Unretired, Worked,
        };
        use Is::{
            Changing, Counted, Interruptible, Making, Optional, Proven, StartingNew, StoppingOld, Work,
        };
        match self {
            Self::Connect => row(Known, "lock", "connecting", &[]),
            Self::Mark => row(Marked, "", "", &[Making]),
            Self::Build => row(Builder, "build", "building", &[Making, Counted, Interruptible]),
            Self::Fetch => row(Tests, "fetch", "fetching", &[Interruptible]),
            Self::Test(name) => {
                let is = &[Making, Work, Counted, Interruptible];
                row(Container, format!("test {name}"), "testing", is)
            }
            Self::Push => row(Builder, "push", "pushing", &[Work, Interruptible]),
            Self::Run(name) => {
                let is = &[Making, Work, Counted, Interruptible];
                row(Container, name.clone(), "running", is)
            }
            Self::Local(name) => row(Local, name.clone(), "running", &[Work, Interruptible]),
            Self::Sweep => row(Worked, "", "", &[]),

            Self::Lock => row(InTurn, "lock", "locking", &[]),
            Self::Preflight => row(Known, "preflight", "looking", &[]),
            Self::Pin => row(Targets, "preflight", "storing the decision", &[Changing]),
            Self::Adopt => row(Targets, "adopt", "recording what runs", &[Changing]),
            Self::Disown => row(Targets, "adopt", "removing the record", &[Changing]),
            Self::Image => row(Targets, "image", "fetching", &[Changing, Interruptible]),
            Self::Create => row(Targets, "create", "creating", &[Changing]),
            Self::Stop => row(Targets, "stop", "stopping the old", &[Changing, StoppingOld]),
            Self::Start => row(Targets, "start", "starting", &[Changing, StartingNew]),
            Self::Gate => row(Targets, "gate", "gate", &[Interruptible]),
            Self::Before => row(Targets, "smoke", "testing", &[Making, Interruptible]),
            Self::After => row(Targets, "check", "testing", &[Making, Interruptible]),
            Self::Wave(n, turn) => Traits {
                hosts: HostsOf::Wave(*n),
                ..turn.stage().traits()
            },
            Self::Bake => row(Targets, "bake", "watching all of it", &[Interruptible]),
            Self::Commit => row(First, "commit", "committing", &[Changing]),

            Self::Inquire => row(First, "", "", &[]),

            Self::Halt => row(Rest, "start", "stopping the new", &[Changing, Proven]),
            Self::Restore => row(Rest, "stop", "starting the old again", &[Changing, Proven]),
            Self::Regate => row(Targets, "stop", "gate of the old", &[]),
            Self::Remove => row(Rest, "create", "removing the new", &[Changing, Proven]),
            Self::Check => row(Rest, "", "", &[]),

            Self::Promote => row(Kept, "retire", "final restart policy", &[Changing, Proven]),
            Self::Settle => {
                let doing = "stopping the old, starting the new";
                row(Kept, "retire", doing, &[Changing, Proven])
            }
            Self::Copy => row(Others, "commit", "copying the ledger", &[Changing, Optional]),
            Self::Retire => row(Kept, "retire", "retiring the old", &[Changing]),
            Self::Prove => row(Kept, "retire", "proving", &[]),
            Self::CleanUp => row(Kept, "retire", "cleaning up", &[Changing, Optional]),
            Self::RetireAgain => row(Unretired, "retire", "retiring the old", &[Changing]),

            Self::Record => row(Targets, "", "", &[Changing, Optional]),
            Self::Unlock => row(Touched, "", "", &[Changing]),

            Self::Look => row(Targets, "", "", &[]),
        }
    }

    #[must_use]
    pub fn hosts(&self) -> HostsOf {
        self.traits().hosts
    }

    #[must_use]
    pub fn is(&self, what: Is) -> bool {
        self.traits().is.contains(&what)
    }

    /// Whether it runs even if its step's host was lost.
    #[must_use]
    pub fn needs_no_host(&self) -> bool {
        self.hosts() == HostsOf::Local
    }

    #[must_use]
    pub fn column(&self) -> Option<String> {
        let column = self.traits().column;
        (!column.is_empty()).then(|| column.into_owned())
    }

    #[must_use]
    pub fn doing(&self) -> &'static str {
        self.traits().doing
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test(name) => write!(f, "test {name}"),
            Self::Run(name) | Self::Local(name) => write!(f, "stage {name}"),
            Self::Mark => f.write_str("mark"),
            Self::Build => f.write_str("build"),
            Self::Fetch => f.write_str("fetch"),
            Self::Push => f.write_str("push"),
            Self::Sweep => f.write_str("sweep"),
            Self::Connect => f.write_str("connect"),
            Self::Lock => f.write_str("lock"),
            Self::Preflight => f.write_str("preflight"),
            Self::Pin => f.write_str("pin"),
            Self::Adopt => f.write_str("adopt"),
            Self::Disown => f.write_str("disown"),
            Self::Image => f.write_str("image"),
            Self::Create => f.write_str("create"),
            Self::Stop => f.write_str("stop"),
            Self::Start => f.write_str("start"),
            Self::Gate => f.write_str("gate"),
            Self::Before => f.write_str("tests before the switch"),
            Self::After => f.write_str("tests after the switch"),
            Self::Wave(n, turn) => write!(f, "wave {n}: {}", turn.stage()),
            Self::Bake => f.write_str("bake"),
            Self::Commit => f.write_str("commit"),
            Self::Inquire => f.write_str("inquire"),
            Self::Halt => f.write_str("halt"),
            Self::Restore => f.write_str("restore"),
            Self::Regate => f.write_str("gate of the old"),
            Self::Remove => f.write_str("remove"),
            Self::Check => f.write_str("check"),
            Self::Settle => f.write_str("settle"),
            Self::Copy => f.write_str("copy"),
            Self::Promote => f.write_str("promote"),
            Self::Retire => f.write_str("retire"),
            Self::Prove => f.write_str("prove"),
            Self::CleanUp => f.write_str("clean up"),
            Self::RetireAgain => f.write_str("retire again"),
            Self::Record => f.write_str("record"),
            Self::Unlock => f.write_str("unlock"),
            Self::Look => f.write_str("look"),
        }
    }
}

/// One stage on one host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Step {
    pub stage: Stage,
    pub host: HostName,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.stage, self.host)
    }
}

/// The direction of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Towards the commit.
    Out,
    /// A recovery reads whether the run was committed.
    Ask,
    /// Back to the snapshot.
    Back,
    /// Committed: forward only.
    On,
}
