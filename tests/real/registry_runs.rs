//! Build, test, push and deploy through a real registry by the built program: hosts run what was pushed, by its digest; the
//! password is found nowhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::fleet::{self, Lease};
use crate::support::program::{Program, Said, finish};
use crate::support::registry::{Fault, PASSWORD, Registry, USER};
use crate::support::wait::until;

pub(super) struct Shop {
    pub(super) daemons: Lease,
    pub(super) registry: Registry,
    pub(super) program: Program,
    /// Where each command line of the processes that the program started was written down.
    seen: PathBuf,
}

impl Shop {
    /// Two hosts, the first one builds; the password comes by `password`, a TOML table.
    pub(super) fn new(registry: Registry, password: Option<&str>) -> Self {
        let daemons = fleet::lease(2);
        let hosts: Vec<_> = daemons.iter().map(Daemon::host).collect();
        let program = Program::new(&hosts, "");
        let address = registry.address();
        let login = password
            .map(|password| format!("username = \"{USER}\"\npassword = {password}\n"))
            .unwrap_or_default();
        let names: Vec<String> = hosts
            .iter()
            .map(|host| format!("{:?}", host.name.as_str()))
            .collect();
        let service = format!(
            "[[registries]]\naddress = \"{address}\"\n{login}\
             [[services]]\nname = \"shop\"\nimage = \"{address}/team/shop\"\n\
             [services.build]\nhost = {}\ncontext = \"{}/context\"\ntag = \"v{{run.number}}\"\n\
             [[services.tests]]\nname = \"unit\"\ncommand = [\"sh\", \"/test.sh\"]\n\
             [services.deploy]\nhosts = [{}]\nstop_grace = \"1s\"\nhealth = {{ for = \"1s\", within = \"20s\" }}\n",
            names[0],
            program.dir().display(),
            names.join(", ")
        );
        program.configure(&hosts, &service);
        let context = program.dir().join("context");
        fs::create_dir(&context).unwrap();
        let seen = program.dir().join("seen");
        let shop = Self {
            daemons,
            registry,
            program,
            seen,
        };
        shop.write("one", "exit 0");
        shop
    }

    pub(super) fn write(&self, version: &str, test: &str) {
        let put =
            |name: &str, text: &str| fs::write(self.program.dir().join("context").join(name), text).unwrap();
        put(
            "Dockerfile",
            "FROM busybox:real\nCOPY version test.sh /\nCMD [\"sh\", \"-c\", \"while :; do sleep 1; done\"]\n",
        );
        put("version", version);
        put("test.sh", test);
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Said {
        self.program.run(arguments)
    }

    /// The same with a variable that holds the password, and every process's command line looked at meanwhile.
    fn run_watched(&self, arguments: &[&str]) -> Said {
        let mut command = self.program.command(arguments);
        command.env("REGISTRY_PASSWORD", PASSWORD);
        let watching = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let watch = std::thread::spawn({
            let (watching, seen) = (std::sync::Arc::clone(&watching), self.seen.clone());
            move || {
                let mut lines = String::new();
                while watching.load(std::sync::atomic::Ordering::Relaxed) {
                    for pid in crate::support::daemon::processes() {
                        let read = |what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
                        let line = String::from_utf8_lossy(&read("cmdline")).into_owned();
                        if line.contains("pilothouse") {
                            lines.push_str(&line);
                        }
                        if line.contains("__run") {
                            lines.push_str(&String::from_utf8_lossy(&read("environ")));
                        }
                    }
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                fs::write(seen, lines).unwrap();
            }
        });
        let said = finish(&mut command);
        watching.store(false, std::sync::atomic::Ordering::Relaxed);
        watch.join().unwrap();
        said
    }

    pub(super) fn digest(&self, tag: &str) -> Option<String> {
        self.registry.digest("team/shop", tag)
    }
}

/// The replica of the service there: its image's id, and the label with the digest.
pub(super) fn replica(daemon: &Daemon) -> (String, String) {
    let filter = "/containers/json?filters=%7B%22label%22%3A%5B%22pilothouse.service%3Dshop%22%5D%7D";
    let list = daemon.ask("GET", filter, &Value::Null);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&list[0]["ImageID"]),
        text(&list[0]["Labels"]["pilothouse.digest"]),
    )
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path(), found),
            _ => found.push(entry.path()),
        }
    }
}

/// Every output line that the run kept.
pub(super) fn output(shop: &Shop) -> String {
    let mut found = Vec::new();
    files(&shop.program.dir().join("state"), &mut found);
    found
        .iter()
        .map(|path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned())
        .collect()
}

#[test]
fn what_is_pushed_is_deployed_by_its_digest_and_latest_waits_for_the_tests() {
    let shop = Shop::new(Registry::guarded(), Some("{ env = \"REGISTRY_PASSWORD\" }"));
    shop.run(&["build", "shop"]).exits(0);
    let plan = shop.run(&["push", "shop", "--dry-run"]).exits(0);
    assert!(plan.out.contains("is not moved"), "{}", plan.out);
    let unset = shop.run(&["push", "shop"]).exits(1);
    assert!(
        unset.err.contains("REGISTRY_PASSWORD is not set"),
        "{}",
        unset.err
    );
    shop.run_watched(&["push", "shop"]).exits(0);
    let digest = shop
        .digest("v1")
        .expect("it is pushed under the tag of its build");
    assert_eq!(shop.digest("latest"), None, "no test passed");
    assert_eq!(shop.digest("last-build"), None);
    let refused = shop.run_watched(&["push", "shop", "--tag", "latest"]).exits(1);
    assert!(refused.err.contains("no passed test"), "{}", refused.err);

    shop.run(&["test", "shop"]).exits(0);
    let pushed = shop.run_watched(&["push", "shop", "--json"]).exits(0);
    assert_eq!(shop.digest("latest").as_deref(), Some(digest.as_str()));
    let seen = fs::read_to_string(&shop.seen).unwrap();
    assert!(seen.contains("__run"), "the runner was looked at");
    assert!(
        !seen.contains(PASSWORD),
        "on a command line, or in what the runner inherited"
    );
    assert!(!pushed.out.contains(PASSWORD) && !pushed.err.contains(PASSWORD));

    // Promoted: another tag, without building.
    let pinned = format!("{}/team/shop@{digest}", shop.registry.address());
    shop.run_watched(&["push", "shop", "--image", &pinned, "--tag", "stable"])
        .exits(0);
    assert_eq!(shop.digest("stable").as_deref(), Some(digest.as_str()));

    let plan = shop.run(&["deploy", "shop", "--dry-run"]).exits(0);
    assert!(plan.out.contains("pulled by"), "{}", plan.out);
    shop.run_watched(&["deploy", "shop", "--yes"]).exits(0);
    let (id, label) = replica(&shop.daemons[1]);
    assert_eq!(label, pinned);
    assert_eq!(id, replica(&shop.daemons[0]).0, "one image on both");
    let kept = output(&shop);
    assert!(
        kept.contains(&format!("{} pulled {pinned}", shop.daemons[1].name())),
        "{kept}"
    );
    assert!(!kept.contains(PASSWORD), "in the state folder");
    let ledger = shop.run(&["runs", "--json"]).exits(0);
    assert!(!ledger.out.contains(PASSWORD));
}

#[test]
fn a_deploy_goes_through_us_when_the_registry_is_down_and_pulls_what_no_host_has() {
    let mut shop = Shop::new(Registry::open(), None);
    shop.run(&["build", "shop"]).exits(0);
    shop.run(&["push", "shop"]).exits(0);
    let digest = shop.digest("v1").unwrap();
    let pinned = format!("{}/team/shop@{digest}", shop.registry.address());
    shop.registry.kill_9();
    let named = || shop.daemons[0].ask("GET", "/images/json", &Value::Null)[0]["RepoTags"].clone();
    let before = named();
    let down = shop.run(&["push", "shop", "--tag", "other"]).exits(1);
    assert!(
        down.err.contains(shop.registry.address()) && down.err.contains("refused"),
        "{}",
        down.err
    );
    assert_eq!(named(), before, "the tag that no registry took is put back");
    shop.run(&["deploy", "shop", "--yes"]).exits(0);
    let kept = output(&shop);
    assert!(kept.contains("transferred"), "{kept}");
    assert_eq!(
        replica(&shop.daemons[1]).1,
        pinned,
        "it is that digest all the same"
    );

    shop.registry.start();
    for daemon in shop.daemons.iter() {
        for container in daemon
            .ask("GET", "/containers/json?all=1", &Value::Null)
            .as_array()
            .unwrap()
        {
            let id = container["Id"].as_str().unwrap();
            daemon.ask("DELETE", &format!("/containers/{id}?force=1"), &Value::Null);
        }
        for name in ["v1", "last-build"] {
            let name = format!("{}/team/shop:{name}", shop.registry.address());
            drop(daemon.try_ask("DELETE", &format!("/images/{name}?force=1"), &Value::Null));
        }
        drop(daemon.try_ask("DELETE", &format!("/images/{pinned}?force=1"), &Value::Null));
        let gone = daemon.try_ask("GET", &format!("/images/{pinned}/json"), &Value::Null);
        assert_eq!(gone.status, 404, "{}", gone.text());
    }
    let plan = shop
        .run(&["deploy", "shop", "--image", &pinned, "--dry-run"])
        .exits(0);
    assert!(plan.out.contains("pull"), "{}", plan.out);
    shop.run(&["deploy", "shop", "--image", &pinned, "--yes"])
        .exits(0);
    assert_eq!(replica(&shop.daemons[1]).1, pinned);
    assert_eq!(replica(&shop.daemons[0]).0, replica(&shop.daemons[1]).0);
}

/// What `docker system prune -af` asks for.
fn prune_everything(daemon: &Daemon) {
    for what in [
        "containers/prune",
        "networks/prune",
        "images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D",
        "build/prune?all=1",
    ] {
        daemon.ask("POST", &format!("/{what}"), &Value::Null);
    }
}

#[test]
fn after_a_prune_of_everything_another_bastion_rolls_back_to_the_digest_that_the_registry_has() {
    let mut shop = Shop::new(Registry::open(), None);
    let address = shop.registry.address().to_owned();
    shop.daemons.iter().for_each(|daemon| daemon.trust(&address));
    let deployed = |version: &str| {
        shop.write(version, "exit 0");
        shop.run(&["build", "shop"]).exits(0);
        shop.run(&["push", "shop"]).exits(0);
        shop.run(&["deploy", "shop", "--yes"]).exits(0);
        let pinned = replica(&shop.daemons[1]).1;
        assert!(
            pinned.starts_with(&format!("{address}/team/shop@sha256:")),
            "{pinned}"
        );
        pinned
    };
    let (first, second) = (deployed("one"), deployed("two"));
    assert_ne!(first, second);
    let everywhere_gone = |image: &str| {
        shop.daemons.iter().for_each(prune_everything);
        for daemon in shop.daemons.iter() {
            let seen = daemon.try_ask("GET", &format!("/images/{image}/json"), &Value::Null);
            assert_eq!(seen.status, 404, "{}", seen.text());
        }
    };
    everywhere_gone(&first);
    // Another bastion: nothing is known here of what was done.
    let forget = |to: &str| {
        let dir = shop.program.dir();
        fs::rename(dir.join("state"), dir.join(to)).unwrap();
    };
    forget("state-1");
    let plan = shop.run(&["rollback", "shop", "--dry-run"]).exits(0);
    assert!(plan.out.contains("pull"), "{}", plan.out);
    shop.run(&["rollback", "shop", "--yes"]).exits(0);
    for daemon in shop.daemons.iter() {
        assert_eq!(replica(daemon).1, first);
    }

    // With the registry gone as well nobody has the other one: refused before anything is touched.
    everywhere_gone(&second);
    forget("state-2");
    shop.registry.kill_9();
    let refused = shop.run(&["rollback", "shop", "--yes"]).exits(1);
    assert!(refused.err.contains(&address), "{}", refused.err);
    for daemon in shop.daemons.iter() {
        assert_eq!(replica(daemon).1, first, "{}", refused.err);
    }
}

#[test]
fn a_registry_killed_while_a_host_pulls_ends_no_deploy_the_image_goes_through_us() {
    let mut shop = Shop::new(Registry::open(), None);
    shop.run(&["build", "shop"]).exits(0);
    shop.run(&["push", "shop"]).exits(0);
    let pinned = format!(
        "{}/team/shop@{}",
        shop.registry.address(),
        shop.digest("v1").unwrap()
    );
    shop.daemons[1].trust(shop.registry.address());
    // It takes the connection of the host that pulls, and answers nothing.
    shop.registry.freeze();
    let mut deploy = shop.program.command(&["deploy", "shop", "--yes"]);
    let deploy = std::thread::spawn(move || finish(&mut deploy));
    let pulls = || {
        let records = journals(&shop);
        records.contains(r#""intent":{"stage":"image""#).then_some(())
    };
    until(Duration::from_mins(1), "a host pulls", pulls);
    shop.registry.kill_9();
    deploy.join().unwrap().exits(0);
    let kept = output(&shop);
    assert!(kept.contains("transferred"), "{kept}");
    assert_eq!(replica(&shop.daemons[1]).1, pinned);
    assert_eq!(replica(&shop.daemons[0]).0, replica(&shop.daemons[1]).0);
}

/// What all runs wrote down.
fn journals(shop: &Shop) -> String {
    let mut found = Vec::new();
    files(&shop.program.dir().join("state"), &mut found);
    let journals = found.iter().filter(|path| path.ends_with("journal.ndjson"));
    journals
        .map(|path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned())
        .collect()
}

#[test]
fn a_pipeline_moves_latest_only_past_its_tests_and_a_login_of_docker_counts() {
    let shop = Shop::new(Registry::guarded(), None);
    let docker = shop.program.dir().join(".docker");
    fs::create_dir(&docker).unwrap();
    let helpers = shop.program.dir().join("helpers");
    fs::create_dir(&helpers).unwrap();
    fs::write(docker.join("config.json"), "{\"credsStore\": \"ours\"}").unwrap();
    let helper = helpers.join("docker-credential-ours");
    let answer = format!("{{\"ServerURL\": \"x\", \"Username\": \"{USER}\", \"Secret\": \"{PASSWORD}\"}}");
    fs::write(&helper, format!("#!/bin/sh\ncat > /dev/null\necho '{answer}'\n")).unwrap();
    fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let path = format!("{}:{}", helpers.display(), std::env::var("PATH").unwrap());
    let run = |arguments: &[&str]| finish(shop.program.command(arguments).env("PATH", &path));

    run(&["pipeline", "shop", "--yes"]).exits(0);
    let first = shop.digest("v1").expect("it is pushed");
    assert_eq!(shop.digest("latest").as_deref(), Some(first.as_str()));
    let pinned = format!("{}/team/shop@{first}", shop.registry.address());
    assert_eq!(replica(&shop.daemons[1]).1, pinned);

    shop.write("two", "echo it is broken >&2; exit 4");
    run(&["pipeline", "shop", "--yes"]).exits(1);
    assert_eq!(shop.digest("v2"), None, "what failed its tests is not pushed");
    assert_eq!(shop.digest("latest").as_deref(), Some(first.as_str()));
    assert!(!output(&shop).contains(PASSWORD));

    // Its tests pass and its gate does not: the hosts are as before, and the registry is not, which is said.
    shop.write("three", "exit 0");
    let dockerfile = "FROM busybox:real\nCOPY version test.sh /\nCMD [\"false\"]\n";
    fs::write(shop.program.dir().join("context/Dockerfile"), dockerfile).unwrap();
    let undone = run(&["pipeline", "shop", "--yes"]).exits(1);
    assert_eq!(replica(&shop.daemons[1]).1, pinned);
    let third = shop.digest("v3").expect("it was pushed");
    assert_eq!(shop.digest("latest").as_deref(), Some(third.as_str()));
    assert!(
        undone.err.contains("/team/shop:v3 and")
            && undone.err.contains("/team/shop:latest stay in the registry"),
        "{}",
        undone.err
    );
}

/// The image `team/shop:v1` is in the registry and on no host; the Dockerfile begins with it, its name made of an argument.
fn standing_on_the_registry(shop: &Shop, login: &dyn Fn(&[&str]) -> Said) {
    login(&["build", "shop"]).exits(0);
    login(&["push", "shop"]).exits(0);
    assert!(shop.digest("v1").is_some());
    // Built from now on by one that never had it: BuildKit of Docker 20.10 does not forget layers that `rmi` took.
    shop.daemons[1].trust(shop.registry.address());
    let config = fs::read_to_string(shop.program.config()).unwrap();
    let host = |daemon: &Daemon| format!("[services.build]\nhost = {:?}\n", daemon.name().as_str());
    let moved = config.replace(&host(&shop.daemons[0]), &host(&shop.daemons[1]));
    assert_ne!(moved, config);
    fs::write(shop.program.config(), moved).unwrap();
    let address = shop.registry.address();
    let dockerfile = format!(
        "ARG REGISTRY={address}\nFROM ${{REGISTRY}}/team/shop:v1 AS base\nFROM base\nRUN cat /version; echo from the registry\n"
    );
    fs::write(shop.program.dir().join("context/Dockerfile"), dockerfile).unwrap();
}

/// Nothing of the registry is on the build host any more, and what was built there before is forgotten.
fn forget(shop: &Shop, builder: &str) {
    let daemon = &shop.daemons[1];
    for image in daemon
        .ask("GET", "/images/json", &Value::Null)
        .as_array()
        .unwrap()
    {
        for tag in image["RepoTags"].as_array().into_iter().flatten() {
            let tag = tag.as_str().unwrap();
            if tag.starts_with(shop.registry.address()) {
                daemon.ask("DELETE", &format!("/images/{tag}?force=1"), &Value::Null);
            }
        }
    }
    daemon.ask("POST", "/build/prune?all=1", &Value::Null);
    let base = format!("/images/{}/team/shop:v1/json", shop.registry.address());
    assert_eq!(daemon.try_ask("GET", &base, &Value::Null).status, 404);
    let config = fs::read_to_string(shop.program.config()).unwrap();
    let lines = config.lines().filter(|line| !line.starts_with("builder = "));
    let with = lines.map(|line| match line {
        "[services.build]" => format!("{line}\nbuilder = \"{builder}\"\n"),
        _ => format!("{line}\n"),
    });
    let config: String = with.collect();
    fs::write(shop.program.config(), config).unwrap();
}

/// In the image's history, and in everything that the program left.
fn password_is_nowhere(shop: &Shop, said: &Said) {
    let built = format!("/images/{}/team/shop:last-build", shop.registry.address());
    for what in ["history", "json"] {
        let answer = shop.daemons[0].ask("GET", &format!("{built}/{what}"), &Value::Null);
        assert!(!answer.to_string().contains(PASSWORD), "{what}");
    }
    assert!(!output(shop).contains(PASSWORD), "in the state folder");
    assert!(!format!("{said:?}").contains(PASSWORD));
}

#[test]
fn a_base_image_of_a_guarded_registry_is_fetched_with_the_configured_login_by_either_builder() {
    let shop = Shop::new(Registry::guarded(), Some("{ env = \"REGISTRY_PASSWORD\" }"));
    standing_on_the_registry(&shop, &|arguments| shop.run_watched(arguments));
    for builder in ["buildkit", "classic"] {
        forget(&shop, builder);
        let unset = shop.run(&["build", "shop"]).exits(1);
        assert!(
            unset.err.contains("REGISTRY_PASSWORD is not set"),
            "{}",
            unset.err
        );
        let said = shop.run_watched(&["build", "shop"]).exits(0);
        assert!(said.err.contains("from the registry"), "{builder}: {}", said.err);
        let seen = fs::read_to_string(&shop.seen).unwrap();
        assert!(seen.contains("__run") && !seen.contains(PASSWORD), "{builder}");
        password_is_nowhere(&shop, &said);
    }
}

#[test]
fn a_base_image_is_fetched_as_docker_login_left_it_and_without_a_login_it_is_said_what_is_missing() {
    let shop = Shop::new(Registry::guarded(), None);
    let docker = shop.program.dir().join(".docker");
    fs::create_dir(&docker).unwrap();
    let text = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("{USER}:{PASSWORD}"),
    );
    let address = shop.registry.address();
    let logged_in = format!("{{\"auths\": {{\"{address}\": {{\"auth\": \"{text}\"}}}}}}");
    fs::write(docker.join("config.json"), &logged_in).unwrap();
    standing_on_the_registry(&shop, &|arguments| shop.run(arguments));
    for builder in ["buildkit", "classic"] {
        forget(&shop, builder);
        fs::write(docker.join("config.json"), "{}").unwrap();
        let refused = shop.run(&["build", "shop"]).exits(1);
        assert!(refused.err.contains("docker login"), "{builder}: {}", refused.err);
        let broken = format!("{{\"credHelpers\": {{\"{address}\": \"is-missing\"}}}}");
        fs::write(docker.join("config.json"), broken).unwrap();
        let said = shop.run(&["build", "shop"]).exits(1);
        assert!(
            said.err.contains("without a login") && said.err.contains("docker login"),
            "{builder}: {}",
            said.err
        );
        fs::write(docker.join("config.json"), &logged_in).unwrap();
        let said = shop.run(&["build", "shop"]).exits(0);
        assert!(said.err.contains("from the registry"), "{builder}: {}", said.err);
        password_is_nowhere(&shop, &said);
        assert!(!output(&shop).contains(&text), "as docker keeps it");
    }
}

#[test]
fn a_push_that_is_denied_ends_its_run_with_the_registrys_words_and_nothing_is_moved() {
    let shop = Shop::new(Registry::open(), None);
    let no = r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#;
    let door = shop.registry.behind(vec![Fault {
        of: "PUT /v2/team/shop/manifests/",
        status: 403,
        body: no,
    }]);
    let config = fs::read_to_string(shop.program.config()).unwrap();
    let config = config.replace(shop.registry.address(), door.address());
    fs::write(shop.program.config(), config).unwrap();
    shop.run(&["build", "shop"]).exits(0);
    let said = shop.run(&["push", "shop", "--json"]).exits(1);
    let view = said.json();
    let outcome = &view["status"];
    let why = outcome["why"].as_str().unwrap();
    assert_eq!(outcome["result"], "reverted", "{view:#}");
    assert!(
        why.contains("denied") && why.contains(&format!("push {}/team/shop:v1", door.address())),
        "{why}"
    );
    assert_eq!(
        view["notes"],
        Value::Array(Vec::new()),
        "it is known that nothing is there"
    );
    assert_eq!(door.left(), 0);
    assert_eq!(shop.digest("v1"), None);
}

/// What is shipped goes to one registry, what tests it to another, each with a password of its own.
#[test]
fn two_registries_with_different_logins_are_pushed_to_in_one_run() {
    let shop = Shop::new(Registry::guarded(), Some("{ env = \"REGISTRY_PASSWORD\" }"));
    let other = Registry::guarded_by("tester", "another secret");
    shop.daemons[0].trust(other.address());
    let config = fs::read_to_string(shop.program.config()).unwrap();
    let config = config
        .replace(
            "[[services]]",
            &format!(
                "[[registries]]\naddress = \"{0}\"\nusername = \"tester\"\npassword = {{ env = \"OTHER_PASSWORD\" }}\n[[services]]",
                other.address()
            ),
        )
        .replace(
            "name = \"unit\"\n",
            &format!(
                "name = \"unit\"\ntarget = \"tests\"\npush = \"{}/team/shop-tests:v1\"\n",
                other.address()
            ),
        );
    let config = config.replace(
        "[[services]]\nname = \"shop\"\n",
        "[[services]]\nname = \"shop\"\npipeline = [\"build\", \"unit\", \"push\"]\n",
    );
    fs::write(shop.program.config(), config).unwrap();
    let dockerfile = "FROM busybox:real AS tests\nCOPY test.sh /\nFROM busybox:real\nCOPY version /\n";
    fs::write(shop.program.dir().join("context/Dockerfile"), dockerfile).unwrap();
    let mut command = shop.program.command(&["pipeline", "shop", "--yes"]);
    command
        .env("REGISTRY_PASSWORD", PASSWORD)
        .env("OTHER_PASSWORD", "another secret");
    let said = finish(&mut command).exits(0);
    assert!(shop.digest("v1").is_some(), "{said:?}");
    assert!(other.digest("team/shop-tests", "v1").is_some(), "{said:?}");
    // Neither is told the other's.
    let mut wrong = shop.program.command(&["pipeline", "shop", "--yes"]);
    wrong
        .env("REGISTRY_PASSWORD", PASSWORD)
        .env("OTHER_PASSWORD", PASSWORD);
    let said = finish(&mut wrong).exits(1);
    assert!(said.err.contains(other.address()), "{}", said.err);
}
