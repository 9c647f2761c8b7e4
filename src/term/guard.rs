//! Sets up the terminal, and restores it on every way out: quit, error, panic, signal.
//! Restoring is done by `Drop`, so that no way out can omit it.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::title;
use crate::app::layout::Size;
use crate::domain::fault::Fault;

/// Alternate screen, bracketed paste, no cursor.
const TAKE: &[u8] = b"\x1b[?1049h\x1b[?2004h\x1b[?25l\x1b[m\x1b[2J";
/// The same in reverse.
const GIVE_BACK: &[u8] = b"\x1b[m\x1b[?25h\x1b[?2004l\x1b[?1049l";

/// Words of panics that nobody has shown yet. A panic of a task does not end the room, so they are not printed into
/// the screen but kept for a notice, or for after the terminal was given back.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static HELD: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

#[derive(Debug)]
pub struct Guard {
    out: File,
    before: Termios,
    raw: Termios,
    held: bool,
    /// Whether a title may be set, and the one that is.
    titled: bool,
    title: Option<String>,
    /// The terminal keeps the title that was there before ours.
    kept: bool,
}

impl Guard {
    /// Takes the terminal. Without one, the fault says so. `titled`: its title may be set.
    pub fn take(titled: bool) -> Result<Self, Fault> {
        let no_terminal = |why: String| {
            Fault::new("open the control room", why)
                .hint("it needs a terminal; `pilothouse ps`, `hosts` and `runs` do not (see --help)")
        };
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(no_terminal(
                "standard input and output are not a terminal".to_owned(),
            ));
        }
        let taken = || -> io::Result<Self> {
            let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            let before = tcgetattr(&out)?;
            let mut raw = before.clone();
            raw.make_raw();
            let mut guard = Self {
                out,
                before,
                raw,
                held: false,
                titled,
                title: None,
                kept: false,
            };
            guard.again()?;
            Ok(guard)
        };
        taken().map_err(|fault| no_terminal(fault.to_string()))
    }

    /// A handle to write frames to.
    pub fn out(&self) -> io::Result<File> {
        self.out.try_clone()
    }

    /// Columns and rows; a terminal that does not know is taken for the smallest common one.
    pub fn size(&self) -> io::Result<Size> {
        let size = tcgetwinsize(&self.out)?;
        Ok(match (size.ws_col, size.ws_row) {
            (0, _) | (_, 0) => Size {
                width: 80,
                height: 24,
            },
            (width, height) => Size { width, height },
        })
    }

    /// Takes the terminal once more after it was given back.
    pub fn again(&mut self) -> io::Result<()> {
        tcsetattr(&self.out, OptionalActions::Now, &self.raw)?;
        self.held = true;
        HELD.store(true, std::sync::atomic::Ordering::Relaxed);
        self.out.write_all(TAKE)?;
        // Taken again without having been given back (SIGCONT): what is kept already is the right one.
        if self.titled && !std::mem::replace(&mut self.kept, true) {
            self.out.write_all(title::KEEP.as_bytes())?;
        }
        match self.title.take() {
            Some(words) => self.title(&words),
            None => Ok(()),
        }
    }

    /// The terminal's title, until it is given back.
    pub fn title(&mut self, words: &str) -> io::Result<()> {
        self.title = Some(words.to_owned());
        if !self.titled || !HELD.load(std::sync::atomic::Ordering::Relaxed) {
            return Ok(());
        }
        self.out.write_all(title::set(words).as_bytes())
    }

    /// Gives the terminal back as it was found.
    pub fn give_back(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.held) {
            return Ok(());
        }
        HELD.store(false, std::sync::atomic::Ordering::Relaxed);
        // Once for each time it was kept: what others have kept is theirs.
        let restore = if std::mem::take(&mut self.kept) && self.titled {
            title::RESTORE
        } else {
            ""
        };
        let written = self.out.write_all(&[restore.as_bytes(), GIVE_BACK].concat());
        tcsetattr(&self.out, OptionalActions::Now, &self.before)?;
        written
    }

    /// Leaves the screen but keeps the keyboard raw: a shell in a container does its own echo.
    pub fn lend_raw(&mut self) -> io::Result<()> {
        self.give_back()?;
        tcsetattr(&self.out, OptionalActions::Now, &self.raw)?;
        self.held = true;
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The terminal may be gone: then there is nothing to give back and nobody to tell.
        drop(self.give_back());
        for words in take_panics() {
            drop(writeln!(io::stderr(), "pilothouse: {words}"));
        }
    }
}

/// While the terminal is held, panics are kept instead of printed; otherwise they are printed as ever.
/// They also go to our own log.
pub fn keep_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!(%panic, "panicked");
        if HELD.load(std::sync::atomic::Ordering::Relaxed) {
            let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
            // A task that panics again and again must not fill the memory.
            if panics.len() < 8 {
                panics.push(panic.to_string());
            }
        } else {
            before(panic);
        }
    }));
}

/// Panics since this was last asked.
pub fn take_panics() -> Vec<String> {
    std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner))
}
