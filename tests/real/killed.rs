//! The runner of build, test and push killed with SIGKILL, on real daemons with a real registry: after recovery no container,
//! network, volume, image or tag of the run is left on any of them.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use pilothouse::release::record::Entry;
use pilothouse::runs::disk::journal;
use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::fleet::{self, Lease};
use crate::support::program::{Program, Said, finish};
use crate::support::registry::Registry;
use crate::support::wait::until;

const LIMIT: Duration = Duration::from_mins(1);

struct Shop {
    daemons: Lease,
    registry: Registry,
    program: Program,
    is_classic: bool,
}

/// By host: containers, networks, volumes, images and their tags.
type Lists = BTreeMap<String, Vec<String>>;

impl Shop {
    /// The first host builds, the second tests with a database beside the test. Its tags come before `last-build`.
    fn new(pipeline: &str, builder: &str) -> Self {
        let registry = Registry::open();
        let daemons = fleet::lease(2);
        let hosts: Vec<_> = daemons.iter().map(Daemon::host).collect();
        let program = Program::new(&hosts, "");
        let address = registry.address();
        let (maker, tester) = (&hosts[0].name, &hosts[1].name);
        let service = format!(
            "[[registries]]\naddress = \"{address}\"\n\
             [[services]]\nname = \"shop\"\nimage = \"{address}/team/shop\"\n{pipeline}\n\
             [services.build]\nhost = \"{maker}\"\ncontext = \"{}/context\"\ntag = \"3f{{run.number}}\"\nbuilder = \"{builder}\"\n\
             [[services.tests]]\nname = \"unit\"\nhost = \"{tester}\"\ncommand = [\"sh\", \"-c\", \"exit 0\"]\n\
             [[services.tests.needs]]\nname = \"db\"\nimage = \"self\"\nvolumes = [\"/data\"]\n",
            program.dir().display(),
        );
        program.configure(&hosts, &service);
        fs::create_dir(program.dir().join("context")).unwrap();
        let shop = Self {
            daemons,
            registry,
            program,
            is_classic: builder == "classic",
        };
        shop.write(0);
        shop
    }

    /// Another image from now on.
    fn write(&self, version: u32) {
        let put = |name: &str, text: &str| {
            fs::write(self.program.dir().join("context").join(name), text).unwrap();
        };
        put(
            "Dockerfile",
            "FROM busybox:real\nCOPY version /\nCMD [\"sh\", \"-c\", \"while :; do sleep 1; done\"]\n",
        );
        put("version", &version.to_string());
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.program.run(arguments)
    }

    /// Killed right after that many records are on disk.
    fn dying(&self, after: usize, arguments: &[&str]) -> Said {
        let mut command = self.program.command(arguments);
        finish(command.env("PILOTHOUSE_DIE_AFTER", after.to_string()))
    }

    fn last(&self) -> Value {
        self.run(&["runs", "--json"]).exits(0).json()[0].clone()
    }

    fn journal(&self) -> Vec<Entry> {
        let id = self.last()["id"].as_str().unwrap().to_owned();
        let records = journal::read(&self.program.dir().join("state/runs").join(id)).unwrap();
        records.into_iter().map(|record| record.entry).collect()
    }

    fn reference(&self, tag: &str) -> String {
        format!("{}/team/shop:{tag}", self.registry.address())
    }

    /// The image that a tag names on the builder.
    fn named(&self, tag: &str) -> Option<String> {
        let path = format!("/images/{}/json", self.reference(tag));
        let answer = self.daemons[0].try_ask("GET", &path, &Value::Null);
        (answer.status == 200).then(|| answer.json()["Id"].as_str().unwrap().to_owned())
    }

    fn lists(&self) -> Lists {
        let of = |daemon: &Daemon| {
            let rows = |path: &str, what: &str, fields: &[&str]| -> Vec<String> {
                let answer = daemon.ask("GET", path, &Value::Null);
                let rows = answer.get("Volumes").unwrap_or(&answer).as_array().cloned();
                let words = |row: &Value| {
                    fields
                        .iter()
                        .map(|field| row[*field].to_string())
                        .collect::<String>()
                };
                let rows = rows.unwrap_or_default();
                rows.iter().map(|row| format!("{what} {}", words(row))).collect()
            };
            let mut all = rows("/containers/json?all=1", "container", &["Names"]);
            all.extend(rows("/networks", "network", &["Name"]));
            all.extend(rows("/volumes", "volume", &["Name"]));
            all.extend(rows("/images/json", "image", &["Id", "RepoTags"]));
            if self.is_classic {
                // Its cache are images without a name: they stay.
                all.retain(|row| !row.contains("<none>:<none>"));
            }
            all.sort();
            (daemon.name().to_string(), all)
        };
        self.daemons.iter().map(of).collect()
    }
}

const ALL: &str = "pipeline = [\"build\", \"unit\", \"push\"]";

#[test]
fn build_test_and_push_killed_after_any_record_leave_nothing_once_they_are_recovered() {
    killed("auto", 1);
}

#[test]
fn of_the_classic_builder_nothing_is_left_either() {
    killed("classic", 3);
}

/// After each so manieth record, until it lives.
fn killed(builder: &str, step: usize) {
    let shop = Shop::new(ALL, builder);
    let go = ["pipeline", "shop", "--yes"];
    shop.run(&go).exits(0);
    let first = shop.named("latest").expect("it was pushed");
    for after in (1..).step_by(step) {
        shop.write(u32::try_from(after).unwrap());
        let before = shop.lists();
        let said = shop.dying(after, &go);
        if said.code == Some(0) {
            assert!(after > 15, "it ended before it could be killed: {said:?}");
            break;
        }
        assert_eq!(shop.last()["status"]["state"], "dead", "{said:?}");
        let recovered = shop.run(&["recover"]).exits(1);
        assert_eq!(
            shop.lists(),
            before,
            "killed after record {after}: {recovered:?}\n{:#?}",
            shop.journal()
        );
    }
    assert_ne!(shop.named("latest"), Some(first), "the last one lived");
}

#[test]
fn a_push_killed_while_its_tag_is_moved_puts_it_back_when_it_is_recovered() {
    let shop = Shop::new(ALL, "auto");
    let build_and_test = || {
        shop.run(&["build", "shop"]).exits(0);
        shop.named("last-build").unwrap()
    };
    let old = build_and_test();
    shop.run(&["push", "shop", "--tag", "stable"]).exits(0);
    shop.write(1);
    let new = build_and_test();
    let before = shop.lists();
    shop.registry.freeze();
    for tag in ["stable", "fresh"] {
        shop.run(&["push", "shop", "--tag", tag, "--detach"]).exits(0);
        until(LIMIT, format!("{tag} is moved"), || {
            (shop.named(tag).as_deref() == Some(new.as_str())).then_some(())
        });
        shop.program.kill_runner();
        until(LIMIT, "it is dead", || {
            (shop.last()["status"]["state"] == "dead").then_some(())
        });
        shop.run(&["recover"]).exits(1);
        assert_eq!(shop.lists(), before, "{tag}");
    }
    assert_eq!(shop.named("stable"), Some(old));
    shop.registry.thaw();
}

impl Shop {
    /// Started by itself, and cancelled once this can be seen of it.
    fn cancelled_when(&self, begun: &dyn Fn(&Value) -> bool, before: &Lists) {
        let started = self.run(&["pipeline", "shop", "--yes", "--detach"]).exits(0);
        let run = started.out.trim();
        until(LIMIT, "it has come so far", || begun(&self.last()).then_some(()));
        self.run(&["cancel", run]).exits(0);
        let said = self.run(&["follow", run]).exits(130);
        // The container of a step is the classic builder's own: the daemon takes it away a moment later.
        let since = std::time::Instant::now();
        while self.lists() != *before && since.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(self.lists(), *before, "{said:?}\n{:#?}", self.journal());
    }
}

#[test]
fn cancelled_while_it_builds_or_pushes_it_leaves_nothing() {
    for builder in ["auto", "classic"] {
        let shop = Shop::new(ALL, builder);
        let dockerfile = shop.program.dir().join("context/Dockerfile");
        let usual = fs::read_to_string(&dockerfile).unwrap();
        fs::write(&dockerfile, format!("{usual}RUN echo begun; sleep 100\n")).unwrap();
        let says_begun = |run: &Value| {
            let lines = run["output"].as_array().unwrap();
            lines
                .iter()
                .any(|line| line["text"].as_str().unwrap().trim().ends_with("begun"))
        };
        shop.cancelled_when(&says_begun, &shop.lists());
        fs::write(&dockerfile, usual).unwrap();
        shop.run(&["pipeline", "shop", "--yes"]).exits(0);
        shop.write(1);
        let before = shop.lists();
        shop.registry.freeze();
        let is_pushing = |run: &Value| {
            let stages = run["stages"].as_array().unwrap();
            stages
                .iter()
                .any(|stage| stage["name"] == "push" && stage["cells"].to_string().contains("running"))
        };
        shop.cancelled_when(&is_pushing, &before);
        shop.registry.thaw();
    }
}
