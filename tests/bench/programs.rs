//! The measured programs, each in its own terminal that answers terminal queries.
//! Conditions on the screen are checked when bytes arrive, and dated by their arrival.

use std::io::{Read, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::stage::Stage;

#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    path: PathBuf,
    arguments: Vec<String>,
    /// Pressed at once: how one comes to the table of containers.
    keys: &'static str,
    /// Streams statistics of its own accord.
    pub(crate) has_statistics: bool,
}

impl Program {
    /// Ours first, then the peers that are there.
    pub(crate) fn all(stage: &Stage) -> Vec<Self> {
        let mut all = vec![Self::ours(stage)];
        let peers = std::env::var_os("PILOTHOUSE_BENCH_PEERS")
            .map(PathBuf::from)
            .unwrap_or_default();
        for (name, has_statistics) in [("dtop", true), ("ducker", false), ("oxker", true)] {
            let path = peers.join(name);
            if path.exists() {
                let arguments = if name == "dtop" {
                    vec!["--host".to_owned(), stage.docker_host()]
                } else {
                    Vec::new()
                };
                all.push(Self {
                    name,
                    path,
                    arguments,
                    keys: "",
                    has_statistics,
                });
            } else {
                eprintln!("!! {name} is not measured: it is not in PILOTHOUSE_BENCH_PEERS");
            }
        }
        all
    }

    pub(crate) fn ours(stage: &Stage) -> Self {
        let config = stage.folder.join("config.toml");
        let text = format!(
            "[[hosts]]\nname = \"host1\"\nurl = \"{}\"\n[state]\ndir = \"{}/state\"\n",
            stage.docker_host(),
            stage.folder.display()
        );
        std::fs::write(&config, text).unwrap();
        Self {
            name: "pilothouse",
            path: path(),
            arguments: vec!["--config".to_owned(), config.display().to_string()],
            keys: "2",
            has_statistics: true,
        }
    }

    pub(crate) fn open(&self, stage: &Stage, columns: u16, rows: u16) -> Session {
        let home = stage.folder.join(format!("home-{}", self.name));
        std::fs::create_dir_all(&home).unwrap();
        let session = Session::open(self, &home, &stage.docker_host(), columns, rows);
        if !self.keys.is_empty() {
            session.press(self.keys);
        }
        session
    }
}

type Condition = Box<dyn FnMut(&vt100::Screen) -> bool + Send>;

struct Shown {
    parser: vt100::Parser,
    awaited: Option<(Condition, mpsc::Sender<u64>)>,
}

pub(crate) struct Session {
    child: Box<dyn Child + Send + Sync>,
    keys: Arc<Mutex<Box<dyn Write + Send>>>,
    shown: Arc<Mutex<Shown>>,
    bytes: Arc<AtomicU64>,
    /// When it was executed, nanoseconds since the epoch as all times here.
    pub(crate) began: u64,
    _master: Box<dyn MasterPty + Send>,
}

impl Session {
    fn open(program: &Program, home: &Path, docker_host: &str, columns: u16, rows: u16) -> Self {
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(&program.path);
        command.args(&program.arguments);
        command.env_clear();
        for (name, value) in [
            ("TERM", "xterm-256color"),
            ("LANG", "C.UTF-8"),
            ("COLORTERM", "truecolor"),
            ("DOCKER_HOST", docker_host),
        ] {
            command.env(name, value);
        }
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", home);
        command.cwd(home);
        let cells = |count| NonZero::new(count).expect("a terminal has cells");
        let shown = Arc::new(Mutex::new(Shown {
            parser: vt100::Parser::new(cells(rows), cells(columns), 0),
            awaited: None,
        }));
        let keys: Arc<Mutex<Box<dyn Write + Send>>> =
            Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let bytes = Arc::new(AtomicU64::new(0));
        let mut output = pair.master.try_clone_reader().unwrap();
        let began = now();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        if let (Some(boost), Some(pid)) = (std::env::var_os("PILOTHOUSE_BENCH_BOOST"), child.process_id()) {
            // On a machine that others use too: every program alike. Where the kernel has no such groups it is as it is.
            drop(std::fs::write(
                format!("/proc/{pid}/autogroup"),
                boost.as_encoded_bytes(),
            ));
        }
        let (screen, answers, counted) = (Arc::clone(&shown), Arc::clone(&keys), Arc::clone(&bytes));
        std::thread::spawn(move || {
            let mut buffer = vec![0; 256 * 1024];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                let at = now();
                let new = &buffer[..count];
                counted.fetch_add(count as u64, Ordering::Relaxed);
                answer(new, &answers);
                let mut shown = screen.lock().unwrap();
                let Shown { parser, awaited } = &mut *shown;
                parser.process(new);
                let met = awaited
                    .as_mut()
                    .is_some_and(|(condition, _)| condition(parser.screen()));
                if let Some((_, told)) = awaited.take_if(|_| met) {
                    // Whoever asked may have given up.
                    let _given_up = told.send(at);
                }
            }
        });
        Self {
            child,
            keys,
            shown,
            bytes,
            began,
            _master: pair.master,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().expect("it runs")
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn press(&self, keys: &str) {
        drop(self.keys.lock().unwrap().write_all(keys.as_bytes()));
    }

    pub(crate) fn screen(&self) -> String {
        self.shown.lock().unwrap().parser.screen().contents()
    }

    /// Our containers that can be read on the screen now.
    pub(crate) fn names(&self) -> usize {
        names_on(self.shown.lock().unwrap().parser.screen())
    }

    /// When the bytes came with which the screen was as wanted; now, if it is already.
    pub(crate) fn expect(
        &self,
        mut condition: impl FnMut(&vt100::Screen) -> bool + Send + 'static,
    ) -> mpsc::Receiver<u64> {
        let (tell, told) = mpsc::channel();
        let mut shown = self.shown.lock().unwrap();
        if condition(shown.parser.screen()) {
            tell.send(now()).expect("the receiver is right here");
        } else {
            shown.awaited = Some((Box::new(condition), tell));
        }
        told
    }

    pub(crate) fn until(
        &self,
        limit: Duration,
        condition: impl FnMut(&vt100::Screen) -> bool + Send + 'static,
    ) -> Option<u64> {
        self.expect(condition).recv_timeout(limit).ok()
    }
}

/// Ours: the release build, where `tests/run --bench` made it.
pub(crate) fn path() -> PathBuf {
    std::env::var_os("PILOTHOUSE_BENCH_BINARY")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_pilothouse")), PathBuf::from)
}

/// Lets what runs run so long.
pub(crate) fn let_run(time: Duration) {
    std::thread::sleep(time);
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A terminal's answers: where the cursor is, what it is, its background.
fn answer(output: &[u8], keys: &Arc<Mutex<Box<dyn Write + Send>>>) {
    let asked = |question: &[u8]| output.windows(question.len()).any(|window| window == question);
    for (question, reply) in [
        (&b"\x1b[6n"[..], "\x1b[1;1R"),
        (b"\x1b[c", "\x1b[?62;22c"),
        (b"\x1b]11;?", "\x1b]11;rgb:0000/0000/0000\x1b\\"),
    ] {
        if asked(question) {
            drop(keys.lock().unwrap().write_all(reply.as_bytes()));
        }
    }
}

/// Nanoseconds since the epoch: the clock of the daemon too.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}

/// Names of our containers that can be read on the screen.
pub(crate) fn names_on(screen: &vt100::Screen) -> usize {
    let text = screen.contents();
    let mut names: Vec<&str> = text
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| {
            word.strip_prefix('c')
                .is_some_and(|digits| digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

pub(crate) fn how_long() -> Duration {
    let seconds = std::env::var("PILOTHOUSE_BENCH_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}
