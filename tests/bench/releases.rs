//! The cost of releases: time until `R` has the old release serving again, five hosts compared with one, overhead per step,
//! and lost requests of clients of the service. Counted and timed, never asserted.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pilothouse::sim::{BOX_IMAGE, Fleet, Scenario};
use serde_json::{Value, json};

use super::desk::Desk;
use super::pipelines::settle;
use super::programs::let_run;
use super::support::daemon::Daemon;
use super::support::fleet::{self, Lease};
use super::support::image::BUSYBOX;
use super::table::{Table, median_and_worst};

const ROUNDS: usize = 5;
/// What the gate wants to see of a replica before it is good.
const STEADY: f64 = 1.0;
const PORT: u16 = 8080;
/// A web server that ends on SIGTERM.
const SERVES: &str =
    "mkdir -p /www; echo VERSION > /www/v; httpd -f -p 80 -h /www & trap 'kill $!; exit 0' TERM; wait";
/// The network of those who ask by the service's name.
const NETWORK: &str = "front";

/// A service on the first so many of these daemons.
struct Shop {
    daemons: Lease,
    targets: Targets,
}

impl Shop {
    fn new(hosts: usize) -> Self {
        let daemons = fleet::lease(hosts);
        let sockets = daemons
            .iter()
            .map(|daemon| (daemon.name().to_string(), daemon.socket().clone()));
        Self {
            targets: Targets::new("shop", BUSYBOX, SERVES, sockets.collect()),
            daemons,
        }
    }
}

impl std::ops::Deref for Shop {
    type Target = Targets;

    fn deref(&self) -> &Targets {
        &self.targets
    }
}

/// Hosts by name and socket, and a desk to deploy to them from.
struct Targets {
    hosts: Vec<(String, PathBuf)>,
    image: &'static str,
    /// What it runs; `VERSION` in it is what it says.
    script: &'static str,
    desk: Desk,
}

impl Targets {
    fn new(folder: &str, image: &'static str, script: &'static str, hosts: Vec<(String, PathBuf)>) -> Self {
        Self {
            hosts,
            image,
            script,
            desk: Desk {
                folder: fleet::folder(folder),
            },
        }
    }

    /// From now on it says `version` on `hosts` hosts; `more` keys of its deployment.
    fn says(&self, version: &str, hosts: usize, more: &str) {
        let host = |(name, socket): &(String, PathBuf)| {
            format!(
                "[[hosts]]\nname = \"{name}\"\nurl = \"unix://{}\"\n",
                socket.display()
            )
        };
        let hosts_told: String = self.hosts.iter().map(host).collect();
        let names: Vec<String> = self.hosts[..hosts]
            .iter()
            .map(|(name, _)| format!("{name:?}"))
            .collect();
        let service = format!(
            "[[services]]\nname = \"shop\"\nimage = \"busybox\"\n\
             [services.deploy]\nhosts = [{}]\nstop_grace = \"2s\"\nhealth = {{ for = \"{STEADY}s\", within = \"30s\" }}\n\
             command = [\"sh\", \"-c\", \"{}\"]\n{more}\n",
            names.join(", "),
            self.script.replace("VERSION", version),
        );
        self.desk.write(&(hosts_told + &service));
    }

    fn deploy(&self) -> f64 {
        self.desk
            .seconds(&["deploy", "shop", "--image", self.image, "--yes"])
    }
}

/// What is lost is counted on any machine; how long it takes is worth measuring on an idle one.
pub(crate) fn measure(table: &mut Table) {
    let shop = Shop::new(5);
    lost(&shop, table);
    back(&shop, table);
    let one = hosts(&shop, "", table);
    steps(&shop, one, table);
    simulated(table);
}

/// Five real daemons share this machine's cores, and starting containers keeps them busy. Simulated ones cost next to nothing:
/// what five hosts take longer than one is our own doing.
fn simulated(table: &mut Table) {
    let folder = fleet::folder("simulated");
    let (tell, told) = std::sync::mpsc::channel();
    let over = tokio_util::sync::CancellationToken::new();
    let until = over.clone();
    std::thread::scope(|scope| {
        // Also when the rest fails: the scope waits for its threads.
        let _over = over.drop_guard();
        scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let fleet = Fleet::start(Scenario::empty(5), &folder).unwrap();
                let sockets = fleet
                    .engines()
                    .map(|engine| (engine.name().to_owned(), engine.socket().to_owned()));
                tell.send(sockets.collect()).unwrap();
                until.cancelled().await;
                fleet.stop().await;
            });
        });
        let targets = Targets::new(
            "simulated-shop",
            BOX_IMAGE,
            "echo VERSION; sleep infinity",
            told.recv().unwrap(),
        );
        hosts(&targets, ", daemons simulated", table);
    });
}

/// What the published port of the host answers, if it does within a second.
fn answer(daemon: &Daemon) -> Option<String> {
    let limit = Duration::from_secs(1);
    let address = format!("{}:{PORT}", daemon.address()).parse().ok()?;
    let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    stream.write_all(b"GET /v HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.trim().to_owned())
}

fn back(shop: &Shop, table: &mut Table) {
    const WORK: &str = "`R` → the old release answers on all of 3 hosts";
    let ports = format!("ports = [\"{PORT}:80\"]");
    let (mut serving, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        shop.says("one", 3, &ports);
        shop.deploy();
        shop.says("two", 3, &ports);
        shop.deploy();
        settle();
        let begun = Instant::now();
        let mut run = shop.desk.command(&["rollback", "shop", "--yes"]);
        let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        for daemon in &shop.daemons[..3] {
            while answer(daemon).as_deref() != Some("one") {
                assert!(begun.elapsed() < Duration::from_mins(1), "it never came back");
                let_run(Duration::from_millis(5));
            }
        }
        serving.push(begun.elapsed().as_secs_f64());
        assert!(run.wait().unwrap().success());
        whole.push(begun.elapsed().as_secs_f64());
    }
    let (serving, worst) = median_and_worst(&mut serving);
    let (whole, _) = median_and_worst(&mut whole);
    table.row(
        WORK,
        "pilothouse",
        format!("{serving:.2} s, worst {worst:.2}"),
        &format!(
            "of {ROUNDS}; the whole run {whole:.2} s, {STEADY} s of it the gate's own `for`; aim ≤ {:.0} s",
            3.0 + STEADY
        ),
    );
}

/// Says what one host takes.
fn hosts(shop: &Targets, which: &str, table: &mut Table) -> f64 {
    let canary = format!(
        "strategy = \"rolling\"\nbatch = \"100%\"\ncanary = {:?}",
        shop.hosts[0].0
    );
    let times = |hosts: usize, more: &str| {
        shop.says("one", hosts, more);
        shop.deploy();
        let mut times: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                settle();
                shop.deploy()
            })
            .collect();
        median_and_worst(&mut times)
    };
    let (one, worst_one) = times(1, "");
    let (five, worst_five) = times(5, "");
    let (with, worst_with) = times(5, &canary);
    let mut row = |work: &str, figure: f64, worst: f64, remark: &str| {
        table.row(
            &format!("{work}{which}"),
            "pilothouse",
            format!("{figure:.2} s, worst {worst:.2}"),
            remark,
        );
    };
    row("a deploy on 1 host", one, worst_one, "");
    row(
        "a deploy on 5 hosts",
        five,
        worst_five,
        &format!("{:.2} × one host; aim ≤ 1.5 ×", five / one),
    );
    row(
        "a deploy on 5 hosts, one of them the canary",
        with,
        worst_with,
        &format!("{:.2} × one host; aim ≤ 2.5 ×", with / one),
    );
    one
}

/// One container made and started in the place of another by a bare client, so many times; how long each takes.
fn bare(daemon: &Daemon) -> Vec<f64> {
    let post = |id: &str, what: &str, body: &Value| {
        daemon.ask("POST", &format!("/containers/{id}/{what}"), body);
    };
    let policy = |name: &str| json!({ "RestartPolicy": { "Name": name } });
    let make = |name: &str| {
        let script = "httpd -f -p 80 & trap 'kill $!; exit 0' TERM; wait";
        let id = daemon.create(name, json!({ "Cmd": ["sh", "-c", script] }));
        id.as_str().to_owned()
    };
    let mut times = Vec::new();
    let mut old = make("bare-0");
    post(&old, "start", &Value::Null);
    for round in 1..=ROUNDS {
        let begun = Instant::now();
        let new = make(&format!("bare-{round}"));
        post(&old, "stop?t=2", &Value::Null);
        post(&new, "start", &Value::Null);
        post(&new, "update", &policy("always"));
        post(&old, "update", &policy("no"));
        times.push(begun.elapsed().as_secs_f64());
        daemon.ask("DELETE", &format!("/containers/{old}"), &Value::Null);
        old = new;
    }
    daemon.ask("DELETE", &format!("/containers/{old}?force=1"), &Value::Null);
    times
}

/// What a bare client needs for the same change of containers, and how many steps our run has.
fn steps(shop: &Shop, one: f64, table: &mut Table) {
    settle();
    let (floor, _) = median_and_worst(&mut bare(&shop.daemons[4]));
    let mut five: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = shop
            .daemons
            .iter()
            .map(|daemon| scope.spawn(|| bare(daemon)))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let (five, _) = median_and_worst(&mut five);
    table.row(
        "the same containers made and replaced",
        "floor: a bare client",
        format!("{floor:.2} s on 1 host, {five:.2} s on 5 at once"),
        &format!("{:.2} ×: all the daemons share this machine", five / floor),
    );
    shop.says("one", 1, "");
    shop.deploy();
    let runs = std::fs::read_dir(shop.desk.folder.join("state/runs")).unwrap();
    let last = runs.map(|entry| entry.unwrap().path()).max().unwrap();
    let journal = std::fs::read_to_string(last.join("journal.ndjson")).unwrap();
    let count = journal
        .lines()
        .filter(|line| line.contains("\"entry\":{\"intent\""))
        .count();
    let own = (one - STEADY - floor) / count as f64 * 1e3;
    table.row(
        "our own part of a step",
        "pilothouse",
        format!("{own:.0} ms"),
        &format!(
            "the deploy on 1 host has {count} steps; less {STEADY} s of gate and the bare client's time; aim ≤ 100 ms"
        ),
    );
}

fn lost(shop: &Shop, table: &mut Table) {
    const PUBLISHED: &str = "requests lost while 1 host is deployed, at its published port";
    const NAMED: &str = "the same, by the service's name on a network";
    let rolling = |order: &str| format!("strategy = \"rolling\"\nbatch = 1\norder = \"{order}\"");
    let ports = format!("ports = [\"{PORT}:80\"]\n{}", rolling("stop-first"));
    shop.says("one", 1, &ports);
    shop.deploy();
    shop.says("two", 1, &ports);
    let (asked, lost) = at_the_port(shop);
    let said = |asked: u32, lost: u32| format!("{lost} of {asked}");
    table.row(
        PUBLISHED,
        "stop-first, 1 replica",
        said(asked, lost),
        "4 clients, a connection a request",
    );
    let network = json!({ "Name": NETWORK, "CheckDuplicate": true });
    shop.daemons[0].ask("POST", "/networks/create", &network);
    for (who, order, replicas) in [
        ("stop-first, 1 replica", "stop-first", 1),
        ("stop-first, 2 replicas", "stop-first", 2),
        ("start-first, 1 replica", "start-first", 1),
        ("start-first, 2 replicas", "start-first", 2),
    ] {
        let more = format!(
            "replicas = {replicas}\nnetworks = [\"{NETWORK}\"]\n{}",
            rolling(order)
        );
        shop.says("one", 1, &more);
        shop.deploy();
        shop.says("two", 1, &more);
        let (asked, lost) = by_name(shop);
        table.row(
            NAMED,
            who,
            said(asked, lost),
            "4 clients, the name is looked up for each request",
        );
    }
}

/// Says so when it is dropped: also when what it stands in fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn at_the_port(shop: &Shop) -> (u32, u32) {
    let (over, asked, lost) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    let daemon = &shop.daemons[0];
    std::thread::scope(|scope| {
        let _over = Over(&over);
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    asked.fetch_add(1, Ordering::Relaxed);
                    if answer(daemon).is_none() {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                    let_run(Duration::from_millis(10));
                }
            });
        }
        let_run(Duration::from_secs(1));
        shop.deploy();
        let_run(Duration::from_secs(1));
    });
    (asked.into_inner(), lost.into_inner())
}

/// Asked from the network of a container beside it: four loops of this machine's own programs, a line a request.
fn by_name(shop: &Shop) -> (u32, u32) {
    let daemon = &shop.daemons[0];
    // The same image under a name that is not the service's.
    daemon.ask(
        "POST",
        &format!("/images/{BUSYBOX}/tag?repo=asker&tag=1"),
        &Value::Null,
    );
    let body = json!({ "Image": "asker:1", "HostConfig": { "NetworkMode": NETWORK } });
    let asker = daemon.run_with("asker", "sleep 1000", body);
    let over = shop.desk.folder.join("over");
    let find = r"busybox nslookup shop 127.0.0.11 2> /dev/null | sed -n 's/^Address[^:]*:[ \t]*\([0-9.]*\)$/\1/p' | head -n 1";
    let script = format!(
        "for n in 1 2 3 4; do while [ ! -e {} ]; do curl -sf -m 1 http://$({find})/v || echo lost; sleep 0.02; done & done; wait",
        over.display()
    );
    let asking = Command::new("nsenter")
        .args([
            "-t",
            &daemon.inspect(&asker)["State"]["Pid"].to_string(),
            "-n",
            "sh",
            "-c",
            &script,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let_run(Duration::from_secs(1));
    shop.deploy();
    let_run(Duration::from_secs(1));
    std::fs::write(&over, "").unwrap();
    let said = asking.wait_with_output().unwrap().stdout;
    std::fs::remove_file(&over).unwrap();
    daemon.remove(&asker);
    let said = String::from_utf8_lossy(&said).into_owned();
    let count = |wanted: &str| said.lines().filter(|line| *line == wanted).count();
    let (served, lost) = (count("one") + count("two"), count("lost"));
    assert!(served > 0, "nothing was ever answered: {said}");
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    (number(served + lost), number(lost))
}
