//! What a promotion deploys: the one image that runs in a whole environment.
//! Decides only; an environment that is not completely on one release is refused with its state.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::facts::LockSeen;
use super::ledger::Ledger;
use super::replica::{Replica, Up};
use super::subject::Subject;
use crate::domain::container::Health;
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, ImageId, ReleaseNumber};

/// The source of a promoted release; stored in plans and ledgers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    pub from: Subject,
    pub release: ReleaseNumber,
    pub image: ImageId,
}

/// The state of one host of the environment.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    pub replicas: Vec<Replica>,
    pub locks: Vec<LockSeen>,
    /// `None`: there is none, or it cannot be read.
    pub ledger: Option<Ledger>,
}

/// The image to deploy, and a host that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipment {
    pub promoted: Promoted,
    /// `repo@sha256:…` if it was pushed, otherwise the image id; never a tag, which may have moved.
    pub reference: String,
    pub on: HostName,
    /// Notes for people; none of them stops the promotion.
    pub notes: Vec<String>,
}

/// 1. No run is in progress there, and none was left unfinished.
/// 2. On each of its hosts replicas are up, all of one release and one image.
/// 3. The history says that this release is the active one.
pub fn shipment(subject: &Subject, seen: &BTreeMap<HostName, Sight>) -> Result<Shipment, Fault> {
    let fault = |why: String| Fault::new(format!("take what runs in {subject}"), why);
    for (host, sight) in seen {
        if let Some(lock) = sight.locks.first() {
            let words = lock.described();
            return Err(if lock.is_left(subject) {
                fault(format!("a run was left unfinished on {host}: {words}"))
                    .hint(format!("pilothouse recover {}", lock.run))
            } else {
                fault(format!("a run is in progress on {host}: {words}")).hint("wait for that run")
            });
        }
    }
    let mut releases: BTreeMap<ReleaseNumber, BTreeSet<&HostName>> = BTreeMap::new();
    let mut images: BTreeMap<&str, &HostName> = BTreeMap::new();
    let mut notes = Vec::new();
    for (host, sight) in seen {
        let up: Vec<&Replica> = sight
            .replicas
            .iter()
            .filter(|replica| replica.state.is_up())
            .collect();
        if up.is_empty() {
            return Err(fault(format!("it does not run on {host}")).hint("deploy it there first"));
        }
        for replica in up {
            let Some(release) = replica.release else {
                return Err(fault(format!("{} on {host} has no release label", replica.name)));
            };
            releases.entry(release).or_default().insert(host);
            images.entry(replica.image.as_str()).or_insert(host);
            if replica.state != Up::Running || replica.health == Health::Unhealthy {
                let how = if replica.health == Health::Unhealthy {
                    "unhealthy".to_owned()
                } else {
                    replica.state.to_string()
                };
                notes.push(format!("{} on {host} is {how}", replica.name));
            }
        }
    }
    let (release, image, on) = match (releases.keys().next(), images.iter().next()) {
        (Some(release), Some((image, on))) if releases.len() == 1 && images.len() == 1 => {
            (*release, *image, *on)
        }
        (None, _) | (_, None) => return Err(fault("it has no hosts".to_owned())),
        (Some(release), Some(_)) if releases.len() == 1 => {
            let parts = images.iter().map(|(image, host)| format!("{image} on {host}"));
            let parts: Vec<String> = parts.collect();
            return Err(fault(format!(
                "its {release} has more than one image: {}",
                parts.join(", ")
            )));
        }
        (Some(_), Some(_)) => {
            let parts = releases.iter().map(|(release, hosts)| {
                let hosts: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
                format!("{release} on {}", hosts.join(", "))
            });
            let parts: Vec<String> = parts.collect();
            return Err(fault(format!("it is SPLIT: {}", parts.join("; ")))
                .hint("deploy or roll it back as a whole first"));
        }
    };
    let ledgers = seen.values().filter_map(|sight| sight.ledger.as_ref());
    let history =
        ledgers.max_by_key(|ledger| (ledger.entries.last().map(|entry| entry.at), ledger.entries.len()));
    let last = history.and_then(|ledger| ledger.committed().next_back());
    if let Some(last) = last
        && last.release != release
    {
        return Err(fault(format!(
            "{release} runs, but according to its history {} should",
            last.release
        )));
    }
    let image = ImageId::parse(image)?;
    // The registry's name for it, if the release has one: it holds a digest and so means this image and no other.
    let pushed = last.filter(|entry| entry.image == image && entry.reference.contains("@sha256:"));
    Ok(Shipment {
        reference: pushed.map_or_else(|| image.to_string(), |entry| entry.reference.clone()),
        promoted: Promoted {
            from: subject.clone(),
            release,
            image,
        },
        on: on.clone(),
        notes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ContainerId;
    use crate::release::replica::Policy;

    fn replica(release: u32, image: &str, state: Up) -> Replica {
        Replica {
            id: ContainerId::parse("c1").unwrap(),
            name: format!("shop.staging.r{release}.1"),
            release: Some(ReleaseNumber(release)),
            previous: None,
            run: None,
            image: image.to_owned(),
            state,
            started_at: String::new(),
            restarts: 0,
            grace: None,
            health: Health::Unchecked,
            policy: Policy::Always,
            error: None,
            kept: BTreeMap::new(),
        }
    }

    fn staging() -> Subject {
        Subject::parse("shop.staging").unwrap()
    }

    fn sights(hosts: &[(&str, Vec<Replica>)]) -> BTreeMap<HostName, Sight> {
        let sight = |replicas: &Vec<Replica>| Sight {
            replicas: replicas.clone(),
            ..Sight::default()
        };
        let host = |name: &str| HostName::parse(name).unwrap();
        hosts
            .iter()
            .map(|(name, replicas)| (host(name), sight(replicas)))
            .collect()
    }

    fn refused(hosts: &[(&str, Vec<Replica>)]) -> String {
        shipment(&staging(), &sights(hosts)).unwrap_err().to_string()
    }

    #[test]
    fn the_one_image_that_all_of_it_runs_is_shipped_by_its_id() {
        let old = replica(41, "sha256:aa", Up::Exited { code: 0, oom: false });
        let new = || replica(42, "sha256:bb", Up::Running);
        let found = shipment(
            &staging(),
            &sights(&[("a", vec![old, new()]), ("b", vec![new()])]),
        )
        .unwrap();
        assert_eq!(found.promoted.release, ReleaseNumber(42));
        assert_eq!(found.reference, "sha256:bb");
        assert_eq!(found.on.as_str(), "a");
        assert_eq!(found.notes, Vec::<String>::new());
    }

    #[test]
    fn what_is_not_wholly_on_one_release_is_told_as_what_it_is() {
        let up = |release, image| vec![replica(release, image, Up::Running)];
        let split = refused(&[("a", up(41, "sha256:aa")), ("b", up(42, "sha256:bb"))]);
        assert!(split.contains("SPLIT: r41 on a; r42 on b"), "{split}");
        let missing = refused(&[("a", up(41, "sha256:aa")), ("b", Vec::new())]);
        assert!(missing.contains("it does not run on b"), "{missing}");
        let two = refused(&[("a", up(41, "sha256:aa")), ("b", up(41, "sha256:bb"))]);
        assert!(
            two.contains("more than one image") && two.contains("sha256:bb on b"),
            "{two}"
        );
        let unknown = Replica {
            release: None,
            ..replica(41, "sha256:aa", Up::Running)
        };
        assert!(refused(&[("a", vec![unknown])]).contains("has no release label"));
        assert!(refused(&[]).contains("no hosts"));
    }

    #[test]
    fn a_replica_that_is_not_well_is_said() {
        let found = shipment(
            &staging(),
            &sights(&[("a", vec![replica(7, "sha256:aa", Up::Restarting)])]),
        )
        .unwrap();
        assert_eq!(found.notes, ["shop.staging.r7.1 on a is restarting"]);
    }
}
