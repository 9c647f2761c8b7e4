//! The program's command line with a configuration and a state folder of its own.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::programs::{now, path};
use super::stage::Stage;

pub(crate) struct Desk {
    pub(crate) folder: PathBuf,
}

impl Desk {
    /// `more` TOML follows the one host.
    pub(crate) fn new(stage: &Stage, more: &str) -> Self {
        let folder = stage.folder.join(format!("desk-{}", now()));
        std::fs::create_dir(&folder).unwrap();
        let desk = Self { folder };
        desk.write(&format!(
            "[[hosts]]\nname = \"here\"\nurl = \"{}\"\n{more}\n",
            stage.docker_host()
        ));
        desk
    }

    /// This configuration from now on; the state folder is added.
    pub(crate) fn write(&self, config: &str) {
        let text = format!("{config}\n[state]\ndir = \"{}/state\"\n", self.folder.display());
        std::fs::write(self.folder.join("config.toml"), text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(path());
        command
            .arg("--config")
            .arg(self.folder.join("config.toml"))
            .args(arguments)
            .env("HOME", &self.folder)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn seconds(&self, arguments: &[&str]) -> f64 {
        let begun = Instant::now();
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        begun.elapsed().as_secs_f64()
    }
}
