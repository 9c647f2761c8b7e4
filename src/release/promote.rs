//! What a promotion deploys: the one image that runs in a whole environment.
//! Decides only; an environment that is not completely on one release is refused with its state.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::copies::joined;
use super::facts::LockSeen;
use super::lease::left_runs;
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
    /// As it was deployed, if that was by digest; otherwise the image id. Never a tag, which may have moved.
    pub reference: String,
    pub on: HostName,
    /// Notes for people; none of them stops the promotion.
    pub notes: Vec<String>,
}

/// 1. No run is in progress there, and none was left unfinished.
/// 2. On each of its hosts replicas are up, all of one release and one image.
/// 3. The history says that this release is the active one.
pub fn shipment(subject: &Subject, seen: &BTreeMap<HostName, Sight>) -> Result<Shipment, Fault> {
    let fault = |why: String| fault(subject, why);
    nobody_is_at_it(subject, seen)?;
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
    let history = joined(seen.values().filter_map(|sight| sight.ledger.as_ref()));
    let last = history.as_ref().and_then(|ledger| ledger.committed().next_back());
    if let Some(last) = last
        && last.release != release
    {
        return Err(fault(format!(
            "{release} runs, but according to its history {} should",
            last.release
        )));
    }
    let image = ImageId::parse(image)?;
    // It holds a digest and so means this image and no other.
    let by_digest = last.filter(|entry| entry.image == image && entry.reference.contains("@sha256:"));
    Ok(Shipment {
        reference: by_digest.map_or_else(|| image.to_string(), |entry| entry.reference.clone()),
        promoted: Promoted {
            from: subject.clone(),
            release,
            image,
        },
        on: on.clone(),
        notes,
    })
}

fn fault(subject: &Subject, why: String) -> Fault {
    Fault::new(format!("take what runs in {subject}"), why)
}

fn nobody_is_at_it(subject: &Subject, seen: &BTreeMap<HostName, Sight>) -> Result<(), Fault> {
    let locks = || {
        seen.iter()
            .flat_map(|(host, sight)| sight.locks.iter().map(move |lock| (host, lock)))
    };
    let left = left_runs(subject, locks().map(|(_, lock)| lock));
    // Of a run that lives, a lock that is renewed tells.
    let alive = locks().find(|(_, lock)| !lock.may_be_left(subject));
    let Some((host, lock)) = alive.or_else(|| locks().next()) else {
        return Ok(());
    };
    let how = if left.contains(lock.run.as_str()) && lock.is_left(subject) {
        "was left unfinished"
    } else {
        "is in progress"
    };
    let why = format!("a run {how} on {host}: {}", lock.described());
    Err(fault(subject, why).hint(lock.remedy(subject)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::ledger::tests::entry;
    use super::*;
    use crate::domain::ids::ContainerId;
    use crate::domain::units::Stamp;
    use crate::release::ledger::LedgerEntry;
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
    fn which_release_should_run_is_told_by_all_copies_of_the_history_and_not_by_a_clock() {
        let committed = |number: u32, from: Option<u32>, seconds: i64| LedgerEntry {
            at: Stamp::from_seconds(seconds),
            from: from.map(ReleaseNumber),
            ..entry(&format!("run-{number}"), number)
        };
        // r41 came from a bastion whose clock is two hours ahead; r42's copy on b was not written.
        let old = Ledger::default().with(committed(41, None, 7_200));
        let new = old.clone().with(committed(42, Some(41), 60));
        let mut seen = sights(&[
            ("a", vec![replica(42, "sha256:bb", Up::Running)]),
            ("b", vec![replica(42, "sha256:bb", Up::Running)]),
        ]);
        for (sight, ledger) in seen.values_mut().zip([new.clone(), old]) {
            sight.ledger = Some(ledger);
        }
        let found = shipment(&staging(), &seen).unwrap();
        assert_eq!(found.promoted.release, ReleaseNumber(42));
        let mut apart = new.clone();
        apart.entries = vec![committed(40, None, 9_000)];
        for (sight, ledger) in seen.values_mut().zip([new, apart]) {
            sight.ledger = Some(ledger);
        }
        let found = shipment(&staging(), &seen);
        assert!(found.is_ok(), "{found:?}");
    }

    #[test]
    fn a_run_that_lives_by_one_of_its_locks_is_waited_for_and_one_that_was_left_is_recovered() {
        let lock = |age: u64| {
            let now = Stamp::from_seconds(9_000);
            let renewed = now.minus(Duration::from_secs(age));
            LockSeen {
                id: ContainerId::parse("aa").unwrap(),
                name: staging().lock_name(),
                run: "run-9".to_owned(),
                actor: "ops-b".to_owned(),
                machine: "bastion-2".to_owned(),
                kind: None,
                reason: None,
                since: renewed,
                renewed,
                renewed_there: None,
                now,
                now_here: now,
                watched: Duration::ZERO,
                stage: None,
                grace: Duration::ZERO,
            }
        };
        let said = |ages: [u64; 2]| {
            let mut seen = sights(&[("a", Vec::new()), ("b", Vec::new())]);
            for (sight, age) in seen.values_mut().zip(ages) {
                sight.locks = vec![lock(age)];
            }
            let fault = shipment(&staging(), &seen).unwrap_err();
            (fault.why, fault.hint.unwrap_or_default())
        };
        let (why, hint) = said([100, 10]);
        assert!(why.contains("a run is in progress on b"), "{why}");
        assert!(hint.contains("wait for it"), "{hint}");
        let (why, hint) = said([100, 100]);
        assert!(why.contains("a run was left unfinished on a"), "{why}");
        assert!(hint.contains("pilothouse recover run-9"), "{hint}");
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
