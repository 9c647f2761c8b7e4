//! Builds an image on a host: with `BuildKit` if the daemon has it, otherwise with the classic builder.
//! Either the image is built and verified, or nothing is left.

mod answers;
mod bases;
mod classic;
mod grpc;
mod kit;
mod name;
mod platform;
mod session;
mod sync;
mod vertices;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::image::{Found, LastName, inspect, point, split};
use super::{Progress, cancelled};
use crate::config::service::{Build, Builder};
use crate::domain::fault::Fault;
use crate::domain::host::EngineKind;
use crate::domain::ids::ImageId;
use crate::hosts::Daemon;
use crate::hosts::builder::{BuildRefused, Offer};
use crate::hosts::trouble::engine_words;
use crate::runs::begin::logins::Logins;
use crate::runs::begin::secrets::Secrets;
use answers::Unbuilt;

pub use bases::bases;
pub use name::{Name, Naming, name, reference};

/// The limit for cleaning up after a cancelled build: three short requests.
const TIDY_LIMIT: Duration = Duration::from_secs(30);

/// Fragments of messages about a registry that refuses a base image.
const DENIED: [&str; 5] = [
    "no basic auth credentials",
    "unauthorized",
    "authorization failed",
    "pull access denied",
    "401 Unauthorized",
];

/// One build, with all its input.
#[derive(Clone, Copy)]
pub struct Order<'o> {
    pub build: &'o Build,
    /// Whole references, `registry:5000/shop:3f2a91c`.
    pub tags: &'o [String],
    /// Added to the build's own.
    pub labels: &'o BTreeMap<String, String>,
    /// By the id in the Dockerfile.
    pub secrets: &'o Secrets,
    /// Logins for the registries of base images.
    pub logins: &'o Logins,
}

/// Builds, tags and looks: the image under the first tag is the one that was just built.
/// When it is cancelled, times out or fails, the builder is told by the closed connection; a tag that came to be all the
/// same is put back to where it was.
pub async fn build(
    daemon: &Daemon,
    order: Order<'_>,
    progress: &mut dyn Progress,
    cancel: &CancellationToken,
) -> Result<ImageId, Fault> {
    let Order { build, tags, .. } = order;
    let shown = tags
        .first()
        .map_or_else(|| build.context.display().to_string(), Clone::clone);
    let what = format!("build {shown} on {}", daemon.name());
    let daemon = daemon.bulk().await.map_err(crate::hosts::Unreached::fault)?;
    let docker = daemon.change()?.clone();
    let context = Arc::new(look(build).await?);
    let before = match tags.first() {
        Some(tag) => inspect(daemon.read(), tag)
            .await
            .map_err(|error| Fault::new(&what, engine_words(&error)))?,
        None => None,
    };
    let attempt = Attempt {
        daemon: &daemon,
        order,
        context,
    };
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(build.timeout, attempt.make(progress)) => match outcome {
            Ok(outcome) => outcome.map_err(|fault| Fault { what: what.clone(), ..fault }),
            Err(_elapsed) => Err(Fault::new(&what, format!("it took longer than {} s", build.timeout.as_secs()))
                .hint("increase `timeout` of [services.build] if it needs longer")),
        },
        () = cancel.cancelled() => Err(cancelled(&what)),
    };
    let outcome = match (outcome, &build.platform) {
        (Ok(id), Some(platform)) => is_of(&daemon, platform, &id)
            .await
            .map(|()| id)
            .map_err(|fault| Fault {
                what: what.clone(),
                ..fault
            }),
        (outcome, _) => outcome,
    };
    let id = match outcome {
        Ok(id) => id,
        Err(fault) => {
            if let Some(tag) = tags.first() {
                put_back(&daemon, tag, before.as_ref(), progress).await;
            }
            return Err(fault);
        }
    };
    check(&daemon, &docker, &id, tags, &what).await
}

async fn look(build: &Build) -> Result<Context, Fault> {
    if let Some(commit) = &build.git {
        return Context::look_at(&build.context, commit, &build.dockerfile).await;
    }
    let (folder, dockerfile) = (build.context.clone(), build.dockerfile.clone());
    tokio::task::spawn_blocking(move || Context::look(&folder, &dockerfile))
        .await
        .map_err(|error| Fault::new("read the build context", error))?
}

async fn is_of(daemon: &Daemon, platform: &str, id: &str) -> Result<(), Fault> {
    let built = inspect(daemon.read(), id)
        .await
        .map_err(|error| Fault::new("", engine_words(&error)))?;
    // One that is not there is said by who looks for it.
    let proven = built.map_or(Ok(()), |built| platform::proven(platform, &built));
    proven.map_err(
        |fault| match platform::hint(platform, daemon.name().as_str(), daemon.engine()) {
            Some(hint) => fault.hint(hint),
            None => fault,
        },
    )
}

/// Verifies the image, instead of relying on the builder's answer.
async fn check(
    daemon: &Daemon,
    docker: &Docker,
    id: &str,
    tags: &[String],
    what: &str,
) -> Result<ImageId, Fault> {
    let fault = |error: Error| Fault::new(what, engine_words(&error));
    let Some(image) = inspect(daemon.read(), id).await.map_err(fault)? else {
        return Err(Fault::new(
            what,
            format!("the builder said {id}, but no such image is there"),
        ));
    };
    for tag in tags.iter().skip(1) {
        point(docker, image.id.as_str(), tag).await.map_err(fault)?;
    }
    for tag in tags {
        let named = inspect(daemon.read(), tag).await.map_err(fault)?;
        if named.is_none_or(|named| named.id != image.id) {
            return Err(
                Fault::new(what, format!("{tag} names another image than the one just built"))
                    .hint("another build is using the same tag at the same time"),
            );
        }
    }
    Ok(image.id)
}

/// What both builders are asked alike: <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Image/operation/ImageBuild>.
fn query(order: &Order<'_>) -> Vec<(&'static str, String)> {
    let build = order.build;
    let mut labels = build.labels.clone();
    labels.extend(order.labels.clone());
    let object = |pairs: &BTreeMap<String, String>| serde_json::json!(pairs).to_string();
    let mut query = vec![
        ("dockerfile", build.dockerfile.to_string_lossy().into_owned()),
        ("rm", "1".to_owned()),
        ("forcerm", "1".to_owned()),
        ("labels", object(&labels)),
        ("buildargs", object(&build.args)),
    ];
    query.extend(order.tags.first().map(|tag| ("t", tag.clone())));
    query.extend(build.target.clone().map(|target| ("target", target)));
    query.extend(build.platform.clone().map(|platform| ("platform", platform)));
    if !build.cache_from.is_empty() {
        query.push(("cachefrom", serde_json::json!(build.cache_from).to_string()));
    }
    query
}

/// The builders to try, in order.
struct Attempt<'a> {
    daemon: &'a Daemon,
    order: Order<'a>,
    context: Arc<Context>,
}

impl Attempt<'_> {
    /// The image id reported by the builder. The error says why, not what.
    async fn make(&self, progress: &mut dyn Progress) -> Result<String, Fault> {
        if self.uses_buildkit().await? {
            match kit::build(self.daemon, &self.order, Arc::clone(&self.context), progress).await {
                Ok(id) => return Ok(id),
                // A daemon may have no BuildKit and say so only when it is asked for a build.
                Err(Unbuilt::Refused(BuildRefused::Daemon(error)))
                    if self.order.build.builder == Builder::Auto && self.order.secrets.is_empty() =>
                {
                    let words = engine_words(&error);
                    progress.line(&format!("no BuildKit here ({words}): using the classic builder"));
                }
                Err(unbuilt) => return Err(self.explained(unbuilt)),
            }
        }
        classic::build(self.daemon, &self.order, Arc::clone(&self.context), progress)
            .await
            .map_err(|unbuilt| self.explained(unbuilt))
    }

    async fn uses_buildkit(&self) -> Result<bool, Fault> {
        let build = self.order.build;
        let name = self.daemon.name();
        let kind = self.daemon.engine().kind;
        match build.builder {
            Builder::Classic => return Ok(false),
            Builder::BuildKit if kind == EngineKind::Docker => return Ok(true),
            Builder::BuildKit => {
                return Err(
                    Fault::new("", format!("{name} runs {}, which has no BuildKit", words(kind))).hint(
                        "`builder = \"buildkit\"` needs Docker; otherwise Podman uses its classic builder",
                    ),
                );
            }
            Builder::Auto => {}
        }
        let offer = self
            .daemon
            .offers()
            .await
            .map_err(|error| Fault::new("", engine_words(&error)))?;
        if offer == Offer::Classic && !self.order.secrets.is_empty() {
            return Err(
                Fault::new("", format!("its `secrets` need BuildKit, which {name} does not offer"))
                    .hint("build on a host whose Docker has BuildKit; the classic builder would store them in the image"),
            );
        }
        Ok(offer == Offer::BuildKit)
    }

    fn explained(&self, unbuilt: Unbuilt) -> Fault {
        let words = match unbuilt {
            Unbuilt::Refused(BuildRefused::Fault(fault)) => {
                return Fault {
                    why: format!("could not {}: {}", fault.what, fault.why),
                    ..fault
                };
            }
            Unbuilt::Refused(BuildRefused::Daemon(error) | BuildRefused::Broken(error)) => {
                engine_words(&error)
            }
            Unbuilt::Failed(words) => words,
        };
        let fault = Fault::new("", words.trim());
        match self.hint(&words) {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }

    fn hint(&self, words: &str) -> Option<String> {
        if words.contains("requires BuildKit") {
            return Some(
                "this is the classic builder: use BuildKit (`builder`), or a Dockerfile without `--mount` and heredocs"
                    .to_owned(),
            );
        }
        if DENIED.iter().any(|part| words.contains(part)) {
            return Some(
                "a base image requires a login: `docker login` its registry on this machine, or give \
                 [[registries]] a username and a password"
                    .to_owned(),
            );
        }
        if words.contains("server gave HTTP response to HTTPS client") {
            return Some(
                "the registry speaks no TLS: name it in that daemon's `insecure-registries`, with its port, and for BuildKit \
                 with `http://` before it"
                    .to_owned(),
            );
        }
        if words.contains("no space left on device") {
            return Some(
                "the disk of the build host is full: `docker system df` there shows what uses it".to_owned(),
            );
        }
        if let Some(target) = &self.order.build.target
            && (words.contains("failed to reach build target")
                || words.contains("target stage")
                || words.contains(&format!("{target} could not be found")))
        {
            return Some(format!("the Dockerfile has no stage called {target}"));
        }
        if let Some(syntax) = self.context.syntax()
            && (words.contains(syntax) || words.contains("frontend gateway"))
        {
            return Some(format!(
                "the Dockerfile begins with `# syntax={syntax}`: the build host must be able to fetch that image, or take the line out"
            ));
        }
        let platform = self.order.build.platform.as_ref()?;
        platform::hint(platform, self.daemon.name().as_str(), self.daemon.engine())
    }
}

fn words(kind: EngineKind) -> &'static str {
    match kind {
        EngineKind::Docker => "Docker",
        EngineKind::Podman => "Podman",
        EngineKind::Simulated => "a simulated engine",
    }
}

/// Restores the tag of a build that may have ended just when it was cancelled.
async fn put_back(daemon: &Daemon, tag: &str, before: Option<&Found>, progress: &mut dyn Progress) {
    let before = before.map(|found| &found.id);
    let tidied = tokio::time::timeout(
        TIDY_LIMIT,
        super::image::put_back(daemon, tag, (before, None), LastName::Goes),
    )
    .await;
    let why = match tidied {
        Ok(Ok(())) => return,
        Ok(Err(fault)) => fault.why,
        Err(_elapsed) => "no answer in time".to_owned(),
    };
    let (repository, tag) = split(tag);
    progress.line(&format!(
        "could not see whether {repository}:{tag} remains: {why}"
    ));
}
