//! Brings an image to a host: pulled by digest if a registry has it, otherwise transferred.
//! Succeeds only if the host lists the image under the expected id.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::image::{inspect, name, present, transfer};
use super::registry::{Patience, judge, read};
use super::{Progress, cancelled};
use crate::domain::fault::Fault;
use crate::domain::ids::ImageId;
use crate::domain::reference::Reference;
use crate::hosts::registry::Login;
use crate::hosts::trouble::engine_words;
use crate::hosts::{Daemon, Unreached};

/// There is another way for the image: a registry is not waited for as long as by a push.
const PATIENCE: Patience = Patience {
    pauses: &[Duration::from_secs(1), Duration::from_secs(3)],
    at_most: Duration::from_secs(30),
};

/// Pulls `repo@digest`; the id of what came.
pub async fn pull(
    daemon: &Daemon,
    pinned: &Reference,
    login: Option<&Login>,
    progress: &mut dyn Progress,
    cancel: &CancellationToken,
) -> Result<ImageId, Fault> {
    let what = format!("pull {pinned} on {}", daemon.name());
    let daemon = &daemon.bulk().await.map_err(Unreached::fault)?;
    let begun = Instant::now();
    let mut tries = 0;
    loop {
        let pulled = async {
            let lines = daemon.pull(pinned, login).await?;
            read(lines, progress).await
        };
        let pulled = tokio::select! {
            pulled = pulled => pulled,
            () = cancel.cancelled() => return Err(cancelled(&what)),
        };
        let Err(refusal) = pulled else { break };
        tries += 1;
        let judged = judge(&refusal, pinned.registry(), login.is_some());
        let pause = PATIENCE.pause(tries, begun.elapsed(), fastrand::f64());
        let Some(pause) = pause.filter(|_| judged.may_pass) else {
            let fault = Fault::new(what, judged.why);
            return Err(match judged.hint {
                Some(hint) => fault.hint(hint),
                None => fault,
            });
        };
        progress.line(&format!(
            "{}; trying again in {:.1} s",
            judged.why,
            pause.as_secs_f64()
        ));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cancel.cancelled() => return Err(cancelled(&what)),
        }
    }
    let found = inspect(daemon.read(), &pinned.to_string())
        .await
        .map_err(|error| Fault::new(&what, engine_words(&error)))?;
    found
        .map(|found| found.id)
        .ok_or_else(|| Fault::new(what, "it was pulled, but no image has that digest"))
}

/// Whether a registry has an image, as its daemon is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offered {
    Yes,
    /// In the registry's words.
    No(String),
    /// It cannot be asked, or not now.
    Unknown(String),
}

/// Asks and takes nothing.
pub async fn offered(daemon: &Daemon, reference: &Reference, login: Option<&Login>) -> Offered {
    match daemon.asked_of_registry(reference, login).await {
        Ok(_digest) => Offered::Yes,
        Err(refusal) => {
            let judged = judge(&refusal, reference.registry(), login.is_some());
            if refusal.is_silence || judged.may_pass {
                Offered::Unknown(judged.why)
            } else {
                Offered::No(judged.why)
            }
        }
    }
}

/// An image on its way to a host.
#[derive(Clone, Copy)]
pub struct Bringing<'b> {
    pub image: &'b ImageId,
    /// What a registry calls it, where one has it and the run may speak to it; with the login there.
    pub pinned: Option<(&'b Reference, Option<&'b Login>)>,
    /// A host that has it.
    pub from: &'b Daemon,
}

/// Brings the image to `to` if it is not there, and says by which way it came.
pub async fn bring(
    bringing: Bringing<'_>,
    to: &Daemon,
    progress: &mut dyn Progress,
    cancel: &CancellationToken,
) -> Result<(), Fault> {
    let Bringing { image, pinned, from } = bringing;
    if present(to, image).await? {
        return Ok(());
    }
    if let Some((pinned, login)) = pinned {
        match pull(to, pinned, login, progress, cancel).await {
            Ok(id) if id == *image => {
                progress.line(&format!("{} pulled {pinned}", to.name()));
                return give_names(bringing, to, progress).await;
            }
            Ok(other) => progress.line(&format!(
                "{pinned} is {} on {}, not {}: the image is transferred from {}",
                other.short(),
                to.name(),
                image.short(),
                from.name()
            )),
            Err(fault) if cancel.is_cancelled() => return Err(fault),
            Err(fault) => progress.line(&format!("{fault}: the image is transferred from {}", from.name())),
        }
    }
    transfer(from, to, image, progress, cancel).await?;
    progress.line(&format!(
        "{} received {} from {}",
        to.name(),
        image.short(),
        from.name()
    ));
    Ok(())
}

/// A pull by digest gives no tag, and without one a clean-up may take it: it is called as it is where it comes from.
async fn give_names(bringing: Bringing<'_>, to: &Daemon, progress: &mut dyn Progress) -> Result<(), Fault> {
    let fault = |error: bollard::errors::Error| {
        Fault::new(
            format!("name {} on {}", bringing.image.short(), to.name()),
            engine_words(&error),
        )
    };
    let source = inspect(bringing.from.read(), bringing.image.as_str())
        .await
        .map_err(fault)?;
    match source {
        Some(source) => name(to, &source, progress).await.map_err(fault),
        None => Ok(()),
    }
}
