//! What a plan becomes with the facts of the hosts: release number, image, snapshot, containers to start or create, releases to keep.
//! Made once, under the locks; written to the journal and to every lock before anything is changed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::adopt::{self, Adopted};
use super::again::{Again, again};
use super::copies::{Past, joined};
use super::destination::{self, current, destination};
use super::facts::HostFacts;
use super::ledger::{Ledger, LedgerEntry, LedgerResult};
use super::plan::Plan;
use super::replica::{Kept, Replica};
use super::snapshot::Snapshot;
use super::spec::{self, Seals};
use crate::config::service::{Gate, Spec};
use crate::domain::fault::Fault;
use crate::domain::ids::{ContainerId, HostName, ImageId, ReleaseNumber};
use crate::domain::reference::Reference;
use crate::domain::run::RunKind;
use crate::domain::units::Stamp;

/// The facts of every host that answered, including the build host.
pub type Facts = BTreeMap<HostName, HostFacts>;

/// Everything a release run will do, decided once from the facts of its hosts. Written to the journal and into every lock
/// before anything is changed; recovery continues from it and never decides again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub release: ReleaseNumber,
    /// The release that was active before.
    pub from: Option<ReleaseNumber>,
    /// The last other release that was committed on all hosts: the target of a rollback.
    #[serde(default)]
    pub whole: Option<ReleaseNumber>,
    pub image: RunImage,
    /// The revision that the image was built from, where it is known.
    #[serde(default)]
    pub git: Option<String>,
    pub spec: Spec,
    pub spec_hash: String,
    /// Hashes of the secrets of the new or restarted containers.
    #[serde(default)]
    pub seals: Seals,
    /// Lock order: sorted by daemon id. The ledger of the first host decides whether the run is committed.
    pub order: Vec<HostName>,
    /// The daemon id of every host that was read: another machine may use other host names.
    #[serde(default)]
    pub daemons: BTreeMap<HostName, String>,
    pub snapshot: Snapshot,
    /// Retained containers that a rollback starts again, by host.
    pub wake: BTreeMap<HostName, Vec<ContainerId>>,
    /// Hosts where containers are created: all, or in a rollback those that lack retained ones.
    pub make: BTreeSet<HostName>,
    /// Replicas per host.
    pub replicas: u32,
    /// The gate; `None`: decided by an earlier version, the configuration's gate applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// Releases whose containers are retained.
    pub keep: BTreeSet<ReleaseNumber>,
    /// The retained releases, for the labels of the new containers.
    #[serde(default)]
    pub kept: BTreeMap<ReleaseNumber, Kept>,
    /// The history as the hosts had it; `None`: decided by an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<Past>,
    /// Set if the release was adopted, by this run or an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Adopted>,
    /// Notes for people; none of them stops the run.
    pub notes: Vec<String>,
}

/// The one image of the run, and a host that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunImage {
    pub id: ImageId,
    pub reference: String,
    pub on: HostName,
    /// Its digest in its registry, if it was pushed: hosts pull by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Reference>,
}

impl Decision {
    /// To be called only if `preflight::refusals` is empty.
    ///
    /// # Errors
    /// What cannot be decided, for example because no host has the image.
    pub fn make(plan: &Plan, order: &[HostName], facts: &Facts) -> Result<Self, Fault> {
        let mut decided = match plan.kind {
            RunKind::Rollback => Self::back(plan, order, facts)?,
            RunKind::Adopt => adopt::decide(plan, order, facts)?,
            RunKind::Deploy | RunKind::Build | RunKind::Test | RunKind::Push | RunKind::Pipeline => {
                Self::forth(plan, order, facts)?
            }
        };
        decided.past = Some(Past::of(order, facts));
        Ok(decided)
    }

    fn forth(plan: &Plan, order: &[HostName], facts: &Facts) -> Result<Self, Fault> {
        let deploy = plan
            .deploy()
            .ok_or_else(|| Fault::new(format!("deploy {}", plan.subject), "it has no [services.deploy]"))?;
        let image = pick(plan, facts)?;
        let git = facts
            .values()
            .filter_map(|seen| seen.image.as_ref())
            .find(|seen| seen.id == image.id)
            .and_then(|seen| seen.git.clone());
        let history = history(order, facts);
        let highest = Self::highest(order, facts);
        let release = ReleaseNumber(highest.map_or(1, |number| number.0.saturating_add(1)));
        let from = current(order, facts, history.as_ref());
        let mut decision = Self {
            release,
            from,
            whole: destination::last_whole(order, history.as_ref(), release),
            image,
            git,
            spec_hash: hash(&deploy.spec, plan)?,
            seals: plan.seals.clone(),
            spec: deploy.spec.clone(),
            order: order.to_vec(),
            daemons: Self::daemons_of(facts),
            snapshot: Self::snapshot_of(order, facts),
            wake: BTreeMap::new(),
            make: order.iter().cloned().collect(),
            replicas: deploy.replicas,
            gate: Some(deploy.gate.clone()),
            keep: BTreeSet::new(),
            kept: BTreeMap::new(),
            past: None,
            adopted: None,
            notes: notes(order, facts, history.as_ref()),
        };
        decision.keep_last(deploy.keep, history.as_ref());
        Ok(decision)
    }

    fn back(plan: &Plan, order: &[HostName], facts: &Facts) -> Result<Self, Fault> {
        let what = || format!("roll back {}", plan.subject);
        let deploy = plan
            .deploy()
            .ok_or_else(|| Fault::new(what(), "it has no [services.deploy]"))?;
        let history = history(order, facts);
        let from = current(order, facts, history.as_ref());
        let release = destination(plan, order, facts, history.as_ref(), from)?;
        let entry = history.as_ref().and_then(|ledger| ledger.release(release));
        let then = entry.and_then(|entry| entry.replicas);
        let Again { wake, make, notes } = again(release, then, order, facts);
        let replicas = then.unwrap_or(deploy.replicas);
        if let (Some(host), Some(entry)) = (make.first(), entry) {
            adopt::can_be_made_again(plan, host, entry)?;
        }
        let kept_image = order
            .iter()
            .flat_map(|host| of(host, facts).iter().map(move |replica| (host, replica)))
            .find(|(_, replica)| replica.release == Some(release))
            .and_then(|(host, replica)| Some((host.clone(), ImageId::parse(&replica.image).ok()?)));
        // With ledger and containers gone, a later release's labels still say which image it was.
        let labelled = self::replicas(order, facts)
            .filter_map(|replica| replica.kept.get(&release))
            .max_by_key(|kept| kept.digest.is_some());
        let image = match (entry, kept_image) {
            (Some(entry), kept) => RunImage {
                id: entry.image.clone(),
                reference: entry.reference.clone(),
                on: facts
                    .iter()
                    .find(|(_, seen)| seen.images.contains(&entry.image))
                    .map(|(host, _)| host.clone())
                    .or(kept.map(|(host, _)| host))
                    // Its registry still knows it.
                    .or_else(|| entry.digest.as_ref().and(order.first().cloned()))
                    .ok_or_else(|| {
                        Fault::new(
                            what(),
                            format!("the image {} is no longer on any host", entry.image.short()),
                        )
                    })?,
                pinned: entry.digest.clone(),
            },
            (None, Some((on, id))) => RunImage {
                reference: id.short().to_owned(),
                id,
                on,
                pinned: None,
            },
            (None, None) => by_labels(plan, release, labelled, order, facts)?,
        };
        let spec = entry.map_or_else(|| deploy.spec.clone(), |entry| entry.spec.clone());
        let spec_hash = match entry {
            Some(entry) => entry.spec_hash.clone(),
            None => hash(&spec, plan)?,
        };
        let then = entry.map(|entry| entry.seals.clone());
        let mut decision = Self {
            release,
            from,
            whole: destination::last_whole(order, history.as_ref(), release),
            image,
            git: entry.and_then(|entry| entry.git.clone()),
            spec,
            spec_hash,
            seals: if wake.is_empty() {
                plan.seals.clone()
            } else {
                then.unwrap_or_default()
            },
            order: order.to_vec(),
            daemons: Self::daemons_of(facts),
            snapshot: Self::snapshot_of(order, facts),
            wake,
            make,
            replicas,
            gate: Some(match entry.and_then(|entry| entry.gate.clone()) {
                Some(gate) => gate.with_files_of(&deploy.gate),
                None => deploy.gate.clone(),
            }),
            keep: BTreeSet::new(),
            kept: BTreeMap::new(),
            past: None,
            adopted: entry.and_then(|entry| entry.adopted.clone()),
            notes: [self::notes(order, facts, history.as_ref()), notes].concat(),
        };
        decision.keep_last(deploy.keep, history.as_ref());
        Ok(decision)
    }

    /// The highest release number ever assigned.
    pub(super) fn highest(order: &[HostName], facts: &Facts) -> Option<ReleaseNumber> {
        let of_ledgers = order
            .iter()
            .filter_map(|host| facts.get(host)?.ledger.read()?.highest());
        replicas(order, facts)
            .filter_map(|replica| replica.release)
            .chain(of_ledgers)
            .max()
    }

    pub(super) fn snapshot_of(order: &[HostName], facts: &Facts) -> Snapshot {
        Snapshot {
            hosts: order
                .iter()
                .map(|host| (host.clone(), of(host, facts).to_vec()))
                .collect(),
        }
    }

    pub(super) fn daemons_of(facts: &Facts) -> BTreeMap<HostName, String> {
        facts
            .iter()
            .filter_map(|(host, seen)| Some((host.clone(), seen.engine.daemon_id()?.to_owned())))
            .collect()
    }

    fn daemons_of_targets(&self) -> BTreeMap<HostName, String> {
        let is_target = |(host, _): &(&HostName, &String)| self.order.contains(*host);
        let its = self.daemons.iter().filter(is_target);
        its.map(|(host, id)| (host.clone(), id.clone())).collect()
    }

    /// Keeps the new release, the previous one, the last one that was on all hosts, and the last committed ones up to `keep`.
    pub(super) fn keep_last(&mut self, keep: u32, history: Option<&Ledger>) {
        self.keep = [Some(self.release), self.from, self.whole]
            .into_iter()
            .flatten()
            .collect();
        let wanted = usize::try_from(keep).unwrap_or(usize::MAX);
        for entry in history.iter().flat_map(|ledger| ledger.committed().rev()) {
            if self.keep.len() >= wanted {
                break;
            }
            self.keep.insert(entry.release);
        }
        self.kept = self
            .keep
            .iter()
            .filter(|release| **release != self.release)
            .filter_map(|release| {
                let entry = history?.release(*release)?;
                let kept = Kept {
                    image: entry.image.clone(),
                    spec_hash: entry.spec_hash.clone(),
                    digest: entry.digest.clone(),
                };
                Some((*release, kept))
            })
            .collect();
    }

    /// The entry of the run for the ledgers.
    #[must_use]
    pub fn ledger_entry(&self, plan: &Plan, at: Stamp, result: LedgerResult) -> LedgerEntry {
        LedgerEntry {
            at,
            run: plan.run.clone(),
            kind: plan.kind,
            actor: plan.by.login.clone(),
            machine: plan.by.machine.clone(),
            reason: plan.reason.clone(),
            from: self.from,
            release: self.release,
            image: self.image.id.clone(),
            reference: self.image.reference.clone(),
            git: self.git.clone(),
            digest: self.image.pinned.clone(),
            spec: self.spec.clone(),
            spec_hash: self.spec_hash.clone(),
            seals: self.seals.clone(),
            // What was adopted may be as many as it likes on each host.
            replicas: self.adopted.is_none().then_some(self.replicas),
            gate: self.gate.clone(),
            hosts: self.order.clone(),
            daemons: self.daemons_of_targets(),
            whole: Some(true),
            promoted: plan.promoted.clone(),
            adopted: self.adopted.clone(),
            result,
        }
    }
}

/// The image of a release known from labels only; its specification must still equal the configuration's.
fn by_labels(
    plan: &Plan,
    release: ReleaseNumber,
    labelled: Option<&Kept>,
    order: &[HostName],
    facts: &Facts,
) -> Result<RunImage, Fault> {
    let fault = |why: String| Fault::new(format!("roll back {}", plan.subject), why);
    let kept = labelled.ok_or_else(|| {
        fault(format!(
            "{release} is unknown: no ledger, container or label has it"
        ))
    })?;
    let spec = plan.deploy().map(|deploy| &deploy.spec);
    // Where secrets are not resolved yet their part of the hash is not known.
    let is_known = |(name, _)| plan.seals.contains_key(name);
    let unknown = spec.is_some_and(|spec| !spec.sources().all(is_known));
    let hash = spec.map(|spec| hash(spec, plan)).transpose()?;
    if !unknown && hash.as_ref() != Some(&kept.spec_hash) {
        return Err(fault(format!(
            "the ledgers are missing, and {release} ran with a specification that differs from the configuration"
        )));
    }
    let on = facts.iter().find(|(_, seen)| seen.images.contains(&kept.image));
    let on = on.map(|(host, _)| host);
    // Its registry still knows it.
    let on = on.or_else(|| kept.digest.as_ref().and(order.first()));
    let on = on.ok_or_else(|| {
        fault(format!(
            "the image {} is no longer on any host",
            kept.image.short()
        ))
    })?;
    Ok(RunImage {
        reference: kept.image.short().to_owned(),
        id: kept.image.clone(),
        on: on.clone(),
        pinned: kept.digest.clone(),
    })
}

pub(super) fn of<'a>(host: &HostName, facts: &'a Facts) -> &'a [Replica] {
    facts.get(host).map_or(&[], |seen| seen.replicas.as_slice())
}

pub(super) fn replicas<'a>(order: &'a [HostName], facts: &'a Facts) -> impl Iterator<Item = &'a Replica> {
    order.iter().flat_map(|host| of(host, facts))
}

fn hash(spec: &Spec, plan: &Plan) -> Result<String, Fault> {
    spec::hash(spec, &plan.seals).map_err(|error| Fault::new("hash the specification", error))
}

/// The builder's answer counts before the targets': that is where a tag is given.
fn pick(plan: &Plan, facts: &Facts) -> Result<RunImage, Fault> {
    plan.builder
        .iter()
        .chain(&plan.targets)
        .find_map(|host| {
            let image = facts.get(host)?.image.as_ref()?;
            Some(RunImage {
                id: image.id.clone(),
                reference: plan.image.clone(),
                on: host.clone(),
                pinned: pinned(plan, &image.id, facts),
            })
        })
        .ok_or_else(|| not_found(plan, facts))
}

fn not_found(plan: &Plan, facts: &Facts) -> Fault {
    let places: Vec<&str> = facts.keys().map(HostName::as_str).collect();
    let nowhere = match places.as_slice() {
        [] => "none of its hosts could be looked at".to_owned(),
        some => format!("it is not on {}", some.join(", ")),
    };
    let what = format!("find the image {}", plan.image);
    let Some(fault) = facts.values().find_map(|seen| seen.not_pulled.as_ref()) else {
        return Fault::new(what, nowhere).hint("build it first, or choose an existing image with --image");
    };
    Fault {
        what,
        why: format!("{nowhere}, and could not {}: {}", fault.what, fault.why),
        hint: fault.hint.clone(),
    }
}

/// The digest of this image: in the repository of the reference, otherwise in the service's own.
fn pinned(plan: &Plan, id: &ImageId, facts: &Facts) -> Option<Reference> {
    let asked = Reference::parse(&plan.image)
        .ok()
        .filter(|asked| asked.digest().is_some());
    let own = || {
        let images = facts.values().filter_map(|seen| seen.image.as_ref());
        images
            .filter(|image| image.id == *id)
            .find_map(|image| image.pinned(&plan.service.image))
            .cloned()
    };
    asked.or_else(own)
}

/// The merged history: a host that lost its copy, or misses an entry, gets it from another.
#[must_use]
pub fn history(order: &[HostName], facts: &Facts) -> Option<Ledger> {
    joined(order.iter().filter_map(|host| facts.get(host)?.ledger.read()))
}

fn notes(order: &[HostName], facts: &Facts, history: Option<&Ledger>) -> Vec<String> {
    let mut notes = Vec::new();
    if history.is_some() {
        for host in order {
            if facts.get(host).is_some_and(|seen| seen.ledger.read().is_none()) {
                notes.push(format!(
                    "{host} has lost its ledger: it gets a copy from another host"
                ));
            }
        }
    }
    let active: BTreeSet<ReleaseNumber> = replicas(order, facts)
        .filter(|replica| replica.state.is_up())
        .filter_map(|replica| replica.release)
        .collect();
    if active.len() > 1 {
        let names: Vec<String> = active.iter().map(ToString::to_string).collect();
        notes.push(format!("SPLIT: {} run at once", names.join(" and ")));
    }
    notes
}
