//! The build context: a folder, or its contents in a commit, filtered by `.dockerignore`.
//! Walked entry by entry, never held in memory; its formats (a tar, `BuildKit`'s packets) are elsewhere.

mod contents;
mod folder;
mod revision;
mod tarball;

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::ignore::Ignore;
use crate::config::dockerfile::directive;
use crate::config::service::Build;
use crate::domain::fault::Fault;
use folder::Folder;
use revision::Revision;

pub(super) use contents::Contents;
pub(super) use tarball::Upload;

/// The number of skipped files that are listed by name.
const SKIPPED_NAMED: usize = 20;
/// An ignore file is written by hand; of a Dockerfile its first lines count here.
const LARGEST_FILE: u64 = 1 << 20;

/// A checked build context: it exists, contains the Dockerfile, and its patterns are valid.
#[derive(Debug)]
pub(super) struct Context {
    source: Source,
    ignore: Ignore,
    /// Of a Dockerfile that begins with `# syntax=`: the image that is fetched to read the rest.
    syntax: Option<String>,
}

#[derive(Clone, Debug)]
enum Source {
    Folder(Folder),
    Revision(Revision),
}

/// The part of a context that a builder requests.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) ignore: Ignore,
    /// Paths and patterns that lead to what it needs; none of them: it needs all.
    pub(super) only: Vec<String>,
}

/// A file, folder or link of the context.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) kind: Kind,
    /// Permissions with set-id and sticky bits, as unix has them.
    pub(super) mode: u32,
    pub(super) modified: Modified,
    pub(super) origin: Origin,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File { size: u64 },
    Link { target: PathBuf },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Modified {
    pub(super) seconds: i64,
    pub(super) nanos: i64,
}

/// Where the contents of an entry are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Path(PathBuf),
    Object(String),
}

/// What was sent, if the stream ended successfully.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) entries: u64,
    pub(super) skipped: Skipped,
}

/// Skipped entries: sockets, pipes and devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Skipped {
    pub(super) named: Vec<String>,
    pub(super) total: usize,
}

impl Skipped {
    fn note(&mut self, name: String) {
        self.total += 1;
        if self.named.len() < SKIPPED_NAMED {
            self.named.push(name);
        }
    }
}

/// Why the walk ended early.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The receiver is gone.
    Unwanted,
    Fault(Fault),
}

impl Context {
    /// Checks a folder before anything is sent. Blocks on the file system.
    pub(super) fn look(folder: &Path, dockerfile: &Path) -> Result<Self, Fault> {
        let folder = Folder::look(folder)?;
        let shown = folder.dockerfile(dockerfile)?;
        Self::of(Source::Folder(folder), dockerfile, &shown)
    }

    /// Checks a folder in a commit, independent of the work tree.
    pub(super) async fn look_at(folder: &Path, commit: &str, dockerfile: &Path) -> Result<Self, Fault> {
        let revision = Revision::look(folder, commit).await?;
        let dockerfile = dockerfile.to_owned();
        tokio::task::spawn_blocking(move || {
            let shown = revision.dockerfile(&dockerfile)?;
            Self::of(Source::Revision(revision), &dockerfile, &shown)
        })
        .await
        .map_err(|error| Fault::new("read the build context", error))?
    }

    fn of(source: Source, dockerfile: &Path, shown: &str) -> Result<Self, Fault> {
        let inside = plain(dockerfile);
        let text = source
            .read(&inside)?
            .ok_or_else(|| Fault::new(format!("read {shown}"), "no such file"))?;
        let ignore = ignore(&source, &inside)?;
        Ok(Self {
            source,
            ignore,
            syntax: directive(&text, "syntax"),
        })
    }

    /// The Dockerfile's text alone, as `look` or `look_at` would read it.
    pub(super) async fn dockerfile(build: &Build) -> Result<String, Fault> {
        let what = || format!("read {}", build.context.join(&build.dockerfile).display());
        let revision = match &build.git {
            Some(commit) => Some(Revision::look(&build.context, commit).await?),
            None => None,
        };
        let build = build.clone();
        let read = tokio::task::spawn_blocking(move || {
            let source = if let Some(revision) = revision {
                revision.dockerfile(&build.dockerfile)?;
                Source::Revision(revision)
            } else {
                let folder = Folder::look(&build.context)?;
                folder.dockerfile(&build.dockerfile)?;
                Source::Folder(folder)
            };
            source.read(&plain(&build.dockerfile))
        });
        read.await
            .map_err(|error| Fault::new(what(), error))?
            .map(Option::unwrap_or_default)
    }

    pub(super) fn syntax(&self) -> Option<&str> {
        self.syntax.as_deref()
    }

    /// Distinguishes this context and revision from others on the same builder.
    pub(super) fn identity(&self) -> String {
        match &self.source {
            Source::Folder(folder) => folder.root.display().to_string(),
            Source::Revision(revision) => format!("{} {}", revision.root.display(), revision.name),
        }
    }

    /// Visits every entry that `.dockerignore` does not exclude, folders before their contents.
    fn walk(&self, visit: &mut dyn FnMut(Entry) -> Result<(), Stopped>) -> Result<Skipped, Stopped> {
        self.walk_by(&self.ignore, &[], visit)
    }

    /// The same, as a builder asks for it.
    pub(super) fn walk_with(
        &self,
        filter: &Filter,
        visit: &mut dyn FnMut(Entry) -> Result<(), Stopped>,
    ) -> Result<Skipped, Stopped> {
        let plain = |path: &String| {
            let path = path.trim_matches('/');
            let is_plain = !path.is_empty() && path != "." && !path.contains(['*', '?', '[', '\\']);
            (is_plain && !self.source.leads_through_a_link(path)).then(|| path.to_owned())
        };
        // Where one path cannot be followed plainly, all is named: the builder takes what it needs.
        let only: Option<Vec<String>> = filter.only.iter().map(plain).collect();
        self.walk_by(&filter.ignore, &only.unwrap_or_default(), visit)
    }

    /// A file that is sent from an excluded folder brings the folder along.
    fn walk_by(
        &self,
        ignore: &Ignore,
        only: &[String],
        visit: &mut dyn FnMut(Entry) -> Result<(), Stopped>,
    ) -> Result<Skipped, Stopped> {
        let mut walk = Walk {
            ignore,
            only,
            visit,
            above: Vec::new(),
            skipped: Skipped::default(),
        };
        match &self.source {
            Source::Folder(folder) => folder.walk(&mut walk, "")?,
            Source::Revision(revision) => revision.walk(&mut walk)?,
        }
        Ok(walk.skipped)
    }

    /// Reads the entries of `walk`; for a thread that may block.
    pub(super) fn contents(&self) -> Contents {
        match &self.source {
            Source::Folder(_) => Contents::default(),
            Source::Revision(revision) => Contents::of(&revision.tree),
        }
    }
}

impl Source {
    /// A small file's text; `None` if it is not there.
    fn read(&self, inside: &str) -> Result<Option<String>, Fault> {
        let fault = |error: &io::Error| Fault::new(format!("read {}", self.shown(inside)), plainly(error));
        let mut bytes = Vec::new();
        let read = match self {
            Self::Folder(folder) => match std::fs::File::open(folder.root.join(inside)) {
                Ok(file) => file.take(LARGEST_FILE).read_to_end(&mut bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => Err(error),
            },
            Self::Revision(revision) => match revision.object(inside) {
                Ok(Some(object)) => Contents::of(&revision.tree)
                    .object(object)
                    .and_then(|file| file.take(LARGEST_FILE).read_to_end(&mut bytes)),
                Ok(None) => return Ok(None),
                Err(error) => Err(error),
            },
        };
        read.map_err(|error| fault(&error))?;
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_bytes| fault(&io::Error::other("it is not UTF-8")))
    }

    fn leads_through_a_link(&self, inside: &str) -> bool {
        let mut parts = inside
            .match_indices('/')
            .filter_map(|(at, _)| inside.get(..at))
            .chain([inside]);
        match self {
            Self::Folder(folder) => parts.any(|part| folder.root.join(part).is_symlink()),
            Self::Revision(revision) => parts.any(|part| revision.is_link(part)),
        }
    }

    fn shown(&self, inside: &str) -> String {
        match self {
            Self::Folder(folder) => folder.root.join(inside).display().to_string(),
            Self::Revision(revision) => revision.shown(inside),
        }
    }
}

/// One walk: the patterns, and the folders above that have not been named yet.
struct Walk<'w> {
    ignore: &'w Ignore,
    /// What lies on the way to one of these, or in it; empty: all.
    only: &'w [String],
    visit: &'w mut dyn FnMut(Entry) -> Result<(), Stopped>,
    above: Vec<Entry>,
    skipped: Skipped,
}

impl Walk<'_> {
    /// Names a folder if it is sent. Is there anything in it to look at? Then `leave` follows.
    fn enter(&mut self, folder: Entry) -> Result<bool, Stopped> {
        if !self.leads_somewhere(&folder.path) {
            return Ok(false);
        }
        let excluded = self.ignore.excludes(&folder.path);
        if excluded && !self.ignore.excepts_within(&folder.path) {
            return Ok(false);
        }
        self.above.push(folder);
        if !excluded {
            self.name_above()?;
        }
        Ok(true)
    }

    fn leave(&mut self, folder: &str) {
        self.above.retain(|entry| entry.path != folder);
    }

    fn name_above(&mut self) -> Result<(), Stopped> {
        self.above.drain(..).try_for_each(&mut self.visit)
    }

    fn wants(&self, path: &str) -> bool {
        self.leads_somewhere(path) && !self.ignore.excludes(path)
    }

    fn leads_somewhere(&self, path: &str) -> bool {
        let is_in = |path: &str, folder: &str| {
            path.strip_prefix(folder)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.only.is_empty()
            || self
                .only
                .iter()
                .any(|only| is_in(path, only) || is_in(only, path))
    }

    fn name(&mut self, entry: Entry) -> Result<(), Stopped> {
        self.name_above()?;
        (self.visit)(entry)
    }
}

/// The ignore file of this Dockerfile, or the context's.
fn ignore(source: &Source, dockerfile: &str) -> Result<Ignore, Fault> {
    let own = format!("{dockerfile}.dockerignore");
    let (name, text) = match source.read(&own)? {
        Some(text) => (own, text),
        None => match source.read(".dockerignore")? {
            Some(text) => (".dockerignore".to_owned(), text),
            None => return Ok(Ignore::default()),
        },
    };
    let mut ignore = Ignore::parse(&text).map_err(|bad| {
        Fault::new(
            format!("read {}", source.shown(&name)),
            format!("line {}: `{}`: {}", bad.line, bad.pattern, bad.why),
        )
    })?;
    ignore.keep(&name);
    ignore.keep(dockerfile);
    Ok(ignore)
}

/// `./build//Dockerfile` → `build/Dockerfile`
fn plain(path: &Path) -> String {
    let parts: Vec<String> = path
        .components()
        .filter(|part| matches!(part, std::path::Component::Normal(_)))
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    parts.join("/")
}

/// The fault of reading a file of the context.
pub(super) fn reading(path: &Path, error: &io::Error) -> Stopped {
    let fault = Fault::new(format!("read {}", path.display()), plainly(error));
    Stopped::Fault(match error.kind() {
        io::ErrorKind::PermissionDenied => {
            fault.hint("make it readable, or name it in .dockerignore if the image does not need it")
        }
        io::ErrorKind::Other => fault.hint("name what is written to during a build in .dockerignore"),
        _ => fault,
    })
}

/// `permission denied`, not `Permission denied (os error 13)`.
fn plainly(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
