//! Images of tests: pushed as configured, removed from the hosts they were transferred to, refused by name if nobody has them.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::fleet::{self, Lease};
use crate::support::image::BUSYBOX;
use crate::support::program::{Program, Said};
use crate::support::registry::Registry;
use crate::support::wait::until;

/// Two hosts: the first one builds, the second one tests.
struct Shop {
    daemons: Lease,
    registry: Registry,
    program: Program,
}

impl Shop {
    fn new() -> Self {
        let daemons = fleet::lease(2);
        let hosts: Vec<_> = daemons.iter().map(Daemon::host).collect();
        let shop = Self {
            program: Program::new(&hosts, ""),
            registry: Registry::open(),
            daemons,
        };
        let context = shop.program.dir().join("context");
        fs::create_dir(&context).unwrap();
        let dockerfile = format!(
            "FROM {BUSYBOX} AS shipped\nCOPY . /\nFROM shipped AS tests\nRUN echo tests > /tests\nFROM shipped\n"
        );
        fs::write(context.join("Dockerfile"), dockerfile).unwrap();
        fs::write(context.join("number"), std::process::id().to_string()).unwrap();
        shop
    }

    /// `{registry}`, `{builder}` and `{tester}` in it are filled.
    fn tests(&self, tests: &str) {
        let hosts: Vec<_> = self.daemons.iter().map(Daemon::host).collect();
        let text = format!(
            "[[registries]]\naddress = \"{{registry}}\"\n[[services]]\nname = \"shop\"\nimage = \"shop\"\n\
             [services.build]\nhost = \"{{builder}}\"\ncontext = \"context\"\ntag = \"v{{run.number}}\"\n{tests}\n"
        );
        let text = text
            .replace("{registry}", self.registry.address())
            .replace("{builder}", self.daemons[0].name().as_str())
            .replace("{tester}", self.daemons[1].name().as_str());
        self.program.configure(&hosts, &text);
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.program.run(arguments)
    }

    fn pushed(&self, tag: &str) -> bool {
        self.registry.digest("team/tests", tag).is_some()
    }

    /// What the tester has beside busybox and the image under test.
    fn nothing_lent(&self) {
        let images = self.daemons[1].ask("GET", "/images/json", &Value::Null);
        for image in images.as_array().unwrap() {
            assert_ne!(image["Labels"]["pilothouse.role"], "test", "{image:#}");
            assert!(!image.to_string().contains("-tests\""), "{image:#}");
        }
    }
}

const STAGE: &str = r#"
[[services.tests]]
name = "whole"
host = "{tester}"
target = "tests"
command = ["sh", "-c", "cat /tests; SCRIPT"]
push = "{registry}/team/tests:v{run.number}"
"#;

#[test]
fn the_image_of_a_stage_is_pushed_once_it_passed_and_is_gone_from_the_host_that_tested_it() {
    let shop = Shop::new();
    shop.tests(&STAGE.replace("SCRIPT", "exit 3"));
    shop.run(&["pipeline", "shop", "--yes"]).exits(1);
    assert!(!shop.pushed("v1"), "it did not pass");
    shop.nothing_lent();
    shop.tests(&STAGE.replace("SCRIPT", "true"));
    let plan = shop.run(&["pipeline", "shop", "--dry-run"]).exits(0);
    let name = format!(
        "its image pushed as {}/team/tests:v2 once it passed",
        shop.registry.address()
    );
    assert!(plan.out.contains(&name), "{}", plan.out);
    let said = shop.run(&["pipeline", "shop", "--yes"]).exits(0);
    assert!(shop.pushed("v2"), "{}", said.err);
    assert!(said.err.contains("team/tests@sha256:"), "{}", said.err);
    shop.nothing_lent();
}

#[test]
fn what_a_killed_run_had_lent_to_a_host_is_taken_away_by_its_recovery() {
    let shop = Shop::new();
    shop.tests(&STAGE.replace("SCRIPT", "echo it runs; sleep 1000"));
    let said = shop.run(&["pipeline", "shop", "--yes", "--detach"]).exits(0);
    let run = said.out.trim().to_owned();
    until(Duration::from_mins(1), "the test runs", || {
        let seen = shop.daemons[1].ask("GET", "/containers/json", &Value::Null);
        (!seen.as_array().unwrap().is_empty()).then_some(())
    });
    shop.program.kill_runner();
    // It is turned back: neither of these is a success.
    let recovered = shop.run(&["recover", &run]);
    assert_ne!(recovered.code, Some(2), "{recovered:?}");
    shop.run(&["follow", &run]);
    shop.nothing_lent();
    let containers = shop.daemons[1].ask("GET", "/containers/json?all=1", &Value::Null);
    assert_eq!(containers, serde_json::json!([]));
}

const NEED: &str = r#"
[[services.tests]]
name = "api"
host = "{tester}"
command = ["wget", "-q", "-O-", "http://web:8080/page"]
[[services.tests.needs]]
name = "web"
image = "IMAGE"
command = ["sh", "-c", "mkdir /www; echo served > /www/page; httpd -f -p 8080 -h /www"]
ready = { tcp = 8080 }
"#;

#[test]
fn an_image_that_nobody_has_is_refused_by_name_before_a_run_begins_and_one_in_a_registry_is_pulled() {
    let shop = Shop::new();
    shop.tests("");
    shop.run(&["build", "shop"]).exits(0);
    let runs = || {
        shop.run(&["runs", "--json"])
            .exits(0)
            .json()
            .as_array()
            .unwrap()
            .len()
    };
    let before = runs();
    shop.tests(&NEED.replace("IMAGE", "web:none"));
    for arguments in [["test", "shop", "--dry-run"], ["test", "shop", "--yes"]] {
        let refused = shop.run(&arguments).exits(1);
        let words = format!(
            "the image web:none of web is neither on {} nor on {}",
            shop.daemons[1].name(),
            shop.daemons[0].name()
        );
        assert!(
            refused.err.contains(&words) || refused.out.contains(&words),
            "{refused:?}"
        );
    }
    shop.tests(&NEED.replace("IMAGE", "{registry}/tools/web:none"));
    let refused = shop.run(&["test", "shop"]).exits(1);
    assert!(refused.err.contains("cannot be pulled"), "{}", refused.err);
    assert_eq!(runs(), before, "none was begun");

    // Pushed from the builder under this name, which then nobody has.
    let name = format!("{}/tools/web", shop.registry.address());
    let daemon = &shop.daemons[0];
    daemon.ask(
        "POST",
        &format!("/images/{BUSYBOX}/tag?repo={name}&tag=1"),
        &Value::Null,
    );
    shop.tests(&format!(
        "[[services]]\nname = \"web\"\nimage = \"{name}\"\n[services.deploy]\nhosts = [\"{}\"]\n",
        daemon.name()
    ));
    shop.run(&["push", "web", "--image", &format!("{name}:1"), "--tag", "1"])
        .exits(0);
    daemon.ask("DELETE", &format!("/images/{name}:1"), &Value::Null);
    shop.tests(&NEED.replace("IMAGE", "{registry}/tools/web:1"));
    let plan = shop.run(&["test", "shop", "--dry-run"]).exits(0);
    assert!(
        plan.out.contains(&format!("pulls {name}:1 first")),
        "{}",
        plan.out
    );
    let said = shop.run(&["test", "shop"]).exits(0);
    assert!(said.err.contains("served"), "{}", said.err);
}
