//! How an image is tested: a command in a container, its dependencies, and when it passes.
//! Serialisable, because it is part of plans, for recovery and colleagues.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::ids::HostName;

/// What `image` says where the image under test is meant.
pub const SELF: &str = "self";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    pub name: String,
    pub host: HostName,
    /// What the command runs in.
    #[serde(default)]
    pub image: TestImage,
    /// Instead of the image's own.
    pub command: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// Put into the container before it starts, by their place in it.
    #[serde(default)]
    pub files: BTreeMap<String, PathBuf>,
    /// What it may use; a test that needs more fails as "out of memory".
    pub memory: Option<u64>,
    /// Of one attempt.
    pub timeout: Duration,
    /// Attempts after the first that failed; each begins anew, with new dependencies.
    #[serde(default)]
    pub retries: u32,
    #[serde(default)]
    pub passes: Passes,
    /// Started one after the other, each good before the next begins, on a network of the run's own.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// Services of a compose file that come before them; read when a run begins, and then `needs`.
    #[serde(default)]
    pub compose: Option<Compose>,
    /// Files and folders of the container that are kept with the run.
    #[serde(default)]
    pub artifacts: Vec<String>,
    /// A report in the container that is kept and summed up.
    #[serde(default)]
    pub junit: Option<String>,
    /// Where the image of its `target` is pushed once it passed: `registry:5000/shop-tests:{git.short}`. A plan has the tag
    /// filled in.
    #[serde(default)]
    pub push: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestImage {
    /// The very image under test.
    #[default]
    Own,
    /// Another stage of the service's Dockerfile, built for this test.
    Target(String),
    /// Any other, as a daemon names it.
    Named(String),
}

/// What counts as passed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Passes {
    /// It ended with 0.
    #[default]
    ExitCode,
    /// The last line of its standard output that is not empty matches, from its beginning to its end.
    LastLine {
        pattern: String,
        /// It must have ended with 0, too.
        exit_code: bool,
    },
}

/// A container beside the test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Need {
    /// Under this name the test and the other needs reach it.
    pub name: String,
    /// [`SELF`] is the image under test.
    pub image: String,
    pub command: Vec<String>,
    pub entrypoint: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub files: BTreeMap<String, PathBuf>,
    pub user: Option<String>,
    pub folder: Option<String>,
    pub hostname: Option<String>,
    pub memory: Option<u64>,
    /// `/dev/shm`, in bytes.
    pub shared_memory: Option<u64>,
    /// Places in memory, with the options of `docker run --tmpfs`.
    pub tmpfs: BTreeMap<String, String>,
    pub volumes: Vec<NeedVolume>,
    /// Instead of the image's own.
    pub health: Option<HealthCheck>,
    /// Other names it is reached under.
    pub aliases: Vec<String>,
    pub ready: Ready,
    /// It must be good within this.
    pub within: Duration,
}

/// Made for one attempt of one test and removed with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedVolume {
    /// Shared by the needs of the test that name it; without one it is the container's alone.
    pub name: Option<String>,
    pub target: String,
    pub read_only: bool,
}

/// As Docker's own; what is absent is the image's, then Docker's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`.
    pub test: Vec<String>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub start_period: Option<Duration>,
    pub retries: Option<u32>,
}

/// When a need is good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ready {
    /// Healthy where it has a check, running otherwise.
    #[default]
    Running,
    /// Healthy; without a check it is refused.
    Health,
    /// Something listens on this port for others, not on the loopback alone.
    Tcp(u16),
    /// This ends with 0 in it.
    Command(Vec<String>),
    /// A line of its output holds this pattern.
    Log(String),
}

/// Some services of a compose file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compose {
    pub file: PathBuf,
    /// What they depend on comes along.
    pub services: Vec<String>,
    pub within: Duration,
}

impl Test {
    /// With everything else as if it were not said.
    #[must_use]
    pub fn new(name: impl Into<String>, host: HostName) -> Self {
        Self {
            name: name.into(),
            host,
            image: TestImage::Own,
            command: Vec::new(),
            env: BTreeMap::new(),
            files: BTreeMap::new(),
            memory: None,
            timeout: Duration::from_mins(10),
            retries: 0,
            passes: Passes::ExitCode,
            needs: Vec::new(),
            compose: None,
            artifacts: Vec::new(),
            junit: None,
            push: None,
        }
    }

    /// What is done, for people: `sh /api app:8080, in busybox:1.36, beside app (self)`.
    #[must_use]
    pub fn words(&self) -> String {
        let command = self.command.join(" ");
        let mut words = vec![if command.is_empty() {
            "the image's own command".to_owned()
        } else {
            command
        }];
        match &self.image {
            TestImage::Own => {}
            TestImage::Target(target) => words.push(format!("in the stage {target}")),
            TestImage::Named(name) => words.push(format!("in {name}")),
        }
        let needs: Vec<String> = self
            .needs
            .iter()
            .map(|need| format!("{} ({})", need.name, need.image))
            .collect();
        if !needs.is_empty() {
            words.push(format!("beside {}", needs.join(" and ")));
        }
        if let Some(push) = &self.push {
            words.push(format!("its image pushed as {push} once it passed"));
        }
        if self.retries > 0 {
            words.push(format!("up to {} times", self.retries.saturating_add(1)));
        }
        words.join(", ")
    }

    /// The stage of the Dockerfile that is built for it.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        match &self.image {
            TestImage::Target(target) => Some(target),
            TestImage::Own | TestImage::Named(_) => None,
        }
    }

    /// Can it run without the image under test? A scanner may come before the build.
    #[must_use]
    pub fn is_of_the_image(&self) -> bool {
        let own = match self.image {
            TestImage::Own | TestImage::Target(_) => true,
            TestImage::Named(_) => false,
        };
        own || self.needs.iter().any(|need| need.image == SELF)
    }

    /// The images it needs by name, its own among them, each once.
    #[must_use]
    pub fn named_images(&self) -> Vec<&str> {
        let own = match &self.image {
            TestImage::Named(name) => Some(name.as_str()),
            TestImage::Own | TestImage::Target(_) => None,
        };
        let mut names: Vec<&str> = Vec::new();
        for name in own
            .into_iter()
            .chain(self.needs.iter().map(|need| need.image.as_str()))
        {
            if name != SELF && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_says_what_it_does_in_what_and_beside_what() {
        let host = HostName::parse("local").unwrap();
        assert_eq!(Test::new("unit", host.clone()).words(), "the image's own command");
        let test = Test {
            image: TestImage::Target("whole".to_owned()),
            command: vec!["sh".to_owned(), "/api".to_owned()],
            retries: 2,
            needs: vec![Need {
                name: "db".to_owned(),
                image: "postgres:16".to_owned(),
                ..Need::default()
            }],
            ..Test::new("api", host)
        };
        assert_eq!(
            test.words(),
            "sh /api, in the stage whole, beside db (postgres:16), up to 3 times"
        );
    }
}
