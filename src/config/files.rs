//! Finds the files of the configuration: the first one that exists, and its includes.
//! Reads them and checks that they are TOML; tables are interpreted in `read`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::Request;
use super::fault::{ConfigFault, Faults, Wrong};
use super::glob::{Matches, expand};
use super::machine::Machine;
use super::section::{Place, Section};
use super::source::Source;
use super::trust::distrust;

/// Nobody writes more by hand; a log file given by mistake is not read to its end.
const LARGEST: u64 = 4 << 20;

/// A service each and then some; a pattern that matches the whole disk is a mistake.
const MOST_FILES: usize = 1_000;

/// The file to begin with: `-c`, then `PILOTHOUSE_CONFIG`, then the user's, then the machine's; only the first.
pub(super) fn first(request: &Request<'_>, machine: &Machine<'_>) -> Option<PathBuf> {
    if let Some(path) = &request.explicit {
        return Some(path.clone());
    }
    if let Some(path) = machine.env("PILOTHOUSE_CONFIG") {
        return Some(PathBuf::from(path));
    }
    // Anything but "not there" is said when it is opened.
    let is_there = |path: &PathBuf| match std::fs::metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(
            error.kind(),
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
        ),
    };
    machine
        .user_file()
        .into_iter()
        .chain([machine.at("/etc/pilothouse/config.toml")])
        .find(is_there)
}

/// The file and all it includes, each once, an including file before what it includes.
pub(super) fn read_all(first: &Path, machine: &Machine<'_>, faults: &Faults) -> Vec<Source> {
    let mut reading = Reading {
        home: machine.home(),
        faults,
        seen: BTreeSet::new(),
        chain: Vec::new(),
        sources: Vec::new(),
    };
    reading.visit(first, None);
    reading.sources
}

struct Reading<'f> {
    home: Option<PathBuf>,
    faults: &'f Faults,
    seen: BTreeSet<PathBuf>,
    /// The files that include one another down to the present one.
    chain: Vec<PathBuf>,
    sources: Vec<Source>,
}

/// The place of an `include` that named a file.
struct Asker {
    file: PathBuf,
    line: u32,
    column: u32,
}

impl Asker {
    fn fault(&self, faults: &Faults, wrong: Wrong) {
        faults.add(ConfigFault {
            file: self.file.clone(),
            line: self.line,
            column: self.column,
            what: wrong.what,
            hint: wrong.hint,
        });
    }
}

impl Reading<'_> {
    fn visit(&mut self, path: &Path, asker: Option<&Asker>) {
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if let Some(at) = self.chain.iter().position(|file| *file == real) {
            let ring: Vec<String> = self
                .chain
                .iter()
                .skip(at)
                .chain([&real])
                .map(|file| file.display().to_string())
                .collect();
            if let Some(asker) = asker {
                let what = format!("files include each other in a circle: {}", ring.join(" → "));
                asker.fault(self.faults, Wrong::new(what));
            }
            return;
        }
        if !self.seen.insert(real.clone()) {
            return;
        }
        if self.sources.len() >= MOST_FILES {
            if let Some(asker) = asker {
                asker.fault(
                    self.faults,
                    Wrong::new(format!("more than {MOST_FILES} files are included")),
                );
            }
            return;
        }
        let mut source = match open(path, self.home.clone()) {
            Ok(source) => source,
            Err(fault) => {
                match asker {
                    Some(asker) => asker.fault(
                        self.faults,
                        Wrong {
                            what: format!("{}: {}", path.display(), fault.what),
                            hint: fault.hint,
                        },
                    ),
                    None => self.faults.add(fault),
                }
                return;
            }
        };
        let includes = includes(&mut source, self.faults);
        self.sources.push(source);
        self.chain.push(real);
        for (asker, pattern) in includes {
            match expand(&pattern) {
                Matches::Named(path) => self.visit(&path, Some(&asker)),
                Matches::Found(paths) => paths.iter().for_each(|path| self.visit(path, Some(&asker))),
                Matches::Refused(why) => asker.fault(self.faults, Wrong::new(format!("`include`: {why}"))),
            }
        }
        self.chain.pop();
    }
}

/// Which key is there twice, and where it was first, as far as that is certain.
fn twice(source: &Source, table: &DeTable<'_>, at: &Range<usize>) -> Wrong {
    let text = source.text.get(at.clone()).unwrap_or_default();
    let name = text.trim_matches(['[', ']', '"', '\'', ' ']);
    let wrong = Wrong::new(format!("`{name}` appears twice"));
    match first_places(source, table, name, at.start)[..] {
        [first] => wrong.hint(format!("it is already in line {}", source.place(first).0)),
        _ => wrong,
    }
}

/// Of a header: the same headers above it. Of another key: those below the same header, as deep in their lines.
fn first_places(source: &Source, table: &DeTable<'_>, name: &str, at: usize) -> Vec<usize> {
    let head = |at: usize| {
        let before = source.text.get(..at).unwrap_or_default();
        before.rsplit('\n').next().unwrap_or_default().trim()
    };
    let start = at
        - source
            .text
            .get(..at)
            .and_then(|text| text.rsplit('\n').next())
            .map_or(0, str::len);
    let mut offset = 0;
    let above: Vec<(usize, &str)> = source
        .text
        .split_inclusive('\n')
        .map(|line| {
            let start = offset;
            offset += line.len();
            (start, line.trim())
        })
        .take_while(|(line, _)| *line <= start)
        .collect();
    let mut headers = above
        .iter()
        .filter(|(line, text)| text.starts_with('[') && *line < start);
    if head(at).starts_with('[') {
        let own = above.last().map_or("", |(_, line)| line);
        return headers
            .filter(|(_, line)| *line == own)
            .map(|(line, _)| *line)
            .collect();
    }
    let section = headers.next_back().map_or(0, |(line, _)| *line);
    let mut found = places_of(table, name);
    found.retain(|place| (section..at).contains(place) && head(*place) == head(at));
    found
}

fn places_of(table: &DeTable<'_>, name: &str) -> Vec<usize> {
    let mut found = Vec::new();
    for (key, value) in table {
        if key.get_ref() == name {
            found.push(key.span().start);
        }
        found.extend(places_in(value.get_ref(), name));
    }
    found
}

fn places_in(value: &DeValue<'_>, name: &str) -> Vec<usize> {
    match value {
        DeValue::Table(table) => places_of(table, name),
        DeValue::Array(values) => values
            .iter()
            .flat_map(|value| places_in(value.get_ref(), name))
            .collect(),
        _ => Vec::new(),
    }
}

/// Says what is no TOML, and gives the patterns of `include`.
fn includes(source: &mut Source, faults: &Faults) -> Vec<(Asker, PathBuf)> {
    let text = source.text.clone();
    let (table, errors) = DeTable::parse_recoverable(&text);
    source.broken = !errors.is_empty();
    let source = &*source;
    let wrongs = errors.into_iter().map(|error| {
        let at = error.span().unwrap_or_default();
        let twice = (error.message() == "duplicate key").then(|| twice(source, table.get_ref(), &at));
        (at, twice.unwrap_or_else(|| Wrong::new(error.message())))
    });
    let mut last_line = 0;
    for (at, wrong) in wrongs {
        let (line, _) = source.place(at.start);
        // What follows on the same line is mostly the same mistake.
        if line != last_line {
            source.fault(faults, &at, wrong);
        }
        last_line = line;
    }
    let mut section = Section::new(
        Place { source, faults },
        table.span(),
        "the file",
        table.get_ref(),
    );
    let Some(items) = section.take("include").and_then(|include| include.list()) else {
        return Vec::new();
    };
    items
        .iter()
        .filter_map(|item| {
            let pattern = item.path()?;
            let (line, column) = source.place(item.at.start);
            let file = source.file.clone();
            Some((Asker { file, line, column }, pattern))
        })
        .collect()
}

fn open(path: &Path, home: Option<PathBuf>) -> Result<Source, ConfigFault> {
    let fault = |what: String| ConfigFault::whole(path, what);
    let unreadable = |error: std::io::Error| {
        let fault = fault(format!("cannot be read: {}", plainly(&error)));
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => fault.hint("make it readable for your user"),
            _ => fault,
        }
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(fault("is a folder, not a file".to_owned()).hint("name the file in it"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(fault(format!(
            "is larger than {} MiB: that is not a configuration file",
            LARGEST >> 20
        )));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let absolute = std::path::absolute(path).map_err(unreadable)?;
    let mut source = Source {
        file: path.to_owned(),
        folder: absolute.parent().unwrap_or(Path::new("/")).to_owned(),
        home,
        text: String::from_utf8_lossy(bytes).into_owned(),
        broken: false,
        distrust: distrust(path, &metadata, rustix::process::geteuid().as_raw()),
    };
    if let Err(error) = std::str::from_utf8(bytes) {
        // Up to there the lossy text is the text itself.
        let (line, column) = source.place(error.valid_up_to());
        source.broken = true;
        return Err(ConfigFault {
            line,
            column,
            ..fault("is not UTF-8 text from here on".to_owned())
        });
    }
    Ok(source)
}

/// Without the number of the error, which helps nobody.
fn plainly(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}
