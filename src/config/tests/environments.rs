//! One service for several audiences: what is merged, what is replaced, what is refused where.

use super::{HOSTS, faults_of, loaded};
use crate::config::service::{Secret, Service, Slot};
use crate::domain::ids::{HostName, ServiceName};

const SHOP: &str = r#"
[[services]]
name = "shop"
image = "shop"
[services.build]
host = "builder"
[[services.tests]]
name = "unit"
command = ["/test"]
[services.deploy]
hosts = ["web-1"]
replicas = 2
env = { PORT = "80", MODE = "live" }
networks = ["edge"]
secrets = { KEY = { command = ["pass", "shop"] }, TOKEN = { env = "TOKEN" } }
health = { for = "5s", within = "2m" }
[services.environments.staging]
deploy.hosts = ["builder"]
deploy.env = { MODE = "test", TOKEN = "none" }
deploy.secrets = { KEY = { file = "/run/key" } }
deploy.health.within = "30s"
pipeline = ["build", "unit", "deploy"]
[services.environments.production]
"#;

fn service(text: &str) -> Service {
    let config = loaded(&format!("{HOSTS}{text}"));
    config.services[0].clone()
}

fn faults(environments: &str) -> String {
    let shop = SHOP.split("[services.environments").next().unwrap();
    faults_of(&format!("{HOSTS}{shop}{environments}"))
}

#[test]
fn tables_merge_key_by_key_and_lists_and_values_replace() {
    let shop = service(SHOP);
    let names: Vec<&str> = shop
        .environments
        .iter()
        .map(|known| known.name.as_str())
        .collect();
    assert_eq!(names, ["staging", "production"], "in the order of the file");
    let staging = shop.place(Some("staging")).unwrap();
    let deploy = staging.deploy.as_ref().unwrap();
    let hosts: Vec<&str> = deploy.hosts.iter().map(HostName::as_str).collect();
    assert_eq!(hosts, ["builder"], "a list is replaced");
    assert_eq!(
        (deploy.replicas, deploy.spec.networks.len()),
        (2, 1),
        "what is not said stays"
    );
    assert_eq!(deploy.spec.env["PORT"], "80");
    assert_eq!(deploy.spec.env["MODE"], "test");
    assert_eq!(deploy.gate.within.as_secs(), 30);
    assert_eq!(deploy.gate.steady.as_secs(), 5);
    assert_eq!(
        deploy.spec.secrets["KEY"],
        Secret::File("/run/key".into()),
        "a secret is replaced whole"
    );
    assert_eq!(deploy.spec.env["TOKEN"], "none");
    assert!(
        !deploy.spec.secrets.contains_key("TOKEN"),
        "a variable takes a secret's place"
    );
    assert_eq!(staging.build, shop.build);
    assert_eq!(staging.tests, shop.tests);
}

#[test]
fn an_environment_that_says_nothing_is_the_service_under_another_name() {
    let shop = service(SHOP);
    let production = shop.place(Some("production")).unwrap();
    assert_eq!(production.deploy, shop.deploy);
    assert_eq!(shop.deploy.as_ref().unwrap().hosts[0].as_str(), "web-1");
    assert!(production.environments.is_empty());
    assert_eq!(shop.place(None), Some(&shop));
    assert!(shop.place(Some("prod")).is_none());
}

#[test]
fn an_unknown_environment_is_told_with_the_known_ones() {
    let config = loaded(&format!("{HOSTS}{SHOP}"));
    let name = ServiceName::parse("shop").unwrap();
    let fault = config.service_in(&name, Some("prod")).unwrap_err();
    assert_eq!(fault.hint.as_deref(), Some("it has staging, production"));
}

#[test]
fn a_deploy_without_hosts_is_what_the_environments_share() {
    let shop = service(&SHOP.replace("hosts = [\"web-1\"]\n", "").replace(
        "[services.environments.production]",
        "[services.environments.production]\ndeploy.hosts = [\"web-1\"]",
    ));
    assert_eq!(shop.deploy, None, "by itself it runs nowhere");
    assert!(
        !shop.pipeline.iter().flatten().any(|slot| *slot == Slot::Deploy),
        "{:?}",
        shop.pipeline
    );
    let production = shop.place(Some("production")).unwrap();
    assert_eq!(production.deploy.as_ref().unwrap().spec.env["MODE"], "live");
    assert_eq!(production.pipeline.last(), Some(&vec![Slot::Deploy]));
}

#[test]
fn a_service_may_be_deployed_in_environments_only() {
    let shop = service(
        "[[services]]\nname = \"s\"\nimage = \"s\"\npipeline = [\"deploy\"]\n[services.environments.lab.deploy]\nhosts = [\"tag:web\"]\n",
    );
    assert_eq!((shop.deploy.is_none(), shop.pipeline.len()), (true, 0));
    assert_eq!(
        shop.environments[0].service.deploy.as_ref().unwrap().hosts.len(),
        2
    );
}

#[test]
fn every_fault_of_an_environment_has_its_place() {
    insta::assert_snapshot!(faults(
        r#"
[services.environments.staging]
hosts = ["builder"]
image = "other"
deplyo.hosts = ["builder"]
[services.environments.qa.deploy]
hosts = ["tag:nowhere"]
stratgy = "recreate"
env = { PORT = 80 }
[services.environments.live]
deploy.ports = ["80:80"]
pipeline = ["deploy", "lint"]
[[services.environments.live.tests]]
name = "smoke"
[services.environments.r42]
[services.environments.taken-1]
[services.environments.Prod]
[services.environments.shop]
"#
    ));
}

#[test]
fn a_mistake_in_what_is_shared_is_said_once() {
    let text = SHOP
        .replace("replicas = 2", "replicas = 0")
        .replace("networks = [\"edge\"]", "networks = [7]");
    let faults = faults_of(&format!("{HOSTS}{text}"));
    assert_eq!(faults.matches("`replicas` must be").count(), 1, "{faults}");
    assert_eq!(faults.matches("`networks` must be").count(), 1, "{faults}");
    let shared = text.replace("hosts = [\"web-1\"]\n", "");
    let faults = faults_of(&format!("{HOSTS}{shared}"));
    assert_eq!(faults.matches("`replicas` must be").count(), 1, "{faults}");
    assert_eq!(
        faults.matches("has no `hosts`").count(),
        1,
        "of production only: {faults}"
    );
}

#[test]
fn a_service_without_any_deploy_has_no_environment_to_speak_of() {
    let faults = faults_of(&format!(
        "{HOSTS}[[services]]\nname = \"s\"\nimage = \"s\"\n[services.environments.lab]\n"
    ));
    assert!(faults.contains("lab is deployed nowhere"), "{faults}");
    let faults = faults_of(&format!(
        "{HOSTS}[[services]]\nname = \"s\"\nimage = \"s\"\nenvironments = {{}}\n"
    ));
    assert!(faults.contains("`environments` is empty"), "{faults}");
}

#[test]
fn a_trigger_names_one_of_the_environments() {
    let trigger =
        "[services.trigger]\nrepository = \"a/shop\"\nbranches = [\"main\"]\nsecret = { env = \"HOOK\" }\n";
    let with = |name: &str| format!("{HOSTS}{SHOP}{trigger}environment = \"{name}\"\n");
    assert_eq!(
        loaded(&with("staging")).triggers[0].environment.as_deref(),
        Some("staging")
    );
    let faults = faults_of(&with("stagin"));
    assert!(
        faults.contains("the service has no \"stagin\"") && faults.contains("it has staging, production"),
        "{faults}"
    );
}
