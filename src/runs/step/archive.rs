//! Small files written into a container that never runs, and read back from it.
//! Their size is limited: they are leases, decisions and ledgers.

use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use std::io::{self, Read as _};

use super::answer::{change, failure, status};
use crate::domain::fault::Fault;
use crate::hosts::Daemon;
use crate::release::record::Failure;

/// Far more than four hundred ledger entries need.
const LARGEST: usize = 16 << 20;

/// Written below `folder`, which exists.
pub(super) async fn put(
    daemon: &Daemon,
    id: &str,
    folder: &str,
    name: &str,
    content: &[u8],
) -> Result<(), Failure> {
    put_dated(daemon, id, (folder, name, 0), content).await
}

/// Writes a file with this modification time.
pub(super) async fn put_dated(
    daemon: &Daemon,
    id: &str,
    (folder, name, modified): (&str, &str, u64),
    content: &[u8],
) -> Result<(), Failure> {
    let what = format!("write {name} into {}", short(id));
    let tar = pack(name, modified, content).map_err(|error| Failure::refused(Fault::new(&what, error)))?;
    let options = UploadToContainerOptionsBuilder::default().path(folder).build();
    change(daemon)?
        .upload_to_container(id, Some(options), bollard::body_full(Bytes::from(tar)))
        .await
        .map_err(|error| failure(daemon, &what, &error))
}

/// The files at `path` (one, or those of a folder) by name; empty if the path does not exist.
pub(super) async fn get(daemon: &Daemon, id: &str, path: &str) -> Result<BTreeMap<String, String>, Failure> {
    let Some(tar) = taken(daemon, id, path).await? else {
        return Ok(BTreeMap::new());
    };
    let what = || format!("read {path} of {} on {}", short(id), daemon.name());
    unpack(&tar).map_err(|error| Failure::refused(Fault::new(what(), error)))
}

/// The contents of `path` as tar; `None` if the path does not exist.
async fn taken(daemon: &Daemon, id: &str, path: &str) -> Result<Option<Vec<u8>>, Failure> {
    let what = format!("read {path} of {}", short(id));
    let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
    let stream = daemon.read().download_from_container(id, Some(options));
    futures_util::pin_mut!(stream);
    let mut tar = Vec::new();
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(bytes) => tar.extend_from_slice(&bytes),
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) => return Err(failure(daemon, &what, &error)),
        }
        if tar.len() > LARGEST {
            return Err(Failure::refused(Fault::new(
                format!("{what} on {}", daemon.name()),
                format!("it is larger than {LARGEST} bytes"),
            )));
        }
    }
    Ok(Some(tar))
}

/// A file or folder to write into a container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'a> {
    /// Path from the root.
    pub(super) path: &'a str,
    /// `None` for a folder.
    pub(super) content: Option<&'a [u8]>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Writes all of them, with their owners and modes.
pub(super) async fn put_all(
    daemon: &Daemon,
    id: &str,
    what: &str,
    files: &[Packed<'_>],
) -> Result<(), Failure> {
    let tar = pack_all(files).map_err(|error| Failure::refused(Fault::new(what, error)))?;
    let options = UploadToContainerOptionsBuilder::default().path("/").build();
    change(daemon)?
        .upload_to_container(id, Some(options), bollard::body_full(Bytes::from(tar)))
        .await
        .map_err(|error| failure(daemon, what, &error))
}

fn pack_all(files: &[Packed<'_>]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(file.mode);
        header.set_uid(file.uid.into());
        header.set_gid(file.gid.into());
        let path = file.path.trim_start_matches('/');
        let Some(content) = file.content else {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            archive.append_data(&mut header, format!("{path}/"), io::empty())?;
            continue;
        };
        header.set_size(u64::try_from(content.len()).map_err(io::Error::other)?);
        archive.append_data(&mut header, path, content)?;
    }
    archive.into_inner()
}

/// A file in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lying {
    pub(super) content: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    /// Modification time in seconds.
    pub(super) modified: u64,
}

/// The regular file at `path`, if there is one.
pub(super) async fn lying(daemon: &Daemon, id: &str, path: &str) -> Result<Option<Lying>, Failure> {
    let Some(tar) = taken(daemon, id, path).await? else {
        return Ok(None);
    };
    let what = || format!("read {path} of {} on {}", short(id), daemon.name());
    first_of(&tar).map_err(|error| Failure::refused(Fault::new(what(), error)))
}

fn first_of(tar: &[u8]) -> io::Result<Option<Lying>> {
    let mut archive = tar::Archive::new(tar);
    let Some(entry) = archive.entries()?.next() else {
        return Ok(None);
    };
    let mut entry = entry?;
    if !entry.header().entry_type().is_file() {
        return Ok(None);
    }
    let header = entry.header();
    let (mode, uid, gid) = (header.mode()? & 0o7777, header.uid()?, header.gid()?);
    let modified = header.mtime()?;
    let mut content = Vec::new();
    entry.read_to_end(&mut content)?;
    Ok(Some(Lying {
        content,
        mode,
        uid,
        gid,
        modified,
    }))
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn pack(name: &str, modified: u64, content: &[u8]) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o600);
    header.set_mtime(modified);
    header.set_size(u64::try_from(content.len()).map_err(io::Error::other)?);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, name, content)?;
    archive.into_inner()
}

fn unpack(tar: &[u8]) -> io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry
            .path()?
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let mut text = Vec::new();
        entry.read_to_end(&mut text)?;
        // Half a character can only come of half a write: the content's own hash finds that.
        files.insert(name, String::from_utf8_lossy(&text).into_owned());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_what_is_unpacked() {
        let tar = pack("lease.json", 7, b"{}").unwrap();
        assert_eq!(
            unpack(&tar).unwrap().get("lease.json").map(String::as_str),
            Some("{}")
        );
    }
}
