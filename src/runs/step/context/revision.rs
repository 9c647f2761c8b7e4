//! The context as a commit has it: exactly its tree, independent of the work tree, without conversions.
//! Uses the user's own `git`; a submodule is not part of a commit's tree and is refused by name.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::super::git;
use super::contents::Contents;
use super::{Entry, Kind, Modified, Origin, Stopped, Walk, plain};
use crate::domain::fault::Fault;

/// A link's target is a path.
const LONGEST_TARGET: u64 = 4 << 10;
/// As Linux follows.
const MOST_LINKS: u32 = 40;

#[derive(Clone, Debug)]
pub(super) struct Revision {
    /// The context folder, whether it is there or not.
    pub(super) root: PathBuf,
    /// For people: the commit, short.
    pub(super) name: String,
    pub(super) tree: git::Tree,
    /// In the order in which folders are walked.
    files: Vec<File>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    path: String,
    mode: u32,
    object: String,
    size: u64,
}

/// What `git ls-tree` calls a file, a program, a link and a submodule.
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_000;
const SUBMODULE: u32 = 0o160_000;

impl Revision {
    pub(super) async fn look(folder: &Path, commit: &str) -> Result<Self, Fault> {
        let short: String = commit.chars().take(12).collect();
        let fault = |why: String| {
            Fault::new(format!("read {} as of {short}", folder.display()), why)
                .hint("the folder must be in that commit: `git ls-tree -r COMMIT` lists it")
        };
        let tree = git::tree(folder, commit).await.map_err(fault)?;
        let listing = git::listing(&tree).await.map_err(fault)?;
        let files = files(&listing).ok_or_else(|| fault("git's list cannot be read".to_owned()))?;
        Ok(Self {
            root: folder.to_owned(),
            name: short,
            tree,
            files,
        })
    }

    pub(super) fn shown(&self, inside: &str) -> String {
        format!("{} as of {}", self.root.join(inside).display(), self.name)
    }

    /// That the Dockerfile is in the commit; its path for people.
    pub(super) fn dockerfile(&self, dockerfile: &Path) -> Result<String, Fault> {
        let shown = self.shown(&plain(dockerfile));
        match self.object(&plain(dockerfile)) {
            Ok(Some(_)) => Ok(shown),
            Err(error) => Err(Fault::new(format!("read {shown}"), error)),
            Ok(None) => Err(Fault::new(format!("read {shown}"), "the commit has no such file")
                .hint("`dockerfile` is a path within `context`; is it committed?")),
        }
    }

    /// Of a file, or of the one that a link leads to. An error where a link points outside the context, or in a circle.
    pub(super) fn object(&self, inside: &str) -> io::Result<Option<&str>> {
        let file = self.file(&self.followed(inside)?);
        let file = file.filter(|file| file.mode != SUBMODULE);
        Ok(file.map(|file| file.object.as_str()))
    }

    /// The path without links, whether something is there or not.
    fn followed(&self, inside: &str) -> io::Result<String> {
        let mut ahead: Vec<String> = inside.rsplit('/').map(str::to_owned).collect();
        let mut path: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = ahead.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    path.pop().ok_or_else(|| leads_out(inside))?;
                    continue;
                }
                _ => path.push(part),
            }
            let Some(link) = self.file(&path.join("/")).filter(|file| file.mode == LINK) else {
                continue;
            };
            links += 1;
            if links > MOST_LINKS {
                return Err(io::Error::other(format!("{inside} is a circular link")));
            }
            let target = target(link, &mut Contents::of(&self.tree))?;
            if target.starts_with('/') {
                return Err(leads_out(inside));
            }
            path.pop();
            ahead.extend(target.rsplit('/').map(str::to_owned));
        }
        Ok(path.join("/"))
    }

    pub(super) fn is_link(&self, inside: &str) -> bool {
        self.file(inside).is_some_and(|file| file.mode == LINK)
    }

    fn file(&self, inside: &str) -> Option<&File> {
        let at = self
            .files
            .binary_search_by(|file| file.path.split('/').cmp(inside.split('/')))
            .ok()?;
        self.files.get(at)
    }

    pub(super) fn walk(&self, walk: &mut Walk<'_>) -> Result<(), Stopped> {
        let mut contents = Contents::of(&self.tree);
        let mut entered: Vec<String> = Vec::new();
        // Folders that are not looked into, and those that were named: each is asked about once.
        let mut closed: BTreeSet<String> = BTreeSet::new();
        'files: for file in &self.files {
            let folders: Vec<&str> = file
                .path
                .match_indices('/')
                .filter_map(|(at, _)| file.path.get(..at))
                .collect();
            while entered
                .last()
                .is_some_and(|last| !folders.contains(&last.as_str()))
            {
                walk.leave(&entered.pop().unwrap_or_default());
            }
            for folder in folders.iter().skip(entered.len()) {
                if closed.contains(*folder) {
                    continue 'files;
                }
                if !walk.enter(self.entry((*folder).to_owned(), Kind::Folder, 0o755, String::new()))? {
                    closed.insert((*folder).to_owned());
                    continue 'files;
                }
                entered.push((*folder).to_owned());
            }
            if walk.wants(&file.path) {
                let entry = self.of(file, &mut contents)?;
                walk.name(entry)?;
            }
        }
        Ok(())
    }

    fn of(&self, file: &File, contents: &mut Contents) -> Result<Entry, Stopped> {
        let (kind, mode) = match file.mode {
            SUBMODULE => {
                let what = format!("take {} into the build", self.shown(&file.path));
                let fault = Fault::new(what, "it is a submodule: the commit holds no files of it")
                    .hint("name it in .dockerignore, or build without `git` from a work tree that has it");
                return Err(Stopped::Fault(fault));
            }
            LINK => (self.link(file, contents)?, 0o777),
            PROGRAM => (Kind::File { size: file.size }, 0o755),
            _ => (Kind::File { size: file.size }, 0o644),
        };
        Ok(self.entry(file.path.clone(), kind, mode, file.object.clone()))
    }

    fn link(&self, file: &File, contents: &mut Contents) -> Result<Kind, Stopped> {
        let target = target(file, contents)
            .map_err(|error| Stopped::Fault(Fault::new(format!("read {}", self.shown(&file.path)), error)))?;
        Ok(Kind::Link {
            target: PathBuf::from(target),
        })
    }

    fn entry(&self, path: String, kind: Kind, mode: u32, object: String) -> Entry {
        Entry {
            path,
            kind,
            mode,
            modified: Modified {
                seconds: self.tree.committed,
                nanos: 0,
            },
            origin: Origin::Object(object),
        }
    }
}

/// Where a link leads to.
fn target(link: &File, contents: &mut Contents) -> io::Result<String> {
    let mut target = String::new();
    let object = contents.object(&link.object)?;
    object.take(LONGEST_TARGET).read_to_string(&mut target)?;
    Ok(target)
}

fn leads_out(inside: &str) -> io::Error {
    io::Error::other(format!("{inside} is a link that points outside the context"))
}

/// `100644 blob OID    SIZE\tPATH\0`, each; a submodule's size is `-`.
fn files(listing: &[u8]) -> Option<Vec<File>> {
    let mut files = Vec::new();
    for line in listing.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let at = line.iter().position(|byte| *byte == b'\t')?;
        let facts = std::str::from_utf8(line.get(..at)?).ok()?;
        let path = String::from_utf8_lossy(line.get(at + 1..)?).into_owned();
        let mut facts = facts.split_whitespace();
        let mode = u32::from_str_radix(facts.next()?, 8).ok()?;
        let object = facts.nth(1)?.to_owned();
        let size = facts.next()?.parse().unwrap_or(0);
        files.push(File {
            path,
            mode,
            object,
            size,
        });
    }
    // Git's own order takes a folder's name with a slash behind it.
    files.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
    Some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gits_list_is_read_and_put_into_the_order_of_a_walk() {
        let listing = b"100644 blob aa      12\ta.b\x00100755 blob bb       3\ta/x y\x00160000 commit cc       -\tsub\x00";
        let files = files(listing).unwrap();
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a/x y", "a.b", "sub"]);
        assert_eq!((files[0].mode, files[0].size), (PROGRAM, 3));
        assert_eq!(files[0].object, "bb");
        assert!(super::files(b"nonsense\0").is_none());
    }
}
