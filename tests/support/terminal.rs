//! The built program in its own terminal: the screen as a person sees it, keys as a person presses them.
//! Answers terminal queries; waits for conditions on the screen.

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::program::Program;
use super::wait::until;

const LIMIT: Duration = Duration::from_secs(90);

pub(crate) struct Terminal {
    child: Mutex<Box<dyn Child + Send + Sync>>,
    pid: u32,
    master: Box<dyn MasterPty + Send>,
    keys: Arc<Mutex<Box<dyn Write + Send>>>,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    /// The room of this program's configuration.
    pub(crate) fn open(program: &Program, arguments: &[&str], columns: u16, rows: u16) -> Self {
        Self::with(program, arguments, &[], (columns, rows))
    }

    /// The same, with more in its environment.
    pub(crate) fn with(
        program: &Program,
        arguments: &[&str],
        env: &[(&str, &str)],
        (columns, rows): (u16, u16),
    ) -> Self {
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_pilothouse"));
        command.arg("--config");
        command.arg(program.config());
        command.args(arguments);
        command.env_clear();
        command.env("PATH", program.path());
        command.env("HOME", program.dir());
        command.env("USER", "tester");
        command.env("LANG", "C.UTF-8");
        command.env("TERM", "xterm-256color");
        for (name, value) in env {
            command.env(name, value);
        }
        command.cwd(program.dir());
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let parser = Arc::new(Mutex::new(vt100::Parser::new(cells(rows), cells(columns), 0)));
        let keys = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let mut output = pair.master.try_clone_reader().unwrap();
        let (shown, answers) = (Arc::clone(&parser), Arc::clone(&keys));
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                let bytes = &buffer[..count];
                shown.lock().unwrap().process(bytes);
                if bytes.windows(4).any(|four| four == b"\x1b[6n") {
                    drop(answers.lock().unwrap().write_all(b"\x1b[1;1R"));
                }
            }
        });
        Self {
            pid: child.process_id().expect("it runs"),
            child: Mutex::new(child),
            master: pair.master,
            keys,
            screen: parser,
        }
    }

    pub(crate) fn screen(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until the screen is as wanted; prints it when it does not become so.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut wanted: impl FnMut(&str) -> bool) -> String {
        let mut last = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(LIMIT, what, || {
                last = self.screen();
                wanted(&last).then(|| last.clone())
            })
        }));
        found.unwrap_or_else(|_| panic!("waited {LIMIT:?} in vain: {what}\n{}", self.screen()))
    }

    /// Answers the question that is asked, or will be, by this key until the screen is as wanted: what is typed in the
    /// first moment of a question is not taken for its answer, and makes that moment longer.
    #[track_caller]
    pub(crate) fn answer(&self, key: &str, what: &str, mut wanted: impl FnMut(&str) -> bool) -> String {
        let mut pressed = Instant::now();
        self.until(what, |screen| {
            if screen.contains("y yes") && pressed.elapsed() > Duration::from_millis(600) {
                self.press(key);
                pressed = Instant::now();
            }
            wanted(screen)
        })
    }

    pub(crate) fn press(&self, keys: &str) {
        let mut writer = self.keys.lock().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.screen
            .lock()
            .unwrap()
            .screen_mut()
            .set_size(cells(rows), cells(columns));
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        self.master.resize(size).unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// To the process group in front, as the kernel tells everybody on a terminal; SIGKILL to the program alone.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        let told = if signal == Signal::KILL {
            kill_process(pid, signal)
        } else {
            kill_process_group(pid, signal)
        };
        told.unwrap();
    }

    /// Waits for its end; its exit code.
    pub(crate) fn end(&self) -> u32 {
        let mut child = self.child.lock().unwrap();
        until(LIMIT, "the program ends", || child.try_wait().unwrap()).exit_code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        drop(child.kill());
        drop(child.wait());
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).expect("a terminal has cells")
}
