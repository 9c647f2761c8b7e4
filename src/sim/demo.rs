//! The fleet of `pilothouse demo`: ten hosts, a shop with its services, things around it, and some trouble.
//! Its services build, test, deploy and roll back with the real runs; only the daemons are simulated.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::behaviour::{Behaviour, HealthScript, Load};
use super::scenario::{Condition, ContainerPlan, HostPlan, HostTraits, ImagePlan, Outages, Scenario};
use super::wares;
use crate::domain::container::label;
use crate::domain::ids::HostName;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

impl Scenario {
    /// A fleet to look at and to try every key on.
    #[must_use]
    pub fn demo() -> Self {
        let mut hosts = vec![builder()];
        hosts.extend((1..=3).map(web));
        hosts.push(staging());
        hosts.extend((1..=2).map(worker));
        hosts.extend([database(), edge(), lab()]);
        Self {
            seed: 20_261_121,
            hosts: hosts.into_iter().flatten().collect(),
            services: wares::services(),
            registry: Some(wares::REGISTRY.to_owned()),
            behaviours: std::collections::BTreeMap::new(),
            files: wares::files()
                .into_iter()
                .map(|(path, content)| (PathBuf::from(path), content.to_owned()))
                .collect(),
        }
    }
}

fn host(name: &str, tags: &[&str], cpus: u32, gigabytes: u64) -> Option<HostPlan> {
    let name = HostName::parse(name).ok()?;
    let part = u64::try_from(name.as_str().len()).unwrap_or(1) * 3 % 7;
    Some(HostPlan {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        traits: HostTraits {
            cpus,
            memory: gigabytes << 30,
            disk: ((19 + part * 5) << 30, 80 << 30),
            ..HostTraits::default()
        },
        networks: vec!["edge".to_owned()],
        ..HostPlan::new(name)
    })
}

/// A replica as a release made it; an older one is kept, stopped, policy `no`.
fn replica(service: &str, release: u32, number: u32, active: u32, age: Duration) -> ContainerPlan {
    let plan = ContainerPlan::new(
        &format!("{service}.r{release}.{number}"),
        &format!("{}/{service}:v{release}", wares::REGISTRY),
    )
    .labelled(label::SERVICE, service);
    released(plan, service, release, active, age)
}

/// One in an environment of its service; `version` is its image's.
fn replica_in(
    (service, environment): (&str, &str),
    (release, version): (u32, u32),
    number: u32,
    active: u32,
    age: Duration,
) -> ContainerPlan {
    let subject = format!("{service}.{environment}");
    let plan = ContainerPlan::new(
        &format!("{subject}.r{release}.{number}"),
        &format!("{}/{service}:v{version}", wares::REGISTRY),
    )
    .labelled(label::SERVICE, service)
    .labelled(label::ENVIRONMENT, environment);
    released(plan, &subject, release, active, age)
}

fn released(plan: ContainerPlan, subject: &str, release: u32, active: u32, age: Duration) -> ContainerPlan {
    let mut plan = plan
        .labelled(label::SCHEMA, "1")
        .labelled(label::RELEASE, &format!("r{release}"))
        .labelled(label::SPEC, &format!("demo-{subject}"))
        .labelled(label::RUN, &format!("demo-{subject}-r{release}"))
        .labelled(
            label::ACTOR,
            if release.is_multiple_of(2) {
                "ops-a"
            } else {
                "ops-b"
            },
        )
        .labelled(label::PREVIOUS, &format!("r{}", release - 1))
        .asking("/HostConfig/Memory", json!(512 << 20))
        .asking("/HostConfig/NetworkMode", json!("edge"));
    // What its image says.
    plan.behaviour = None;
    if release == active {
        plan.restarting("always").aged(age)
    } else {
        plan.restarting("no")
            .aged(age + 3 * DAY)
            .being(Condition::Exited {
                code: 0,
                ago: age,
                oom: false,
            })
    }
}

fn composed(project: &str, service: &str, image: &str) -> ContainerPlan {
    ContainerPlan::new(&format!("{project}-{service}-1"), image)
        .labelled(label::COMPOSE_PROJECT, project)
        .labelled(label::COMPOSE_SERVICE, service)
        .restarting("unless-stopped")
        .aged(9 * DAY)
}

fn exporter() -> ContainerPlan {
    composed("monitoring", "node-exporter", "prom/node-exporter:v1.8.2").behaving(
        Behaviour::quiet().with_load(Load {
            cpu: 0.8,
            memory: 14 << 20,
            received: 900,
            sent: 14_000,
            ..Load::default()
        }),
    )
}

fn builder() -> Option<HostPlan> {
    let mut plan = host("builder", &["build"], 8, 16)?;
    plan.images.push(ImagePlan {
        size: 74 << 20,
        ..ImagePlan::new("demo/base:1", &["sh"])
    });
    plan.images.extend(wares::images());
    plan.images.extend(wares::candidates());
    Some(
        plan.with([
            exporter(),
            ContainerPlan::new("registry-cache", "registry:2")
                .restarting("always")
                .aged(30 * DAY)
                .behaving(Behaviour::web()),
            ContainerPlan::new("buildx-gc", "demo/tools:3")
                .aged(2 * DAY)
                .being(Condition::Exited {
                    code: 0,
                    ago: 5 * HOUR,
                    oom: false,
                }),
        ]),
    )
}

fn web(number: u32) -> Option<HostPlan> {
    let mut plan = host(&format!("web-{number}"), &["web", "prod"], 8, 16)?;
    plan.protected = number == 1;
    plan.images.extend(wares::images());
    let mut containers = vec![
        exporter(),
        replica("shop", 41, 1, 41, 2 * HOUR + number * MINUTE).publishing(8080, 8080),
        replica("shop", 40, 1, 41, 2 * HOUR + number * MINUTE).publishing(8080, 8080),
        replica_in(("api", "production"), (17, 17), 1, 17, 2 * DAY),
        replica_in(("api", "production"), (17, 17), 2, 17, 2 * DAY),
        replica_in(("api", "production"), (16, 16), 1, 17, 2 * DAY),
        replica_in(("api", "production"), (16, 16), 2, 17, 2 * DAY),
        replica("web", 88, 1, 88, 5 * HOUR),
        replica("web", 88, 2, 88, 5 * HOUR),
        replica("web", 87, 1, 88, 5 * HOUR),
        replica("web", 87, 2, 88, 5 * HOUR),
        replica("search", 6, 1, 6, 4 * DAY),
    ];
    if number == 2 {
        containers.push(payments());
    }
    if number == 3 {
        containers.push(
            ContainerPlan::new("debug-shell", "demo/tools:3")
                .aged(40 * MINUTE)
                .being(Condition::Paused),
        );
    }
    Some(plan.with(containers))
}

/// Where what was built last runs before it is promoted.
fn staging() -> Option<HostPlan> {
    let mut plan = host(wares::STAGING, &["staging"], 4, 8)?;
    plan.images.extend(wares::images());
    plan.images.extend(wares::candidates());
    let api = ("api", "staging");
    Some(plan.with([
        exporter(),
        replica_in(api, (24, 18), 1, 24, 3 * HOUR),
        replica_in(api, (23, 17), 1, 24, 3 * HOUR),
    ]))
}

/// Well for a while, then not, then again.
fn payments() -> ContainerPlan {
    ContainerPlan::new("payments-gateway", "vendor/payments:2.4")
        .restarting("always")
        .aged(6 * DAY)
        .checked(Duration::from_secs(5))
        .behaving(Behaviour::api().with_health(HealthScript::Flips {
            good: 4 * MINUTE,
            bad: MINUTE,
        }))
}

fn worker(number: u32) -> Option<HostPlan> {
    let mut plan = host(&format!("worker-{number}"), &["worker", "prod"], 16, 32)?;
    plan.images.extend(wares::images());
    let mut containers = vec![exporter()];
    containers.extend((1..=4).map(|n| replica("worker", 23, n, 23, DAY)));
    containers.extend((1..=2).map(|n| replica("worker", 22, n, 23, DAY)));
    if number == 1 {
        containers.push(
            ContainerPlan::new("cron.r3.1", "demo/cron:v3")
                .labelled(label::SERVICE, "cron")
                .labelled(label::RELEASE, "r3")
                .restarting("always")
                .aged(20 * DAY)
                .behaving(Behaviour::worker().with_load(Load {
                    cpu: 1.2,
                    memory: 44 << 20,
                    ..Load::default()
                })),
        );
        containers.push(
            ContainerPlan::new("backup", "demo/backup:5")
                .aged(3 * HOUR)
                .behaving(Behaviour::failing(
                    2 * MINUTE,
                    2,
                    "pg_dump: error: connection to server at \"db-1\" failed: timeout expired\nbackup not written",
                ))
                .being(Condition::Exited {
                    code: 2,
                    ago: 2 * HOUR + 58 * MINUTE,
                    oom: false,
                }),
        );
    } else {
        containers.push(mailer());
        containers.push(
            ContainerPlan::new("thumbnailer", "demo/thumbs:12")
                .restarting("no")
                .aged(5 * HOUR)
                .asking("/HostConfig/Memory", json!(256 << 20))
                .behaving(Behaviour::out_of_memory(HOUR))
                .being(Condition::Exited {
                    code: 137,
                    ago: 4 * HOUR,
                    oom: true,
                }),
        );
    }
    Some(plan.with(containers))
}

/// Cannot start, and is started again and again.
fn mailer() -> ContainerPlan {
    ContainerPlan::new("mailer.r12.1", "demo/mailer:v12")
        .labelled(label::SERVICE, "mailer")
        .labelled(label::RELEASE, "r12")
        .restarting("always")
        .aged(Duration::from_secs(4))
        .behaving(Behaviour::failing(
            Duration::from_secs(7),
            1,
            "ERROR cannot reach smtp.internal:587: connection refused\npanic: no way to send mail\n    at main (mailer.go:88)",
        ))
}

fn database() -> Option<HostPlan> {
    let mut plan = host("db-1", &["db", "prod"], 16, 64)?;
    plan.protected = true;
    let database = |name: &str, image: &str, gigabytes: u64| {
        composed("data", name, image)
            .checked(Duration::from_secs(10))
            .asking("/HostConfig/Binds", json!([format!("{name}:/var/lib/{name}")]))
            .behaving(Behaviour::database().with_load(Load {
                memory: gigabytes << 30,
                ..Behaviour::database().load
            }))
    };
    Some(plan.with([
        exporter(),
        database("postgres", "postgres:16", 9),
        database("postgres-replica", "postgres:16", 7),
        database("redis", "redis:7", 1),
        database("rabbitmq", "rabbitmq:3.13", 2),
    ]))
}

fn edge() -> Option<HostPlan> {
    let plan = host("edge-1", &["edge", "prod"], 4, 8)?;
    let watching = |name: &str, image: &str| composed("monitoring", name, image).behaving(Behaviour::api());
    Some(
        plan.with([
            exporter(),
            ContainerPlan::new("edge", "nginx:1.27")
                .restarting("always")
                .aged(16 * DAY)
                .publishing(80, 80)
                .publishing(443, 443)
                .checked(Duration::from_secs(10))
                .behaving(Behaviour::web()),
            watching("prometheus", "prom/prometheus:v2.54.1"),
            watching("grafana", "grafana/grafana:11.2.0").publishing(3000, 3000),
            watching("loki", "grafana/loki:3.1.1"),
            watching("alertmanager", "prom/alertmanager:v0.27.0"),
        ]),
    )
}

/// On a bad line: gone for half a minute every few minutes.
fn lab() -> Option<HostPlan> {
    let mut plan = host("lab-1", &["lab"], 2, 4)?;
    plan.outages = Some(Outages {
        first: MINUTE,
        every: 3 * MINUTE,
        length: Duration::from_secs(35),
    });
    Some(
        plan.with([
            exporter(),
            ContainerPlan::new("jupyter", "jupyter/base:7")
                .restarting("unless-stopped")
                .aged(4 * DAY)
                .behaving(Behaviour::worker()),
            ContainerPlan::new("sandbox", "debian:12").aged(26 * HOUR),
            ContainerPlan::new("load-test", "demo/k6:0.54")
                .aged(20 * MINUTE)
                .behaving(Behaviour::printing(12)),
            ContainerPlan::new("next-experiment", "debian:12").being(Condition::Created),
        ]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_has_hosts_and_containers_enough() {
        let demo = Scenario::demo();
        let containers: usize = demo.hosts.iter().map(|host| host.containers.len()).sum();
        assert!(demo.hosts.len() >= 6 && containers >= 60, "{containers}");
        assert_eq!(demo.services.len(), 5);
    }
}
