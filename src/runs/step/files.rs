//! Secrets as files in a replica: written before it starts, read back and compared.
//! A value is only in the request that carries it: not in a label, the environment or a message.

use bollard::query_parameters::{ContainerArchiveInfoOptionsBuilder, InspectContainerOptions};

use super::answer::{failure, status};
use super::archive::{self, Packed};
use super::fence::Fence;
use crate::config::service::{SecretFile, Spec};
use crate::domain::fault::Fault;
use crate::hosts::Daemon;
use crate::release::deeds::Scene;
use crate::release::record::Failure;
use crate::release::spec::seal;
use crate::runs::begin::secrets::Secrets;

/// The mode of missing parent folders; the file is protected by its own mode.
const FOLDER_MODE: u32 = 0o755;
/// As Go writes it in the answer to a look.
const IS_LINK: u32 = 1 << 27;

/// Writes the files into a container that was created and never started.
pub(super) async fn put(
    fence: &Fence,
    spec: &Spec,
    (id, name): (&str, &str),
    secrets: &Secrets,
) -> Result<(), Failure> {
    if spec.files.is_empty() {
        return Ok(());
    }
    let daemon = &fence.daemon;
    let what = |secret: &str| format!("put the secret {secret} into {name} on {}", daemon.name());
    let refused = |secret: &str, why: &dyn std::fmt::Display| Failure::refused(Fault::new(what(secret), why));
    let mounts = mounts(daemon, id).await?;
    let mut folders: Vec<String> = Vec::new();
    for (secret, file) in &spec.files {
        if let Some(place) = mounts.iter().find(|place| file.is_below(place)) {
            let why = format!("{} is below {place}, which is mounted there", file.path);
            return Err(refused(secret, &why));
        }
        for folder in above(&file.path) {
            match look(daemon, id, &folder).await? {
                At::Folder => {}
                At::Nothing if folders.contains(&folder) => {}
                At::Nothing => folders.push(folder),
                At::Link => {
                    let why = format!("{folder} is a link in the image");
                    return Err(Failure::refused(
                        Fault::new(what(secret), why).hint("use the `path` that it points to"),
                    ));
                }
            }
        }
    }
    let mut all: Vec<Packed<'_>> = folders
        .iter()
        .map(|path| Packed {
            path,
            content: None,
            mode: FOLDER_MODE,
            uid: 0,
            gid: 0,
        })
        .collect();
    for (secret, file) in &spec.files {
        let value = secrets
            .get(secret)
            .ok_or_else(|| refused(secret, &"it was not resolved"))?;
        all.push(Packed {
            path: &file.path,
            content: Some(value.as_bytes()),
            mode: file.mode,
            uid: file.uid,
            gid: file.gid,
        });
    }
    let words = format!("put the secrets into {name}");
    fence.holds()?;
    archive::put_all(daemon, id, &words, &all).await?;
    for (secret, file) in &spec.files {
        let value = secrets.get(secret).map(|value| seal(secret, value));
        if let Some(why) = is_other(daemon, id, (secret, file), value.as_ref()).await? {
            return Err(refused(secret, &why));
        }
    }
    Ok(())
}

/// Why a container of this run must not be started: a file that is missing or differs. Does not need the values.
pub(super) async fn lacking(daemon: &Daemon, scene: &Scene<'_>, id: &str) -> Result<Option<Fault>, Failure> {
    for (secret, file) in &scene.decision.spec.files {
        let wanted = scene.plan.seals.get(secret);
        if let Some(why) = is_other(daemon, id, (secret, file), wanted).await? {
            let what = format!("find the secret {secret} on {}", daemon.name());
            return Ok(Some(Fault::new(what, why)));
        }
    }
    Ok(None)
}

/// Read back; by its seal, for the value is not needed to know that it is the one.
async fn is_other(
    daemon: &Daemon,
    id: &str,
    (secret, file): (&str, &SecretFile),
    wanted: Option<&String>,
) -> Result<Option<String>, Failure> {
    let path = &file.path;
    let Some(lying) = archive::lying(daemon, id, path).await? else {
        return Ok(Some(format!("{path} is not there")));
    };
    let content = String::from_utf8_lossy(&lying.content);
    if wanted != Some(&seal(secret, &content)) {
        return Ok(Some(format!("{path} differs from what was written")));
    }
    let is_own = (lying.mode, lying.uid, lying.gid) == (file.mode, file.uid.into(), file.gid.into());
    Ok((!is_own).then(|| {
        format!(
            "{path} has {:04o} {}:{}, not {:04o} {}:{}",
            lying.mode, lying.uid, lying.gid, file.mode, file.uid, file.gid
        )
    }))
}

/// `/run`, `/run/secrets`
fn above(path: &str) -> Vec<String> {
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
    ends.filter_map(|at| path.get(..at).map(str::to_owned)).collect()
}

/// Where something else than the container's own layer is, whoever mounted it: the image's own volumes too.
async fn mounts(daemon: &Daemon, id: &str) -> Result<Vec<String>, Failure> {
    let seen = daemon
        .read()
        .inspect_container(id, None::<InspectContainerOptions>)
        .await
        .map_err(|error| failure(daemon, "look at its mounts", &error))?;
    let mounted = seen.mounts.unwrap_or_default().into_iter();
    let mut places: Vec<String> = mounted.filter_map(|mount| mount.destination).collect();
    let memory = seen.host_config.and_then(|config| config.tmpfs);
    places.extend(memory.unwrap_or_default().into_keys());
    Ok(places)
}

enum At {
    Nothing,
    Folder,
    Link,
}

async fn look(daemon: &Daemon, id: &str, path: &str) -> Result<At, Failure> {
    let options = ContainerArchiveInfoOptionsBuilder::default().path(path).build();
    match daemon.read().get_container_archive_info(id, Some(options)).await {
        Ok(seen) if seen.file_mode & IS_LINK != 0 => Ok(At::Link),
        Ok(_) => Ok(At::Folder),
        Err(error) if status(&error) == Some(404) => Ok(At::Nothing),
        Err(error) => Err(failure(daemon, &format!("look for {path}"), &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folders_above_a_file_come_from_the_root_down() {
        assert_eq!(above("/run/secrets/tls.key"), ["/run", "/run/secrets"]);
        assert!(above("/key").is_empty());
    }
}
