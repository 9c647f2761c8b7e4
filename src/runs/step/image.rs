//! Checks whether an image is on a host, and transfers it from another: saved, streamed through this process, loaded, verified.
//! Never held in memory; a tag is moved only if that takes it from no other image.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::BuildInfo;
use bollard::query_parameters::{
    ImportImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use futures_util::{Stream, StreamExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Progress, cancelled};
use crate::domain::fault::Fault;
use crate::domain::ids::ImageId;
use crate::domain::units::Bytes;
use crate::hosts::Daemon;
use crate::hosts::trouble::engine_words;

/// How often "12 M of 96 M" is updated.
const TOLD_EVERY: Duration = Duration::from_millis(500);
/// A daemon may unpack a large layer for minutes without output, but not for longer.
const STALL_LIMIT: Duration = Duration::from_mins(5);
/// The limit of one transfer.
const REQUEST_LIMIT: Duration = Duration::from_hours(12);
/// How often a host is asked to let an image go, and how long between.
const TRIES: u32 = 6;
const BETWEEN: Duration = Duration::from_millis(500);

/// An image as a daemon knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runs) struct Found {
    pub(super) id: ImageId,
    pub(super) tags: Vec<String>,
    /// `repo@sha256:…`: its digests in the registries it was pushed to or pulled from.
    pub(super) digests: Vec<String>,
    pub(super) os: String,
    pub(super) architecture: String,
    size: Bytes,
}

impl Found {
    /// For an image that no longer exists.
    pub(super) fn none(id: &ImageId) -> Self {
        Self {
            id: id.clone(),
            tags: Vec::new(),
            digests: Vec::new(),
            os: String::new(),
            architecture: String::new(),
            size: Bytes(0),
        }
    }
}

/// The image under a name or id; `None` if there is none.
pub(super) async fn inspect(docker: &Docker, name: &str) -> Result<Option<Found>, Error> {
    let image = match docker.inspect_image(name).await {
        Ok(image) => image,
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let id = image.id.unwrap_or_default();
    // Podman leaves the algorithm away.
    let id = if id.contains(':') {
        id
    } else {
        format!("sha256:{id}")
    };
    let id = ImageId::parse(&id).map_err(|fault| Error::IOError {
        err: std::io::Error::other(fault),
    })?;
    Ok(Some(Found {
        id,
        tags: image.repo_tags.unwrap_or_default(),
        digests: image.repo_digests.unwrap_or_default(),
        os: image.os.unwrap_or_default(),
        architecture: image.architecture.unwrap_or_default(),
        size: Bytes(image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0)),
    }))
}

/// Tags this image with `reference` (`registry:5000/shop:v3`).
pub(super) async fn point(docker: &Docker, image: &str, reference: &str) -> Result<(), Error> {
    let (repository, tag) = split(reference);
    let options = TagImageOptionsBuilder::default()
        .repo(repository)
        .tag(tag)
        .build();
    docker.tag_image(image, Some(options)).await
}

/// A tag that was new, where it is the only name of its image: without it the daemon throws the image away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastName {
    Goes,
    Stays,
}

/// Lets `tag` name what it named before: another image, or none. Does nothing where it does so already, nor where it is
/// known what was made and the tag names something else by now: that is another run's, or a person's.
/// The layers behind it stay as the builder's cache.
pub async fn put_back(
    daemon: &Daemon,
    tag: &str,
    (before, made): (Option<&ImageId>, Option<&ImageId>),
    last: LastName,
) -> Result<(), Fault> {
    let fault = |error: Error| {
        Fault::new(
            format!("put the tag {tag} back on {}", daemon.name()),
            engine_words(&error),
        )
    };
    let now = inspect(daemon.read(), tag).await.map_err(fault)?;
    match (before, now) {
        (Some(before), Some(now)) if *before == now.id => Ok(()),
        (_, Some(now)) if made.is_some_and(|made| *made != now.id) => Ok(()),
        (Some(before), _) => point(daemon.change()?, before.as_str(), tag).await.map_err(fault),
        (None, Some(now)) if last == LastName::Stays && now.tags.len() < 2 => Ok(()),
        (None, Some(_)) => {
            let options = RemoveImageOptionsBuilder::default().noprune(true).build();
            let removed = daemon.change()?.remove_image(tag, Some(options), None).await;
            removed.map(|_removed| ()).map_err(fault)
        }
        (None, None) => Ok(()),
    }
}

/// What is behind an image that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    /// They stay as the builder's cache.
    Kept,
    Gone,
}

/// The image goes unless it is somebody else's by now: it has a name, or a container or another image stands on it.
pub async fn take_unnamed_away(daemon: &Daemon, image: &ImageId, layers: Layers) -> Result<(), Fault> {
    let fault = |error: Error| {
        Fault::new(
            format!("take the image {} away from {}", image.short(), daemon.name()),
            engine_words(&error),
        )
    };
    let found = inspect(daemon.read(), image.as_str()).await.map_err(fault)?;
    if found.is_none_or(|found| !found.tags.is_empty()) {
        return Ok(());
    }
    let docker = daemon.change()?;
    // A container that is being removed stands on it a moment longer.
    for attempt in 1..=TRIES {
        let options = RemoveImageOptionsBuilder::default()
            .noprune(layers == Layers::Kept)
            .build();
        match docker.remove_image(image.as_str(), Some(options), None).await {
            Err(Error::DockerResponseServerError { status_code: 409, .. }) if attempt < TRIES => {
                tokio::time::sleep(BETWEEN).await;
            }
            Ok(_)
            | Err(Error::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            }) => break,
            Err(error) => return Err(fault(error)),
        }
    }
    Ok(())
}

/// `registry:5000/shop:v3` → `registry:5000/shop`, `v3`; without a tag `latest`.
pub(super) fn split(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        Some(_) | None => (reference, "latest"),
    }
}

/// Whether exactly this image is on the host.
pub async fn present(daemon: &Daemon, image: &ImageId) -> Result<bool, Fault> {
    let found = inspect(daemon.read(), image.as_str())
        .await
        .map_err(|error| Fault::new(looking(image, daemon), engine_words(&error)))?;
    Ok(found.is_some_and(|found| found.id == *image))
}

/// Of all its layers.
pub async fn size(daemon: &Daemon, image: &ImageId) -> Result<Bytes, Fault> {
    let found = inspect(daemon.read(), image.as_str())
        .await
        .map_err(|error| Fault::new(looking(image, daemon), engine_words(&error)))?;
    Ok(found.map_or(Bytes(0), |found| found.size))
}

fn looking(image: &ImageId, daemon: &Daemon) -> String {
    format!("look for the image {} on {}", image.short(), daemon.name())
}

/// Brings the image to `to` if it is not there, under the names it has on `from`.
/// 1. It is compared with the target's system and architecture before a byte is sent.
/// 2. It counts as there only when the target itself names it by the same id.
/// 3. A name that another image has on the target stays with that image, and is said.
/// 4. Cancelled or failed, the target throws away what it had got: a load has no half.
pub async fn transfer(
    from: &Daemon,
    to: &Daemon,
    image: &ImageId,
    progress: &mut dyn Progress,
    cancel: &CancellationToken,
) -> Result<(), Fault> {
    let Some(found) = lend(from, to, image, progress, cancel).await? else {
        return Ok(());
    };
    let fault = |error: Error| Fault::new(bringing(image, from, to), engine_words(&error));
    let to = to.bulk().await.map_err(crate::hosts::Unreached::fault)?;
    name(&to, &found, progress).await.map_err(fault)
}

fn bringing(image: &ImageId, from: &Daemon, to: &Daemon) -> String {
    format!(
        "bring the image {} from {} to {}",
        image.short(),
        from.name(),
        to.name()
    )
}

/// The same without any name: what it is where it comes from, or `None` if it was there already. See [`take_unnamed_away`].
pub(in crate::runs) async fn lend(
    from: &Daemon,
    to: &Daemon,
    image: &ImageId,
    progress: &mut dyn Progress,
    cancel: &CancellationToken,
) -> Result<Option<Found>, Fault> {
    let what = bringing(image, from, to);
    if present(to, image).await? {
        return Ok(None);
    }
    let Some(found) = inspect(from.read(), image.as_str())
        .await
        .map_err(|error| Fault::new(looking(image, from), engine_words(&error)))?
    else {
        return Err(Fault::new(what, format!("it is not on {}", from.name())).hint("build it again"));
    };
    if found.id != *image {
        return Err(Fault::new(
            what,
            format!("{} has {} under that name", from.name(), found.id),
        ));
    }
    fits(&found, to).map_err(|why| Fault::new(&what, why))?;

    let unreached = crate::hosts::Unreached::fault;
    let (from, to) = (
        from.bulk().await.map_err(unreached)?,
        to.bulk().await.map_err(unreached)?,
    );
    let source = from.read().clone().with_timeout(REQUEST_LIMIT);
    let target = to.change()?.clone().with_timeout(REQUEST_LIMIT);
    tokio::select! {
        outcome = carry(&source, &target, &found, progress) => {
            outcome.map_err(|fault| Fault { what: what.clone(), ..fault })?;
        }
        () = cancel.cancelled() => return Err(cancelled(&what)),
    }
    if !present(&to, image).await? {
        return Err(
            Fault::new(what, format!("{} loaded it, but not under that id", to.name()))
                .hint("one of the two uses the containerd image store, where image ids differ"),
        );
    }
    Ok(Some(found))
}

/// Whether the image can run there.
fn fits(image: &Found, to: &Daemon) -> Result<(), String> {
    let engine = to.engine();
    if image.os == "windows" {
        return Err("it is made for Windows".to_owned());
    }
    let same_architecture = image.architecture.is_empty()
        || engine.arch.is_empty()
        || architecture(&image.architecture) == architecture(&engine.arch)
        // 32-bit programs run on the 64-bit machine of the same family.
        || (image.architecture == "386" && architecture(&engine.arch) == "amd64");
    if same_architecture {
        return Ok(());
    }
    Err(format!(
        "it is made for {}, but {} is {}",
        image.architecture,
        to.name(),
        architecture(&engine.arch)
    ))
}

/// The kernel's architecture in the notation of images.
pub(super) fn architecture(name: &str) -> &str {
    match name {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" | "armv6l" => "arm",
        "i386" | "i686" => "386",
        other => other,
    }
}

/// The bytes of one daemon to the other; ends when the other said that it is done.
async fn carry(
    source: &Docker,
    target: &Docker,
    image: &Found,
    progress: &mut dyn Progress,
) -> Result<(), Fault> {
    let moved = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&moved);
    let saved = source
        .export_image(image.id.as_str())
        .map(move |piece| match piece {
            Ok(piece) => {
                counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
                Ok(piece)
            }
            // The load fails with these words: they name the side that broke off.
            Err(error) => Err(std::io::Error::other(format!(
                "the source failed: {}",
                engine_words(&error)
            ))),
        });
    let (broken, mut breaks) = tokio::sync::mpsc::channel::<String>(1);
    let saved = saved.inspect(move |piece| {
        if let Err(error) = piece {
            // One is enough: a stream ends with its first error.
            drop(broken.try_send(error.to_string()));
        }
    });
    let options = ImportImageOptionsBuilder::default().quiet(false).build();
    let mut answers: Pin<Box<dyn Stream<Item = Result<BuildInfo, Error>> + Send + '_>> =
        Box::pin(target.import_image(options, bollard::body_try_stream(saved), None));
    let mut tick = tokio::time::interval(TOLD_EVERY);
    let mut last = (0, Instant::now());
    let failed = loop {
        tokio::select! {
            answer = answers.next() => match answer {
                Some(Ok(answer)) => {
                    last.1 = Instant::now();
                    tell(&answer, progress);
                }
                Some(Err(error)) => break engine_words(&error),
                None => return Ok(()),
            },
            _ = tick.tick() => {
                let now = moved.load(Ordering::Relaxed);
                if now != last.0 {
                    last = (now, Instant::now());
                    progress.text(&format!("{} of about {}", Bytes(now), image.size));
                } else if last.1.elapsed() > STALL_LIMIT {
                    break format!("no progress for {} min after {}", STALL_LIMIT.as_secs() / 60, Bytes(now));
                }
            }
        }
    };
    drop(answers);
    let why = breaks.try_recv().unwrap_or(failed);
    let fault = Fault::new("", why.trim());
    Err(if why.contains("no space left on device") {
        fault.hint("the disk of the target is full: `docker system df` there shows what uses it")
    } else {
        fault
    })
}

fn tell(answer: &BuildInfo, progress: &mut dyn Progress) {
    if let Some(text) = &answer.stream {
        text.lines().for_each(|line| progress.line(line));
    } else if let (Some(status), Some(layer)) = (&answer.status, &answer.id) {
        progress.text(&format!("{status} {layer}"));
    }
}

/// Tags the image on the target, as far as the names are free there.
pub(super) async fn name(to: &Daemon, image: &Found, progress: &mut dyn Progress) -> Result<(), Error> {
    for reference in &image.tags {
        // A pointer that the builder moves: elsewhere it would stay with the first image for ever.
        if split(reference).1 == "latest" && image.tags.len() > 1 {
            continue;
        }
        match inspect(to.read(), reference).await? {
            Some(there) if there.id == image.id => {}
            Some(_) => progress.line(&format!(
                "{reference} is another image on {}: not changed",
                to.name()
            )),
            None => {
                // Read-only was refused before the first byte.
                if let Ok(docker) = to.change() {
                    point(docker, image.id.as_str(), reference).await?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_port_is_no_tag() {
        assert_eq!(split("registry:5000/shop"), ("registry:5000/shop", "latest"));
        assert_eq!(split("registry:5000/shop:v3"), ("registry:5000/shop", "v3"));
        assert_eq!(split("shop:v3"), ("shop", "v3"));
    }

    #[test]
    fn architectures_are_compared_as_images_name_them() {
        assert_eq!(architecture("x86_64"), "amd64");
        assert_eq!(architecture("arm64"), "arm64");
    }
}
