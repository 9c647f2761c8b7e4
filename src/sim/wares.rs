//! What the demo ships: its services, their build contexts and the images of the releases that run already.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::configure::configure;
use super::create::default_config;
use super::dockerfile;
use super::scenario::ImagePlan;
use crate::config::Service;
use crate::config::service::{Build, Deploy, Environment, Gate, Publish, Slot, Spec, Strategy, Test};
use crate::domain::ids::{HostName, ServiceName};

/// One service of the demo.
struct Ware {
    name: &'static str,
    dockerfile: &'static str,
    /// Path below the context's `app/`, and content.
    files: &'static [(&'static str, &'static str)],
    tests: &'static [(&'static str, &'static str)],
    hosts: &'static [&'static str],
    replicas: u32,
    port: Option<u16>,
    /// Releases that are there; the last one runs.
    releases: &'static [u32],
    /// It has two environments: `production`, where those run, and `staging`, with what was built last.
    staged: bool,
}

/// Where images are pushed to: inside the process, like the hosts.
pub(super) const REGISTRY: &str = "registry.demo";

/// Where `staging` is.
pub(super) const STAGING: &str = "stage-1";

const WEB: &[&str] = &["web-1", "web-2", "web-3"];

const WARES: [Ware; 5] = [
    Ware {
        name: "shop",
        dockerfile: include_str!("../../assets/demo/shop/Dockerfile"),
        files: &[
            ("server", include_str!("../../assets/demo/shop/app/server")),
            ("test.sh", include_str!("../../assets/demo/shop/app/test.sh")),
            ("e2e.sh", include_str!("../../assets/demo/shop/app/e2e.sh")),
        ],
        tests: &[("unit", "/app/test.sh"), ("e2e", "/app/e2e.sh")],
        hosts: WEB,
        replicas: 1,
        port: Some(8080),
        releases: &[40, 41],
        staged: false,
    },
    Ware {
        name: "api",
        dockerfile: include_str!("../../assets/demo/api/Dockerfile"),
        files: &[
            ("server", include_str!("../../assets/demo/api/app/server")),
            ("test.sh", include_str!("../../assets/demo/api/app/test.sh")),
        ],
        tests: &[("unit", "/app/test.sh")],
        hosts: WEB,
        replicas: 2,
        port: None,
        releases: &[16, 17],
        staged: true,
    },
    Ware {
        name: "web",
        dockerfile: include_str!("../../assets/demo/web/Dockerfile"),
        files: &[
            ("server", include_str!("../../assets/demo/web/app/server")),
            ("test.sh", include_str!("../../assets/demo/web/app/test.sh")),
        ],
        tests: &[("links", "/app/test.sh")],
        hosts: WEB,
        replicas: 2,
        port: None,
        releases: &[87, 88],
        staged: false,
    },
    Ware {
        name: "worker",
        dockerfile: include_str!("../../assets/demo/worker/Dockerfile"),
        files: &[
            ("worker", include_str!("../../assets/demo/worker/app/worker")),
            ("test.sh", include_str!("../../assets/demo/worker/app/test.sh")),
        ],
        tests: &[("jobs", "/app/test.sh")],
        hosts: &["worker-1", "worker-2"],
        replicas: 4,
        port: None,
        releases: &[22, 23],
        staged: false,
    },
    Ware {
        name: "search",
        dockerfile: include_str!("../../assets/demo/search/Dockerfile"),
        files: &[
            ("server", include_str!("../../assets/demo/search/app/server")),
            ("test.sh", include_str!("../../assets/demo/search/app/test.sh")),
        ],
        tests: &[("index", "/app/test.sh")],
        hosts: WEB,
        replicas: 1,
        port: None,
        releases: &[6],
        staged: false,
    },
];

/// Path in the demo's folder, and content.
pub(super) fn files() -> Vec<(String, &'static str)> {
    let mut all = Vec::new();
    for ware in &WARES {
        let folder = format!("services/{}", ware.name);
        all.push((format!("{folder}/Dockerfile"), ware.dockerfile));
        for (path, content) in ware.files {
            all.push((format!("{folder}/app/{path}"), *content));
        }
    }
    all
}

/// The images of the releases that are there.
pub(super) fn images() -> Vec<ImagePlan> {
    WARES
        .iter()
        .flat_map(|ware| {
            ware.releases
                .iter()
                .map(move |release| image(ware, *release, false))
        })
        .collect()
}

/// What was built last and is not released yet: what a deploy ships that names no image.
pub(super) fn candidates() -> Vec<ImagePlan> {
    WARES
        .iter()
        .filter_map(|ware| {
            let next = image(ware, ware.releases.last()? + 1, true);
            let latest = ImagePlan {
                reference: format!("{REGISTRY}/{}:last-build", ware.name),
                ..next.clone()
            };
            Some([next, latest])
        })
        .flatten()
        .collect()
}

/// As its Dockerfile would make it; what is broken on purpose was not so in earlier releases.
fn image(ware: &Ware, release: u32, broken: bool) -> ImagePlan {
    let mut config = default_config();
    for instruction in dockerfile::parse(ware.dockerfile).unwrap_or_default() {
        configure(
            &mut config,
            &mut BTreeMap::new(),
            &instruction.word,
            &instruction.rest,
        );
    }
    if let Some(labels) = config.get_mut("Labels").and_then(|labels| labels.as_object_mut()) {
        labels.insert(
            "org.opencontainers.image.version".to_owned(),
            json!(format!("v{release}")),
        );
        if ware.name == "search" && !broken {
            labels.insert("sim.behaviour".to_owned(), json!("api"));
        }
    }
    ImagePlan {
        reference: format!("{REGISTRY}/{}:v{release}", ware.name),
        config,
        files: ware
            .files
            .iter()
            .map(|(path, content)| (format!("app/{path}"), (*content).to_owned()))
            .collect(),
        size: (88 << 20) + u64::from(release) * 70_001,
    }
}

pub(super) fn services() -> Vec<Service> {
    WARES.iter().filter_map(service).collect()
}

fn service(ware: &Ware) -> Option<Service> {
    let builder = HostName::parse("builder").ok()?;
    let tests: Vec<Test> = ware
        .tests
        .iter()
        .map(|(name, command)| Test {
            command: vec![(*command).to_owned()],
            env: BTreeMap::from([("ENVIRONMENT".to_owned(), "testing".to_owned())]),
            timeout: Duration::from_mins(5),
            ..Test::new(*name, builder.clone())
        })
        .collect();
    let service = Service {
        pipeline: Slot::usual(true, &tests, true, &[], true),
        stages: Vec::new(),
        name: ServiceName::parse(ware.name).ok()?,
        environments: Vec::new(),
        image: format!("{REGISTRY}/{}", ware.name),
        tests,
        build: Some(Build::new(
            builder,
            PathBuf::from("services").join(ware.name),
            Duration::from_mins(10),
        )),
        deploy: Some(Deploy {
            hosts: ware
                .hosts
                .iter()
                .filter_map(|name| HostName::parse(name).ok())
                .collect(),
            strategy: Strategy::Recreate,
            replicas: ware.replicas,
            keep: 3,
            spec: Spec {
                ports: ware
                    .port
                    .map(|port| Publish {
                        address: None,
                        outside: port,
                        inside: port,
                        protocol: "tcp".to_owned(),
                    })
                    .into_iter()
                    .collect(),
                networks: vec!["edge".to_owned()],
                memory: Some(512 << 20),
                stop_grace: Duration::from_secs(10),
                ..Spec::default()
            },
            gate: Gate {
                steady: Duration::from_secs(3),
                within: Duration::from_secs(30),
                ..Gate::default()
            },
            bake: Duration::ZERO,
            before_switch: Vec::new(),
            after_switch: Vec::new(),
            shared: false,
        }),
    };
    Some(if ware.staged { staged(&service) } else { service })
}

/// By itself it runs nowhere; in production as it would, in staging once, on a host of its own.
fn staged(service: &Service) -> Service {
    let production = service.clone();
    let mut staging = service.clone();
    if let Some(deploy) = &mut staging.deploy {
        deploy.hosts = HostName::parse(STAGING).into_iter().collect();
        deploy.replicas = 1;
        deploy.spec.env.insert("MODE".to_owned(), "staging".to_owned());
    }
    let environment = |name: &str, service: Service| Environment {
        name: name.to_owned(),
        service,
    };
    let mut pipeline = service.pipeline.clone();
    pipeline.retain(|group| *group != [Slot::Deploy]);
    Service {
        deploy: None,
        pipeline,
        environments: vec![
            environment("staging", staging),
            environment("production", production),
        ],
        ..service.clone()
    }
}
