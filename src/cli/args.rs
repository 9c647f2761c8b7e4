//! The command line: subcommands, arguments and their help texts.
//! Parses only; what a command does is in its own file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::filter::Filter;
use crate::domain::ids::{HostName, ReleaseNumber, RunId, ServiceName};
use crate::domain::plan::{Found, Wait};
use crate::release::subject::Subject;

/// A control room in the terminal for container fleets
#[derive(Debug, Parser)]
#[command(name = "pilothouse", version, about, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// Use this configuration file instead of the default one
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Use only this host of the configuration (repeatable)
    #[arg(long = "host", global = true, value_name = "NAME", value_parser = HostName::parse)]
    pub hosts: Vec<HostName>,
    /// Send no request that changes anything: no start, stop, exec, build or deploy
    #[arg(long, global = true)]
    pub read_only: bool,
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXIT_CODES: &str = "Exit codes: 0 done · 1 failed, everything is as before · 2 usage or configuration · \
3 a host could not be reached · 4 locked by somebody else · 5 needs a human · 130 interrupted";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open the control room on a simulated fleet; needs no Docker and changes nothing
    Demo,
    /// Check the configuration and whether every host answers
    Check(Output),
    /// List the hosts
    Hosts(Output),
    /// List the containers of all hosts
    Ps(Ps),
    /// Show the logs of containers or services, merged by time
    Logs(Logs),
    /// Build a service's image on its build host
    Build(BuildArgs),
    /// Run a service's tests in containers of its image
    Test(ImageArgs),
    /// Push a service's image to its registry, or add a tag to an image that is already there
    Push(PushArgs),
    /// Deploy a release of a service to its hosts
    Deploy(ImageArgs),
    /// Run a service's pipeline: build, test, push and deploy
    Pipeline(PipelineArgs),
    /// Deploy the exact image that runs in one environment of a service to another
    Promote(PromoteArgs),
    /// Go back to the previous release, or to a given one
    Rollback(RollbackArgs),
    /// Register running containers as a service's first release, without changing them
    ///
    /// Later deploys replace it, and rollbacks can return to it.
    Adopt(AdoptArgs),
    /// List runs, or show one
    Runs(Runs),
    /// Show the history of services from the ledgers on their hosts
    ///
    /// The result is the same on every machine. If a prune removed a ledger's container, it is created again to read the ledger,
    /// and never started; not with --read-only.
    History(History),
    /// Follow a run until it ends; exits with the run's exit code
    Follow(Follow),
    /// Ask a run to stop and undo its changes
    ///
    /// A second request stops it without undoing the rest. A step that does not end within 20 s of the request is abandoned.
    /// Allowed for the user who started the run and for root.
    Cancel(Cancel),
    /// Approve or deny a run that waits for approval
    ///
    /// Allowed for the user who started the run and for root.
    Approve(Approve),
    /// Finish or undo a run that died, lost a host or needs a human
    ///
    /// Allowed for the user who started the run and for root.
    Recover(Recover),
    /// Remove a service's lock if its holder is gone
    Unlock(Unlock),
    /// Receive push webhooks from a forge and start runs
    Listen(Listen),
    /// List all keys and commands
    Keys(Output),
    /// Print the completion script for a shell
    Completions {
        /// bash, zsh, fish, …
        shell: Shell,
    },
    /// Print the manual page (roff)
    Man,
    /// The runner of one run; started by the program itself
    #[command(name = "__run", hide = true)]
    Runner {
        /// The run's folder
        dir: PathBuf,
    },
    /// ssh, ended with its parent; started by the program itself
    #[command(name = "__ssh", hide = true, disable_help_flag = true)]
    Ssh {
        /// Given to ssh as it is
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
}

#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// Print one JSON document: times as RFC 3339 in UTC, durations in seconds, states as words
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Ps {
    /// Include containers that are not running
    #[arg(short, long)]
    pub all: bool,
    /// Show only containers whose name, image, host or service contains all these words, ignoring case; a leading `!`
    /// inverts the filter. With --json, a service without listed containers gets a row of its own with its state
    pub filter: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Logs {
    /// Containers (name or id; `host/name` if the name is on several hosts) or services
    #[arg(required = true, value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Keep printing new lines
    #[arg(short, long)]
    pub follow: bool,
    /// Number of last lines to show of each container
    #[arg(short = 'n', long, default_value_t = 100, conflicts_with_all = ["since", "all"])]
    pub tail: u32,
    /// Show only lines that are newer than this: `90s`, `15m`, `2h`
    #[arg(long, value_parser = duration, conflicts_with = "all")]
    pub since: Option<Duration>,
    /// Show all lines
    #[arg(long)]
    pub all: bool,
    /// Show the time of each line
    #[arg(short, long)]
    pub timestamps: bool,
    #[command(flatten)]
    pub output: Output,
}

/// The service, with or without an environment.
#[derive(Debug, Args)]
pub struct Target {
    /// A service of the configuration; `shop.staging` for one of its environments
    #[arg(value_name = "SERVICE", value_parser = Subject::parse)]
    pub service: Subject,
    /// The service's environment, if not given as `shop.staging`
    #[arg(long = "env", value_name = "NAME")]
    pub environment: Option<String>,
}

/// The image to use.
#[derive(Debug, Args)]
pub struct Image {
    /// Use the image with this tag instead of the last build
    #[arg(long, conflicts_with = "image")]
    pub tag: Option<String>,
    /// Use this image: a reference, an id, or `repo@sha256:…`
    #[arg(long)]
    pub image: Option<String>,
}

/// What to build.
#[derive(Debug, Default, Args)]
pub struct Built {
    /// Build this commit, branch or tag instead of the work tree
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    /// Also build every service with `after = [SERVICE]`, each after the services it depends on
    #[arg(long)]
    pub with_dependants: bool,
}

#[derive(Debug, Args)]
pub struct BuildArgs {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub built: Built,
    #[command(flatten)]
    pub how: HowToRun,
}

/// Arguments of a run that uses an existing image.
#[derive(Debug, Args)]
pub struct ImageArgs {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub which: Image,
    #[command(flatten)]
    pub how: HowToRun,
}

#[derive(Debug, Args)]
pub struct PipelineArgs {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub which: Image,
    #[command(flatten)]
    pub built: Built,
    #[command(flatten)]
    pub how: HowToRun,
}

#[derive(Debug, Args)]
pub struct PushArgs {
    /// A service of the configuration
    #[arg(value_parser = ServiceName::parse)]
    pub service: ServiceName,
    /// Push this image instead of the last build: a tag, an id, a reference, or `repo@sha256:…`
    #[arg(long)]
    pub image: Option<String>,
    /// Push under this tag instead of the image's own (repeatable)
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    #[command(flatten)]
    pub how: HowToRun,
}

#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// A service of the configuration
    #[arg(value_parser = ServiceName::parse)]
    pub service: ServiceName,
    /// The environment whose image is deployed; the service's own name means the service without an environment
    pub from: String,
    /// The environment to deploy to
    pub to: String,
    #[command(flatten)]
    pub how: HowToRun,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    #[command(flatten)]
    pub target: Target,
    /// The release to go back to, such as `r41`
    #[arg(long, value_parser = release)]
    pub to: Option<ReleaseNumber>,
    /// List the releases recorded on the hosts, who deployed them and where they are retained; change nothing
    #[arg(long, conflicts_with_all = ["to", "yes", "confirm", "detach", "wait", "reason"])]
    pub list: bool,
    #[command(flatten)]
    pub how: HowToRun,
}

#[derive(Debug, Args)]
pub struct AdoptArgs {
    #[command(flatten)]
    pub target: Target,
    /// What runs now (repeatable): a container name, the same on every host of the service; `host/name` for one host; or
    /// a compose file, whose containers for the service of this name or image are found by Compose's labels
    #[arg(long, required = true, value_name = "CONTAINER|compose.yaml", value_parser = found)]
    pub from: Vec<Found>,
    #[command(flatten)]
    pub how: HowToRun,
}

#[derive(Debug, Args)]
pub struct HowToRun {
    /// Why, for the history
    #[arg(long)]
    pub reason: Option<String>,
    /// Print the plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
    /// Do not ask for confirmation, also if the run builds, tests, pushes or deploys on a protected host. Repeat the service's
    /// name (`shop.staging` for an environment, `'base shop'` if both services do)
    #[arg(long, value_name = "SERVICE")]
    pub confirm: Option<String>,
    #[command(flatten)]
    pub patience: Patience,
    /// Print the run's id and return once it has begun
    #[arg(long)]
    pub detach: bool,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Runs {
    /// Show only this run
    #[arg(value_parser = RunId::parse)]
    pub id: Option<RunId>,
    /// Only runs of this service, in any environment; `shop.staging` for one of them
    #[arg(long, value_name = "SERVICE", value_parser = Subject::parse, conflicts_with = "id")]
    pub service: Option<Subject>,
    /// Only runs in this environment
    #[arg(long = "env", value_name = "NAME", conflicts_with = "id")]
    pub environment: Option<String>,
    #[command(flatten)]
    pub filter: Filter,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct History {
    /// Only this service, in any environment; `shop.staging` for one of them
    #[arg(value_name = "SERVICE", value_parser = Subject::parse)]
    pub service: Option<Subject>,
    /// Only this environment
    #[arg(long = "env", value_name = "NAME")]
    pub environment: Option<String>,
    #[command(flatten)]
    pub filter: Filter,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Follow {
    /// The id of the run
    #[arg(value_parser = RunId::parse)]
    pub id: RunId,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Cancel {
    /// The id of the run
    #[arg(value_parser = RunId::parse)]
    pub id: RunId,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Approve {
    /// The id of the run, as in `pilothouse runs`
    #[arg(value_parser = RunId::parse)]
    pub id: RunId,
    /// The stage, if several are waiting
    #[arg(long)]
    pub stage: Option<String>,
    /// Deny: the stage fails and the run undoes its changes
    #[arg(long)]
    pub deny: bool,
    /// Why, for the run's journal
    #[arg(long)]
    pub reason: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Recover {
    /// The run; default: all dead runs, one after the other, and the exit code is that of the worst result
    #[arg(value_parser = RunId::parse)]
    pub id: Option<RunId>,
    /// Required if one of its hosts is protected: the service's name (`shop.staging` for an environment; repeatable)
    #[arg(long, value_name = "SERVICE")]
    pub confirm: Vec<String>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Unlock {
    #[command(flatten)]
    pub target: Target,
    /// Why, for the history
    #[arg(long)]
    pub reason: String,
    /// Required if one of its hosts is protected: repeat the service's name (`shop.staging` for an environment)
    #[arg(long, value_name = "SERVICE")]
    pub confirm: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Listen {
    /// Listen on this address instead of `[listen] address`; POST /hook receives webhooks, GET /health returns counters
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub address: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct Patience {
    /// Wait at most this long for other runs of the service: `15m`. Default at a terminal: as long as it takes for its turn
    /// on this machine, and up to 15 min for a run of another machine
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "no_wait")]
    pub wait: Option<Duration>,
    /// Exit with 4 if another run of the service is in progress; the default without a terminal, unless --wait is given
    #[arg(long)]
    pub no_wait: bool,
}

impl Patience {
    /// `at_terminal`: a person can see that it waits.
    #[must_use]
    pub fn waits(&self, at_terminal: bool) -> Wait {
        match (self.wait, self.no_wait || !at_terminal) {
            (Some(limit), _) => Wait::UpTo(limit),
            (None, true) => Wait::No,
            (None, false) => Wait::Turn,
        }
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text
        .parse()
        .map_err(|_error| format!("{text:?} is not a duration; try `90s`, `15m` or `2h`"))?;
    Duration::try_from(span).map_err(|_negative| "a duration can't be negative".to_owned())
}

fn found(text: &str) -> Result<Found, String> {
    let path = PathBuf::from(text);
    let extension = path.extension().and_then(std::ffi::OsStr::to_str);
    if extension.is_some_and(|extension| matches!(extension, "yaml" | "yml")) {
        return Ok(Found::Compose(path));
    }
    let (host, name) = match text.split_once('/') {
        Some((host, name)) => (
            Some(HostName::parse(host).map_err(|fault| fault.to_string())?),
            name,
        ),
        None => (None, text),
    };
    if name.is_empty() || name.contains('/') {
        return Err("a container is given as `name` or `host/name`".to_owned());
    }
    Ok(Found::Container {
        host,
        name: name.to_owned(),
    })
}

fn release(text: &str) -> Result<ReleaseNumber, String> {
    text.strip_prefix('r')
        .unwrap_or(text)
        .parse()
        .map(ReleaseNumber)
        .map_err(|error| format!("{error}; a release is given as `r41`"))
}
