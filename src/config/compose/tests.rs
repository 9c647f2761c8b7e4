//! Compose files as people have them, and what is refused of them.

use super::*;
use crate::config::test::{HealthCheck, NeedVolume, Ready};

fn taken(text: &str, wanted: &[&str]) -> Result<Vec<Need>, Vec<String>> {
    let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    needs(text, Path::new("/app"), &wanted, Duration::from_secs(9))
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

const USUAL: &str = r#"
name: shop
x-defaults: &defaults
  restart: unless-stopped
  logging: { driver: json-file }
services:
  db:
    <<: *defaults
    image: postgres:${PG:-16}
    environment:
      POSTGRES_PASSWORD: "1.10"
      FSYNC: off
    command: postgres -c 'log_line_prefix=%t '
    ports: ["5432:5432"]
    shm_size: 128m
    user: "999"
    tmpfs: /run/postgresql:size=8m
    volumes:
      - data:/var/lib/postgresql/data
      - /scratch
      - ./init.sql:/docker-entrypoint-initdb.d/init.sql:ro
    healthcheck:
      test: pg_isready -U postgres
      interval: 1s
      retries: 30
    networks:
      backend: { aliases: [database] }
  cache:
    image: redis:7
    entrypoint: ["redis-server", "--save", ""]
    environment: [MODE=fast]
    depends_on: [db]
  app:
    build: .
    depends_on:
      db: { condition: service_healthy }
  dashboard:
    image: grafana
    privileged: true
volumes:
  data:
  far: { external: true }
networks:
  backend:
"#;

#[test]
fn what_is_understood_becomes_needs_dependencies_first() {
    let needs = taken(USUAL, &["cache"]).unwrap();
    assert_eq!(
        needs.iter().map(|need| need.name.as_str()).collect::<Vec<_>>(),
        ["db", "cache"]
    );
    let db = &needs[0];
    assert_eq!(db.image, "postgres:16");
    assert_eq!(db.command, ["postgres", "-c", "log_line_prefix=%t "]);
    assert_eq!(db.env["POSTGRES_PASSWORD"], "1.10");
    assert_eq!(db.env["FSYNC"], "off");
    assert_eq!(
        (db.user.as_deref(), db.shared_memory),
        (Some("999"), Some(128 << 20))
    );
    assert_eq!(db.tmpfs["/run/postgresql"], "size=8m");
    assert_eq!(db.aliases, ["database"]);
    assert_eq!(
        db.volumes,
        [
            NeedVolume {
                name: Some("data".to_owned()),
                target: "/var/lib/postgresql/data".to_owned(),
                read_only: false,
            },
            NeedVolume {
                name: None,
                target: "/scratch".to_owned(),
                read_only: false,
            }
        ]
    );
    assert_eq!(
        db.files["/docker-entrypoint-initdb.d/init.sql"],
        Path::new("/app/init.sql")
    );
    assert_eq!(
        db.health,
        Some(HealthCheck {
            test: vec!["CMD-SHELL".to_owned(), "pg_isready -U postgres".to_owned()],
            interval: Some(Duration::from_secs(1)),
            retries: Some(30),
            ..HealthCheck::default()
        })
    );
    assert_eq!((&db.ready, db.within), (&Ready::Running, Duration::from_secs(9)));
    assert_eq!(needs[1].entrypoint, ["redis-server", "--save", ""]);
    assert_eq!(needs[1].env["MODE"], "fast");
}

#[test]
fn a_condition_makes_a_dependency_wait_for_its_health() {
    let text = "services:\n  a: { image: a, depends_on: { b: { condition: service_healthy } } }\n  b: { image: b }\n";
    let needs = taken(text, &["a"]).unwrap();
    assert_eq!((needs[0].name.as_str(), &needs[0].ready), ("b", &Ready::Health));
    assert_eq!(needs[1].ready, Ready::Running);
}

#[test]
fn what_is_not_understood_is_refused_by_name_and_line_but_only_of_what_is_wanted() {
    assert_eq!(
        taken(USUAL, &["dashboard"]).unwrap_err(),
        ["line 39: `privileged` of dashboard is not supported"]
    );
    assert_eq!(
        taken(USUAL, &["app"]).unwrap_err(),
        ["line 34: app is built: a dependency needs an existing image"]
    );
    assert_eq!(
        taken(USUAL, &["queue"]).unwrap_err(),
        ["no service is called \"queue\": there are db, cache, app, dashboard"]
    );
    let text = "services:\n  a:\n    image: a:${TAG}\n    volumes: [far:/x, /etc:/etc, nope:/y]\n    environment: [TOKEN]\n    depends_on: [b]\n  b:\n    image: b\n    depends_on: [a]\nvolumes:\n  far:\n    external: true\n";
    assert_eq!(
        taken(text, &["a"]).unwrap_err(),
        [
            "line 3: `image` takes TAG from the environment, which is not used: `${TAG:-…}` gives a default",
            "line 4: /etc is a path of the host, which a test cannot use",
            "line 4: no volume is called \"nope\"",
            "line 5: `environment` takes TOKEN from the environment, which is not used: give it a value",
            "line 9: circular dependency: a → b → a",
            "line 12: `external` of the volume far is not supported",
        ]
    );
}

#[test]
fn text_that_is_no_compose_file_is_said_with_its_line() {
    for (text, what) in [
        ("services:\n  a: [\n", "line "),
        ("services:\n  a: 1\n  a: 2\n", "line "),
        ("- a\n", "line 1: a compose file begins with `services:`"),
        ("", "it is empty"),
        ("services: {}\n---\nservices: {}\n", "line "),
    ] {
        let faults = taken(text, &["a"]).unwrap_err();
        assert!(faults[0].starts_with(what), "{text:?}: {faults:?}");
    }
}

#[test]
fn aliases_that_grow_without_end_are_refused_and_nothing_panics() {
    let levels = (1..12).map(|level| {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        format!("a{level}: &a{level} [{aliases}]\n")
    });
    let bomb: String = std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned())
        .chain(levels)
        .collect();
    assert!(taken(&bomb, &["a"]).is_err());
    let deep = format!("services: {}", "[".repeat(5_000));
    assert!(taken(&deep, &["a"]).is_err());
    for length in 0..USUAL.len() {
        if let Some(part) = USUAL.get(..length) {
            drop(taken(part, &["db", "cache"]));
        }
    }
}
