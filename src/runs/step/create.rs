//! Creates a new replica without starting it: restart policy `no`, immutable labels, all settings of its spec.
//! The equivalent of `docker create`, as a request.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    NetworkConnectRequest, NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{CreateContainerOptionsBuilder, InspectContainerOptions};

use super::answer::{change, failure};
use super::fence::Fence;
use super::files;
use crate::config::service::Spec;
use crate::config::test::HealthCheck;
use crate::domain::container::label;
use crate::domain::fault::Fault;
use crate::hosts::Daemon;
use crate::release::deeds::Scene;
use crate::release::record::Failure;
use crate::release::replica::{Kept, Replica};
use crate::runs::begin::secrets::Secrets;

/// One deed, several requests: each is sent only while the lease holds.
pub async fn create(fence: &Fence, scene: &Scene<'_>, name: &str, secrets: &Secrets) -> Result<(), Failure> {
    let daemon = &fence.daemon;
    let what = format!("create {name}");
    let spec = &scene.decision.spec;
    let missing = spec
        .sources()
        .map(|(key, _)| key)
        .find(|key| !secrets.contains_key(*key));
    if let Some(missing) = missing {
        return Err(Failure::refused(Fault::new(
            format!("{what} on {}", daemon.name()),
            format!("the secret {missing} was not resolved"),
        )));
    }
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let made = change(daemon)?
        .create_container(Some(options), body(scene, secrets))
        .await
        .map_err(|error| failure(daemon, &what, &error))?;
    // More than one network at create needs API 1.44; joining works everywhere.
    for network in spec.networks.iter().skip(1) {
        let join = NetworkConnectRequest {
            container: made.id.clone(),
            endpoint_config: Some(alias(scene, network)),
        };
        fence.holds()?;
        change(daemon)?
            .connect_network(network, join)
            .await
            .map_err(|error| failure(daemon, &format!("join {name} to {network}"), &error))?;
    }
    files::put(fence, spec, (&made.id, name), secrets).await
}

/// Why a container that was made is not whole: a crash or a lost answer may have come between.
pub(super) async fn lacking(
    daemon: &Daemon,
    scene: &Scene<'_>,
    replica: &Replica,
) -> Result<Option<Fault>, Failure> {
    let spec = &scene.decision.spec;
    if spec.networks.len() > 1 {
        let seen = daemon
            .read()
            .inspect_container(replica.id.as_str(), None::<InspectContainerOptions>)
            .await
            .map_err(|error| failure(daemon, &format!("look at {}", replica.name), &error))?;
        let joined = seen.network_settings.and_then(|settings| settings.networks);
        let joined = joined.unwrap_or_default();
        if let Some(network) = spec.networks.iter().find(|name| !joined.contains_key(*name)) {
            let what = format!("join {} to {network} on {}", replica.name, daemon.name());
            return Ok(Some(Fault::new(what, "it is not in that network")));
        }
    }
    files::lacking(daemon, scene, replica.id.as_str()).await
}

fn body(scene: &Scene<'_>, secrets: &Secrets) -> ContainerCreateBody {
    let spec = &scene.decision.spec;
    let or_image = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    let plain = spec.env.iter().map(|(name, value)| format!("{name}={value}"));
    let sealed = spec
        .secrets
        .keys()
        .filter_map(|name| Some(format!("{name}={}", secrets.get(name)?)));
    ContainerCreateBody {
        image: Some(scene.decision.image.id.to_string()),
        cmd: or_image(&spec.command),
        entrypoint: or_image(&spec.entrypoint),
        env: Some(plain.chain(sealed).collect()),
        user: spec.user.clone(),
        labels: Some(labels(scene)),
        exposed_ports: Some(
            spec.ports
                .iter()
                .map(|port| format!("{}/{}", port.inside, port.protocol))
                .collect(),
        ),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: i64::try_from(spec.stop_grace.as_secs())
            .ok()
            .filter(|seconds| *seconds > 0),
        working_dir: spec.options.working_dir.clone(),
        healthcheck: spec.options.healthcheck.as_ref().map(health),
        host_config: Some(host_config(spec)),
        networking_config: spec.networks.first().map(|network| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.clone(), alias(scene, network))])),
        }),
        ..ContainerCreateBody::default()
    }
}

fn host_config(spec: &Spec) -> HostConfig {
    let mut ports: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &spec.ports {
        ports
            .entry(format!("{}/{}", port.inside, port.protocol))
            .or_default()
            .get_or_insert_default()
            .push(PortBinding {
                host_ip: port.address.clone(),
                host_port: Some(port.outside.to_string()),
            });
    }
    let binds = spec.volumes.iter().map(|mount| {
        let mode = if mount.read_only { ":ro" } else { "" };
        format!("{}:{}{mode}", mount.source, mount.target)
    });
    HostConfig {
        binds: Some(binds.collect()),
        port_bindings: Some(ports),
        network_mode: spec.networks.first().cloned(),
        memory: spec.memory.and_then(|bytes| i64::try_from(bytes).ok()),
        nano_cpus: spec.cpus.map(nanos),
        // Until the commit a reboot must not start it.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        ..options(spec)
    }
}

/// What is not said stays the daemon's.
fn options(spec: &Spec) -> HostConfig {
    let options = &spec.options;
    let some = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    let known = |(name, address): (&String, &String)| format!("{name}:{address}");
    HostConfig {
        readonly_rootfs: options.read_only.then_some(true),
        security_opt: options
            .no_new_privileges
            .then(|| vec!["no-new-privileges".to_owned()]),
        init: options.init.then_some(true),
        cap_add: some(&options.cap_add),
        cap_drop: some(&options.cap_drop),
        tmpfs: (!options.tmpfs.is_empty()).then(|| options.tmpfs.clone().into_iter().collect()),
        extra_hosts: (!options.extra_hosts.is_empty())
            .then(|| options.extra_hosts.iter().map(known).collect()),
        pids_limit: options.pids.map(i64::from),
        log_config: options.log.as_ref().map(|log| HostConfigLogConfig {
            typ: Some(log.driver.clone()),
            config: Some(log.options.clone().into_iter().collect()),
        }),
        ..HostConfig::default()
    }
}

/// As Docker wants it: spans in nanoseconds; what is absent is the image's, then Docker's.
pub(super) fn health(check: &HealthCheck) -> HealthConfig {
    let nanos = |span: Option<Duration>| span.and_then(|span| i64::try_from(span.as_nanos()).ok());
    HealthConfig {
        test: Some(check.test.clone()),
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        start_period: nanos(check.start_period),
        retries: check.retries.map(i64::from),
        start_interval: None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a number of cores times 10⁹ is far below 2⁶³"
)]
fn nanos(cpus: f64) -> i64 {
    (cpus * 1e9) as i64
}

/// Others on the network reach the service by its name, whichever release it is; in an environment by `shop.staging`,
/// so that two of them on one network never answer for each other.
fn alias(scene: &Scene<'_>, network: &str) -> EndpointSettings {
    let mut names = vec![scene.plan.subject.to_string()];
    let others = scene.decision.spec.aliases.get(network).into_iter().flatten();
    for other in others {
        if !names.contains(other) {
            names.push(other.clone());
        }
    }
    EndpointSettings {
        aliases: Some(names),
        ..EndpointSettings::default()
    }
}

fn labels(scene: &Scene<'_>) -> HashMap<String, String> {
    let (plan, decision) = (scene.plan, scene.decision);
    let mut labels: HashMap<String, String> = decision.spec.labels.clone().into_iter().collect();
    labels.extend([
        (label::SCHEMA.to_owned(), "1".to_owned()),
        (label::SERVICE.to_owned(), plan.subject.service.to_string()),
        (label::RELEASE.to_owned(), decision.release.to_string()),
        (
            label::DIGEST.to_owned(),
            match &decision.image.pinned {
                Some(pinned) => pinned.to_string(),
                None => decision.image.id.to_string(),
            },
        ),
        (label::SPEC.to_owned(), decision.spec_hash.clone()),
        (label::RUN.to_owned(), plan.run.to_string()),
        (label::ACTOR.to_owned(), plan.by.login.clone()),
    ]);
    labels.extend(
        plan.subject
            .environment
            .clone()
            .map(|name| (label::ENVIRONMENT.to_owned(), name)),
    );
    labels.extend(decision.git.clone().map(|git| (label::GIT.to_owned(), git)));
    if !decision.kept.is_empty() {
        labels.insert(label::KEPT.to_owned(), Kept::write(&decision.kept));
    }
    labels.extend(
        decision
            .whole
            .or(decision.from)
            .map(|from| (label::PREVIOUS.to_owned(), from.to_string())),
    );
    labels
}
