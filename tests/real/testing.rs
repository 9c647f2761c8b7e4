//! Tests with dependencies on a real daemon: a real redis, all kinds of probes, artifacts, verdicts.
//! After each, the daemon's containers, networks and volumes are the same as before.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::fleet::{self, Lease};
use crate::support::image;
use crate::support::program::{Program, Said};
use crate::support::wait::until;

/// One daemon, and a service whose image is busybox, not built but there.
struct Place {
    daemons: Lease,
    program: Program,
    before: BTreeMap<&'static str, Vec<String>>,
}

impl Place {
    /// `tests` is the TOML of its tests.
    fn new(tests: &str) -> Self {
        let daemons = fleet::lease(1);
        let hosts = [daemons[0].host()];
        let program = Program::new(&hosts, "");
        program.configure(
            &hosts,
            &format!("[[services]]\nname = \"shop\"\nimage = \"busybox\"\n{tests}\n"),
        );
        let before = lists(&daemons[0]);
        Self {
            daemons,
            program,
            before,
        }
    }

    fn test(&self) -> Said {
        self.program
            .run(&["test", "shop", "--image", "busybox:real", "--json"])
    }

    #[track_caller]
    fn nothing_left(&self) {
        assert_eq!(lists(&self.daemons[0]), self.before);
    }
}

/// Containers, networks and volumes, by their names.
fn lists(daemon: &Daemon) -> BTreeMap<&'static str, Vec<String>> {
    let names = |path: &str, field: &str| {
        let answer = daemon.ask("GET", path, &Value::Null);
        let rows = answer.get("Volumes").unwrap_or(&answer);
        let mut names: Vec<String> = rows
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| row[field].to_string())
            .collect();
        names.sort();
        names
    };
    BTreeMap::from([
        ("containers", names("/containers/json?all=1", "Names")),
        ("networks", names("/networks", "Name")),
        ("volumes", names("/volumes", "Name")),
    ])
}

/// What the run found out about its test.
fn tested(said: &Said) -> Value {
    let view = said.json();
    let stages = view["stages"].as_array().unwrap();
    stages
        .iter()
        .find_map(|stage| stage.get("tested").cloned())
        .unwrap_or_else(|| panic!("{view:#}"))
}

#[test]
fn a_real_redis_and_a_server_without_tools_are_reached_by_their_names_and_gone_afterwards() {
    let place = Place::new(
        r#"
[[services.tests]]
name = "api"
command = ["sh", "-ec", '''
test "$(printf 'SET a 41\r\nINCR a\r\nQUIT\r\n' | nc cache 6379 | tr -d '\r' | sed -n 2p)" = :42
wget -q -O- http://web:8080/ | grep -q hello
echo all is well
''']
passes = { last-line = "all is well" }
[[services.tests.needs]]
name = "cache"
image = "redis:real"
ready = { tcp = 6379 }
[[services.tests.needs]]
name = "web"
image = "httpd:bare"
ready = { tcp = 8080 }
files = { "/www/index.html" = "index.html" }
volumes = ["/spare"]
"#,
    );
    fs::write(place.program.dir().join("index.html"), "hello\n").unwrap();
    // Without them it says what is missing, and where.
    let refused = place.test().exits(1);
    // Whichever daemon was free.
    let wanted = format!(
        "the image redis:real of cache is not on {}",
        place.daemons[0].name()
    );
    assert!(refused.err.contains(&wanted), "{}", refused.err);
    place.nothing_left();
    place.daemons[0].load(&image::redis());
    place.daemons[0].load(&image::bare_httpd());
    let said = place.test().exits(0);
    assert!(said.err.contains("all is well"), "{}", said.err);
    place.nothing_left();
}

/// A web server of busybox that is slow to begin, and a test that reads a page of it.
fn web(address: &str, ready: &str) -> String {
    format!(
        r#"
[[services]]
name = "shop"
image = "busybox"
[[services.tests]]
name = "api"
command = ["wget", "-q", "-O-", "http://web:8080/page"]
timeout = "30s"
[[services.tests.needs]]
name = "web"
image = "self"
command = ["sh", "-c", "mkdir /www; echo served > /www/page; sleep 1; httpd -p {address}8080 -h /www; echo it serves; while :; do sleep 1; done"]
{ready}
"#
    )
}

#[test]
fn every_way_to_be_ready_is_waited_for() {
    let place = Place::new("");
    let hosts = [place.daemons[0].host()];
    for ready in [
        "ready = { tcp = 8080 }",
        "ready = { command = [\"wget\", \"-q\", \"-O-\", \"http://127.0.0.1:8080/page\"] }",
        "ready = { log = \"^it serves$\" }",
        "ready = \"health\"\nhealth = [\"CMD\", \"wget\", \"-q\", \"-O-\", \"http://127.0.0.1:8080/page\"]",
    ] {
        place.program.configure(&hosts, &web("", ready));
        let said = place.test().exits(0);
        assert!(said.err.contains("served"), "{ready}: {}", said.err);
        place.nothing_left();
    }
}

#[test]
fn a_need_that_is_never_ready_is_said_with_what_was_seen_of_it_and_leaves_nothing() {
    let place = Place::new("");
    let hosts = [place.daemons[0].host()];
    for (address, ready, why) in [
        (
            "",
            "ready = { tcp = 9 }\nwithin = \"3s\"",
            "web, which it needs, was not ready within 3 s: nothing listens on port 9",
        ),
        (
            "127.0.0.1:",
            "ready = { tcp = 8080 }\nwithin = \"5s\"",
            "port 8080 only listens on loopback",
        ),
        (
            "",
            "ready = { command = [\"wget\", \"-q\", \"-O-\", \"http://127.0.0.1:8080/none\"] }\nwithin = \"5s\"",
            "404 Not Found",
        ),
        (
            "",
            "ready = { command = [\"/usr/bin/pg_isready\"] }",
            "it has no /usr/bin/pg_isready",
        ),
        ("", "ready = \"health\"", "it has no health check"),
        (
            "",
            "ready = \"health\"\nhealth = [\"CMD-SHELL\", \"echo broken; exit 1\"]\nwithin = \"4s\"",
            "broken",
        ),
    ] {
        place.program.configure(&hosts, &web(address, ready));
        let said = place.test().exits(1);
        assert!(said.err.contains(why), "{why}: {}", said.err);
        place.nothing_left();
    }
}

#[test]
fn a_report_and_artifacts_are_kept_for_their_owner_and_summed_up() {
    let place = Place::new(
        r#"
[[services.tests]]
name = "unit"
command = ["sh", "-c", """
mkdir -p /out/deep
echo shot > /out/deep/picture
ln -s /etc/passwd /out/link
cat > /out/report.xml <<'X'
<testsuite><testcase classname="cart" name="adds"/><testcase classname="cart" name="removes"><failure/></testcase></testsuite>
X
test $PILOTHOUSE_ATTEMPT = 2
"""]
retries = 2
artifacts = ["/out", "/nowhere"]
junit = "/out/report.xml"
"#,
    );
    let said = place.test().exits(0);
    let tested = tested(&said);
    assert_eq!(
        (&tested["flaky"], &tested["attempt"]),
        (&Value::from(true), &Value::from(2))
    );
    assert_eq!(tested["report"]["tests"], 2);
    assert_eq!(tested["report"]["failing"][0], "cart.removes");
    assert!(
        said.err.contains("FLAKY: passed at attempt 2 of 3"),
        "{}",
        said.err
    );
    assert!(
        said.err.contains("2 tests, 1 failed: cart.removes"),
        "{}",
        said.err
    );
    assert!(
        said.err.contains("/nowhere was not kept: it is not there"),
        "{}",
        said.err
    );
    assert!(said.err.contains("out/link was not kept"), "{}", said.err);
    let run = said.json()["id"].as_str().unwrap().to_owned();
    let kept = place.program.dir().join("state/runs").join(run).join("artifacts");
    for (attempt, name) in [("unit", "out/deep/picture"), ("unit.2", "out/report.xml")] {
        let seen = fs::symlink_metadata(kept.join(attempt).join(name)).unwrap();
        assert_eq!(seen.mode() & 0o7777, 0o600);
    }
    assert!(fs::symlink_metadata(kept.join("unit/out/link")).is_err());
    assert_eq!(
        fs::metadata(kept.join("unit/out")).unwrap().mode() & 0o7777,
        0o700
    );
    place.nothing_left();
}

#[test]
fn a_test_with_needs_that_is_cancelled_too_slow_or_whose_runner_is_killed_leaves_nothing() {
    let place = Place::new(
        r#"
[[services.tests]]
name = "api"
command = ["sleep", "1000"]
timeout = "3s"
[[services.tests.needs]]
name = "web"
image = "self"
command = ["sleep", "1000"]
volumes = ["/data"]
"#,
    );
    let said = place.test().exits(1);
    assert!(
        said.err.contains("still running after 3 s: killed"),
        "{}",
        said.err
    );
    place.nothing_left();

    let hosts = [place.daemons[0].host()];
    let slow = fs::read_to_string(place.program.config())
        .unwrap()
        .replace("\"3s\"", "\"10m\"");
    let services = slow
        .split("[[services]]")
        .nth(1)
        .unwrap()
        .split("[state]")
        .next()
        .unwrap()
        .to_owned();
    place
        .program
        .configure(&hosts, &format!("[[services]]{services}"));
    let detached = |command: &str| {
        let said = place
            .program
            .run(&["test", "shop", "--image", "busybox:real", "--detach"])
            .exits(0);
        let run = said.out.trim().to_owned();
        until(
            Duration::from_secs(30),
            format!("the test runs ({command})"),
            || {
                let count = lists(&place.daemons[0])["containers"].len();
                (count == place.before["containers"].len() + 2).then_some(())
            },
        );
        run
    };
    let run = detached("cancel");
    place.program.run(&["cancel", &run]);
    place.program.run(&["follow", &run]).exits(130);
    place.nothing_left();

    let run = detached("kill");
    place.program.kill_runner();
    assert_ne!(
        lists(&place.daemons[0]),
        place.before,
        "there is something to recover"
    );
    place.program.run(&["recover", &run]).exits(1);
    place.nothing_left();
}

#[test]
fn services_of_a_compose_file_stand_beside_the_test_with_volumes_of_its_own() {
    let place = Place::new(
        r#"
[[services.tests]]
name = "api"
command = ["sh", "-ec", "wget -q -O- http://pages:8080/written; wget -q -O- http://front:8080/written"]
compose = "compose.yaml"
services = ["web"]
"#,
    );
    let compose = |more: &str| {
        fs::write(
            place.program.dir().join("compose.yaml"),
            format!(
                r#"
services:
  writer:
    image: busybox:real
    command: sh -c 'echo "written by $$NAME" > /www/written; touch /ready; while :; do sleep 1; done'
    environment: {{ NAME: "${{WHO:-nobody}}" }}
    volumes: ["www:/www"]
    healthcheck: {{ test: ["CMD", "test", "-e", "/ready"], interval: 500ms, retries: 40 }}
  web:
    image: busybox:real
    entrypoint: ["httpd", "-f", "-p", "8080"]
    command: ["-h", "/www"]
    user: "0"
    tmpfs: /run
    volumes: ["www:/www:ro", "/scratch"]
    ports: ["80:8080"]
    depends_on: {{ writer: {{ condition: service_healthy }} }}
    healthcheck: {{ test: wget -q -O- http://127.0.0.1:8080/written, interval: 500ms, retries: 40 }}
    networks: {{ default: {{ aliases: [pages, front] }} }}
{more}
volumes: {{ www: }}
"#
            ),
        )
        .unwrap();
    };
    compose("    privileged: true");
    let refused = place.test();
    assert_ne!(refused.code, Some(0));
    assert!(
        refused.err.contains("compose.yaml")
            && refused
                .err
                .contains("line 20: `privileged` of web is not supported"),
        "{}",
        refused.err
    );
    compose("");
    let said = place.test().exits(0);
    assert_eq!(said.err.matches("written by nobody").count(), 2, "{}", said.err);
    place.nothing_left();
}

#[test]
fn a_test_killed_for_memory_in_its_first_moment_is_not_just_an_exit_code() {
    let place = Place::new(
        r#"
[[services.tests]]
name = "hungry"
memory = "8M"
command = ["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"]
"#,
    );
    let said = place.test().exits(1);
    assert!(
        said.err.contains("out of memory (exit code 137)") || said.err.contains("most likely for memory"),
        "{}",
        said.err
    );
    place.nothing_left();
}

#[test]
fn five_million_lines_of_half_a_gigabyte_and_one_of_megabytes_are_bounded_and_every_line_is_told_or_counted()
{
    let line = "x".repeat(99);
    let place = Place::new(&format!(
        r#"
[[services.tests]]
name = "loud"
timeout = "10m"
command = ["sh", "-c", """
yes {line} | head -n 5000000
head -c 20000000 /dev/zero | tr '\\0' x
echo
printf '\\033[31mred\\033[0m \\033]0;title\\007 \\033[2J end\\n'
echo Result: SUCCESS!
"""]
passes = {{ last-line = '^Result: SUCCESS!$' }}
"#,
    ));
    let image = ["test", "shop", "--image", "busybox:real", "--detach"];
    let run = place.program.run(&image).exits(0).out.trim().to_owned();
    let peak = place.program.peak(Duration::from_mins(8));
    let said = place.program.run(&["follow", &run]).exits(0);
    let folder = place.program.dir().join("state/runs").join(run);
    let kept: u64 = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    println!("{peak:.1} MiB at most, {kept} bytes kept");
    assert!(peak < 64.0, "{peak} MiB");
    assert!(kept < 8 << 20, "{kept} bytes are kept");
    let (mut told, mut skipped) = (0, 0);
    for line in said.err.lines().filter_map(|line| line.strip_prefix("  ")) {
        match line
            .strip_prefix("… ")
            .and_then(|rest| rest.strip_suffix(" lines skipped"))
        {
            Some(count) => skipped += count.parse::<u64>().unwrap(),
            None => told += 1,
        }
    }
    // Beside them a handful of words of our own.
    let all = told + skipped;
    assert!(
        skipped > 0 && (5_000_003..5_000_020).contains(&all),
        "{told} told, {skipped} skipped"
    );
    assert!(
        !said.err.contains('\u{1b}'),
        "escape sequences never reach the terminal"
    );
    place.nothing_left();
}
