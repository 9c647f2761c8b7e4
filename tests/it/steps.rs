//! Building, testing and moving images on failing simulated engines: what is reported, and what is left.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pilothouse::config::service::{Build, Test};
use pilothouse::domain::fault::Fault;
use pilothouse::domain::ids::{ImageId, RunId};
use pilothouse::domain::order::Access;
use pilothouse::hosts;
use pilothouse::runs::begin::logins::Logins;
use pilothouse::runs::step::test::{Report, TestResult, Trial};
use pilothouse::runs::step::{Progress, build, image, test};
use pilothouse::sim::{BOX_IMAGE, EngineHandle, Fleet, Scenario};
use tokio_util::sync::CancellationToken;

const TAG: &str = "shop:one";

type Deed = Arc<dyn Fn() + Send + Sync>;

/// Keeps what a step tells; does something when a word is told.
#[derive(Clone, Default)]
struct Told {
    lines: Arc<Mutex<Vec<String>>>,
    at: Option<(&'static str, Deed)>,
}

impl Told {
    fn doing(word: &'static str, what: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            at: Some((word, Arc::new(what))),
            ..Self::default()
        }
    }

    fn look(&self, text: &str) {
        if let Some((word, what)) = &self.at
            && text.contains(word)
        {
            what();
        }
    }
}

impl Progress for Told {
    fn text(&mut self, now: &str) {
        self.look(now);
    }

    fn line(&mut self, line: &str) {
        self.lines.lock().unwrap().push(line.to_owned());
        self.look(line);
    }
}

struct Ground {
    fleet: Fleet,
    folder: tempfile::TempDir,
    never: CancellationToken,
}

/// Without labels, secrets and logins.
fn order<'o>(build: &'o Build, tags: &'o [String]) -> build::Order<'o> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    static NOBODY: Logins = BTreeMap::new();
    build::Order {
        build,
        tags,
        labels: &NONE,
        secrets: &NONE,
        logins: &NOBODY,
    }
}

impl Ground {
    fn new(hosts: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            fleet: Fleet::start(Scenario::empty(hosts), folder.path()).unwrap(),
            folder,
            never: CancellationToken::new(),
        }
    }

    fn engine(&self, name: &str) -> EngineHandle {
        self.fleet.engine(name).unwrap().clone()
    }

    async fn daemon(&self, name: &str) -> hosts::Daemon {
        self.reach(name, Access::Full).await
    }

    async fn reach(&self, name: &str, access: Access) -> hosts::Daemon {
        let config = self.fleet.config();
        let host = config
            .hosts
            .iter()
            .find(|host| host.name.as_str() == name)
            .unwrap();
        hosts::connect(host, access).await.unwrap()
    }

    fn plan(&self, dockerfile: &str) -> Build {
        let context = self.folder.path().join("context");
        std::fs::create_dir_all(&context).unwrap();
        std::fs::write(
            context.join("Dockerfile"),
            format!("FROM {BOX_IMAGE}\n{dockerfile}\n"),
        )
        .unwrap();
        let host = self.fleet.config().hosts[0].name.clone();
        Build::new(host, context, Duration::from_secs(30))
    }

    async fn built(&self, plan: &Build, told: &Told) -> Result<ImageId, Fault> {
        let daemon = self.daemon("host-1").await;
        let tags = [TAG.to_owned()];
        build::build(&daemon, order(plan, &tags), &mut told.clone(), &self.never).await
    }

    async fn tested(&self, script: &str, limit: Duration, told: &Told) -> Result<TestResult, Fault> {
        let daemon = self.daemon("host-1").await;
        let what = Test {
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            timeout: limit,
            ..Test::new("unit", daemon.name().clone())
        };
        Ok(self.proven(&what, told).await?.result)
    }

    /// In the box image, which its needs may name, too.
    async fn proven(&self, what: &Test, told: &Told) -> Result<Report, Fault> {
        let daemon = self.daemon("host-1").await;
        let id = daemon.read().inspect_image(BOX_IMAGE).await.unwrap().id.unwrap();
        let (id, run) = (ImageId::parse(&id).unwrap(), RunId::parse("run-1").unwrap());
        let images = [BOX_IMAGE, "self"]
            .map(|name| (name.to_owned(), id.clone()))
            .into();
        let trial = Trial {
            network: None,
            test: what,
            run: &run,
            image: &id,
            images: &images,
            folder: self.folder.path(),
        };
        test::test(&daemon, trial, &mut told.clone(), &self.never).await
    }
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_image_is_built_tested_and_brought_to_another_host() {
    let ground = Ground::new(2);
    let id = ground
        .built(&ground.plan("RUN echo compiled"), &Told::default())
        .await
        .unwrap();
    let told = Told::default();
    assert_eq!(
        ground.tested("echo fine", LONG, &told).await.unwrap(),
        TestResult::Passed
    );
    assert_eq!(*told.lines.lock().unwrap(), ["fine"]);
    let failed = ground.tested("exit 3", LONG, &told).await.unwrap();
    assert_eq!(failed, TestResult::Failed { code: 3 });
    let (from, to) = (ground.daemon("host-1").await, ground.daemon("host-2").await);
    image::transfer(&from, &to, &id, &mut Told::default(), &ground.never)
        .await
        .unwrap();
    assert!(image::present(&to, &id).await.unwrap());
    assert_eq!(
        to.read().inspect_image(TAG).await.unwrap().id.unwrap(),
        id.as_str()
    );
    assert_eq!(ground.engine("host-1").containers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_full_disk_is_said_for_what_it_is_on_the_builder_and_on_a_target() {
    let ground = Ground::new(2);
    let id = ground
        .built(&ground.plan("RUN echo one"), &Told::default())
        .await
        .unwrap();
    ground.engine("host-1").fill_disk(true);
    let fault = ground
        .built(&ground.plan("RUN echo two"), &Told::default())
        .await
        .unwrap_err();
    assert!(
        fault
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("disk of the build host")),
        "{fault:?}"
    );
    ground.engine("host-2").fill_disk(true);
    let (from, to) = (ground.daemon("host-1").await, ground.daemon("host-2").await);
    let fault = image::transfer(&from, &to, &id, &mut Told::default(), &ground.never)
        .await
        .unwrap_err();
    assert!(
        fault
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("disk of the target")),
        "{fault:?}"
    );
    assert!(!image::present(&to, &id).await.unwrap());
}

#[tokio::test]
async fn a_builder_that_falls_silent_ends_at_the_builds_limit() {
    let ground = Ground::new(1);
    let engine = ground.engine("host-1");
    let told = Told::doing("step 2 of 2", move || engine.hang(true));
    let plan = Build {
        timeout: Duration::from_millis(800),
        ..ground.plan("RUN echo never seen")
    };
    let ended = CancellationToken::new();
    let fault = async {
        let outcome = ground.built(&plan, &told).await;
        ended.cancel();
        outcome
    };
    let released = async {
        let engine = ground.engine("host-1");
        // On a busy machine the limit may be over before that step.
        while !engine.is_hung() && !ended.is_cancelled() {
            tokio::task::yield_now().await;
        }
        // Longer than the build may take: what is looked at afterwards is answered again.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        engine.hang(false);
    };
    let (outcome, ()) = tokio::join!(fault, released);
    assert!(outcome.unwrap_err().why.contains("took longer than"));
}

#[tokio::test]
async fn a_connection_that_breaks_midway_is_a_fault_and_never_an_image() {
    let ground = Ground::new(1);
    let engine = ground.engine("host-1");
    let told = Told::doing("step 2 of 2", move || engine.cut_connections());
    let outcome = ground.built(&ground.plan("RUN echo never seen"), &told).await;
    let fault = outcome.unwrap_err();
    assert!(
        fault
            .to_string()
            .starts_with("could not build shop:one on host-1: "),
        "{fault}"
    );
    let daemon = ground.daemon("host-1").await;
    assert!(daemon.read().inspect_image(TAG).await.is_err());
}

#[tokio::test]
async fn a_test_that_the_kernel_kills_for_memory_or_that_never_ends_is_told_apart() {
    let ground = Ground::new(1);
    let engine = ground.engine("host-1");
    let told = Told::doing("running", move || {
        engine.run_out_of_memory("pilothouse-test-run-1-unit").unwrap();
    });
    let result = ground.tested("sleep 1000", LONG, &told).await.unwrap();
    assert_eq!(result, TestResult::OutOfMemory { code: 137 });
    let limit = Duration::from_millis(200);
    let result = ground
        .tested("sleep 1000", limit, &Told::default())
        .await
        .unwrap();
    assert_eq!(result, TestResult::TimedOut { limit });
    assert_eq!(ground.engine("host-1").containers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_test_whose_start_is_refused_leaves_no_container() {
    let ground = Ground::new(1);
    ground.engine("host-1").fail(
        "POST",
        "/start",
        1,
        "driver failed programming external connectivity",
    );
    let fault = ground.tested("true", LONG, &Told::default()).await.unwrap_err();
    assert!(fault.why.contains("external connectivity"), "{fault}");
    assert_eq!(ground.engine("host-1").containers(), Vec::<String>::new());
}

#[tokio::test]
async fn nothing_is_built_tested_or_brought_anywhere_read_only() {
    let ground = Ground::new(2);
    let id = ground
        .built(&ground.plan("RUN echo one"), &Told::default())
        .await
        .unwrap();
    let (one, two) = (
        ground.reach("host-1", Access::ReadOnly).await,
        ground.reach("host-2", Access::ReadOnly).await,
    );
    let plan = ground.plan("RUN echo two");
    let refused = build::build(&one, order(&plan, &[]), &mut Told::default(), &ground.never).await;
    assert!(refused.unwrap_err().why.contains("read-only"));
    let refused = image::transfer(&one, &two, &id, &mut Told::default(), &ground.never).await;
    assert!(refused.unwrap_err().why.contains("read-only"));
    for name in ["host-1", "host-2"] {
        let requests = ground.engine(name).requests();
        let changing = requests
            .iter()
            .filter(|request| !request.starts_with("GET") && !request.starts_with("HEAD"));
        assert!(
            changing.count() <= 1,
            "only the build that was allowed: {requests:?}"
        );
    }
    assert!(Path::new(&plan.context).is_dir());
}
