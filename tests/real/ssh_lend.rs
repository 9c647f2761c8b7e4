//! A host that needs a person, in the control room: `Enter` lends the terminal to ssh.
//! Covers ssh's prompt, its end, and what is left of it.

use std::time::Duration;

use pilothouse::domain::endpoint::{Endpoint, Ssh};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::daemon::Daemon;
use crate::support::fleet;
use crate::support::program::Program;
use crate::support::sshd::{Sshd, user, with_word};
use crate::support::terminal::Terminal;
use crate::support::wait::until;

const PASSPHRASE: &str = "hunter2-of-ann";

/// A daemon behind an sshd that takes one key only, which has a passphrase.
struct Locked {
    daemons: fleet::Lease,
    sshd: Sshd,
    ssh: Ssh,
}

impl Locked {
    fn new(name: &str, port: u16) -> Self {
        let daemons = fleet::lease(1);
        let key = user().key(&format!("locked-{name}"), PASSPHRASE);
        let sshd = Sshd::start(&daemons[0], port, "", &[&key]);
        let ssh = sshd.host(name, &format!("IdentityFile {}", key.display()));
        Self { daemons, sshd, ssh }
    }

    fn daemon(&self) -> &Daemon {
        &self.daemons[0]
    }

    /// The room on its page of hosts, where the host waits for approval.
    fn room(&self) -> Terminal {
        let host = self.daemon().host_at(Endpoint::Ssh(self.ssh.clone()));
        let program = Program::new(&[host], "").finding(&user().bin());
        let room = Terminal::open(&program, &[], 100, 30);
        room.press("5");
        room.until("it waits for approval", |screen| screen.contains("needs login"));
        room
    }

    /// ssh shows its prompt a moment before it reads: a signal between the two it only remembers, and reads on.
    #[track_caller]
    fn reads(&self) {
        until(Duration::from_secs(30), "ssh reads from the terminal", || {
            let waits = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/wchan"));
            let mut all = with_word(&self.ssh.host).into_iter();
            all.any(|pid| waits(&pid).is_ok_and(|at| at == "wait_woken"))
                .then_some(())
        });
    }

    #[track_caller]
    fn none_left(&self) {
        until(Duration::from_secs(10), "no ssh is left", || {
            with_word(&self.ssh.host).is_empty().then_some(())
        });
    }
}

/// ssh's own words, and nothing of the room around them. What it asked the times before stands there still.
fn lent(room: &Terminal, times: usize) {
    room.press("\r");
    let screen = room.until("ssh's prompt", |screen| {
        screen.matches("Enter passphrase for key").count() == times
    });
    assert!(
        !screen.contains("needs login"),
        "the room is still there:\n{screen}"
    );
}

fn opened(room: &Terminal) {
    room.press(PASSPHRASE);
    room.press("\r");
    let screen = room.until("the host is live", |screen| {
        screen.contains("live") && !screen.contains("needs login")
    });
    assert!(
        !screen.contains(PASSPHRASE) && !screen.contains("Enter passphrase"),
        "{screen}"
    );
}

#[test]
fn enter_lends_the_terminal_to_ssh_and_the_host_is_live_after_its_passphrase() {
    let locked = Locked::new("lent", 2228);
    locked.daemon().run("far-away", "sleep 1000");
    let room = locked.room();
    lent(&room, 1);
    opened(&room);
    // Keys are the room's again, and reach a container behind that host.
    room.press("2");
    room.until("its containers", |screen| screen.contains("far-away"));
    assert!(!locked.sshd.sessions().is_empty());
    room.press("q");
    assert_eq!(room.end(), 0);
    locked.none_left();
}

#[test]
fn ctrl_c_at_ssh_s_prompt_ends_ssh_and_not_the_room() {
    let locked = Locked::new("interrupted", 2229);
    let room = locked.room();
    lent(&room, 1);
    locked.reads();
    room.press("\x03");
    room.until("the room is back", |screen| {
        screen.contains("needs login") && !screen.contains("Enter passphrase")
    });
    // It may be asked once more.
    lent(&room, 2);
    opened(&room);
    room.press("q");
    assert_eq!(room.end(), 0);
    locked.none_left();
}

#[test]
fn a_terminal_that_hangs_up_while_it_is_lent_leaves_neither_room_nor_ssh() {
    let locked = Locked::new("hung-up", 2230);
    let room = locked.room();
    lent(&room, 1);
    let pid = Pid::from_raw(i32::try_from(room.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    room.end();
    locked.none_left();
}
