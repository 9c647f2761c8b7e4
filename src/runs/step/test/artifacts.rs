//! Files of an ended container, stored in the run's folder: limited in size, with plain names, for their owner only.
//! Only regular files and folders are taken: a link could point anywhere.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use bollard::errors::Error;
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use futures_util::StreamExt as _;

use super::ground::Ground;
use super::{Progress, junit};
use crate::domain::tested::Junit;
use crate::domain::units::Bytes;
use crate::hosts::trouble::engine_words;

/// Of all artifacts of one attempt: reports and pictures, no dumps.
const MOST_BYTES: u64 = 64 << 20;
const MOST_FILES: usize = 5_000;
/// What a run keeps them in.
const FOLDER: &str = "artifacts";

/// What was kept of one attempt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Below the run's folder `artifacts`.
    pub(super) files: Vec<String>,
    pub(super) report: Option<Junit>,
}

/// Never fails: a test's result stands without its artifacts; what is missing or was cut is told.
pub(super) async fn keep(ground: &Ground<'_>, id: &str, progress: &mut dyn Progress) -> Kept {
    let test = ground.trial.test;
    let mut places: Vec<&String> = test.artifacts.iter().collect();
    if let Some(report) = &test.junit
        && !places.contains(&report)
    {
        places.push(report);
    }
    let mut kept = Kept::default();
    if places.is_empty() {
        return kept;
    }
    let name = if ground.attempt == 1 {
        test.name.clone()
    } else {
        format!("{}.{}", test.name, ground.attempt)
    };
    let mut chest = Chest::new(ground.trial.folder, &name);
    for place in places {
        progress.text(&format!("keeping {place}"));
        match fetch(ground, id, place, &mut chest).await {
            Ok(()) => {}
            Err(why) => progress.line(&format!("{place} was not kept: {why}")),
        }
    }
    for word in &chest.said {
        progress.line(word);
    }
    if let Some(report) = &test.junit {
        let path = chest.root.join(report.trim_start_matches('/'));
        match junit::read(&path) {
            Ok(summary) => kept.report = Some(summary),
            Err(why) => progress.line(&format!("{report} is not a JUnit report: {why}")),
        }
    }
    kept.files = chest.files;
    kept
}

async fn fetch(ground: &Ground<'_>, id: &str, place: &str, chest: &mut Chest) -> Result<(), String> {
    let options = DownloadFromContainerOptionsBuilder::default().path(place).build();
    let mut pieces = std::pin::pin!(ground.docker.download_from_container(id, Some(options)));
    let mut archive = tempfile::tempfile_in(ground.trial.folder).map_err(|error| error.to_string())?;
    // Headers are no content, and are not counted.
    let room = chest.room.saturating_add(chest.room / 8).saturating_add(1 << 20);
    let mut got: u64 = 0;
    let mut cut = false;
    while let Some(piece) = pieces.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {
                return Err("it is not there".to_owned());
            }
            Err(error) => return Err(engine_words(&error)),
        };
        got = got.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if got > room {
            cut = true;
            break;
        }
        archive.write_all(&piece).map_err(|error| error.to_string())?;
    }
    archive
        .seek(SeekFrom::Start(0))
        .map_err(|error| error.to_string())?;
    let place = PathBuf::from(place);
    let mut moved = std::mem::take(chest);
    // Sixty megabytes are written while leases must be renewed.
    let unpacked = tokio::task::spawn_blocking(move || {
        let done = moved.take(archive, &place, cut);
        (moved, done)
    })
    .await
    .map_err(|error| error.to_string())?;
    *chest = unpacked.0;
    unpacked.1.map_err(|error| error.to_string())
}

/// Where artifacts of one attempt go, and how much more may come.
#[derive(Default)]
struct Chest {
    /// `…/artifacts/api`
    root: PathBuf,
    /// `api`
    name: String,
    shared: bool,
    room: u64,
    files: Vec<String>,
    /// What was left out.
    said: Vec<String>,
}

impl Chest {
    fn new(folder: &Path, name: &str) -> Self {
        Self {
            root: folder.join(FOLDER).join(name),
            name: name.to_owned(),
            // As the run's own files: a group that follows may read.
            shared: fs::metadata(folder).is_ok_and(|seen| seen.mode() & 0o2070 == 0o2050),
            room: MOST_BYTES,
            files: Vec::new(),
            said: Vec::new(),
        }
    }

    /// What an archive of `place` holds. `cut`: it was not read to its end.
    fn take(&mut self, archive: File, place: &Path, cut: bool) -> io::Result<()> {
        let outer = plain(place.parent().unwrap_or(Path::new("/")));
        let mut archive = tar::Archive::new(archive);
        for entry in archive.entries()? {
            let mut entry = match entry {
                Ok(entry) => entry,
                // Half an entry is at the end of what was cut.
                Err(_) if cut => break,
                Err(error) => return Err(error),
            };
            let path = entry.path()?.into_owned();
            let shown = path.display().to_string();
            let kind = entry.header().entry_type();
            let (Some(outer), Some(inner)) = (&outer, plain(&path)) else {
                self.say(&shown, "its name points outside the folder");
                continue;
            };
            let inside = outer.join(inner);
            if kind.is_dir() {
                self.folder(&self.root.join(inside))?;
            } else if kind.is_file() {
                let size = entry.size();
                if self.files.len() >= MOST_FILES {
                    self.said.push(format!(
                        "only {MOST_FILES} artifacts are kept: the others were dropped"
                    ));
                    return Ok(());
                }
                if size > self.room {
                    self.said.push(format!(
                        "{shown} ({}) was not kept: artifacts of a test may have {}",
                        Bytes(size),
                        Bytes(MOST_BYTES)
                    ));
                    continue;
                }
                if self.file(&inside, &mut entry, size, cut)? {
                    self.room -= size;
                    self.files.push(format!("{}/{}", self.name, inside.display()));
                }
            } else {
                self.say(&shown, "it is not a regular file");
            }
        }
        if cut {
            self.said.push(format!(
                "{} was truncated: artifacts of a test may have {}",
                place.display(),
                Bytes(MOST_BYTES)
            ));
        }
        Ok(())
    }

    fn say(&mut self, name: &str, why: &str) {
        // Enough to see what it is about.
        if self.said.len() < 20 {
            self.said.push(format!("{name} was not kept: {why}"));
        }
    }

    fn folder(&self, path: &Path) -> io::Result<()> {
        let mode = if self.shared { 0o2750 } else { 0o700 };
        let mut missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
        missing.reverse();
        for path in missing {
            DirBuilder::new().mode(mode).create(path)?;
            // The umask may have taken the group's bits.
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    }

    /// Was it written whole?
    fn file(&mut self, inside: &Path, content: &mut impl io::Read, size: u64, cut: bool) -> io::Result<bool> {
        let path = self.root.join(inside);
        if let Some(folder) = path.parent() {
            self.folder(folder)?;
        }
        let mode = if self.shared { 0o640 } else { 0o600 };
        let opened = File::options()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path);
        let mut target = match opened {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.say(&inside.display().to_string(), "it occurs twice");
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let copied = io::copy(&mut content.take(size), &mut target);
        match copied {
            Ok(copied) if copied == size => Ok(true),
            Ok(_) | Err(_) if cut => {
                fs::remove_file(&path)?;
                Ok(false)
            }
            Ok(_) => Err(io::Error::other("the archive ends too early")),
            Err(error) => Err(error),
        }
    }
}

/// Without its root; `None` if it leads upwards or has no name of its own.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> File {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o4777);
            // `set_path` refuses what a hostile archive may hold.
            let bytes = name.as_bytes();
            header.as_old_mut().name[..bytes.len()].copy_from_slice(bytes);
            if *kind == tar::EntryType::Symlink {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            archive.append(&header, *content).unwrap();
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&archive.into_inner().unwrap()).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file
    }

    #[test]
    fn only_ordinary_files_come_under_plain_names_for_their_owner() {
        use tar::EntryType::{Directory, Fifo, Link, Regular, Symlink};
        let folder = tempfile::tempdir().unwrap();
        let mut chest = Chest::new(folder.path(), "api");
        let tar = archive(&[
            ("out/", Directory, b""),
            ("out/report.xml", Regular, b"<x/>"),
            ("../../escaped", Regular, b"x"),
            ("/absolute", Regular, b"x"),
            ("out/link", Symlink, b""),
            ("out/link/through", Regular, b"x"),
            ("out/hard", Link, b""),
            ("out/pipe", Fifo, b""),
            ("out/report.xml", Regular, b"again"),
        ]);
        chest.take(tar, Path::new("/app/out"), false).unwrap();
        assert_eq!(
            chest.files,
            [
                "api/app/out/report.xml",
                "api/app/absolute",
                "api/app/out/link/through"
            ]
        );
        let report = folder.path().join("artifacts/api/app/out/report.xml");
        assert_eq!(fs::read(&report).unwrap(), b"<x/>");
        assert_eq!(fs::metadata(&report).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(
            fs::metadata(report.parent().unwrap()).unwrap().mode() & 0o7777,
            0o700
        );
        assert!(!folder.path().parent().unwrap().join("escaped").exists());
        assert_eq!(chest.said.len(), 5, "{:?}", chest.said);
    }

    #[test]
    fn what_is_too_large_is_left_and_said_and_what_was_cut_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut chest = Chest::new(folder.path(), "api");
        chest.room = 10;
        let regular = tar::EntryType::Regular;
        let tar = archive(&[("big", regular, &[b'x'; 11]), ("small", regular, b"x")]);
        chest.take(tar, Path::new("/big"), false).unwrap();
        assert_eq!(chest.files, ["api/small"]);
        assert!(
            chest.said[0].contains("big (11 B) was not kept"),
            "{:?}",
            chest.said
        );
        let tar = archive(&[("half", regular, &[b'x'; 9])]);
        tar.set_len(516).unwrap();
        chest.take(tar, Path::new("/half"), true).unwrap();
        assert_eq!(chest.files, ["api/small"]);
        assert!(chest.said.last().unwrap().contains("was truncated"));
        assert!(!folder.path().join("artifacts/api/half").exists());
    }
}
