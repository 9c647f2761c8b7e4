//! Tests with dependencies on simulated engines: readiness, verdicts, and what is left after failures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pilothouse::config::test::{Need, NeedVolume, Passes, Ready, Test};
use pilothouse::domain::fault::Fault;
use pilothouse::domain::ids::{ImageId, RunId};
use pilothouse::domain::order::Access;
use pilothouse::hosts;
use pilothouse::runs::step::test::{Report, TestResult, Trial};
use pilothouse::runs::step::{Progress, test};
use pilothouse::sim::{BOX_IMAGE, EngineHandle, Fleet, ImagePlan, Scenario};
use tokio_util::sync::CancellationToken;

/// Keeps what a step tells; cancels when a word is told.
#[derive(Clone, Default)]
struct Told {
    lines: Arc<Mutex<Vec<String>>>,
    cancel: Option<(&'static str, CancellationToken)>,
}

impl Told {
    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Progress for Told {
    fn text(&mut self, now: &str) {
        if let Some((word, token)) = &self.cancel
            && now.contains(word)
        {
            token.cancel();
        }
    }

    fn line(&mut self, line: &str) {
        self.lines.lock().unwrap().push(line.to_owned());
    }
}

struct Ground {
    fleet: Fleet,
    folder: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        Self::of(Scenario::empty(1))
    }

    fn of(scenario: Scenario) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            fleet: Fleet::start(scenario, folder.path()).unwrap(),
            folder,
        }
    }

    fn engine(&self) -> EngineHandle {
        self.fleet.engine("host-1").unwrap().clone()
    }

    async fn daemon(&self) -> hosts::Daemon {
        hosts::connect(&self.fleet.config().hosts[0], Access::Full)
            .await
            .unwrap()
    }

    async fn proven(&self, what: &Test, told: &Told) -> Result<Report, Fault> {
        let daemon = self.daemon().await;
        let id = daemon.read().inspect_image(BOX_IMAGE).await.unwrap().id.unwrap();
        let (id, run) = (ImageId::parse(&id).unwrap(), RunId::parse("run-1").unwrap());
        let mut images: BTreeMap<String, ImageId> = [("self".to_owned(), id.clone())].into();
        if let Ok(found) = daemon.read().inspect_image("db:1").await {
            images.insert("db:1".to_owned(), ImageId::parse(&found.id.unwrap()).unwrap());
        }
        let trial = Trial {
            network: None,
            test: what,
            run: &run,
            image: &id,
            images: &images,
            folder: self.folder.path(),
        };
        let token = told
            .cancel
            .as_ref()
            .map_or_else(CancellationToken::new, |(_, token)| token.clone());
        test::test(&daemon, trial, &mut told.clone(), &token).await
    }

    /// Containers, and networks and volumes that are not the engine's own.
    async fn left(&self) -> Vec<String> {
        let daemon = self.daemon().await;
        let mut left = self.engine().containers();
        let networks = daemon
            .read()
            .list_networks(None::<bollard::query_parameters::ListNetworksOptions>)
            .await
            .unwrap();
        left.extend(
            networks
                .into_iter()
                .filter_map(|network| network.name)
                .filter(|name| !matches!(name.as_str(), "bridge" | "host" | "none")),
        );
        let volumes = daemon
            .read()
            .list_volumes(None::<bollard::query_parameters::ListVolumesOptions>)
            .await
            .unwrap();
        left.extend(volumes.volumes.into_iter().flatten().map(|volume| volume.name));
        left
    }
}

fn test_of(script: &str, needs: Vec<Need>) -> Test {
    let host = pilothouse::domain::ids::HostName::parse("host-1").unwrap();
    Test {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        timeout: Duration::from_secs(30),
        needs,
        ..Test::new("api", host)
    }
}

fn need(name: &str, script: &str, ready: Ready) -> Need {
    Need {
        name: name.to_owned(),
        image: "self".to_owned(),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        ready,
        within: Duration::from_secs(10),
        ..Need::default()
    }
}

const DAEMON: &str = "echo warming up; sleep 0.3; echo ready for work; while true; do sleep 1; done";

#[tokio::test]
async fn needs_are_started_in_order_each_good_before_the_next_and_all_are_gone_afterwards() {
    let ground = Ground::new();
    let mut db = need("db", DAEMON, Ready::Log("^ready for".to_owned()));
    db.volumes = ["/data", "/shared"]
        .map(|target| NeedVolume {
            name: (target == "/shared").then(|| "common".to_owned()),
            target: target.to_owned(),
            read_only: false,
        })
        .into();
    let cache = need("cache", DAEMON, Ready::Command(vec!["true".to_owned()]));
    let what = test_of("echo tested", vec![db, cache]);
    let told = Told::default();
    let report = ground.proven(&what, &told).await.unwrap();
    assert_eq!(report.result, TestResult::Passed);
    assert!((report.tested.passed, report.tested.flaky, report.tested.attempt) == (true, false, 1));
    assert_eq!(told.lines(), ["tested"], "what a need says is not the test's");
    let requests = ground.engine().requests();
    let at = |part: &str| {
        let found = requests
            .iter()
            .enumerate()
            .filter(|(_, request)| request.ends_with(part));
        found.map(|(at, _)| at).collect::<Vec<_>>()
    };
    let made = at("POST /containers/create");
    let (network, log, asked) = (at("POST /networks/create"), at("/logs"), at("/exec"));
    assert_eq!(
        (network.len(), made.len(), asked.len()),
        (1, 3, 1),
        "{requests:#?}"
    );
    assert!(
        network[0] < made[0]
            && made[0] < log[0]
            && log[0] < made[1]
            && made[1] < asked[0]
            && asked[0] < made[2],
        "{requests:#?}"
    );
    assert_eq!(ground.left().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_need_that_ends_or_is_never_ready_is_a_clear_fault_with_its_last_words_and_leaves_nothing() {
    let ground = Ground::new();
    let told = Told::default();
    let dies = need("db", "echo no disk; exit 3", Ready::Running);
    // It may be seen running once before it ends.
    let dies = Need {
        ready: Ready::Log("never said".to_owned()),
        ..dies
    };
    let fault = ground
        .proven(&test_of("true", vec![dies]), &told)
        .await
        .unwrap_err();
    assert_eq!(
        fault.to_string(),
        "could not run the test api on host-1: db, which it needs, is not ready: it ended with exit code 3"
    );
    assert!(
        told.lines().contains(&"db | no disk".to_owned()),
        "{:?}",
        told.lines()
    );
    assert_eq!(ground.left().await, Vec::<String>::new());

    for (ready, why) in [
        (Ready::Tcp(5432), "nothing listens on port 5432"),
        (
            Ready::Command(
                ["sh", "-c", "echo still copying; exit 2"]
                    .map(str::to_owned)
                    .into(),
            ),
            "ends with 2: still copying",
        ),
        (Ready::Log("gone".to_owned()), "\"gone\" is not in its log yet"),
    ] {
        let mut slow = need("db", DAEMON, ready);
        slow.within = Duration::from_millis(700);
        let fault = ground
            .proven(&test_of("true", vec![slow]), &told)
            .await
            .unwrap_err();
        assert!(fault.why.contains("was not ready within 0.7 s: "), "{fault}");
        assert!(fault.why.ends_with(why), "{fault}");
        assert_eq!(ground.left().await, Vec::<String>::new());
    }
    let unchecked = need("db", DAEMON, Ready::Health);
    let fault = ground
        .proven(&test_of("true", vec![unchecked]), &told)
        .await
        .unwrap_err();
    assert!(
        fault.why.contains("no health check") && fault.hint.is_some(),
        "{fault:?}"
    );
    assert_eq!(ground.left().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_test_cancelled_while_its_need_begins_or_while_it_runs_leaves_nothing() {
    for word in ["starting db", "running"] {
        let ground = Ground::new();
        let told = Told {
            cancel: Some((word, CancellationToken::new())),
            ..Told::default()
        };
        let what = test_of("sleep 1000", vec![need("db", DAEMON, Ready::Running)]);
        let fault = ground.proven(&what, &told).await.unwrap_err();
        assert_eq!(fault.why, "it was cancelled", "{word}");
        assert_eq!(ground.left().await, Vec::<String>::new(), "{word}");
    }
}

#[tokio::test]
async fn every_attempt_begins_anew_and_one_that_never_passes_fails() {
    let ground = Ground::new();
    let what = Test {
        retries: 2,
        ..test_of("echo again; exit 3", vec![need("db", DAEMON, Ready::Running)])
    };
    let told = Told::default();
    let report = ground.proven(&what, &told).await.unwrap();
    assert_eq!(report.result, TestResult::Failed { code: 3 });
    assert_eq!((report.tested.attempt, report.tested.passed), (3, false));
    let said: Vec<String> = told
        .lines()
        .into_iter()
        .filter(|line| !line.starts_with("db |"))
        .collect();
    assert_eq!(
        said,
        [
            "again",
            "attempt 1 of 3: exit code 3",
            "again",
            "attempt 2 of 3: exit code 3",
            "again"
        ]
    );
    let made = ground.engine().requests();
    let networks = made.iter().filter(|request| request.contains("/networks/create"));
    assert_eq!(networks.count(), 3);
    assert_eq!(ground.left().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_last_line_decides_where_that_is_asked_for() {
    let ground = Ground::new();
    let passes = |exit_code| Passes::LastLine {
        pattern: "^Result: SUCCESS!$".to_owned(),
        exit_code,
    };
    for (script, exit_code, expected) in [
        ("echo Result: SUCCESS!; echo noise >&2", true, TestResult::Passed),
        (
            "echo Result: SUCCESS!; exit 3",
            true,
            TestResult::Failed { code: 3 },
        ),
        ("echo Result: SUCCESS!; exit 3", false, TestResult::Passed),
        (
            "echo Result: SUCCESS!; echo Result: FAILURE",
            true,
            TestResult::LastLine {
                line: Some("Result: FAILURE".to_owned()),
            },
        ),
        ("true", true, TestResult::LastLine { line: None }),
    ] {
        let what = Test {
            passes: passes(exit_code),
            ..test_of(script, Vec::new())
        };
        let report = ground.proven(&what, &Told::default()).await.unwrap();
        assert_eq!(report.result, expected, "{script}");
    }
}

#[tokio::test]
async fn what_cannot_be_removed_at_first_is_asked_again_and_what_stays_is_a_fault() {
    let ground = Ground::new();
    ground
        .engine()
        .fail("DELETE", "/networks/", 3, "network has active endpoints");
    let what = test_of("true", vec![need("db", DAEMON, Ready::Running)]);
    let report = ground.proven(&what, &Told::default()).await.unwrap();
    assert_eq!(report.result, TestResult::Passed);
    assert_eq!(ground.left().await, Vec::<String>::new());
    ground
        .engine()
        .fail("DELETE", "/networks/", 51, "network has active endpoints");
    let fault = ground.proven(&what, &Told::default()).await.unwrap_err();
    assert!(
        fault
            .to_string()
            .contains("clean up after the test api on host-1: network has active endpoints"),
        "{fault}"
    );
    let daemon = ground.daemon().await;
    let run = RunId::parse("run-1").unwrap();
    assert_eq!(
        test::left(&daemon, &run).await.unwrap(),
        ["network pilothouse-test-run-1-api"]
    );
    assert_eq!(
        test::sweep(&daemon, &run).await.unwrap(),
        ["network pilothouse-test-run-1-api"]
    );
    assert_eq!(ground.left().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_need_is_ready_when_it_listens_for_others() {
    let mut database = ImagePlan::new("db:1", &["sh", "-c", "sleep infinity"]);
    database.config["ExposedPorts"] = serde_json::json!({ "5432/tcp": {} });
    let mut scenario = Scenario::empty(1);
    scenario.hosts[0].images.push(database);
    let ground = Ground::of(scenario);
    let listens = Need {
        image: "db:1".to_owned(),
        command: Vec::new(),
        ..need("db", "", Ready::Tcp(5432))
    };
    let report = ground
        .proven(&test_of("true", vec![listens]), &Told::default())
        .await
        .unwrap();
    assert_eq!(report.result, TestResult::Passed);
    assert_eq!(ground.left().await, Vec::<String>::new());
}
