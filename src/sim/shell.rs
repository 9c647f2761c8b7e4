//! A very small shell: what simulated containers, execs, builds and health checks execute.
//! Runs a script at once on a time of its own, and says what would be written when; nothing real is executed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::applets;
use super::behaviour::{Behaviour, Chatter, Ending, OnTerm, Said, Stream, Style};
use super::syntax::{self, Node};
use super::tree::{Kind, Tree, clean, join};
use crate::domain::units::Stamp;

/// A script that does more than this is cut off: it would be a loop without end.
const STEPS: u32 = 5_000;
/// A loop that takes no time is given some.
const SHORTEST_LOOP: Duration = Duration::from_millis(500);

/// Where a script runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Stage {
    pub(super) environment: BTreeMap<String, String>,
    pub(super) hostname: String,
    /// Of the main process, for `ps`.
    pub(super) argv: Vec<String>,
    /// Of the host's file system, in 1K blocks.
    pub(super) disk_total: u64,
    pub(super) disk_used: u64,
    /// The host's.
    pub(super) cores: u32,
    pub(super) memory: u64,
    /// Tells hosts apart: how busy this one is.
    pub(super) level: u32,
    pub(super) now: Stamp,
    pub(super) folder: String,
    /// What the image exposes is listened on.
    pub(super) listening: Vec<u16>,
}

/// What a script did.
#[derive(Clone, Debug, Default)]
pub(super) struct Played {
    pub(super) said: Vec<Said>,
    /// Goes on for ever: one round's length, and its lines.
    pub(super) round: Option<(Duration, Vec<String>)>,
    /// When it ends by itself, and how.
    pub(super) end: Option<(Duration, i32)>,
    pub(super) on_term: OnTerm,
    pub(super) tree: Tree,
    /// Paths written.
    pub(super) written: Vec<String>,
}

impl Played {
    pub(super) fn text(&self) -> String {
        self.said.iter().fold(String::new(), |mut text, said| {
            text.push_str(&said.text);
            text.push('\n');
            text
        })
    }

    pub(super) fn behaviour(self) -> Behaviour {
        let chatter = self.round.and_then(|(length, lines)| {
            let count = u32::try_from(lines.len()).unwrap_or(1);
            (!lines.is_empty()).then(|| Chatter {
                style: Style::Fixed(lines),
                every: length / count.max(1),
                stream: Stream::Out,
            })
        });
        Behaviour {
            opening: self.said,
            chatter: chatter.into_iter().collect(),
            ends: self.end.map(|(after, code)| Ending {
                after,
                code,
                oom: false,
                words: Vec::new(),
            }),
            on_term: self.on_term,
            ..Behaviour::default()
        }
    }
}

/// Can this be executed: a command of the simulated world, or a file that is there?
pub(super) fn knows(tree: &Tree, word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word);
    let folder = word.strip_suffix(name).unwrap_or_default();
    let usual = matches!(folder, "" | "/bin/" | "/usr/bin/" | "/sbin/" | "/usr/sbin/");
    (usual && applets::NAMES.contains(&name))
        || (word.contains('/')
            && matches!(tree.get(&clean(word)), Some(node) if matches!(node.kind, Kind::File(_))))
}

pub(super) fn play(stage: &Stage, tree: &Tree, argv: &[String]) -> Played {
    let mut shell = Shell {
        stage,
        variables: stage.environment.clone(),
        folder: stage.folder.clone(),
        played: Played {
            tree: tree.clone(),
            ..Played::default()
        },
        at: Duration::ZERO,
        code: 0,
        steps: 0,
        state: Flow::On,
        redirect: Redirect::default(),
    };
    shell.execute(argv);
    if shell.state != Flow::Forever {
        shell.played.end = Some((shell.at, shell.code));
    }
    shell.played
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    On,
    /// `exit`, `exec`, or cut off.
    Ended,
    /// Never ends by itself.
    Forever,
}

#[derive(Clone, Debug, Default)]
struct Redirect {
    /// stdout goes to stderr.
    to_err: bool,
    out_file: Option<(String, bool)>,
    err_nowhere: bool,
}

pub(super) struct Shell<'a> {
    pub(super) stage: &'a Stage,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) folder: String,
    pub(super) played: Played,
    pub(super) at: Duration,
    pub(super) code: i32,
    steps: u32,
    state: Flow,
    redirect: Redirect,
}

impl Shell<'_> {
    pub(super) fn out(&mut self, text: &str) {
        match self.redirect.out_file.clone() {
            Some((path, _)) if path == "dev/null" => {}
            Some((path, append)) => self.write(&path, text, append),
            None => {
                let stream = if self.redirect.to_err {
                    Stream::Err
                } else {
                    Stream::Out
                };
                self.say(stream, text);
            }
        }
    }

    pub(super) fn err(&mut self, text: &str) {
        if !self.redirect.err_nowhere {
            self.say(Stream::Err, text);
        }
    }

    fn say(&mut self, stream: Stream, text: &str) {
        for line in text.split('\n') {
            self.played.said.push(Said {
                after: self.at,
                stream,
                text: line.to_owned(),
            });
        }
    }

    fn write(&mut self, path: &str, text: &str, append: bool) {
        let mut content = match self.played.tree.get(path).map(|node| &node.kind) {
            Some(Kind::File(bytes)) if append => bytes.to_vec(),
            _ => Vec::new(),
        };
        content.extend(text.as_bytes());
        content.push(b'\n');
        self.played.tree.put(path, super::tree::Node::file(content));
        self.played.written.push(path.to_owned());
        if let Some((_, append)) = &mut self.redirect.out_file {
            *append = true;
        }
    }

    pub(super) fn path(&self, name: &str) -> String {
        if name.starts_with('/') {
            clean(name)
        } else {
            join(&clean(&self.folder), name)
        }
    }

    pub(super) fn exit(&mut self, code: i32) {
        self.code = code;
        self.state = Flow::Ended;
    }

    pub(super) fn never_ends(&mut self) {
        self.state = Flow::Forever;
    }

    pub(super) fn is_going(&self) -> bool {
        self.state == Flow::On
    }

    /// One command with its words.
    pub(super) fn execute(&mut self, argv: &[String]) {
        self.steps += 1;
        if self.steps > STEPS {
            self.state = Flow::Forever;
            return;
        }
        let Some((word, rest)) = argv.split_first() else {
            return;
        };
        let name = word.rsplit('/').next().unwrap_or(word);
        if !knows(&self.played.tree, word) {
            self.err(&format!("/bin/sh: {word}: not found"));
            self.code = 127;
            return;
        }
        let script = match self.played.tree.get(&clean(word)).map(|node| &node.kind) {
            Some(Kind::File(bytes)) if word.contains('/') && !bytes.starts_with(b"\x7fELF") => {
                Some(String::from_utf8_lossy(bytes).into_owned())
            }
            _ => None,
        };
        match script {
            Some(script) => self.script(&script, rest),
            None => applets::run(self, name, rest),
        }
    }

    pub(super) fn script(&mut self, text: &str, arguments: &[String]) {
        for (number, argument) in arguments.iter().enumerate() {
            self.variables.insert((number + 1).to_string(), argument.clone());
        }
        match syntax::parse(text) {
            Ok(node) => {
                self.walk(&node);
                // The script's `exit` ends the script; for a main process that is all there is.
            }
            Err(why) => {
                self.err(&format!("/bin/sh: syntax error: {why}"));
                self.code = 2;
            }
        }
    }

    fn walk(&mut self, node: &Node) {
        if !self.is_going() {
            return;
        }
        match node {
            Node::Sequence(list) => {
                for part in list {
                    self.walk(part);
                }
            }
            Node::And(left, right) => {
                self.walk(left);
                if self.code == 0 {
                    self.walk(right);
                }
            }
            Node::Or(left, right) => {
                self.walk(left);
                if self.code != 0 {
                    self.walk(right);
                }
            }
            Node::If(condition, then, otherwise) => {
                self.walk(condition);
                if self.code == 0 {
                    self.walk(then);
                } else {
                    self.code = 0;
                    self.walk(otherwise);
                }
            }
            Node::For(name, words, body) => {
                let values: Vec<String> = words
                    .iter()
                    .flat_map(|word| {
                        let value = self.expand(word);
                        if word.starts_with(['"', '\'']) {
                            // Quoted, it is one.
                            return vec![value];
                        }
                        value.split_whitespace().map(str::to_owned).collect()
                    })
                    .collect();
                for value in values {
                    self.variables.insert(name.clone(), value);
                    self.walk(body);
                }
            }
            Node::While(condition, body) => self.rounds(condition, body),
            Node::Command(words) => self.command(words),
        }
    }

    /// A loop whose condition holds after the first round holds for ever.
    fn rounds(&mut self, condition: &Node, body: &Node) {
        self.walk(condition);
        if self.code != 0 {
            self.code = 0;
            return;
        }
        let (begun, said) = (self.at, self.played.said.len());
        self.walk(body);
        if !self.is_going() {
            return;
        }
        let length = self.at.saturating_sub(begun).max(SHORTEST_LOOP);
        let lines = self.played.said.split_off(said);
        // The first round is said at its own pace, the others evenly.
        self.played.round = Some((length, lines.into_iter().map(|line| line.text).collect()));
        self.state = Flow::Forever;
    }

    fn command(&mut self, raw: &[String]) {
        let mut words: Vec<String> = Vec::new();
        let saved = std::mem::take(&mut self.redirect);
        self.redirect = Redirect {
            to_err: saved.to_err,
            ..Redirect::default()
        };
        let mut rest = raw.iter();
        while let Some(word) = rest.next() {
            match word.as_str() {
                ">&2" | "1>&2" => self.redirect.to_err = true,
                "2>&1" => {}
                "2>/dev/null" | "2>>/dev/null" => self.redirect.err_nowhere = true,
                "2>" => self.redirect.err_nowhere = rest.next().is_some(),
                ">" | ">>" | "1>" => {
                    let target = rest.next().map(|target| self.expand(target)).unwrap_or_default();
                    self.redirect.out_file = Some((self.path(&target), word == ">>"));
                }
                _ if word.starts_with('>') => {
                    let target = self.expand(word.trim_start_matches('>'));
                    self.redirect.out_file = Some((self.path(&target), word.starts_with(">>")));
                }
                _ => {
                    let expanded = self.expand(word);
                    if !expanded.is_empty() || word.contains(['"', '\'']) {
                        words.push(expanded);
                    }
                }
            }
        }
        let assignment = words
            .first()
            .and_then(|word| word.split_once('='))
            .filter(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            });
        match assignment {
            Some((name, value)) if words.len() == 1 => {
                self.variables.insert(name.to_owned(), value.to_owned());
                self.code = 0;
            }
            _ => self.execute(&words),
        }
        self.redirect = saved;
    }

    /// Quotes taken off, variables put in.
    fn expand(&self, raw: &str) -> String {
        let mut text = String::new();
        let mut rest = raw.chars().peekable();
        let mut quote = None;
        while let Some(letter) = rest.next() {
            match (letter, quote) {
                ('\'' | '"', None) => quote = Some(letter),
                ('\'', Some('\'')) | ('"', Some('"')) => quote = None,
                ('\\', None | Some('"')) => text.extend(rest.next()),
                ('$', None | Some('"')) => {
                    let name: String = match rest.peek() {
                        Some('{') => {
                            rest.next();
                            rest.by_ref().take_while(|&c| c != '}').collect()
                        }
                        Some('?' | '$' | '#' | '@') => rest.next().into_iter().collect(),
                        _ => {
                            let mut name = String::new();
                            while let Some(&next) = rest.peek()
                                && (next.is_ascii_alphanumeric() || next == '_')
                            {
                                name.push(next);
                                rest.next();
                            }
                            name
                        }
                    };
                    text.push_str(&self.variable(&name));
                }
                (other, _) => text.push(other),
            }
        }
        text
    }

    fn variable(&self, name: &str) -> String {
        let (name, default) = name
            .split_once(":-")
            .or_else(|| name.split_once('-'))
            .unwrap_or((name, ""));
        match name {
            "?" => self.code.to_string(),
            "$" => "1".to_owned(),
            "" => "$".to_owned(),
            _ => self
                .variables
                .get(name)
                .filter(|value| !value.is_empty())
                .cloned()
                .unwrap_or_else(|| default.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(script: &str) -> Played {
        let argv = ["sh", "-c", script].map(str::to_owned);
        play(&Stage::default(), &Tree::default(), &argv)
    }

    #[test]
    fn a_script_says_its_lines_at_their_time_and_ends_with_its_code() {
        let played = played("echo one; sleep 2; echo two >&2; false || exit 7");
        assert_eq!(played.end, Some((Duration::from_secs(2), 7)));
        assert_eq!(played.text(), "one\ntwo\n");
        assert_eq!(played.said[1].stream, Stream::Err);
        assert_eq!(played.said[1].after, Duration::from_secs(2));
    }

    #[test]
    fn an_endless_loop_is_told_as_one_round() {
        let played = played("trap 'exit 0' TERM; while true; do echo tick; sleep 1; done");
        assert_eq!(played.end, None);
        assert_eq!(
            played.round,
            Some((Duration::from_secs(1), vec!["tick".to_owned()]))
        );
        assert_eq!(
            played.on_term,
            OnTerm::Exits {
                after: Duration::ZERO,
                code: 0
            }
        );
    }

    #[test]
    fn variables_loops_and_conditions_work() {
        let played = played(
            "A=x; for i in 1 2; do echo \"$A$i ${NONE:-none}\"; done; if [ $A = x ]; then echo yes; else echo no; fi; echo z > /tmp/f; cat /tmp/f",
        );
        assert_eq!(played.text(), "x1 none\nx2 none\nyes\nz\n");
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_eq!(played("nonsense").end, Some((Duration::ZERO, 127)));
    }
}
