//! The stages of a run and their steps: a step is one stage on one host, the smallest thing journaled.
//! In which order they are walked is `road`; what a step does on its host is `deeds`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::ids::HostName;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Connect,
    /// What the tags that the run gives name before it: put back by `Sweep` if the run turns back.
    Mark,
    Build,
    /// The image comes to the hosts that test it.
    Fetch,
    /// By the test's name.
    Test(String),
    Push,
    /// A container of the service's own, by its name.
    Run(String),
    /// On the machine of the run, no host needed: a command, or a person who is waited for.
    Local(String),
    /// Everything that the run made and is no replica goes: test containers, networks, volumes, tags.
    Sweep,

    Lock,
    Preflight,
    /// The decision is written into every lock, so that any machine can recover from the hosts alone.
    Pin,
    /// The host remembers that these containers are the release; they themselves are not touched.
    Adopt,
    /// It forgets it again.
    Disown,
    Image,
    Create,
    Stop,
    Start,
    Gate,
    /// The tests of each new replica, once it is good.
    Before,
    /// The tests from outside, once every new replica is good.
    After,
    /// One turn of one wave of a rolling release; waves are counted from 1.
    Wave(u32, Turn),
    /// Everything new is watched once more before the commit: at least one look.
    Bake,
    Commit,

    /// Recovery asks the ledger of the first host in lock order whether the run was committed.
    Inquire,

    /// New replicas stop.
    Halt,
    /// What ran before runs again, the same containers.
    Restore,
    /// And is as good as it was.
    Regate,
    /// New containers go.
    Remove,
    /// The host is compared with the snapshot.
    Check,

    /// Right after the commit: a reboot starts the new replicas, and the old ones no more.
    Promote,
    /// Old down, new up, whatever a crash in between left.
    Settle,
    /// The other hosts' ledgers.
    Copy,
    Retire,
    /// The host is compared with what was decided.
    Prove,
    CleanUp,

    /// The result of a run that was not committed goes into the ledgers.
    Record,
    Unlock,
}

/// What is done in a wave, or taken back in it: the stage of that name, for the wave's replicas alone.
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

impl Stage {
    /// Does it change anything on a host? Then the lock is looked at first.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Self::Image
            | Self::Pin
            | Self::Adopt
            | Self::Disown
            | Self::Create
            | Self::Stop
            | Self::Start
            | Self::Commit
            | Self::Halt
            | Self::Restore
            | Self::Remove
            | Self::Settle
            | Self::Copy
            | Self::Promote
            | Self::Retire
            | Self::CleanUp
            | Self::Record
            | Self::Unlock => true,
            Self::Wave(_, turn) => turn.stage().changes(),
            // What these make carries the run's own name: no lock is needed for it.
            Self::Connect
            | Self::Mark
            | Self::Build
            | Self::Fetch
            | Self::Test(_)
            | Self::Push
            | Self::Run(_)
            | Self::Local(_)
            | Self::Sweep
            | Self::Lock
            | Self::Preflight
            | Self::Gate
            | Self::Before
            | Self::After
            | Self::Bake
            | Self::Inquire
            | Self::Regate
            | Self::Check
            | Self::Prove => false,
        }
    }

    /// Makes what `Sweep` takes away again.
    #[must_use]
    pub fn makes(&self) -> bool {
        matches!(
            self,
            Self::Mark
                | Self::Build
                | Self::Test(_)
                | Self::Run(_)
                | Self::Before
                | Self::After
                | Self::Wave(_, Turn::Before)
        )
    }

    /// Work that a host may take only so much of at once.
    #[must_use]
    pub fn takes_a_place(&self) -> bool {
        matches!(self, Self::Build | Self::Test(_) | Self::Run(_))
    }

    /// A stage of the service's pipeline that makes no image and no release: it stands before the deploy or behind it.
    #[must_use]
    pub fn is_work(&self) -> bool {
        matches!(self, Self::Test(_) | Self::Push | Self::Run(_) | Self::Local(_))
    }

    /// Needs no host: it is done even where its step's host was lost.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local(_))
    }

    /// May it be ended early when the run turns back? What changes a container is always finished.
    #[must_use]
    pub fn can_be_interrupted(&self) -> bool {
        matches!(
            self,
            Self::Build
                | Self::Fetch
                | Self::Test(_)
                | Self::Push
                | Self::Run(_)
                | Self::Local(_)
                | Self::Image
                | Self::Gate
                | Self::Wave(_, Turn::Gate | Turn::Before)
                | Self::Before
                | Self::After
                | Self::Bake
        )
    }

    /// The column of the pipeline pane that it belongs to, if people are shown it at all.
    #[must_use]
    pub fn column(&self) -> Option<String> {
        let word = match self {
            Self::Test(name) => return Some(format!("test {name}")),
            Self::Run(name) | Self::Local(name) => name,
            Self::Build => "build",
            Self::Fetch => "fetch",
            Self::Push => "push",
            Self::Connect | Self::Lock => "lock",
            Self::Preflight | Self::Pin => "preflight",
            Self::Adopt | Self::Disown => "adopt",
            Self::Image => "image",
            Self::Create | Self::Remove => "create",
            Self::Stop | Self::Restore | Self::Regate => "stop",
            Self::Start | Self::Halt => "start",
            Self::Gate => "gate",
            Self::Before => "smoke",
            Self::After => "check",
            Self::Wave(_, turn) => return turn.stage().column(),
            Self::Bake => "bake",
            Self::Commit | Self::Copy => "commit",
            Self::Settle | Self::Promote | Self::Retire | Self::Prove | Self::CleanUp => "retire",
            Self::Mark | Self::Sweep | Self::Inquire | Self::Check | Self::Record | Self::Unlock => {
                return None;
            }
        };
        Some(word.to_owned())
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
            Self::Record => f.write_str("record"),
            Self::Unlock => f.write_str("unlock"),
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

/// Which way a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Towards the commit.
    Out,
    /// A later process asks what an earlier one left.
    Ask,
    /// To the snapshot.
    Back,
    /// Committed: only forward.
    On,
}
