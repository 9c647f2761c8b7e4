//! What the configuration may read from its machine: environment, home, a few known paths.
//! Passed in, so that tests can replace it.

use std::path::{Path, PathBuf};

pub(super) struct Machine<'e> {
    pub(super) env: &'e dyn Fn(&str) -> Option<String>,
    /// `/`, but in tests.
    pub(super) root: &'e Path,
}

impl Machine<'_> {
    /// A variable that is set and not empty: Docker and XDG both take an empty one as absent.
    pub(super) fn env(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    pub(super) fn home(&self) -> Option<PathBuf> {
        match self.env("HOME") {
            Some(home) => Some(PathBuf::from(home)),
            None => directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned()),
        }
    }

    /// `$XDG_CONFIG_HOME/pilothouse/config.toml`, or under `~/.config`.
    pub(super) fn user_file(&self) -> Option<PathBuf> {
        let folder = match self.env("XDG_CONFIG_HOME").map(PathBuf::from) {
            Some(folder) if folder.is_absolute() => folder,
            Some(_) | None => self.home()?.join(".config"),
        };
        Some(folder.join("pilothouse/config.toml"))
    }

    /// An absolute path of this machine.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Where the user's own daemons have their sockets: `$XDG_RUNTIME_DIR`, and where systemd makes it whatever the
    /// environment says.
    pub(super) fn runtime_folders(&self) -> Vec<PathBuf> {
        let usual = self.at(&format!("/run/user/{}", rustix::process::geteuid().as_raw()));
        let named = self.env("XDG_RUNTIME_DIR").map(PathBuf::from);
        named.into_iter().chain([usual]).collect()
    }

    /// Docker's own folder of the user.
    pub(super) fn docker_folder(&self) -> Option<PathBuf> {
        match self.env("DOCKER_CONFIG") {
            Some(folder) => Some(PathBuf::from(folder)),
            None => Some(self.home()?.join(".docker")),
        }
    }
}
