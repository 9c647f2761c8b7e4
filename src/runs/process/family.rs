//! A command and all processes it starts, ended together, so that a pipe in a shell leaves nothing running.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// The process group of a command; killed when dropped, unless the command has ended by itself.
pub struct Family {
    leader: Option<Pid>,
}

impl Family {
    /// Starts the command as the leader of a new process group.
    pub fn start(command: &mut Command) -> std::io::Result<(Child, Self)> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok((child, Self { leader }))
    }

    /// To be called when the leader has ended; background processes it left are not killed.
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
