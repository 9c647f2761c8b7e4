//! The ledger of a service on one host: files in a named volume, mounted by a never-started container.
//! Two files are written in turn and read back; the container may be pruned, the volume stays.

use std::collections::{BTreeMap, HashMap};

use bollard::query_parameters::{InspectContainerOptions, ListVolumesOptions};

use super::answer::{failure, status};
use super::fence::Fence;
use super::{archive, shell};
use crate::domain::container::{Role, label};
use crate::domain::fault::Fault;
use crate::hosts::Daemon;
use crate::release::facts::LedgerSeen;
use crate::release::ledger::{Ledger, LedgerEntry, Unlocked, Unread};
use crate::release::record::{Failure, FailureKind};
use crate::release::subject::Subject;

/// Where the volume is mounted.
const FOLDER: &str = "/ledger";

/// Why a ledger cannot be read in read-only mode.
const PRUNED: &str = "its container was pruned, and --read-only does not create it again";

/// Whether only its container is gone, so that it can be read after creating the container again.
#[must_use]
pub fn is_pruned(seen: &LedgerSeen) -> bool {
    match seen {
        LedgerSeen::Unreadable { why } => why == PRUNED,
        LedgerSeen::Missing | LedgerSeen::Read(_) | LedgerSeen::Newer { .. } => false,
    }
}

/// Reads the ledger. If only its container is gone and changes are allowed, it is created again.
pub async fn read(daemon: &Daemon, subject: &Subject) -> Result<LedgerSeen, Failure> {
    let Some(id) = container(daemon, subject).await? else {
        if !has_volume(daemon, subject).await? {
            return Ok(LedgerSeen::Missing);
        }
        if daemon.change().is_err() {
            return Ok(LedgerSeen::Unreadable {
                why: PRUNED.to_owned(),
            });
        }
        let id = make(daemon, subject).await?;
        return read_files(daemon, &id).await;
    };
    read_files(daemon, &id).await
}

async fn read_files(daemon: &Daemon, id: &str) -> Result<LedgerSeen, Failure> {
    let files = archive::get(daemon, id, FOLDER).await?;
    Ok(understood(&files))
}

fn understood(files: &BTreeMap<String, String>) -> LedgerSeen {
    let histories = files
        .iter()
        .filter(|(name, _)| name.starts_with("history."))
        .map(|(_, text)| text.as_str());
    match Ledger::newest(histories) {
        Ok(Some(ledger)) => LedgerSeen::Read(Box::new(ledger)),
        // Its volume went with a prune, or nothing was written yet.
        Ok(None) => LedgerSeen::Missing,
        Err(Unread::Newer { schema }) => LedgerSeen::Newer { schema },
        Err(Unread::Torn) => LedgerSeen::Unreadable {
            why: "its history is incomplete".to_owned(),
        },
    }
}

/// Unreachable, where it may have been written and nobody can tell. Appends to what is there, filled up from `other`, what the copies of the other hosts say.
pub async fn append(fence: &Fence, other: Option<&Ledger>, entry: LedgerEntry) -> Result<Ledger, Failure> {
    let place = (&fence.daemon, &fence.subject);
    write(place, Some(fence), other, |base| base.with(entry)).await
}

/// Records that a lock was removed by hand.
pub async fn note(daemon: &Daemon, subject: &Subject, unlocked: Unlocked) -> Result<(), Failure> {
    write((daemon, subject), None, None, |base| base.with_unlocked(unlocked)).await?;
    Ok(())
}

async fn write(
    (daemon, subject): (&Daemon, &Subject),
    fence: Option<&Fence>,
    other: Option<&Ledger>,
    add: impl FnOnce(&Ledger) -> Ledger,
) -> Result<Ledger, Failure> {
    let base = match read(daemon, subject).await? {
        LedgerSeen::Read(own) => own.filled_from(other),
        LedgerSeen::Missing | LedgerSeen::Unreadable { .. } => Ledger {
            generation: 0,
            ..other.cloned().unwrap_or_default()
        },
        LedgerSeen::Newer { schema } => {
            return Err(Failure::refused(Fault::new(
                format!("write the ledger on {}", daemon.name()),
                format!("a newer Pilothouse wrote it (schema {schema})"),
            )));
        }
    };
    let next = add(&base);
    let text = next
        .render()
        .map_err(|error| Failure::refused(Fault::new("write the ledger", error)))?;
    let id = match container(daemon, subject).await? {
        Some(id) => id,
        None => make(daemon, subject).await?,
    };
    if let Some(fence) = fence {
        fence.stands().await?;
    }
    let written = archive::put(daemon, &id, FOLDER, next.file_name(), text.as_bytes()).await;
    // What counts is what can be read back, also when the answer to the write was lost. Where nothing can be, nobody
    // knows whether it was written, whatever the daemon says of it.
    let back = read_files(daemon, &id).await;
    let back = back.map_err(|failure| Failure::of(FailureKind::Unreachable, failure.fault))?;
    match back {
        LedgerSeen::Read(seen) if *seen == next => Ok(next),
        LedgerSeen::Read(_)
        | LedgerSeen::Missing
        | LedgerSeen::Newer { .. }
        | LedgerSeen::Unreadable { .. } => {
            written?;
            Err(Failure::refused(Fault::new(
                format!("write the ledger on {}", daemon.name()),
                "what was written cannot be read back",
            )))
        }
    }
}

/// The ledgers of all services on the host, whose images are in use.
pub(super) async fn others(daemon: &Daemon, but: &Subject) -> Result<Vec<Ledger>, Failure> {
    let mut found = Vec::new();
    for summary in super::replicas::labelled(daemon, &Role::Ledger.filter()).await? {
        let labels = summary.labels.unwrap_or_default();
        let is_own = but.owns(|key| labels.get(key).map(String::as_str));
        let Some(id) = summary.id.filter(|_| !is_own) else {
            continue;
        };
        if let LedgerSeen::Read(ledger) = read_files(daemon, &id).await? {
            found.push(*ledger);
        }
    }
    Ok(found)
}

async fn container(daemon: &Daemon, subject: &Subject) -> Result<Option<String>, Failure> {
    match daemon
        .read()
        .inspect_container(&subject.ledger_name(), None::<InspectContainerOptions>)
        .await
    {
        Ok(seen) => Ok(seen.id),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(failure(daemon, "look at the ledger", &error)),
    }
}

async fn has_volume(daemon: &Daemon, subject: &Subject) -> Result<bool, Failure> {
    let listed = daemon
        .read()
        .list_volumes(None::<ListVolumesOptions>)
        .await
        .map_err(|error| failure(daemon, "list the volumes", &error))?;
    let name = subject.ledger_name();
    Ok(listed
        .volumes
        .unwrap_or_default()
        .iter()
        .any(|volume| volume.name == name))
}

/// The container and, if it is not there, the volume.
async fn make(daemon: &Daemon, subject: &Subject) -> Result<String, Failure> {
    let name = subject.ledger_name();
    let mut labels = HashMap::from([
        Role::Ledger.label(),
        (label::SCHEMA.to_owned(), "1".to_owned()),
        (label::SERVICE.to_owned(), subject.service.to_string()),
    ]);
    labels.extend(
        subject
            .environment
            .clone()
            .map(|name| (label::ENVIRONMENT.to_owned(), name)),
    );
    let binds = vec![format!("{name}:{FOLDER}")];
    match shell::create(daemon, &name, labels, binds).await? {
        Some(id) => Ok(id),
        // Another run's hands were faster; they serve as well.
        None => container(daemon, subject).await?.ok_or_else(|| {
            Failure::refused(Fault::new(
                format!("make the ledger on {}", daemon.name()),
                "its name is in use, but no container has it",
            ))
        }),
    }
}
