//! The context as a folder on this machine.
//! Reads only; files that disappear during the walk are skipped.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::{Entry, Kind, Modified, Origin, Stopped, Walk, plainly, reading};
use crate::domain::fault::Fault;

#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) root: PathBuf,
}

impl Folder {
    pub(super) fn look(folder: &Path) -> Result<Self, Fault> {
        let what = format!("read the build context {}", folder.display());
        let root = std::fs::canonicalize(folder).map_err(|error| Fault::new(&what, plainly(&error)))?;
        if !root.is_dir() {
            return Err(Fault::new(what, "it is not a folder")
                .hint("`context` names the folder that holds the Dockerfile"));
        }
        Ok(Self { root })
    }

    /// That the Dockerfile is there and within; its path for people.
    pub(super) fn dockerfile(&self, dockerfile: &Path) -> Result<String, Fault> {
        let named = self.root.join(dockerfile);
        let shown = named.display().to_string();
        let real = std::fs::canonicalize(&named).map_err(|error| {
            Fault::new(format!("read {shown}"), plainly(&error))
                .hint("`dockerfile` is a path within `context`; the default is `Dockerfile`")
        })?;
        if !real.starts_with(&self.root) {
            let why = format!("it points outside the context, to {}", real.display());
            return Err(Fault::new(format!("use {shown}"), why)
                .hint("copy it into the context: files outside cannot be sent to Docker"));
        }
        if !real.is_file() {
            return Err(Fault::new(format!("use {shown}"), "it is not a file"));
        }
        Ok(shown)
    }

    /// All in one folder, by name; `inside` is its path within the context.
    pub(super) fn walk(&self, walk: &mut Walk<'_>, inside: &str) -> Result<(), Stopped> {
        let path = self.root.join(inside);
        let mut names = Vec::new();
        let entries = std::fs::read_dir(&path).map_err(|error| reading(&path, &error))?;
        for entry in entries {
            names.push(entry.map_err(|error| reading(&path, &error))?.file_name());
        }
        names.sort();
        for name in names {
            let path = path.join(&name);
            let metadata = match std::fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                // Gone since the folder was read: as if it had never been there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(reading(&path, &error)),
            };
            let is_text = name.to_str().is_some();
            let name = name.to_string_lossy();
            let inside = if inside.is_empty() {
                name.into_owned()
            } else {
                format!("{inside}/{name}")
            };
            if !is_text && walk.wants(&inside) {
                let why = "its name is not UTF-8: give it another one, or leave it out by .dockerignore";
                return Err(reading(&path, &io::Error::new(io::ErrorKind::InvalidData, why)));
            }
            if metadata.is_dir() {
                let folder = entry(inside.clone(), Kind::Folder, &metadata, path);
                if walk.enter(folder)? {
                    self.walk(walk, &inside)?;
                    walk.leave(&inside);
                }
            } else if walk.wants(&inside) {
                match kind(&path, &metadata)? {
                    Ok(kind) => walk.name(entry(inside, kind, &metadata, path))?,
                    Err(word) => walk.skipped.note(format!("{inside} ({word})")),
                }
            }
        }
        Ok(())
    }
}

/// What can be sent, or the word for what cannot.
fn kind(path: &Path, metadata: &Metadata) -> Result<Result<Kind, &'static str>, Stopped> {
    let kind = metadata.file_type();
    Ok(if kind.is_symlink() {
        let target = std::fs::read_link(path).map_err(|error| reading(path, &error))?;
        Ok(Kind::Link { target })
    } else if kind.is_file() {
        Ok(Kind::File { size: metadata.len() })
    } else if kind.is_socket() {
        Err("a socket")
    } else if kind.is_fifo() {
        Err("a pipe")
    } else {
        Err("a device")
    })
}

fn entry(inside: String, kind: Kind, metadata: &Metadata, path: PathBuf) -> Entry {
    Entry {
        path: inside,
        kind,
        mode: metadata.mode() & 0o7777,
        modified: Modified {
            seconds: metadata.mtime(),
            nanos: metadata.mtime_nsec(),
        },
        origin: Origin::Path(path),
    }
}
