//! Notifies the command or webhook of `on_finish` once a run has closed.
//! Never changes the result; the outcome of the notification is in the run's output and log.

mod post;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::config::finish::{HookUrl, OnFinish, Tell, hook_url};
use crate::domain::exit::Exit;
use crate::domain::fault::Fault;
use crate::domain::ids::ServiceName;
use crate::domain::run::{Outcome, RunStatus, RunView};
use crate::runs::begin::secrets;
use crate::runs::seen::follow::Reader;
use crate::runs::step::{Progress, command};

/// The name of its lines in the run's output.
pub(in crate::runs) const STAGE: &str = "on_finish";
const ATTEMPTS: u32 = 2;
/// The delay before the second attempt, enough for a service to restart.
const BACK_OFF: Duration = Duration::from_secs(2);

/// The command or webhook to notify, with its secrets; passed to the runner through the pipe, never written to disk.
#[derive(Clone, Serialize, Deserialize)]
pub struct Finish {
    way: Way,
    timeout: Duration,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    Command(Vec<String>),
    Hook(Hook),
    /// Its secrets cannot be resolved; reported at the end of the run.
    Unresolved(Fault),
}

#[derive(Clone, Serialize, Deserialize)]
pub(in crate::runs) struct Hook {
    url: String,
    /// Whether its URL is a secret, too.
    kept: bool,
    secret: Option<String>,
    ca: Option<PathBuf>,
}

impl Finish {
    /// The configured notification of this service, with its secrets. An unresolved secret does not prevent a run.
    pub async fn resolve(
        config: &Config,
        service: &ServiceName,
        env: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Option<Self> {
        let wanted = config.on_finish(service)?;
        let way = way(wanted, env).await.unwrap_or_else(Way::Unresolved);
        Some(Self {
            way,
            timeout: wanted.timeout,
        })
    }

    /// The values to remove from everything that is written.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let hook = match &self.way {
            Way::Hook(hook) => Some(hook),
            Way::Command(_) | Way::Unresolved(_) => None,
        };
        let url = hook.filter(|hook| hook.kept).map(|hook| hook.url.as_str());
        url.into_iter()
            .chain(hook.and_then(|hook| hook.secret.as_deref()))
    }
}

async fn way(wanted: &OnFinish, env: &(dyn Fn(&str) -> Option<String> + Sync)) -> Result<Way, Fault> {
    let hook = match &wanted.tell {
        Tell::Command(argv) => return Ok(Way::Command(argv.clone())),
        Tell::Hook(hook) => hook,
    };
    let (url, kept) = match &hook.url {
        HookUrl::Open(url) => (url.clone(), false),
        HookUrl::Kept(source) => {
            let what = "the URL of on_finish";
            let url = secrets::one(what, source, env).await?;
            hook_url(&url).map_err(|why| Fault::new(format!("use {what}"), why))?;
            (url, true)
        }
    };
    Ok(Way::Hook(Hook {
        url,
        kept,
        secret: match &hook.secret {
            Some(source) => Some(secrets::one("the secret of on_finish", source, env).await?),
            None => None,
        },
        ca: hook.ca.clone(),
    }))
}

/// A failure, and whether a second attempt may succeed.
pub(in crate::runs) struct Trouble {
    fault: Fault,
    may_pass: bool,
}

/// The run in `dir` has closed: tells it, twice at most, each time within the limit.
pub(in crate::runs) async fn tell(finish: &Finish, dir: &Path, exit: Exit, progress: &mut dyn Progress) {
    for attempt in 1..=ATTEMPTS {
        let Err(trouble) = once(finish, dir, exit, progress).await else {
            return;
        };
        tracing::warn!(fault = %trouble.fault, attempt, "the result could not be delivered");
        progress.line(&trouble.fault.to_string());
        if let Some(hint) = &trouble.fault.hint {
            progress.line(&format!("hint: {hint}"));
        }
        if !trouble.may_pass || attempt == ATTEMPTS {
            return;
        }
        tokio::time::sleep(BACK_OFF).await;
    }
}

async fn once(finish: &Finish, dir: &Path, exit: Exit, progress: &mut dyn Progress) -> Result<(), Trouble> {
    let lasting = |fault| Trouble {
        fault,
        may_pass: false,
    };
    let passing = |fault| Trouble {
        fault,
        may_pass: true,
    };
    let view = closed(dir).map_err(lasting)?;
    let message = message(&view, exit).map_err(lasting)?;
    match &finish.way {
        Way::Unresolved(fault) => Err(lasting(fault.clone())),
        Way::Command(argv) => {
            let asked = command::Asked {
                name: STAGE,
                argv,
                env: &BTreeMap::from([
                    ("PILOTHOUSE_RUN".to_owned(), view.id.to_string()),
                    ("PILOTHOUSE_SERVICE".to_owned(), view.subject()),
                    ("PILOTHOUSE_RESULT".to_owned(), result(&view).0.to_owned()),
                ]),
                folder: dir,
                timeout: finish.timeout,
                dir: None,
                input: &message,
            };
            let never = CancellationToken::new();
            command::run(&asked, progress, &never).await.map_err(passing)
        }
        Way::Hook(hook) => {
            let posted = post::post(hook, &view.id, message);
            let place = hook.place();
            let told = tokio::time::timeout(finish.timeout, posted).await;
            told.unwrap_or_else(|_elapsed| {
                Err(passing(Fault::new(
                    format!("tell {place}"),
                    format!("it did not answer within {} s", finish.timeout.as_secs()),
                )))
            })?;
            progress.line(&format!("notified {place}"));
            Ok(())
        }
    }
}

/// The run as in `pilothouse runs ID --json`, without its output.
fn closed(dir: &Path) -> Result<RunView, Fault> {
    let mut reader = Reader::new(dir.to_path_buf());
    reader.read()?;
    let mut view = reader
        .view()
        .ok_or_else(|| Fault::new(format!("read {}", dir.display()), "its journal is empty"))?;
    view.output.clear();
    view.output_skipped = 0;
    Ok(view)
}

#[derive(Serialize)]
struct Message<'v> {
    /// The version of the format.
    schema: u8,
    event: &'static str,
    result: &'static str,
    exit: Exit,
    why: Option<&'v str>,
    run: &'v RunView,
}

fn message(view: &RunView, exit: Exit) -> Result<Vec<u8>, Fault> {
    let (result, why) = result(view);
    let message = Message {
        schema: 1,
        event: "run-finished",
        result,
        exit,
        why,
        run: view,
    };
    serde_json::to_vec(&message).map_err(|error| Fault::new("write the result as JSON", error))
}

fn result(view: &RunView) -> (&'static str, Option<&str>) {
    match &view.status {
        RunStatus::Closed { outcome, .. } => match outcome {
            Outcome::Converged => ("converged", None),
            Outcome::Reverted { why, .. } => ("reverted", Some(why)),
            Outcome::NeedsHuman { why, .. } => ("needs-human", Some(why)),
        },
        RunStatus::Running | RunStatus::Dead => ("open", None),
    }
}
