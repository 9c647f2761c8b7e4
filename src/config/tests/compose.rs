//! A service of a compose file under a deploy: what is taken of it, what comes before it, what is refused with its place.

use super::{HOSTS, Machine, USER};
use crate::config::Config;
use crate::config::service::{Publish, Restart, Secret, Spec};

pub(super) const COMPOSE: &str = "home/ann/.config/pilothouse/shop/compose.yaml";

pub(super) const USUAL: &str = r#"
name: acme
x-common: &common
  logging: { driver: json-file, options: { max-size: 10m } }
services:
  db:
    image: postgres:16
    privileged: true
  web:
    <<: *common
    image: acme/web:old
    build: .
    container_name: acme-web
    depends_on: [db]
    command: serve --port 80
    entrypoint: ["/entry"]
    environment: { PORT: "80", MODE: live }
    env_file: [web.env]
    ports:
      - "8080:80"
      - { target: 53, published: "5353", host_ip: 127.0.0.1, protocol: udp }
    volumes:
      - data:/var/lib/data
      - /etc/acme:/etc/acme:ro
      - { type: volume, source: shared, target: /shared, read_only: true }
      - { type: tmpfs, target: /scratch }
    networks:
      edge: { aliases: [front] }
      back:
    labels: [team=shop]
    user: "1000:1000"
    restart: on-failure:3
    stop_signal: SIGQUIT
    stop_grace_period: 1m30s
    healthcheck: { test: ["CMD", "true"], interval: 5s, retries: 3 }
    deploy: { resources: { limits: { memory: 64m, cpus: "0.5", pids: 50 } } }
    tmpfs: /tmp:size=8m
    cap_add: [NET_BIND_SERVICE]
    cap_drop: [ALL]
    init: true
    extra_hosts: ["db.internal:10.0.0.5"]
    working_dir: /app
    security_opt: ["no-new-privileges:true"]
    secrets:
      - cert
      - { source: key, target: tls.key, uid: "1000", mode: 0400 }
volumes:
  data:
  shared: { external: true }
networks:
  edge: { external: true, name: edge-net }
  back:
secrets:
  cert: { file: ./cert.pem }
  key: { environment: TLS_KEY }
"#;

pub(super) fn machine(compose: &str, keys: &str) -> Machine {
    let text = format!(
        "{HOSTS}[[services]]\nname = \"shop\"\nimage = \"shop\"\n[services.deploy]\nhosts = [\"web-1\"]\ncompose = \"shop/compose.yaml\"\n{keys}\n"
    );
    let machine = Machine::new().with_file(USER, &text).with_file(COMPOSE, compose);
    machine.with_file(
        "home/ann/.config/pilothouse/shop/web.env",
        "# of the web\nMODE=dark\nLEVEL='$5'\n",
    )
}

fn spec(config: &Config) -> Spec {
    config.services[0].deploy.as_ref().unwrap().spec.clone()
}

pub(super) const WEB: &str =
    "compose_service = \"web\"\ncompose_without = [\"container_name\", \"depends_on\"]\n";

#[test]
fn what_one_container_can_be_given_is_taken_under_the_names_that_compose_gives() {
    let machine = machine(USUAL, WEB);
    let config = machine.load().unwrap();
    let root = machine.path("").display().to_string();
    let text = format!("{:#?}", spec(&config)).replace(&root, "");
    insta::assert_snapshot!(text);
}

#[test]
fn what_is_said_beside_it_comes_first() {
    let more = r#"
restart = "always"
command = ["other"]
env = { PORT = "81", MORE = "yes" }
networks = ["edge", { name = "db", aliases = ["shop-api", "api"] }]
ports = ["9090:80"]
secrets = { LEVEL = { env = "LEVEL" }, cert = { env = "CERT", path = "/cert" } }
"#;
    // A policy that would be refused is not looked at where another one is said.
    let compose = USUAL.replace("on-failure:3", "unless-stopped");
    let spec = spec(&machine(&compose, &format!("{WEB}{more}")).load().unwrap());
    assert_eq!(
        (spec.restart, spec.command[0].as_str()),
        (Restart::Always, "other")
    );
    let env: Vec<String> = spec
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        env,
        ["MODE=live", "MORE=yes", "PORT=81"],
        "a secret takes the place of a variable"
    );
    assert_eq!(spec.networks, ["edge", "db"]);
    assert_eq!(spec.aliases["db"], ["shop-api", "api"]);
    assert!(!spec.aliases.contains_key("edge"));
    let port = Publish {
        address: None,
        outside: 9090,
        inside: 80,
        protocol: "tcp".to_owned(),
    };
    assert_eq!(spec.ports, [port]);
    assert_eq!(spec.files["cert"].source, Secret::Env("CERT".to_owned()));
    assert_eq!(spec.files["key"].mode, 0o400);
}

#[test]
fn what_does_not_apply_is_refused_by_name_with_line_and_column() {
    let compose = r#"
services:
  web:
    container_name: acme
    depends_on: [db]
    privileged: true
    ports: ["80", "8000-8010:80"]
    volumes: [./data:/data, /anonymous, other:/other]
    networks: [nowhere]
    restart: unless-stopped
    environment: [HOME]
    env_file: absent.env
    deploy: { replicas: 2, resources: { reservations: { memory: 1m } } }
    security_opt: ["seccomp:unconfined"]
    secrets: [unknown, far]
    logging: { driver: json-file, extra: 1 }
    extra_hosts: ["db:nowhere"]
    cap_add: [net_admin]
    read_only: maybe
secrets:
  far: { external: true }
"#;
    insta::assert_snapshot!(machine(compose, "compose_service = \"web\"").faults());
    let of = |keys: &str| machine("services: { web: {} }\n", keys).faults();
    let all = [
        of(""),
        of("compose_service = \"wed\""),
        of("compose_service = \"web\"\ncompose_without = [\"ports\"]"),
        machine("services:\n\t- x", "compose_service = \"web\"").faults(),
        machine(
            "services: { web: { secrets: [a], read_only: true } }\nsecrets: { a: { environment: A } }",
            "compose_service = \"web\"",
        )
        .faults(),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn without_networks_it_is_in_the_one_that_compose_makes_for_its_project() {
    let spec = spec(
        &machine("services: { web: { image: x } }\n", "compose_service = \"web\"")
            .load()
            .unwrap(),
    );
    assert_eq!(spec.networks, ["shop_default"]);
    assert_eq!(spec.aliases["shop_default"], ["web"]);
    assert_eq!(
        spec.restart,
        Restart::Always,
        "what is not said is as anywhere else"
    );
}
