//! The built program in its own terminal: whatever ends it, the terminal is restored.
//! The only host is a missing socket; the control room opens nevertheless.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};

const LIMIT: Duration = Duration::from_secs(90);
const LEFT: &str = "\x1b[?1049l";

pub(crate) struct Room {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Box<dyn Write + Send>,
    output: Arc<Mutex<Vec<u8>>>,
    screen: Arc<Mutex<vt100::Parser>>,
    /// Keeps the terminal's settings alive after the program has ended.
    tty: File,
    folder: tempfile::TempDir,
}

fn configured() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nobody.sock");
    let config = format!(
        "[[hosts]]\nname = \"nowhere\"\nurl = \"unix://{}\"\n",
        socket.display()
    );
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    folder
}

impl Room {
    fn open() -> Self {
        Self::with(&[("TERM", "xterm-256color")], None)
    }

    /// `before`: a shell's words with the program as `"$@"`.
    fn with(env: &[(&str, &str)], before: Option<&str>) -> Self {
        Self::unseen(env, before).seen()
    }

    /// The program with this command line, in this folder; the terminal of this size.
    pub(crate) fn run(
        folder: tempfile::TempDir,
        arguments: &[&str],
        env: &[(&str, String)],
        (columns, rows): (u16, u16),
    ) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_pilothouse"));
        command.args(arguments);
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Self::begin(folder, command, &env, (columns, rows)).seen()
    }

    fn seen(mut self) -> Self {
        let mut reader = self.master.as_ref().unwrap().try_clone_reader().unwrap();
        let (all, shown) = (Arc::clone(&self.output), Arc::clone(&self.screen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                all.lock().unwrap().extend_from_slice(&buffer[..count]);
                shown.lock().unwrap().process(&buffer[..count]);
            }
        });
        self.keys = self.master.as_ref().unwrap().take_writer().unwrap();
        self
    }

    /// Nobody reads what it draws, and nobody but us holds the other end of its terminal.
    fn unseen(env: &[(&str, &str)], before: Option<&str>) -> Self {
        let folder = configured();
        let program = env!("CARGO_BIN_EXE_pilothouse");
        let mut command = match before {
            Some(script) => {
                let mut command = CommandBuilder::new("bash");
                command.args(["-c", script, "sh", program]);
                command
            }
            None => CommandBuilder::new(program),
        };
        command.args(["--config".as_ref(), folder.path().join("config.toml").as_os_str()]);
        Self::begin(folder, command, env, (80, 24))
    }

    fn begin(
        folder: tempfile::TempDir,
        mut command: CommandBuilder,
        env: &[(&str, &str)],
        (columns, rows): (u16, u16),
    ) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).unwrap();
        command.env_clear();
        command.env("HOME", folder.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LANG", "C.UTF-8");
        for (name, value) in env {
            command.env(name, value);
        }
        let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
        let tty = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(pair.master.tty_name().unwrap())
            .unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let output = Arc::new(Mutex::new(Vec::new()));
        let screen = vt100::Parser::new(cells(rows), cells(columns), 0);
        Self {
            child,
            keys: Box::new(std::io::sink()),
            master: Some(pair.master),
            output,
            screen: Arc::new(Mutex::new(screen)),
            tty,
            folder,
        }
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn screen(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn written(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !wanted(self) {
            assert!(
                begun.elapsed() < LIMIT,
                "waited in vain: {what}\n{}\n{:?}",
                self.screen(),
                self.written()
            );
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    #[track_caller]
    pub(crate) fn until_open(&self) {
        self.until("the room is open", |room| room.screen().contains("? help"));
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    pub(crate) fn pid(&self) -> Pid {
        let pid = self.child.process_id().unwrap();
        Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
    }

    /// Waits for the end; the exit code.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> u32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(begun.elapsed() < LIMIT, "it did not end\n{}", self.screen());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn is_as_found(&self) -> bool {
        let modes = tcgetattr(&self.tty).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    #[track_caller]
    pub(crate) fn was_given_back(&self) {
        self.until("the screen is left", |room| room.written().contains(LEFT));
        assert!(self.is_as_found(), "the terminal is still raw");
        let screen = self.screen.lock().unwrap();
        assert!(!screen.screen().hide_cursor(), "the cursor is still hidden");
        assert!(!screen.screen().bracketed_paste(), "pastes are still bracketed");
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

#[test]
fn q_quits_and_gives_the_terminal_back() {
    let mut room = Room::open();
    room.until_open();
    assert!(!room.is_as_found(), "while it is open the terminal is raw");
    room.press("q");
    assert_eq!(room.ended(), 0);
    room.was_given_back();
}

#[test]
fn ctrl_c_always_quits_even_from_a_filter() {
    let mut room = Room::open();
    room.until_open();
    room.press("2/abc");
    room.until("the filter is typed", |room| room.screen().contains("/abc"));
    room.press("\x03");
    assert_eq!(room.ended(), 0);
    room.was_given_back();
}

#[test]
fn a_resize_is_drawn_at_once() {
    let room = Room::open();
    room.until_open();
    room.screen
        .lock()
        .unwrap()
        .screen_mut()
        .set_size(cells(40), cells(140));
    room.master.as_ref().unwrap().resize(size(140, 40)).unwrap();
    room.until("the room is side by side", |room| {
        room.screen().contains("Hosts") && room.screen().contains('│')
    });
}

#[test]
fn nothing_is_copied_to_a_terminal_that_would_print_it() {
    for (term, takes_it) in [("xterm-256color", true), ("linux", false)] {
        let mut room = Room::with(&[("TERM", term)], None);
        room.until_open();
        room.press("5y");
        let words = if takes_it {
            "copied nowhere"
        } else {
            "takes no text"
        };
        room.until(words, |room| room.screen().contains(words));
        assert_eq!(room.written().contains("\x1b]52;"), takes_it, "{term}");
    }
}

#[test]
fn sigterm_ends_it_and_gives_the_terminal_back() {
    let mut room = Room::open();
    room.until_open();
    kill_process(room.pid(), Signal::TERM).unwrap();
    assert_eq!(room.ended(), 0);
    room.was_given_back();
}

#[test]
fn sighup_ends_it_at_once() {
    let mut room = Room::open();
    room.until_open();
    kill_process(room.pid(), Signal::HUP).unwrap();
    assert_eq!(room.ended(), 0);
    room.was_given_back();
}

#[test]
fn a_terminal_that_is_gone_leaves_no_spinning_orphan() {
    // Not told by a signal: only the terminal itself says that it is gone.
    let mut room = Room::unseen(&[("TERM", "xterm")], Some("trap '' HUP; exec \"$@\""));
    room.until("the terminal is taken", |room| !room.is_as_found());
    room.master = None;
    room.tty = File::open("/dev/null").unwrap();
    room.ended();
}

#[test]
fn a_panic_gives_the_terminal_back_and_says_what_it_was() {
    let mut room = Room::with(&[("TERM", "xterm"), ("PILOTHOUSE_PANIC", "1")], None);
    assert_ne!(room.ended(), 0);
    room.was_given_back();
    room.until("its words are on the screen", |room| {
        room.screen().contains("PILOTHOUSE_PANIC")
    });
}

#[test]
fn an_unknown_terminal_is_no_reason_to_crash() {
    for term in ["nonsense-9000", "dumb", ""] {
        let mut room = Room::with(&[("TERM", term)], None);
        room.until_open();
        assert!(
            !room.written().contains("\x1b[38;5"),
            "no colour is known of {term:?}"
        );
        room.press("q");
        assert_eq!(room.ended(), 0);
        room.was_given_back();
    }
}

const KEPT: &str = "\x1b[22;2t";
const BROUGHT_BACK: &str = "\x1b]2;\x07\x1b[23;2t";

#[test]
fn the_title_is_set_and_the_one_before_is_brought_back_once() {
    let mut room = Room::open();
    room.until_open();
    room.until("the title is set", |room| {
        room.written().contains("\x1b]2;pilothouse\x07")
    });
    kill_process(room.pid(), Signal::TERM).unwrap();
    assert_eq!(room.ended(), 0);
    room.was_given_back();
    let written = room.written();
    assert_eq!(written.matches(BROUGHT_BACK).count(), 1, "{written:?}");
    let (title, screen) = (written.find(BROUGHT_BACK), written.rfind(LEFT));
    assert!(title < screen && title > written.find(KEPT), "{written:?}");
}

#[test]
fn a_panic_brings_the_title_back() {
    let mut room = Room::with(&[("TERM", "xterm"), ("PILOTHOUSE_PANIC", "1")], None);
    room.ended();
    room.was_given_back();
    let written = room.written();
    assert_eq!(
        written.matches(KEPT).count(),
        written.matches(BROUGHT_BACK).count(),
        "{written:?}"
    );
}

#[test]
fn no_title_where_the_terminal_would_print_it_or_nobody_wants_it() {
    let unwanted = "printf '[looks]\\ntitle = false\\n' >> \"$3\"; exec \"$@\"";
    for (term, before) in [("linux", None), ("dumb", None), ("xterm", Some(unwanted))] {
        let mut room = Room::with(&[("TERM", term)], before);
        room.until_open();
        room.press("q");
        assert_eq!(room.ended(), 0);
        let written = room.written();
        assert!(
            !written.contains("\x1b]2;") && !written.contains(KEPT),
            "{term}: {written:?}"
        );
    }
}

/// Adds a service whose pipeline is one command on this machine, and a wish to be told.
const WITH_A_STAGE: &str = r#"cat >> "$3" <<'EOF'
[looks]
notify = "osc9"
[[services]]
name = "shop"
image = "shop"
pipeline = ["hello"]
[[services.stages]]
name = "hello"
kind = "command"
command = ["echo", "said by the stage"]
EOF
exec "$@""#;

#[test]
fn the_end_of_a_run_is_told_to_the_terminal_and_what_a_stage_said_is_read() {
    let mut room = Room::with(&[("TERM", "xterm-256color")], Some(WITH_A_STAGE));
    room.until_open();
    room.press("P");
    room.until("it is asked", |room| {
        room.screen().contains("Run the pipeline of shop?")
    });
    // What is typed in the first moment of a question is not taken.
    let begun = Instant::now();
    while room.screen().contains("Run the pipeline of shop?") {
        assert!(begun.elapsed() < LIMIT, "{}", room.screen());
        room.press("y");
        std::thread::park_timeout(Duration::from_millis(300));
    }
    room.until("the end is told", |room| {
        room.written()
            .contains("\x1b]9;pipeline shop: all stages passed\x07")
    });
    room.until("the title says it, too", |room| {
        room.written()
            .contains("\x1b]2;pipeline shop: all stages passed - pilothouse\x07")
    });
    room.press("\r");
    room.until("what was said is read", |room| {
        room.screen().contains("said by the stage") && room.screen().contains("/ search")
    });
    room.press("q");
    assert_eq!(room.ended(), 0);
    room.was_given_back();
}

#[test]
fn ctrl_z_stops_it_and_fg_brings_it_back() {
    let script = "set -m; \"$@\"; echo it-was-stopped; read line; fg > /dev/null; echo it-has-ended";
    let mut room = Room::with(&[("TERM", "xterm-256color")], Some(script));
    room.until_open();
    room.press("\x1a");
    room.until("the shell has the terminal", |room| {
        room.screen().contains("it-was-stopped")
    });
    room.was_given_back();
    room.press("\n");
    room.until_open();
    room.press("q");
    room.until("it has ended", |room| room.screen().contains("it-has-ended"));
    assert!(room.is_as_found());
    let written = room.written();
    assert_eq!(written.matches(KEPT).count(), 2, "{written:?}");
    assert_eq!(written.matches(BROUGHT_BACK).count(), 2, "{written:?}");
}

#[test]
fn without_a_terminal_it_says_so_and_exits_2() {
    let folder = configured();
    let said = Command::new(env!("CARGO_BIN_EXE_pilothouse"))
        .arg("--config")
        .arg(folder.path().join("config.toml"))
        .env("HOME", folder.path())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(2), "{words}");
    assert!(words.contains("terminal"), "{words}");
    assert!(said.stdout.is_empty());
}
