//! An image built from a context folder, by the daemon's classic builder.
//! Built and looked at, or not built and nothing left; `BuildKit` is a step of its own to come.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder};
use futures_util::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;

use super::context::{Context, Sent, Stopped, Upload};
use super::git::{self, Revision};
use super::image::{inspect, point, split};
use super::{Lines, Progress, cancelled};
use crate::config::service::Build;
use crate::config::template::{self, TagFacts};
use crate::domain::container::label;
use crate::domain::fault::Fault;
use crate::domain::ids::{ImageId, ServiceName};
use crate::domain::units::{Bytes, Stamp};
use crate::hosts::Daemon;
use crate::hosts::trouble::engine_words;

/// How often "sending the context, 12 M" is said anew.
const TOLD_EVERY: Duration = Duration::from_millis(500);
/// What is put right after a cancelled build: three short requests.
const TIDY_LIMIT: Duration = Duration::from_secs(30);

/// What a build's template makes of it, before it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub tag: String,
    /// `pilothouse.service`, and `pilothouse.git` where the context is in a repository.
    pub labels: BTreeMap<String, String>,
    pub git: Option<Revision>,
    /// What a person should know: the work tree is dirty.
    pub notes: Vec<String>,
}

/// Fills the template of the tag. Git is asked once; that it is absent is a fault only if the template needs it.
pub async fn name(build: &Build, service: &ServiceName, run_number: u64, now: Stamp) -> Result<Name, Fault> {
    let asked = git::revision(&build.context).await;
    let mut notes = Vec::new();
    let (git, why_not) = match asked {
        Ok(revision) => (Some(revision), None),
        Err(why) => (None, Some(why)),
    };
    let facts = TagFacts {
        git_short: git.as_ref().map(|revision| revision.short.clone()),
        git_branch: git.as_ref().and_then(|revision| revision.branch.clone()),
        run_number,
        time: compact(now),
    };
    let tag = template::fill(&build.tag, &facts).map_err(|why| {
        let why = match &why_not {
            Some(git) if template::needs_git(&build.tag) => format!("{why}: {git}"),
            Some(_) | None => why,
        };
        Fault::new(format!("make the tag `{}`", build.tag), why)
            .hint("`tag = \"{time}\"` or `\"{run.number}\"` need no repository")
    })?;
    let mut labels = BTreeMap::from([(label::SERVICE.to_owned(), service.to_string())]);
    if let Some(revision) = &git {
        let dirty = if revision.dirty { "-dirty" } else { "" };
        labels.insert(label::GIT.to_owned(), format!("{}{dirty}", revision.full));
        if revision.dirty {
            notes.push(format!(
                "{} holds changes that are not in {}: the image is not exactly that revision",
                build.context.display(),
                revision.short
            ));
        }
    }
    Ok(Name {
        tag,
        labels,
        git,
        notes,
    })
}

/// `20261121-084500`, UTC.
fn compact(now: Stamp) -> String {
    jiff::Timestamp::from_second(now.seconds())
        .map(|time| time.strftime("%Y%m%d-%H%M%S").to_string())
        .unwrap_or_default()
}

/// Builds, tags and looks: the image under the first tag is the one that was just built.
/// 1. `tags` are whole references, `registry:5000/shop:3f2a91c`; `labels` are added to the build's own.
/// 2. When it is cancelled, times out or fails, the builder is told by the closed connection; a tag that came to be
///    all the same is put back to where it was.
pub async fn build(
    daemon: &Daemon,
    build: &Build,
    tags: &[String],
    labels: &BTreeMap<String, String>,
    progress: &mut dyn Progress,
    cancel: &CancellationToken,
) -> Result<ImageId, Fault> {
    let shown = tags
        .first()
        .map_or_else(|| build.context.display().to_string(), Clone::clone);
    let what = format!("build {shown} on {}", daemon.name());
    let daemon = daemon.bulk().await.map_err(crate::hosts::Unreached::fault)?;
    let docker = daemon.change()?.clone().with_timeout(build.timeout);

    let (folder, dockerfile) = (build.context.clone(), build.dockerfile.clone());
    let context = tokio::task::spawn_blocking(move || Context::look(&folder, &dockerfile))
        .await
        .map_err(|error| Fault::new(&what, error))??;
    let before = match tags.first() {
        Some(tag) => inspect(daemon.read(), tag)
            .await
            .map_err(|error| Fault::new(&what, engine_words(&error)))?,
        None => None,
    };

    let building = Building {
        docker: &docker,
        build,
        progress,
        lines: Lines::default(),
        image: None,
    };
    let options = options(build, tags, labels);
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(build.timeout, building.run(context, options)) => match outcome {
            Ok(outcome) => outcome.map_err(|fault| Fault { what: what.clone(), ..fault }),
            Err(_elapsed) => Err(Fault::new(&what, format!("it took longer than {} s", build.timeout.as_secs()))
                .hint("`timeout` of [services.build] says how long it may take")),
        },
        () = cancel.cancelled() => Err(cancelled(&what)),
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

/// Asks what stands there now: the builder's word is not enough.
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
                    .hint("somebody else builds the same tag there at the same time"),
            );
        }
    }
    Ok(image.id)
}

fn options(build: &Build, tags: &[String], labels: &BTreeMap<String, String>) -> BuildImageOptions {
    let all_labels: HashMap<String, String> = build
        .labels
        .iter()
        .chain(labels)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let args: HashMap<String, String> = build.args.clone().into_iter().collect();
    let options = BuildImageOptionsBuilder::default()
        .dockerfile(&build.dockerfile.to_string_lossy())
        .rm(true)
        .forcerm(true)
        .labels(&all_labels)
        .buildargs(&args);
    let options = match tags.first() {
        Some(tag) => options.t(tag),
        None => options,
    };
    match &build.target {
        Some(target) => options.target(target).build(),
        None => options.build(),
    }
}

struct Building<'b> {
    docker: &'b Docker,
    build: &'b Build,
    progress: &'b mut dyn Progress,
    lines: Lines,
    /// As the builder named it at the end.
    image: Option<String>,
}

impl Building<'_> {
    async fn run(mut self, context: Context, options: BuildImageOptions) -> Result<String, Fault> {
        let Upload {
            mut pieces,
            walk,
            bytes,
        } = context.send();
        let body = futures_util::stream::poll_fn(move |cx| pieces.poll_recv(cx));
        let body = bollard::body_try_stream(body);
        let mut answers: Pin<Box<dyn Stream<Item = Result<BuildInfo, Error>> + Send + '_>> =
            Box::pin(self.docker.build_image(options, None, Some(body)));
        let mut tick = tokio::time::interval(TOLD_EVERY);
        let mut told = 0;
        let failed = loop {
            tokio::select! {
                answer = answers.next() => match answer {
                    Some(Ok(answer)) => self.take(answer),
                    Some(Err(error)) => break Some(error),
                    None => break None,
                },
                _ = tick.tick() => {
                    let sent = bytes.load(Ordering::Relaxed);
                    if sent != told {
                        told = sent;
                        self.progress.text(&format!("sending the context, {}", Bytes(sent)));
                    }
                }
            }
        };
        self.lines.finish(self.progress);
        // The walk ends with its stream: whatever it found wrong is the reason behind the daemon's words.
        drop(answers);
        let walked = walk.await.map_err(|error| Fault::new("", error))?;
        match (walked, failed) {
            (Err(Stopped::Fault(fault)), _) => Err(Fault {
                why: format!("could not {}: {}", fault.what, fault.why),
                ..fault
            }),
            (Ok(_) | Err(Stopped::Unwanted), Some(error)) => Err(self.refused(&error)),
            (Ok(sent), None) => {
                self.say_skipped(&sent);
                self.image
                    .ok_or_else(|| Fault::new("", "the builder ended without naming an image"))
            }
            (Err(Stopped::Unwanted), None) => self
                .image
                .ok_or_else(|| Fault::new("", "the builder ended before it had taken the context")),
        }
    }

    fn take(&mut self, answer: BuildInfo) {
        if let Some(id) = answer.aux.and_then(|aux| aux.id) {
            self.image = Some(id);
        }
        if let Some(text) = answer.stream {
            if let Some(step) = step(&text) {
                self.progress.text(&step);
            }
            // Podman names the image in words only.
            if let Some(id) = text.strip_prefix("Successfully built ")
                && self.image.is_none()
            {
                self.image = Some(id.trim().to_owned());
            }
            self.lines.push(text.as_bytes(), self.progress);
        } else if let Some(status) = answer.status {
            match answer.id {
                Some(layer) => self.progress.text(&format!("{status} {layer}")),
                None => self.progress.line(&status),
            }
        }
    }

    fn say_skipped(&mut self, sent: &Sent) {
        for name in &sent.skipped.named {
            self.progress.line(&format!("not sent: {name}"));
        }
        let unnamed = sent.skipped.total.saturating_sub(sent.skipped.named.len());
        if unnamed > 0 {
            self.progress.line(&format!("not sent: {unnamed} more"));
        }
    }

    fn refused(&self, error: &Error) -> Fault {
        let words = engine_words(error);
        let fault = Fault::new("", words.trim());
        if words.contains("requires BuildKit") {
            return fault.hint(
                "the classic builder is used so far: write the Dockerfile without `--mount` and heredocs",
            );
        }
        if words.contains("no space left on device") {
            return fault.hint("the disk of the build host is full: `docker system df` there shows by what");
        }
        if let Some(target) = &self.build.target
            && words.contains("failed to reach build target")
        {
            return fault.hint(format!("the Dockerfile has no stage called {target}"));
        }
        fault
    }
}

/// `Step 3/7 : RUN make` → `step 3 of 7: RUN make`
fn step(text: &str) -> Option<String> {
    let (count, instruction) = text.strip_prefix("Step ")?.split_once(" : ")?;
    let (number, total) = count.split_once('/')?;
    let (number, total): (u32, u32) = (number.parse().ok()?, total.trim().parse().ok()?);
    let instruction = instruction.lines().next().unwrap_or_default().trim();
    Some(format!("step {number} of {total}: {instruction}"))
}

/// A build that ended in the same moment as it was cancelled may have set its tag.
async fn put_back(
    daemon: &Daemon,
    tag: &str,
    before: Option<&super::image::Found>,
    progress: &mut dyn Progress,
) {
    let before = before.map(|found| &found.id);
    let tidied = tokio::time::timeout(TIDY_LIMIT, super::image::put_back(daemon, tag, before)).await;
    let why = match tidied {
        Ok(Ok(())) => return,
        Ok(Err(fault)) => fault.why,
        Err(_elapsed) => "no answer in time".to_owned(),
    };
    let (repository, tag) = split(tag);
    progress.line(&format!(
        "could not see whether {repository}:{tag} was left behind: {why}"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_step_becomes_words() {
        assert_eq!(step("Step 3/7 : RUN make\n").unwrap(), "step 3 of 7: RUN make");
        for text in ["", "Step x/7 : RUN", "Stepping", "Step 3 : RUN"] {
            assert_eq!(step(text), None, "{text}");
        }
    }

    #[test]
    fn the_time_of_a_tag_is_utc_and_sorts() {
        assert_eq!(compact(Stamp::from_seconds(1_795_250_700)), "20261121-084500");
    }
}
