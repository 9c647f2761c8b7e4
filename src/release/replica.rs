//! One container of a service as a release sees it: compared, started, stopped, retained.
//! Always taken from an inspection.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::service::Restart;
use crate::domain::container::Health;
use crate::domain::ids::{ContainerId, ImageId, ReleaseNumber};
use crate::domain::reference::Reference;

/// One container of a service, as inspected by a step. Part of facts, snapshots and the findings in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    pub id: ContainerId,
    pub name: String,
    /// From its labels; `None`: it belongs to no release.
    pub release: Option<ReleaseNumber>,
    /// The previous release, from its labels.
    pub previous: Option<ReleaseNumber>,
    /// The releases that were retained with it, from its labels.
    #[serde(default)]
    pub kept: BTreeMap<ReleaseNumber, Kept>,
    /// The run that created it.
    pub run: Option<String>,
    pub image: String,
    pub state: Up,
    /// The daemon's own text; empty if it never ran.
    pub started_at: String,
    pub restarts: u64,
    pub health: Health,
    pub policy: Policy,
    /// How long a stop waits before it kills, where the container says so.
    #[serde(default)]
    pub grace: Option<Duration>,
    /// The daemon's own words when it could not start it.
    pub error: Option<String>,
}

/// An earlier release in a replica's labels: enough to find its image and to recognise its specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub image: ImageId,
    pub spec_hash: String,
    /// Its digest in its registry, if it was pushed; older programs do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Reference>,
}

impl Kept {
    /// `r41=sha256:…/0123abcd r41@shop@sha256:… r40=…`; older programs pass over the digest's word.
    #[must_use]
    pub fn write(kept: &BTreeMap<ReleaseNumber, Self>) -> String {
        let mut words: Vec<String> = Vec::new();
        for (release, kept) in kept {
            words.push(format!("{release}={}/{}", kept.image, kept.spec_hash));
            words.extend(kept.digest.iter().map(|digest| format!("{release}@{digest}")));
        }
        words.join(" ")
    }

    /// Ignores words in another form.
    #[must_use]
    pub fn read(text: &str) -> BTreeMap<ReleaseNumber, Self> {
        let mut found: BTreeMap<ReleaseNumber, Self> =
            text.split_whitespace().filter_map(release_in).collect();
        for (release, digest) in text.split_whitespace().filter_map(digest_in) {
            if let Some(kept) = found.get_mut(&release) {
                kept.digest = Some(digest);
            }
        }
        found
    }
}

/// `r41=sha256:…/0123abcd`
fn release_in(word: &str) -> Option<(ReleaseNumber, Kept)> {
    let (release, rest) = word.strip_prefix('r')?.split_once('=')?;
    let (image, spec_hash) = rest.split_once('/')?;
    let kept = Kept {
        image: ImageId::parse(image).ok()?,
        spec_hash: spec_hash.to_owned(),
        digest: None,
    };
    Some((ReleaseNumber(release.parse().ok()?), kept))
}

/// `r41@registry:5000/shop@sha256:…`
fn digest_in(word: &str) -> Option<(ReleaseNumber, Reference)> {
    let (release, digest) = word.strip_prefix('r')?.split_once('@')?;
    let digest = Reference::parse(digest).ok()?;
    digest.digest()?;
    Some((ReleaseNumber(release.parse().ok()?), digest))
}

/// Docker's states, as far as they matter to a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Up {
    Created,
    Running,
    Paused,
    /// Being restarted by its restart policy.
    Restarting,
    Exited {
        code: i64,
        oom: bool,
    },
    Dead,
    Removing,
}

impl Up {
    /// Whether it holds ports and would have to be stopped.
    #[must_use]
    pub fn is_up(self) -> bool {
        match self {
            Self::Running | Self::Paused | Self::Restarting => true,
            Self::Created | Self::Exited { .. } | Self::Dead | Self::Removing => false,
        }
    }

    /// The state for comparisons: a crash loop alternates between running and restarting, and exit codes are ignored.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running | Self::Restarting => "running",
            Self::Paused => "paused",
            Self::Exited { .. } => "exited",
            Self::Dead => "dead",
            Self::Removing => "removing",
        }
    }
}

impl fmt::Display for Up {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited {
                code: code @ 137,
                oom: false,
            } => write!(f, "killed by SIGKILL (code {code})"),
            Self::Exited { code, oom: false } => write!(f, "exited with code {code}"),
            Self::Exited { code, oom: true } => write!(f, "killed for memory (code {code})"),
            Self::Restarting => f.write_str("restarting"),
            other => f.write_str(other.word()),
        }
    }
}

/// A restart policy as the daemon stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    No,
    Always,
    UnlessStopped,
    OnFailure(u32),
}

impl From<&Restart> for Policy {
    fn from(restart: &Restart) -> Self {
        match restart {
            Restart::Always => Self::Always,
            Restart::OnFailure(times) => Self::OnFailure(*times),
            Restart::No => Self::No,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
            Self::OnFailure(times) => write!(f, "on-failure:{times}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_label_says_of_kept_releases_is_read_as_it_was_written() {
        let kept = |image: &str| Kept {
            image: ImageId::parse(image).unwrap(),
            spec_hash: "0123abcd".to_owned(),
            digest: None,
        };
        let mut all = BTreeMap::from([
            (ReleaseNumber(40), kept("sha256:aa")),
            (ReleaseNumber(41), kept("sha256:bb")),
        ]);
        assert_eq!(Kept::read(&Kept::write(&all)), all);
        assert_eq!(Kept::read("r9 x=1/2 r41=sha256:bb/0123abcd").len(), 1);
        let digest = format!("registry:5000/shop@sha256:{}", "a1".repeat(32));
        all.get_mut(&ReleaseNumber(41)).unwrap().digest = Reference::parse(&digest).ok();
        let written = Kept::write(&all);
        assert!(
            written.ends_with(&format!("r41=sha256:bb/0123abcd r41@{digest}")),
            "{written}"
        );
        assert_eq!(Kept::read(&written), all);
        // A digest of nothing, and one that is none.
        let read = Kept::read(&format!("r9@{digest} r41@shop:v1 r41=sha256:bb/0123abcd"));
        assert_eq!(read, BTreeMap::from([(ReleaseNumber(41), kept("sha256:bb"))]));
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_label_says_is_read_as_releases_or_left_out(text in "\\PC{0,60}|(r[0-9]{1,2}(=[a-z0-9:]{0,9}/[a-f0-9]{0,4}|@[a-z0-9:/.]{0,9}(@sha256:[a-f0-9]{64})?) ?){0,6}") {
            let kept = Kept::read(&text);
            proptest::prop_assert_eq!(Kept::read(&Kept::write(&kept)), kept);
        }
    }
}
