//! The contents of the context's files: from the file system, or from a repository through one `git cat-file`.
//! Delivers exactly the announced number of bytes: a file that grows is truncated, one that shrinks is an error.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::super::git;
use super::{Origin, Stopped, reading};

/// Reads one file after the other. Blocks.
#[derive(Default)]
pub(in super::super) struct Contents {
    /// Where git is asked, for the contents of a commit.
    tree: Option<git::Tree>,
    /// Started with the first object that is asked for.
    objects: Option<Objects>,
}

/// `git cat-file --batch`; it goes when this goes.
struct Objects {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Contents {
    pub(super) fn of(tree: &git::Tree) -> Self {
        Self {
            tree: Some(tree.clone()),
            objects: None,
        }
    }

    /// A file of `size` bytes, to be read to its end before the next one is opened.
    pub(in super::super) fn open(
        &mut self,
        origin: &Origin,
        size: u64,
    ) -> Result<Exactly<Box<dyn Read + '_>>, Stopped> {
        let source: Box<dyn Read + '_> = match origin {
            Origin::Path(path) => Box::new(File::open(path).map_err(|error| reading(path, &error))?),
            Origin::Object(object) => Box::new(
                self.object(object)
                    .map_err(|error| reading(Path::new(object), &error))?,
            ),
        };
        Ok(Exactly {
            source,
            left: size,
            failed: None,
        })
    }

    /// The bytes of an object of the repository.
    pub(super) fn object(&mut self, object: &str) -> io::Result<impl Read + '_> {
        let objects = match &mut self.objects {
            Some(objects) => objects,
            none => none.insert(Objects::start(self.tree.as_ref())?),
        };
        writeln!(objects.questions, "{object}")?;
        objects.questions.flush()?;
        let mut head = String::new();
        (&mut objects.answers).take(1 << 10).read_line(&mut head)?;
        // `OID blob SIZE`, or `OID missing`.
        let mut words = head.split_whitespace().skip(1);
        let (Some("blob"), Some(Ok(size))) = (words.next(), words.next().map(str::parse::<u64>)) else {
            let why = format!("git has no file {object}: {}", head.trim());
            return Err(io::Error::other(why));
        };
        Ok(Object {
            left: size,
            answers: &mut objects.answers,
        })
    }
}

/// One object, and the line end that git puts behind it.
struct Object<'o> {
    left: u64,
    answers: &'o mut BufReader<ChildStdout>,
}

impl Read for Object<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let count = (&mut self.answers).take(self.left).read(buffer)?;
        if count == 0 {
            return Err(io::Error::other("git ended early"));
        }
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        // What nobody wanted stands before the next answer; where git is gone, the next question fails.
        let mut rest = (&mut self.answers).take(self.left + 1);
        if let Err(error) = io::copy(&mut rest, &mut io::sink()) {
            tracing::debug!(%error, "git cat-file");
        }
    }
}

impl Objects {
    fn start(tree: Option<&git::Tree>) -> io::Result<Self> {
        let tree = tree.ok_or_else(|| io::Error::other("it is in no repository"))?;
        let mut command = Command::new("git");
        for name in git::OF_HOOKS {
            command.env_remove(name);
        }
        let mut child = command
            .args(git::CALM)
            .arg("-C")
            .arg(&tree.place)
            .args(["cat-file", "--batch"])
            .envs(git::QUIET)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(questions), Some(answers)) => Ok(Self {
                child,
                questions,
                answers: BufReader::with_capacity(64 << 10, answers),
            }),
            (_, _) => Err(io::Error::other("git has no pipes")),
        }
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            tracing::debug!(%error, "git cat-file");
        }
    }
}

/// As many bytes as were promised.
pub(in super::super) struct Exactly<R> {
    source: R,
    left: u64,
    /// Told apart from a failure to write.
    failed: Option<io::Error>,
}

impl<R> Exactly<R> {
    pub(in super::super) fn failed(self) -> Option<io::Error> {
        self.failed
    }
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let room = buffer.get_mut(..wanted).unwrap_or_default();
        let outcome = match self.source.read(room) {
            Ok(0) => Err(io::Error::other("it was truncated while it was read")),
            other => other,
        };
        match outcome {
            Ok(count) => {
                self.left = self.left.saturating_sub(count as u64);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let same = io::Error::new(error.kind(), error.to_string());
                self.failed = Some(error);
                Err(same)
            }
        }
    }
}
