//! A command and everything that it starts, ended together: a pipe in a shell leaves nobody behind.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// The group of processes that a command leads; killed when it is dropped, unless the command has ended by itself.
pub struct Family {
    leader: Option<Pid>,
}

impl Family {
    /// Starts it as the leader of a group of its own.
    pub fn start(command: &mut Command) -> std::io::Result<(Child, Self)> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok((child, Self { leader }))
    }

    /// Its leader has ended: what that left in the background is its own affair.
    pub fn has_ended(mut self) {
        self.leader = None;
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // Who is gone by now needs no signal.
            kill_process_group(leader, Signal::KILL).ok();
        }
    }
}
