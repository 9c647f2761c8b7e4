//! Pushes an image under its tags, reads its digest back and binds it to the image id.
//! The result is verified; if no registry accepted a tag, the local tag is restored.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::image::{Found, inspect, point};
use super::registry::{Patience, judge, read};
use super::{Progress, cancelled};
use crate::domain::fault::Fault;
use crate::domain::host::EngineKind;
use crate::domain::ids::{Digest, ImageId};
use crate::domain::reference::Reference;
use crate::hosts::registry::{Login, Refusal};
use crate::hosts::trouble::engine_words;
use crate::hosts::{Daemon, Unreached};

/// A registry that restarts is back within seconds.
const PATIENCE: Patience = Patience {
    pauses: &[
        Duration::from_secs(1),
        Duration::from_secs(2),
        Duration::from_secs(4),
        Duration::from_secs(8),
    ],
    at_most: Duration::from_mins(3),
};
/// Putting a tag back: two short requests, within the grace of a cancel.
const TIDY_LIMIT: Duration = Duration::from_secs(10);

/// What is pushed, and as whom.
#[derive(Clone, Copy)]
pub struct Pushing<'p> {
    pub image: &'p ImageId,
    /// All of one repository, each with a tag; in order.
    pub references: &'p [Reference],
    pub login: Option<&'p Login>,
}

/// Pushes the image under every reference; what it is from then on: `repo@sha256:…`.
/// 1. The daemon's word for the digest, what it keeps of it with the image, and the registry's own word agree (on Podman:
///    what is pulled by it is the image).
/// 2. What may pass (5xx, 429, a broken connection) is tried again, said in the progress; what will not is said at once.
/// 3. When it is cancelled or fails, a tag that it moved on the daemon is put back to where it was.
pub async fn push(
    daemon: &Daemon,
    pushing: Pushing<'_>,
    progress: &mut dyn Progress,
    cancel: &CancellationToken,
) -> Result<Reference, Fault> {
    let daemon = &daemon.bulk().await.map_err(Unreached::fault)?;
    let mut pinned: Option<Reference> = None;
    for reference in pushing.references {
        let what = format!("push {reference} from {}", daemon.name());
        let one = One {
            daemon,
            reference,
            image: pushing.image,
            login: pushing.login,
        };
        let before = one.name(&what).await?;
        let pushed = tokio::select! {
            pushed = one.push(progress) => pushed,
            () = cancel.cancelled() => Err(cancelled("")),
        };
        let now = match pushed {
            Ok(digest) => reference.pinned(digest),
            Err(fault) => {
                one.put_back(before.as_ref(), progress).await;
                let fault = Fault { what, ..fault };
                return Err(match &pinned {
                    None => fault,
                    Some(done) => Fault {
                        why: format!("{}; the previous tags have {done}", fault.why),
                        ..fault
                    },
                });
            }
        };
        if let Some(first) = &pinned
            && *first != now
        {
            return Err(Fault::new(
                what,
                format!("it became {now}, but {first} under the previous tag"),
            )
            .hint("the registry changed the image"));
        }
        progress.line(&format!("{reference} is {now}"));
        pinned = Some(now);
    }
    pinned.ok_or_else(|| {
        Fault::new(
            format!("push {} from {}", pushing.image.short(), daemon.name()),
            "no tag was named",
        )
    })
}

/// What the image is called there within this repository.
pub async fn tags(daemon: &Daemon, image: &ImageId, repository: &str) -> Result<Vec<Reference>, Fault> {
    let found = inspect(daemon.read(), image.as_str()).await.map_err(|error| {
        Fault::new(
            format!("look for the tags of {} on {}", image.short(), daemon.name()),
            engine_words(&error),
        )
    })?;
    let tags = found.map(|found| found.tags).unwrap_or_default();
    Ok(tags
        .iter()
        .filter_map(|tag| Reference::parse(tag).ok())
        .filter(|tag| tag.repository() == repository)
        .collect())
}

fn unnamed() -> Fault {
    Fault::new("", "the daemon pushed it without reporting its digest")
}

/// One tag of it.
struct One<'p> {
    daemon: &'p Daemon,
    reference: &'p Reference,
    image: &'p ImageId,
    login: Option<&'p Login>,
}

impl One<'_> {
    /// Makes the reference name the image there; what it named before.
    async fn name(&self, what: &str) -> Result<Option<Found>, Fault> {
        let fault = |error: bollard::errors::Error| Fault::new(what, engine_words(&error));
        let name = self.reference.to_string();
        let before = inspect(self.daemon.read(), &name).await.map_err(fault)?;
        if before.as_ref().is_some_and(|found| found.id == *self.image) {
            return Ok(before);
        }
        if inspect(self.daemon.read(), self.image.as_str())
            .await
            .map_err(fault)?
            .is_none()
        {
            return Err(
                Fault::new(what, format!("the image {} is not there", self.image.short()))
                    .hint("build it first"),
            );
        }
        point(self.daemon.change()?, self.image.as_str(), &name)
            .await
            .map_err(fault)?;
        Ok(before)
    }

    async fn push(&self, progress: &mut dyn Progress) -> Result<Digest, Fault> {
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            let refusal = match self.once(progress).await? {
                Ok(digest) => return Ok(digest),
                Err(refusal) => refusal,
            };
            tries += 1;
            let judged = judge(&refusal, self.reference.registry(), self.login.is_some());
            let pause = PATIENCE.pause(tries, begun.elapsed(), fastrand::f64());
            let Some(pause) = pause.filter(|_| judged.may_pass) else {
                let why = match tries {
                    1 => judged.why,
                    _ => format!("{} (tried {tries} times)", judged.why),
                };
                let fault = Fault::new("", why);
                return Err(match judged.hint {
                    Some(hint) => fault.hint(hint),
                    None => fault,
                });
            };
            let words = format!(
                "{}; trying again in {:.1} s ({} of {})",
                judged.why,
                pause.as_secs_f64(),
                tries + 1,
                PATIENCE.pauses.len() + 1
            );
            progress.line(&words);
            progress.text(&words);
            tokio::time::sleep(pause).await;
        }
    }

    /// Pushes and reads back. The outer error is final: the digests do not agree.
    async fn once(&self, progress: &mut dyn Progress) -> Result<Result<Digest, Refusal>, Fault> {
        let said = match self.daemon.push(self.reference, self.login).await {
            Ok(lines) => read(lines, progress).await,
            Err(refusal) => Err(refusal),
        };
        let said = match said {
            Ok(said) => said,
            Err(refusal) => return Ok(Err(refusal)),
        };
        progress.text("asking the registry for its digest");
        match self.daemon.engine().kind {
            EngineKind::Docker | EngineKind::Simulated => self.ask_back(said).await,
            EngineKind::Podman => self.pull_back(said, progress).await,
        }
    }

    /// What the daemon keeps with the image, and what the registry says of the tag, is what was pushed.
    async fn ask_back(&self, said: Option<Digest>) -> Result<Result<Digest, Refusal>, Fault> {
        let kept = inspect(self.daemon.read(), self.image.as_str())
            .await
            .map_err(|error| Fault::new("", engine_words(&error)))?
            .unwrap_or_else(|| Found::none(self.image));
        let Some(digest) = said.or_else(|| self.only_kept(&kept)) else {
            return Err(unnamed());
        };
        if !self.of_this_repository(&kept).any(|known| known == digest) {
            return Err(Fault::new(
                "",
                format!("it was pushed as {digest}, but the daemon does not keep that with the image"),
            ));
        }
        match self.daemon.asked_of_registry(self.reference, self.login).await {
            Ok(there) if there == digest => Ok(Ok(digest)),
            Ok(there) => Err(Fault::new(
                "",
                format!("it was pushed as {digest}, but the registry has {there} under that tag"),
            )
            .hint("another push is using the same tag at the same time")),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Podman neither keeps the digest with the image nor asks a registry: what it pulls by it must be the image.
    async fn pull_back(
        &self,
        said: Option<Digest>,
        progress: &mut dyn Progress,
    ) -> Result<Result<Digest, Refusal>, Fault> {
        let Some(digest) = said else { return Err(unnamed()) };
        let pinned = self.reference.pinned(digest.clone());
        let pulled = match self.daemon.pull(&pinned, self.login).await {
            Ok(lines) => read(lines, progress).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = pulled {
            return Ok(Err(refusal));
        }
        let came = inspect(self.daemon.read(), &pinned.to_string())
            .await
            .map_err(|error| Fault::new("", engine_words(&error)))?;
        match came {
            Some(came) if came.id == *self.image => Ok(Ok(digest)),
            Some(came) => Err(Fault::new(
                "",
                format!(
                    "it was pushed as {digest}, which is the image {} there",
                    came.id.short()
                ),
            )),
            None => Err(Fault::new(
                "",
                format!("it was pushed as {digest}, which cannot be pulled back"),
            )),
        }
    }

    fn of_this_repository<'f>(&'f self, kept: &'f Found) -> impl Iterator<Item = Digest> + 'f {
        kept.digests
            .iter()
            .filter_map(|text| Reference::parse(text).ok())
            .filter(|known| known.same_repository(self.reference.repository()))
            .filter_map(|known| known.digest().cloned())
    }

    fn only_kept(&self, kept: &Found) -> Option<Digest> {
        let mut all = self.of_this_repository(kept);
        all.next().filter(|_| all.next().is_none())
    }

    /// What the tag named before; a tag that was new goes, unless the image has no other name that would keep it.
    async fn put_back(&self, before: Option<&Found>, progress: &mut dyn Progress) {
        let done = tokio::time::timeout(TIDY_LIMIT, async {
            let name = self.reference.to_string();
            let Ok(docker) = self.daemon.change() else {
                return Ok(());
            };
            match before {
                Some(found) if found.id == *self.image => Ok(()),
                Some(found) => point(docker, found.id.as_str(), &name).await,
                None => {
                    let now = inspect(self.daemon.read(), &name).await?;
                    let is_ours = now.is_some_and(|now| now.id == *self.image && now.tags.len() > 1);
                    if is_ours {
                        let options = bollard::query_parameters::RemoveImageOptionsBuilder::default()
                            .noprune(true)
                            .build();
                        docker.remove_image(&name, Some(options), None).await?;
                    }
                    Ok(())
                }
            }
        })
        .await;
        match done {
            Ok(Ok(())) => {}
            Ok(Err(error)) => progress.line(&format!(
                "could not put {} back: {}",
                self.reference,
                engine_words(&error)
            )),
            Err(_elapsed) => progress.line(&format!("could not put {} back: no answer", self.reference)),
        }
    }
}
