//! What may be typed on the command line.
//! Only says what was typed; what it means is decided by the command's own file.

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
    /// Read this configuration instead of the user's
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only these hosts of the configuration (may be given several times)
    #[arg(long = "host", global = true, value_name = "NAME", value_parser = HostName::parse)]
    pub hosts: Vec<HostName>,
    /// Send no request that changes anything: no start, stop, exec, build or deploy
    #[arg(long, global = true)]
    pub read_only: bool,
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXIT_CODES: &str = "Exit codes: 0 done · 1 failed, everything as before · 2 usage or configuration · \
3 a host could not be reached · 4 locked by somebody else · 5 needs a human · 130 interrupted";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The control room on a simulated fleet: needs nothing, harms nothing
    Demo,
    /// Check the configuration and whether every host answers
    Check(Output),
    /// List the hosts
    Hosts(Output),
    /// List the containers of all hosts
    Ps(Ps),
    /// Show logs of containers or services, merged by time
    Logs(Logs),
    /// Build a service's image on its build host
    Build(BuildArgs),
    /// Run a service's tests in containers of its image
    Test(ImageArgs),
    /// Push a service's image to its registry, or give another tag to one that is there
    Push(PushArgs),
    /// Put a release of a service on its hosts
    Deploy(ImageArgs),
    /// Build, test, push and deploy a service, as its `pipeline` says
    Pipeline(PipelineArgs),
    /// Ship to one environment of a service exactly the image that runs in another now
    Promote(PromoteArgs),
    /// Go back to the release before, or to a named one
    Rollback(RollbackArgs),
    /// Make what runs today a service's first release, without touching it: from then on it is deployed over and gone
    /// back to like any other
    Adopt(AdoptArgs),
    /// List runs, or show one
    Runs(Runs),
    /// What was done to services, by the ledgers on their hosts: the same from every machine. Where a prune took the container
    /// of a ledger it is made again to read it, and never started; not with --read-only
    History(History),
    /// Follow a run until it ends; exits with its code
    Follow(Follow),
    /// Ask a run to stop and undo what it did; a second time: to stop where it is. What does not end within 20 s of being
    /// asked is given up. Only who started a run may, or root
    Cancel(Cancel),
    /// Let a run go on that waits for a person, or not; only who started it may, or root
    Approve(Approve),
    /// Finish or revert what a dead run left; only who started it may, or root
    Recover(Recover),
    /// Take away a service's lock that nobody holds any more
    Unlock(Unlock),
    /// Start runs when a forge's web hook says that somebody pushed
    Listen(Listen),
    /// List every key and command
    Keys(Output),
    /// Print completions for a shell
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
    /// Print JSON, one document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Ps {
    /// Also what is not running
    #[arg(short, long)]
    pub all: bool,
    /// Only containers in whose name, image, host or service all these words are found, in upper or lower case; a leading
    /// `!` inverts. With --json a service of which no container is listed has a row of its own, with its state
    pub filter: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Logs {
    /// Containers (name or id, `host/name` where it is on several) or services
    #[arg(required = true, value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub follow: bool,
    /// So many last lines of each container
    #[arg(short = 'n', long, default_value_t = 100, conflicts_with_all = ["since", "all"])]
    pub tail: u32,
    /// Only what is younger: `90s`, `15m`, `2h`
    #[arg(long, value_parser = duration, conflicts_with = "all")]
    pub since: Option<Duration>,
    /// All there is
    #[arg(long)]
    pub all: bool,
    /// Begin every line with its time
    #[arg(short, long)]
    pub timestamps: bool,
    #[command(flatten)]
    pub output: Output,
}

/// What is meant: a service, in one of its environments or without.
#[derive(Debug, Args)]
pub struct Target {
    /// A service of the configuration; with its environment `shop.staging`
    #[arg(value_name = "SERVICE", value_parser = Subject::parse)]
    pub service: Subject,
    /// The service's environment, if it is not said with the service
    #[arg(long = "env", value_name = "NAME")]
    pub environment: Option<String>,
}

/// Which image is meant.
#[derive(Debug, Args)]
pub struct Image {
    /// The image's tag instead of the last build's
    #[arg(long, conflicts_with = "image")]
    pub tag: Option<String>,
    /// The image: a reference, an id, or `repo@sha256:…`
    #[arg(long)]
    pub image: Option<String>,
}

/// What is built.
#[derive(Debug, Default, Args)]
pub struct Built {
    /// Build exactly this commit, branch or tag, whatever the work tree holds
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    /// Also every service that says `after = [SERVICE]`, each behind what it stands on
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

/// Of a run that takes an image as it is.
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
    /// The image instead of the last build's: a tag, an id, a reference, or `repo@sha256:…`
    #[arg(long)]
    pub image: Option<String>,
    /// Under this tag instead of its own (may be given several times)
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
    /// The environment whose image is taken; the service's own name means the service without one
    pub from: String,
    /// The environment that it is shipped to
    pub to: String,
    #[command(flatten)]
    pub how: HowToRun,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    #[command(flatten)]
    pub target: Target,
    /// The release to go back to: `r41`
    #[arg(long, value_parser = release)]
    pub to: Option<ReleaseNumber>,
    /// List the releases that the hosts know of, who put them there and where they are kept, and do nothing
    #[arg(long, conflicts_with_all = ["to", "yes", "confirm", "detach", "wait", "reason"])]
    pub list: bool,
    #[command(flatten)]
    pub how: HowToRun,
}

#[derive(Debug, Args)]
pub struct AdoptArgs {
    #[command(flatten)]
    pub target: Target,
    /// What runs today (may be given several times): a container's name, the same on every host of the service; `host/name`
    /// for one host; or a compose file, whose service of this name or image is looked for by Compose's labels
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
    /// Print what would be done and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Do not ask, also where it builds, tests, pushes or releases on a protected host: the service's name, once more
    /// (`shop.staging` in an environment, `'base shop'` where both do)
    #[arg(long, value_name = "SERVICE")]
    pub confirm: Option<String>,
    #[command(flatten)]
    pub patience: Patience,
    /// Return once the run has begun, and print its id
    #[arg(long)]
    pub detach: bool,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Runs {
    /// Show this run
    #[arg(value_parser = RunId::parse)]
    pub id: Option<RunId>,
    /// Only runs of this service, in whatever environment; `shop.staging` for one of them
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
    /// Only of this service, in whatever environment; `shop.staging` for one of them
    #[arg(value_name = "SERVICE", value_parser = Subject::parse)]
    pub service: Option<Subject>,
    /// Only in this environment
    #[arg(long = "env", value_name = "NAME")]
    pub environment: Option<String>,
    #[command(flatten)]
    pub filter: Filter,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Follow {
    /// The run
    #[arg(value_parser = RunId::parse)]
    pub id: RunId,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Cancel {
    /// The run
    #[arg(value_parser = RunId::parse)]
    pub id: RunId,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Approve {
    /// The run, as `pilothouse runs` names it
    #[arg(value_parser = RunId::parse)]
    pub id: RunId,
    /// The stage, where several wait
    #[arg(long)]
    pub stage: Option<String>,
    /// Say no: the stage fails, and what the run changed is taken back
    #[arg(long)]
    pub deny: bool,
    /// Why; it stays in the run's journal
    #[arg(long)]
    pub reason: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Recover {
    /// The run; all dead ones without it, one after the other: the worst result gives the exit code
    #[arg(value_parser = RunId::parse)]
    pub id: Option<RunId>,
    /// Where a host of it is protected: the service's name (`shop.staging` in an environment; may be given several times)
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
    /// Where a host of it is protected: the service's name, once more (`shop.staging` in an environment)
    #[arg(long, value_name = "SERVICE")]
    pub confirm: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Listen {
    /// Listen here instead of `[listen] address`; POST /hook takes web hooks, GET /health tells counts
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub address: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct Patience {
    /// Wait so long at most for another run of the service: `15m`; at a terminal it waits its turn anyway
    #[arg(long, value_name = "SPAN", value_parser = duration, conflicts_with = "no_wait")]
    pub wait: Option<Duration>,
    /// Exit with 4 while another run of the service is under way; without a terminal so unless --wait is said
    #[arg(long)]
    pub no_wait: bool,
}

impl Patience {
    /// `at_terminal`: a person is there who sees that it waits.
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
        .map_err(|_error| format!("{text:?} is no span of time; try `90s`, `15m` or `2h`"))?;
    Duration::try_from(span).map_err(|_negative| "a time span can't be negative".to_owned())
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
        return Err("a container is written `name` or `host/name`".to_owned());
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
        .map_err(|error| format!("{error}; a release is written `r41`"))
}
