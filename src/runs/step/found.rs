//! Containers to be adopted, with their settings in terms of the configuration.
//! Reads only. Values that look secret stay on the host; only their names are reported.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bollard::models::{
    ContainerConfig, ContainerInspectResponse, HealthConfig, HostConfig, ImageConfig, MountPoint,
};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};

use super::answer::{failure, status};
use super::{adopt, replicas, survey};
use crate::config::options::{Log, Options};
use crate::config::service::{Mount, Publish, Spec};
use crate::config::test::HealthCheck;
use crate::domain::adoption::Adoption;
use crate::domain::container::label;
use crate::domain::detail::{looks_secret, shown_value};
use crate::hosts::Daemon;
use crate::release::adopt::{Candidate, Sought, Whence};
use crate::release::facts::ImageFacts;
use crate::release::plan::Plan;
use crate::release::record::Failure;

/// Docker's default.
const SHARED_MEMORY: i64 = 64 << 20;
/// Compose's label of containers made by `compose run`.
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// The containers the plan adopts on this host.
pub(super) async fn sought(daemon: &Daemon, plan: &Plan) -> Result<Vec<Sought>, Failure> {
    if plan.adopts.is_empty() {
        return Ok(Vec::new());
    }
    let adoptions = adopt::of_anybody(daemon).await?;
    let mut sought = Vec::new();
    for whence in plan.adopts.iter().filter(|whence| whence.is_for(daemon.name())) {
        let ids = match whence {
            Whence::Container { name, .. } => vec![name.clone()],
            Whence::Compose { project, service, .. } => {
                of_compose(daemon, project.as_deref(), service).await?
            }
        };
        let mut found = Vec::new();
        for id in ids {
            match daemon
                .read()
                .inspect_container(&id, None::<InspectContainerOptions>)
                .await
            {
                Ok(seen) => found.extend(candidate(daemon, plan, seen, &adoptions).await?),
                Err(error) if status(&error) == Some(404) => {}
                Err(error) => return Err(failure(daemon, &format!("inspect {id}"), &error)),
            }
        }
        sought.push(Sought {
            whence: whence.clone(),
            found,
        });
    }
    Ok(sought)
}

async fn of_compose(daemon: &Daemon, project: Option<&str>, service: &str) -> Result<Vec<String>, Failure> {
    let mut labels = vec![format!("{}={service}", label::COMPOSE_SERVICE)];
    labels.extend(project.map(|project| format!("{}={project}", label::COMPOSE_PROJECT)));
    let filters = HashMap::from([("label", labels)]);
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    let listed = daemon
        .read()
        .list_containers(Some(options))
        .await
        .map_err(|error| failure(daemon, "list the containers", &error))?;
    let is_service = |labels: &Option<HashMap<String, String>>| {
        let one_off = labels.as_ref().and_then(|labels| labels.get(ONE_OFF));
        one_off.is_none_or(|text| !text.eq_ignore_ascii_case("true"))
    };
    Ok(listed
        .into_iter()
        .filter(|summary| is_service(&summary.labels))
        .filter_map(|summary| summary.id)
        .collect())
}

async fn candidate(
    daemon: &Daemon,
    plan: &Plan,
    seen: ContainerInspectResponse,
    adoptions: &[Adoption],
) -> Result<Option<Candidate>, Failure> {
    let id = seen.image.clone().unwrap_or_default();
    let image = daemon
        .read()
        .inspect_image(&id)
        .await
        .map_err(|error| failure(daemon, &format!("inspect the image {id}"), &error))?;
    let config = seen.config.clone().unwrap_or_default();
    let host = seen.host_config.clone().unwrap_or_default();
    let mut labels = config.labels.clone().unwrap_or_default();
    let its_id = seen.id.clone().unwrap_or_default();
    let adopted = adoptions.iter().find(|adoption| adoption.holds(&its_id));
    labels.extend(adopted.into_iter().flat_map(|adoption| adoption.labels.clone()));
    let tags = image.repo_tags.clone().unwrap_or_default();
    let own = image.config.clone().unwrap_or_default();
    let Some(image): Option<ImageFacts> = survey::image_facts(image) else {
        return Ok(None);
    };
    let (spec, lacks) = Reading::new(plan, &config, &own, &host).read(&seen);
    let Some(replica) = replicas::replica(seen, None) else {
        return Ok(None);
    };
    let owner = labels.get(label::SERVICE).map(|service| {
        let release = labels.get(label::RELEASE).map_or("a container", String::as_str);
        match labels.get(label::ENVIRONMENT) {
            Some(environment) => format!("{release} of {service}.{environment}"),
            None => format!("{release} of {service}"),
        }
    });
    Ok(Some(Candidate {
        replica,
        reference: config.image.unwrap_or_default(),
        image,
        tags,
        spec,
        lacks,
        owner,
        auto_remove: host.auto_remove.unwrap_or(false),
        project: labels.get(label::COMPOSE_PROJECT).cloned(),
    }))
}

/// One inspection being converted to a spec.
struct Reading<'a> {
    /// The configured spec, for its order and its sources of secrets.
    wanted: Spec,
    config: &'a ContainerConfig,
    own: &'a ImageConfig,
    host: &'a HostConfig,
    lacks: Vec<String>,
}

impl<'a> Reading<'a> {
    fn new(plan: &Plan, config: &'a ContainerConfig, own: &'a ImageConfig, host: &'a HostConfig) -> Self {
        Self {
            wanted: plan
                .deploy()
                .map(|deploy| deploy.spec.clone())
                .unwrap_or_default(),
            config,
            own,
            host,
            lacks: Vec::new(),
        }
    }

    fn read(mut self, seen: &ContainerInspectResponse) -> (Spec, Vec<String>) {
        let mut spec = Spec {
            ephemeral: self.wanted.ephemeral,
            stop_grace: self
                .config
                .stop_timeout
                .and_then(|seconds| u64::try_from(seconds).ok())
                .map_or(Duration::ZERO, Duration::from_secs),
            memory: self
                .host
                .memory
                .and_then(|bytes| u64::try_from(bytes).ok())
                .filter(|bytes| *bytes > 0),
            cpus: self.host.nano_cpus.filter(|nanos| *nanos > 0).map(cores),
            user: other(self.config.user.as_ref(), self.own.user.as_ref()),
            stop_signal: other(self.config.stop_signal.as_ref(), self.own.stop_signal.as_ref()),
            ..Spec::default()
        };
        self.environment(&mut spec);
        spec.command = self.words("command", self.config.cmd.as_ref(), self.own.cmd.as_ref());
        spec.entrypoint = self.words(
            "entrypoint",
            self.config.entrypoint.as_ref(),
            self.own.entrypoint.as_ref(),
        );
        spec.ports = self.ports();
        spec.volumes = self.volumes(seen.mounts.as_deref().unwrap_or_default());
        spec.networks = self.networks(seen);
        spec.labels = self.labels();
        *spec.options = self.options();
        self.unsaid();
        (spec, self.lacks)
    }

    /// The environment without the image's own.
    fn environment(&mut self, spec: &mut Spec) {
        let own: BTreeSet<&String> = self.own.env.iter().flatten().collect();
        for pair in self
            .config
            .env
            .iter()
            .flatten()
            .filter(|pair| !own.contains(pair))
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let Some(source) = self.wanted.secrets.get(name) {
                spec.secrets.insert(name.to_owned(), source.clone());
            } else if self.wanted.env.get(name).is_some_and(|known| known == value)
                || shown_value(name, value) == value
            {
                spec.env.insert(name.to_owned(), value.to_owned());
            } else {
                self.lacks.push(format!("the value of {name}"));
            }
        }
    }

    fn words(&mut self, what: &str, said: Option<&Vec<String>>, own: Option<&Vec<String>>) -> Vec<String> {
        let (said, own) = (
            said.cloned().unwrap_or_default(),
            own.cloned().unwrap_or_default(),
        );
        let wanted = match what {
            "command" => &self.wanted.command,
            _ => &self.wanted.entrypoint,
        };
        if said == own {
            return Vec::new();
        }
        if said != *wanted && said.iter().any(|word| hides(word)) {
            self.lacks.push(format!("the {what}, which has a secret in it"));
            return Vec::new();
        }
        said
    }

    fn ports(&mut self) -> Vec<Publish> {
        let mut found = Vec::new();
        let bindings = self.host.port_bindings.clone().unwrap_or_default();
        let bindings: BTreeMap<_, _> = bindings.into_iter().collect();
        for (inside, outside) in bindings {
            let (port, protocol) = inside.split_once('/').unwrap_or((&inside, "tcp"));
            for binding in outside.unwrap_or_default() {
                let number = binding.host_port.as_deref().and_then(|text| text.parse().ok());
                match (port.parse(), number.filter(|number| *number > 0)) {
                    (Ok(inside), Some(outside)) => found.push(Publish {
                        address: binding.host_ip.filter(|address| !address.is_empty()),
                        outside,
                        inside,
                        protocol: protocol.to_owned(),
                    }),
                    (Ok(_) | Err(_), _) => self
                        .lacks
                        .push(format!("the port for {inside}, which is the daemon's choice")),
                }
            }
        }
        in_order_of(found, &self.wanted.ports)
    }

    fn volumes(&mut self, mounts: &[MountPoint]) -> Vec<Mount> {
        let mut found = Vec::new();
        for mount in mounts {
            let target = mount.destination.clone().unwrap_or_default();
            let name = mount.name.clone().unwrap_or_default();
            let is_anonymous = name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit());
            let source = match mount.typ.as_deref() {
                Some("bind") => mount.source.clone().unwrap_or_default(),
                Some("volume") if !is_anonymous => name,
                Some("tmpfs") => continue,
                _ => {
                    self.lacks
                        .push(format!("what is mounted at {target}, which has no name"));
                    continue;
                }
            };
            found.push(Mount {
                source,
                target,
                read_only: !mount.rw.unwrap_or(true),
            });
        }
        found.sort_by(|one, two| one.target.cmp(&two.target));
        in_order_of(found, &self.wanted.volumes)
    }

    fn networks(&mut self, seen: &ContainerInspectResponse) -> Vec<String> {
        let mode = self.host.network_mode.clone().unwrap_or_default();
        if mode.starts_with("container:") {
            self.lacks.push("the network of another container".to_owned());
            return Vec::new();
        }
        let settings = seen.network_settings.as_ref();
        let networks = settings.and_then(|settings| settings.networks.as_ref());
        let mut names: Vec<String> = networks.into_iter().flat_map(|all| all.keys().cloned()).collect();
        // Nothing said is Docker's own bridge.
        names.retain(|name| !matches!(name.as_str(), "bridge" | "default"));
        names.sort_by_key(|name| (*name != mode, name.clone()));
        in_order_of(names, &self.wanted.networks)
    }

    /// The labels without Compose's and the image's.
    fn labels(&mut self) -> BTreeMap<String, String> {
        let own = self.own.labels.clone().unwrap_or_default();
        let mut found = BTreeMap::new();
        for (name, value) in self.config.labels.clone().unwrap_or_default() {
            if own.get(&name) == Some(&value)
                || name.starts_with("com.docker.")
                || name.starts_with("pilothouse.")
            {
                continue;
            }
            if self.wanted.labels.get(&name) == Some(&value) || shown_value(&name, &value) == value {
                found.insert(name, value);
            } else {
                self.lacks.push(format!("the label {name}"));
            }
        }
        found
    }

    fn options(&mut self) -> Options {
        let host = self.host;
        let bare = |words: Option<&Vec<String>>| {
            let words = words.into_iter().flatten();
            words
                .map(|word| word.strip_prefix("CAP_").unwrap_or(word).to_owned())
                .collect::<Vec<_>>()
        };
        let log = host.log_config.as_ref().map(|log| Log {
            driver: log.typ.clone().unwrap_or_default(),
            options: log.config.clone().unwrap_or_default().into_iter().collect(),
        });
        let security = host.security_opt.clone().unwrap_or_default();
        let no_new = |word: &String| word.starts_with("no-new-privileges") && !word.ends_with("false");
        if security.iter().any(|word| !word.starts_with("no-new-privileges")) {
            self.lacks.push("security_opt".to_owned());
        }
        let health = self.config.healthcheck.as_ref();
        let options = Options {
            read_only: host.readonly_rootfs.unwrap_or(false),
            no_new_privileges: security.iter().any(no_new),
            init: host.init.unwrap_or(false),
            cap_add: in_order_of(bare(host.cap_add.as_ref()), &self.wanted.options.cap_add),
            cap_drop: in_order_of(bare(host.cap_drop.as_ref()), &self.wanted.options.cap_drop),
            tmpfs: host.tmpfs.clone().unwrap_or_default().into_iter().collect(),
            extra_hosts: host
                .extra_hosts
                .iter()
                .flatten()
                .filter_map(|pair| pair.split_once(':'))
                .map(|(name, address)| (name.to_owned(), address.to_owned()))
                .collect(),
            pids: host
                .pids_limit
                .and_then(|limit| u32::try_from(limit).ok())
                .filter(|limit| *limit > 0),
            working_dir: other(self.config.working_dir.as_ref(), self.own.working_dir.as_ref()),
            // The daemon writes its own down where nobody said one: only what has options was said.
            log: log.filter(|log| !log.options.is_empty() || self.wanted.options.log.as_ref() == Some(log)),
            healthcheck: health
                .filter(|check| Some(*check) != self.own.healthcheck.as_ref())
                .map(check),
        };
        if let Some(log) = &options.log
            && self.wanted.options.log.as_ref() != Some(log)
            && log
                .options
                .iter()
                .any(|(name, value)| shown_value(name, value) != *value)
        {
            self.lacks.push("the log's options".to_owned());
            return Options { log: None, ..options };
        }
        options
    }

    /// Reports settings the configuration cannot express.
    fn unsaid(&mut self) {
        let host = self.host;
        let filled = |list: Option<usize>| list.is_some_and(|len| len > 0);
        let text = |text: Option<&String>, usual: &[&str]| {
            text.is_some_and(|text| !text.is_empty() && !usual.contains(&text.as_str()))
        };
        let number = |number: Option<i64>| number.is_some_and(|number| number != 0);
        let all = [
            ("privileged", host.privileged.unwrap_or(false)),
            ("devices", filled(host.devices.as_ref().map(Vec::len))),
            ("gpus", filled(host.device_requests.as_ref().map(Vec::len))),
            ("ulimits", filled(host.ulimits.as_ref().map(Vec::len))),
            ("sysctls", filled(host.sysctls.as_ref().map(HashMap::len))),
            ("group_add", filled(host.group_add.as_ref().map(Vec::len))),
            ("dns", filled(host.dns.as_ref().map(Vec::len))),
            ("links", filled(host.links.as_ref().map(Vec::len))),
            ("volumes_from", filled(host.volumes_from.as_ref().map(Vec::len))),
            ("ipc", text(host.ipc_mode.as_ref(), &["private", "shareable"])),
            ("pid", text(host.pid_mode.as_ref(), &[])),
            ("uts", text(host.uts_mode.as_ref(), &[])),
            ("userns", text(host.userns_mode.as_ref(), &[])),
            ("cgroup_parent", text(host.cgroup_parent.as_ref(), &[])),
            ("cpuset", text(host.cpuset_cpus.as_ref(), &[])),
            ("cpu_shares", number(host.cpu_shares)),
            ("cpu_quota", number(host.cpu_quota)),
            ("memory_reservation", number(host.memory_reservation)),
            (
                "shm_size",
                host.shm_size
                    .is_some_and(|size| size > 0 && size != SHARED_MEMORY),
            ),
            ("publish_all", host.publish_all_ports.unwrap_or(false)),
            ("tty", self.config.tty.unwrap_or(false)),
        ];
        let names = all.iter().filter(|(_, is_said)| *is_said);
        self.lacks.extend(names.map(|(name, _)| (*name).to_owned()));
    }
}

/// The value, if it differs from the image's.
fn other(said: Option<&String>, own: Option<&String>) -> Option<String> {
    said.filter(|text| !text.is_empty() && Some(*text) != own)
        .cloned()
}

/// Whether a word of a command line looks like a secret.
fn hides(word: &str) -> bool {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    shown_value("", word) != word || (looks_secret(name) && (!value.is_empty() || word.starts_with('-')))
}

/// As the configuration has them where it has them: two lists of the same things are no difference.
fn in_order_of<T: PartialEq>(found: Vec<T>, wanted: &[T]) -> Vec<T> {
    let (mut known, mut rest): (Vec<T>, Vec<T>) = found.into_iter().partition(|one| wanted.contains(one));
    known.sort_by_key(|one| wanted.iter().position(|other| other == one));
    known.append(&mut rest);
    known
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a number of cores times 10⁹ is far below 2⁵³"
)]
fn cores(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

fn check(said: &HealthConfig) -> HealthCheck {
    let span = |nanos: Option<i64>| {
        nanos
            .and_then(|nanos| u64::try_from(nanos).ok())
            .filter(|nanos| *nanos > 0)
            .map(Duration::from_nanos)
    };
    HealthCheck {
        test: said.test.clone().unwrap_or_default(),
        interval: span(said.interval),
        timeout: span(said.timeout),
        start_period: span(said.start_period),
        retries: said
            .retries
            .and_then(|count| u32::try_from(count).ok())
            .filter(|count| *count > 0),
    }
}
