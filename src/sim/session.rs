//! A process that talks over a connection: its output on time, its input where it is a shell.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::behaviour::{Said, Stream};
use super::engine::Engine;
use super::exec::ExecState;
use super::logs::frame;
use super::shell::{self, Played, Stage};
use super::tree::Tree;

/// Waiting pieces each way.
const PIECES: usize = 16;
const INPUT: usize = 4 << 10;

/// Our side of a connection.
#[derive(Debug)]
pub(super) struct Ends {
    out: Option<mpsc::Sender<Bytes>>,
    input: Option<mpsc::Receiver<Bytes>>,
}

/// The client's side.
#[derive(Debug)]
pub(super) struct Far {
    out: mpsc::Receiver<Bytes>,
    input: mpsc::Sender<Bytes>,
}

impl Ends {
    pub(super) fn nowhere() -> Self {
        Self {
            out: None,
            input: None,
        }
    }

    pub(super) fn only_out(out: mpsc::Sender<Bytes>) -> Self {
        Self {
            out: Some(out),
            input: None,
        }
    }

    pub(super) fn pair() -> (Self, Far) {
        let (out, far_out) = mpsc::channel(PIECES);
        let (far_input, input) = mpsc::channel(PIECES);
        (
            Self {
                out: Some(out),
                input: Some(input),
            },
            Far {
                out: far_out,
                input: far_input,
            },
        )
    }

    /// A client that left reads nothing more; the process does not notice.
    pub(super) async fn send(&self, bytes: Vec<u8>) {
        if let Some(out) = &self.out
            && out.send(bytes.into()).await.is_err()
        {
            tracing::trace!("nobody reads the process any more");
        }
    }

    pub(super) fn into_out(self) -> (Option<mpsc::Sender<Bytes>>, Option<mpsc::Receiver<Bytes>>) {
        (self.out, self.input)
    }
}

impl Far {
    /// Carries bytes both ways until the process ends or the client leaves.
    pub(super) async fn carry(mut self, upgraded: Upgraded) {
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded));
        let mut input = Some(self.input);
        let mut buffer = vec![0; INPUT];
        loop {
            tokio::select! {
                piece = self.out.recv() => {
                    let written = match piece {
                        Some(piece) => writer.write_all(&piece).await,
                        None => break,
                    };
                    if written.is_err() {
                        return;
                    }
                }
                read = reader.read(&mut buffer), if input.is_some() => {
                    let piece = match read {
                        Ok(count) if count > 0 => buffer.get(..count).unwrap_or_default(),
                        _ => &[],
                    };
                    let taken = match &input {
                        Some(input) if !piece.is_empty() => {
                            input.send(Bytes::copy_from_slice(piece)).await.is_ok()
                        }
                        _ => false,
                    };
                    if !taken {
                        input = None;
                    }
                }
            }
        }
        // The client may have gone first: nothing is lost then.
        if let Err(error) = writer.shutdown().await {
            tracing::trace!(%error, "the client left before the process ended");
        }
    }
}

/// Runs an exec to its end; gives its exit code.
pub(super) async fn run(engine: &Arc<Engine>, id: &str, ends: Ends, tty: bool, stdin: bool) -> i32 {
    let Some((stage, tree, argv)) = scene(engine, id) else {
        return 126;
    };
    let word = argv.first().cloned().unwrap_or_default();
    if !shell::knows(&tree, &word) {
        let why = if word.contains('/') {
            format!("stat {word}: no such file or directory")
        } else {
            "executable file not found in $PATH".to_owned()
        };
        let words = format!(
            "OCI runtime exec failed: exec failed: unable to start container process: exec: \"{word}\": {why}: unknown\r\n"
        );
        let mut bytes = Vec::new();
        write(&mut bytes, tty, Stream::Out, &words);
        ends.send(bytes).await;
        return 126;
    }
    if talks(&argv) {
        if !stdin {
            return 0;
        }
        return Interactive {
            engine,
            id,
            stage,
            tty,
            line: Vec::new(),
        }
        .talk(ends)
        .await;
    }
    let played = shell::play(&stage, &tree, &argv);
    keep(engine, id, &played);
    speak(engine, id, &ends, tty, &played).await
}

/// A shell that reads its input: `sh`, `bash -l`, or a script that ends by becoming one (`…; exec sh`).
fn talks(argv: &[String]) -> bool {
    let is_shell = |word: &str| matches!(word.rsplit('/').next(), Some("sh" | "bash" | "ash"));
    match argv {
        [shell, flag, script] if is_shell(shell) && flag == "-c" => {
            let last = script.rsplit(';').next().unwrap_or_default().trim();
            last.strip_prefix("exec ")
                .is_some_and(|word| is_shell(word.trim()))
        }
        [shell, rest @ ..] => {
            is_shell(shell) && rest.iter().all(|word| word.starts_with('-') && word != "-c")
        }
        [] => false,
    }
}

/// Where an exec runs: its container's world, with its own environment and folder.
fn scene(engine: &Engine, id: &str) -> Option<(Stage, Tree, Vec<String>)> {
    let world = engine.world();
    let exec = world.execs.get(id)?;
    let container = world.containers.get(&exec.container)?;
    let mut stage = world.stage(container);
    for (name, value) in exec.environment.iter().filter_map(|pair| pair.split_once('=')) {
        stage.environment.insert(name.to_owned(), value.to_owned());
    }
    let (rows, columns) = exec.size;
    stage.environment.insert("LINES".to_owned(), rows.to_string());
    stage
        .environment
        .insert("COLUMNS".to_owned(), columns.to_string());
    if !exec.folder.is_empty() {
        stage.folder.clone_from(&exec.folder);
    }
    let tree = world.whole_tree(container);
    Some((stage, tree, exec.argv.clone()))
}

/// What a script wrote stays written.
fn keep(engine: &Engine, id: &str, played: &Played) {
    let mut world = engine.world();
    let Some(container) = world.execs.get(id).map(|exec| exec.container.clone()) else {
        return;
    };
    for path in &played.written {
        let Some(node) = played.tree.get(path).cloned() else {
            continue;
        };
        let place = world
            .containers
            .get(&container)
            .map(|container| container.place(path));
        if let Some((place, rest)) = place
            && let Some(tree) = world.tree_mut(&place)
        {
            tree.put(&rest, node);
        }
    }
}

fn write(to: &mut Vec<u8>, tty: bool, stream: Stream, text: &str) {
    if tty {
        to.extend(text.replace('\n', "\r\n").replace("\r\r\n", "\r\n").as_bytes());
    } else {
        frame(to, stream, text.as_bytes());
    }
}

fn lines(said: &[Said], tty: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in said {
        write(&mut bytes, tty, line.stream, &format!("{}\n", line.text));
    }
    bytes
}

fn is_running(engine: &Engine, id: &str) -> bool {
    engine
        .world()
        .execs
        .get(id)
        .is_some_and(|exec| exec.state == ExecState::Running)
}

/// Says a script's lines at their time, and its code at its end; 137 when its container ends first.
async fn speak(engine: &Arc<Engine>, id: &str, ends: &Ends, tty: bool, played: &Played) -> i32 {
    let begun = tokio::time::Instant::now();
    let mut pulse = engine.pulse();
    let mut rest = played.said.as_slice();
    let mut spoken = Duration::ZERO;
    loop {
        while let Some(first) = rest.first() {
            let together = rest.iter().take_while(|said| said.after == first.after).count();
            if begun.elapsed() < first.after {
                break;
            }
            spoken = first.after;
            let (now, later) = rest.split_at(together);
            ends.send(lines(now, tty)).await;
            rest = later;
        }
        let next = match (rest.first(), played.end, &played.round) {
            (Some(said), _, _) => Some(said.after),
            (None, Some((end, code)), _) => {
                if begun.elapsed() >= end {
                    return code;
                }
                Some(end)
            }
            (None, None, Some((length, round))) => {
                let text: Vec<Said> = round
                    .iter()
                    .map(|text| Said {
                        after: Duration::ZERO,
                        stream: Stream::Out,
                        text: text.clone(),
                    })
                    .collect();
                ends.send(lines(&text, tty)).await;
                spoken += *length;
                Some(spoken)
            }
            (None, None, None) => None,
        };
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(begun + at).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(due);
        loop {
            tokio::select! {
                () = &mut due => break,
                changed = pulse.changed() => {
                    if changed.is_err() || !is_running(engine, id) {
                        return 137;
                    }
                }
            }
        }
    }
}

/// A shell somebody types into.
struct Interactive<'a> {
    engine: &'a Arc<Engine>,
    id: &'a str,
    stage: Stage,
    tty: bool,
    line: Vec<u8>,
}

impl Interactive<'_> {
    async fn talk(mut self, mut ends: Ends) -> i32 {
        let Some(mut input) = ends.input.take() else {
            return 0;
        };
        let mut pulse = self.engine.pulse();
        self.prompt(&ends).await;
        loop {
            tokio::select! {
                piece = input.recv() => {
                    let Some(piece) = piece else {
                        // A terminal that is gone does not end the shell; a closed pipe does.
                        if !self.tty {
                            return 0;
                        }
                        self.abandoned(pulse).await;
                        return 137;
                    };
                    for byte in piece {
                        if let Some(code) = self.typed(byte, &ends).await {
                            return code;
                        }
                    }
                }
                changed = pulse.changed() => {
                    if changed.is_err() || !is_running(self.engine, self.id) {
                        return 137;
                    }
                }
            }
        }
    }

    async fn abandoned(&self, mut pulse: tokio::sync::watch::Receiver<u64>) {
        while is_running(self.engine, self.id) && pulse.changed().await.is_ok() {}
    }

    async fn prompt(&self, ends: &Ends) {
        if self.tty {
            ends.send(format!("{} # ", self.stage.folder).into_bytes()).await;
        }
    }

    /// One byte from the client; a code ends the shell.
    async fn typed(&mut self, byte: u8, ends: &Ends) -> Option<i32> {
        match byte {
            b'\r' | b'\n' => {
                if self.tty {
                    ends.send(b"\r\n".to_vec()).await;
                }
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                let code = self.execute(line.trim(), ends).await;
                if code.is_none() {
                    self.prompt(ends).await;
                }
                return code;
            }
            // Ctrl-C
            3 if self.tty => {
                self.line.clear();
                ends.send(b"^C\r\n".to_vec()).await;
                self.prompt(ends).await;
            }
            // Ctrl-D
            4 if self.tty && self.line.is_empty() => {
                ends.send(b"\r\n".to_vec()).await;
                return Some(0);
            }
            127 | 8 if self.tty => {
                if self.line.pop().is_some() {
                    ends.send(b"\x08 \x08".to_vec()).await;
                }
            }
            _ => {
                self.line.push(byte);
                if self.tty {
                    ends.send(vec![byte]).await;
                }
            }
        }
        None
    }

    async fn execute(&mut self, line: &str, ends: &Ends) -> Option<i32> {
        if line.is_empty() {
            return None;
        }
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("exit"), code) => {
                return Some(code.and_then(|code| code.parse().ok()).unwrap_or(0));
            }
            (Some("cd"), to) => {
                let to = to.unwrap_or("/");
                let path = if to.starts_with('/') {
                    super::tree::clean(to)
                } else {
                    super::tree::join(&super::tree::clean(&self.stage.folder), to)
                };
                self.stage.folder = format!("/{path}");
                return None;
            }
            _ => {}
        }
        let (mut stage, tree, _) = scene(self.engine, self.id)?;
        stage.folder.clone_from(&self.stage.folder);
        let argv = ["sh", "-c", line].map(str::to_owned);
        let mut played = shell::play(&stage, &tree, &argv);
        // Nothing typed runs for ever here: one round of it is shown.
        if let Some((_, round)) = played.round.take() {
            played.said.extend(round.into_iter().map(|text| Said {
                after: Duration::ZERO,
                stream: Stream::Out,
                text,
            }));
        }
        played.end.get_or_insert((Duration::ZERO, 0));
        keep(self.engine, self.id, &played);
        speak(self.engine, self.id, ends, self.tty, &played).await;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_script_that_ends_by_becoming_a_shell_reads_its_input() {
        assert!(talks(&argv(&["/bin/sh"])));
        assert!(talks(&argv(&[
            "sh",
            "-c",
            "command -v bash >/dev/null 2>&1 && exec bash; exec sh"
        ])));
        assert!(!talks(&argv(&["sh", "-c", "echo exec sh"])));
        assert!(!talks(&argv(&["sh", "-c"])));
        assert!(!talks(&argv(&["df", "-P"])));
    }
}
