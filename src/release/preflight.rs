//! Why a release cannot be started, found before anything is changed.
//! Each refusal names the thing, the host, the reason and the remedy.

use super::adopt;
use super::decision::{Decision, Facts};
use super::facts::{HostFacts, LedgerSeen, TakenPort};
use super::lease::left_runs;
use super::plan::Plan;
use super::replica::{Policy, Up};
use crate::config::service::{Mount, Publish, Spec};
use crate::domain::fault::Fault;
use crate::domain::host::{Engine, EngineKind, Uninformed};
use crate::domain::ids::HostName;
use crate::domain::run::RunKind;

/// Empty: it can be started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Somebody else holds the lock: that passes by itself.
    pub locked: Vec<Fault>,
    pub others: Vec<Fault>,
}

impl Refusals {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.locked.is_empty() && self.others.is_empty()
    }

    #[must_use]
    pub fn all(self) -> Vec<Fault> {
        let mut all = self.others;
        all.extend(self.locked);
        all
    }
}

/// `by`: who or which run holds it.
#[must_use]
pub fn locked(by: &str) -> String {
    format!("it is locked: {by}")
}

/// The first is where Docker up to 20.10 keeps its id, the second where later ones do, who take it over from the first.
const TWINS: &str = "name each daemon once; machines that were cloned from one share its id: on one of them remove \
    /etc/docker/key.json and /var/lib/docker/engine-id, as far as they are there, and restart Docker";

/// Docker 19.03: the oldest version on which every request of a release was tested.
const OLDEST_API: (u32, u32) = (1, 40);

/// Everything that speaks against it, host by host.
#[must_use]
pub fn refusals(plan: &Plan, order: &[HostName], facts: &Facts) -> Refusals {
    let id = |host: &HostName| facts.get(host)?.engine.daemon_id();
    let mut refusals = Refusals {
        locked: Vec::new(),
        others: same_daemon(plan, order, id),
    };
    let Refusals {
        locked,
        others: found,
    } = &mut refusals;
    let locks = order.iter().filter_map(|host| facts.get(host));
    let left = left_runs(&plan.subject, locks.flat_map(|seen| &seen.locks));
    for host in order {
        let Some(seen) = facts.get(host) else {
            found.push(refuse(plan, host, "it was not checked"));
            continue;
        };
        found.extend(engine(plan, host, &seen.engine));
        found.extend(match plan.kind {
            RunKind::Adopt => adopt::refusals(plan, host, seen),
            _ => replicas(plan, host, seen),
        });
        found.extend(ledger(plan, host, &seen.ledger));
        for lock in &seen.locks {
            let is_left = left.contains(lock.run.as_str());
            let fault = |why: String| refuse(plan, host, why).hint(lock.remedy(&plan.subject));
            if is_left && lock.is_left(&plan.subject) {
                found.push(fault(format!(
                    "a run was left unfinished there: {}",
                    lock.described()
                )));
            } else if is_left || !lock.may_be_left(&plan.subject) {
                locked.push(fault(self::locked(&lock.described())));
            } else {
                // Another lock of its run is renewed: what can be done about it is said there.
                locked.push(refuse(plan, host, self::locked(&lock.described())));
            }
        }
    }
    if !refusals.is_empty() {
        return refusals;
    }
    refusals.others = of_decision(plan, order, facts);
    refusals
}

/// What speaks against what would be decided.
fn of_decision(plan: &Plan, order: &[HostName], facts: &Facts) -> Vec<Fault> {
    let mut found = Vec::new();
    match Decision::make(plan, order, facts) {
        Ok(decision) => {
            for host in order.iter().filter(|host| decision.make.contains(*host)) {
                if let Some(seen) = facts.get(host) {
                    found.extend(places(plan, host, seen, &decision.spec));
                    found.extend(image(plan, host, seen, &decision, facts));
                }
            }
            found.extend(side_by_side(plan, &decision));
            found.extend(writers(plan, &decision));
            if plan.kind == RunKind::Rollback {
                found.extend(woken_ports(plan, facts, &decision));
            }
            if decision.replicas > 1 && !decision.spec.ports.is_empty() && !decision.make.is_empty() {
                found.push(Fault::new(
                    format!("{} {}", plan.kind.word(), plan.subject),
                    format!(
                        "{} replicas on one host cannot publish the same port",
                        decision.replicas
                    ),
                ));
            }
        }
        Err(fault) => found.push(fault),
    }
    found
}

/// Why old and new replicas cannot run side by side.
fn side_by_side(plan: &Plan, decision: &Decision) -> Vec<Fault> {
    if !plan.starts_first() {
        return Vec::new();
    }
    let refuse = |why: String| {
        Fault::new(
            format!("{} {}", plan.kind.word(), plan.subject),
            format!("with order = \"start-first\" old and new run side by side, and {why}"),
        )
    };
    let ports = decision.spec.ports.iter().map(|port| {
        refuse(format!(
            "both would publish port {}/{}",
            port.outside, port.protocol
        ))
        .hint("use order = \"stop-first\", or publish no port and let clients reach it on a network")
    });
    let is_shared = plan.deploy().is_some_and(|deploy| deploy.shared);
    let writable = decision.spec.volumes.iter().filter(|mount| !mount.read_only);
    let volumes = writable.filter(|_| !is_shared).map(|mount| {
        refuse(format!(
            "both would write to {} (at {})",
            mount.source, mount.target
        ))
        .hint("use order = \"stop-first\", `:ro` if it only reads, or shared = true if several may write")
    });
    ports.chain(volumes).collect()
}

/// Several replicas on a host that write to the same volume. Restarted and adopted containers are exempt: they ran so before.
fn writers(plan: &Plan, decision: &Decision) -> Vec<Fault> {
    let is_shared = plan.deploy().is_some_and(|deploy| deploy.shared);
    // Said already, of old and new.
    if is_shared || decision.replicas < 2 || plan.starts_first() || decision.make.is_empty() {
        return Vec::new();
    }
    let writable = decision.spec.volumes.iter().filter(|mount| !mount.read_only);
    let refuse = |mount: &Mount| {
        let why = format!(
            "{} replicas on each host would write to {} (at {}) at once",
            decision.replicas, mount.source, mount.target
        );
        Fault::new(format!("{} {}", plan.kind.word(), plan.subject), why)
            .hint("use `:ro` if it only reads, shared = true if several may write, or replicas = 1")
    };
    writable.map(refuse).collect()
}

fn refuse(plan: &Plan, host: &HostName, why: impl std::fmt::Display) -> Fault {
    Fault::new(format!("{} {} on {host}", plan.kind.word(), plan.subject), why)
}

/// Two hosts that answer with one id.
pub(super) fn same_daemon<'a>(
    plan: &Plan,
    order: &[HostName],
    id: impl Fn(&HostName) -> Option<&'a str>,
) -> Vec<Fault> {
    let mut found = Vec::new();
    for (n, host) in order.iter().enumerate() {
        for other in order.iter().skip(n + 1) {
            if id(host).is_some() && id(host) == id(other) {
                found.push(refuse(plan, host, format!("{other} is the same daemon")).hint(TWINS));
            }
        }
    }
    found
}

fn engine(plan: &Plan, host: &HostName, engine: &Engine) -> Vec<Fault> {
    let mut found = Vec::new();
    let mut parts = engine.api.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let api = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let nameless = |why: &dyn std::fmt::Display| {
        let why = format!("GET /info does not tell which daemon it is: {why}");
        refuse(plan, host, why)
    };
    match engine.installation() {
        Ok(known) if known.daemon_id.is_none() => found.push(nameless(&"it holds no ID")),
        Ok(_) => {}
        Err(why @ Uninformed::Denied(_)) => {
            found.push(nameless(why).hint("allow it if a proxy stands before the daemon"));
        }
        Err(why @ (Uninformed::NotAsked | Uninformed::Unanswered(_))) => found.push(nameless(why)),
    }
    match engine.kind {
        EngineKind::Podman => found.push(
            refuse(
                plan,
                host,
                "Podman cannot change a container's restart policy, so a reboot would start the wrong release",
            )
            .hint("deploy to Docker hosts; on Podman hosts only monitoring, builds and tests work"),
        ),
        EngineKind::Docker | EngineKind::Simulated if api < OLDEST_API => found.push(refuse(
            plan,
            host,
            format!("its API {} is too old, {}.{} is needed", engine.api, OLDEST_API.0, OLDEST_API.1),
        )),
        EngineKind::Docker | EngineKind::Simulated => {}
    }
    found
}

fn replicas(plan: &Plan, host: &HostName, seen: &HostFacts) -> Vec<Fault> {
    let mut found = Vec::new();
    let is_released = seen.replicas.iter().any(|replica| replica.state.is_up());
    for name in &seen.strangers {
        let hint = if is_released {
            "stop and remove it: a release of the service runs there already".to_owned()
        } else {
            format!(
                "pilothouse adopt {} --from {name} registers it as a release, without changing it",
                plan.subject
            )
        };
        let why = format!("{name} runs this service's image and does not belong to a release");
        found.push(refuse(plan, host, why).hint(hint));
    }
    for replica in &seen.replicas {
        if replica.release.is_none() {
            found.push(refuse(
                plan,
                host,
                format!("{} has this service's label and no release", replica.name),
            ));
        }
        if replica.state == Up::Paused {
            found.push(refuse(plan, host, format!("{} is paused", replica.name)).hint("unpause it first"));
        }
        if replica.state == Up::Removing {
            found.push(refuse(
                plan,
                host,
                format!("{} is being removed right now", replica.name),
            ));
        }
        if replica.state.is_up() && replica.policy == Policy::UnlessStopped {
            found.push(
                refuse(
                    plan,
                    host,
                    format!(
                        "{} has restart policy unless-stopped: it would stay down after a daemon crash",
                        replica.name
                    ),
                )
                .hint(format!("docker update --restart=always {}", replica.name)),
            );
        }
    }
    found
}

fn ledger(plan: &Plan, host: &HostName, ledger: &LedgerSeen) -> Option<Fault> {
    match ledger {
        LedgerSeen::Missing | LedgerSeen::Read(_) => None,
        LedgerSeen::Newer { schema } => Some(
            refuse(
                plan,
                host,
                format!("its ledger was written by a newer Pilothouse (schema {schema})"),
            )
            .hint("use that version"),
        ),
        LedgerSeen::Unreadable { why } => {
            Some(refuse(plan, host, format!("its ledger cannot be read: {why}")))
        }
    }
}

fn places(plan: &Plan, host: &HostName, seen: &HostFacts, spec: &Spec) -> Vec<Fault> {
    let mut found = Vec::new();
    for wanted in &spec.ports {
        if let Some(taken) = seen.taken.iter().find(|taken| clash(wanted, taken)) {
            found.push(refuse(
                plan,
                host,
                format!(
                    "port {}/{} is taken by {}",
                    wanted.outside, wanted.protocol, taken.by
                ),
            ));
        }
    }
    for network in spec.networks.iter().filter(|name| !seen.networks.contains(*name)) {
        found.push(
            refuse(plan, host, format!("there is no network {network}"))
                .hint(format!("docker network create {network}")),
        );
    }
    for mount in &spec.volumes {
        if !mount.source.starts_with('/') && !seen.volumes.contains(&mount.source) {
            found.push(
                refuse(plan, host, format!("there is no volume {}", mount.source))
                    .hint(format!("docker volume create {}", mount.source)),
            );
        }
    }
    found
}

fn clash(wanted: &Publish, taken: &TakenPort) -> bool {
    let any = |address: &str| matches!(address, "" | "0.0.0.0" | "::");
    let address = wanted.address.as_deref().unwrap_or_default();
    wanted.outside == taken.port
        && wanted.protocol == taken.protocol
        && (any(address) || any(&taken.address) || address == taken.address)
}

/// A restarted container binds the ports it had: its spec comes from the ledger.
fn woken_ports(plan: &Plan, facts: &Facts, decision: &Decision) -> Vec<Fault> {
    decision
        .wake
        .keys()
        .filter_map(|host| Some((host, facts.get(host)?)))
        .flat_map(|(host, seen)| {
            decision
                .spec
                .ports
                .iter()
                .filter_map(move |wanted| seen.taken.iter().find(|taken| clash(wanted, taken)))
                .map(move |taken| {
                    refuse(
                        plan,
                        host,
                        format!("port {}/{} is taken by {}", taken.port, taken.protocol, taken.by),
                    )
                })
        })
        .collect()
}

fn image(plan: &Plan, host: &HostName, seen: &HostFacts, decision: &Decision, facts: &Facts) -> Vec<Fault> {
    let mut found = Vec::new();
    let Some(image) = facts
        .values()
        .filter_map(|seen| seen.image.as_ref())
        .find(|image| image.id == decision.image.id)
    else {
        return found;
    };
    if image.architecture != seen.engine.arch {
        found.push(refuse(
            plan,
            host,
            format!(
                "the image is for {}, the host is {}",
                image.architecture, seen.engine.arch
            ),
        ));
    }
    for (name, file) in &decision.spec.files {
        let own = image.volumes.iter().find(|place| file.is_below(place));
        found.extend(own.map(|place| {
            let why = format!(
                "the image declares VOLUME {place}: the secret {name} at {} would be left in it",
                file.path
            );
            refuse(plan, host, why).hint("another `path`")
        }));
    }
    if !decision.spec.ephemeral {
        for path in &image.volumes {
            let is_mounted = decision.spec.volumes.iter().any(|mount| mount.target == *path);
            // In memory it is meant to start empty.
            if !is_mounted && !decision.spec.options.tmpfs.contains_key(path) {
                found.push(
                    refuse(
                        plan,
                        host,
                        format!("the image declares VOLUME {path} and no mount is declared: each release would start empty"),
                    )
                    .hint("declare a volume for it, or set `ephemeral = true`"),
                );
            }
        }
    }
    found
}
