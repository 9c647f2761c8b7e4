//! A state folder, hosts, a service on them, and runs that are processes of the built program.
//! For simulated daemons (`tests/it`) and real ones (`tests/real`).

#[path = "crash.rs"]
pub(crate) mod crash;
#[path = "adoption.rs"]
pub(crate) mod adoption;
#[path = "promotion.rs"]
pub(crate) mod promotion;
#[path = "reverted.rs"]
pub(crate) mod reverted;
#[path = "stages.rs"]
pub(crate) mod stages;
#[path = "rolling.rs"]
pub(crate) mod rolling;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pilothouse::config::service::{Deploy, Gate, Restart, Secret, SecretFile, Service, Spec, Strategy};
use pilothouse::config::{Config, Host, StateDir};
use pilothouse::domain::ids::{ContainerId, HostName, ReleaseNumber, RunId, ServiceName};
use pilothouse::domain::order::Access;
use pilothouse::domain::plan::RunRequest;
use pilothouse::domain::run::{Outcome, RunKind, RunStatus, RunView};
use pilothouse::domain::units::Stamp;
use pilothouse::release::lease::STALE;
use pilothouse::release::plan::Actor;
use pilothouse::release::replica::{Policy, Replica};
use pilothouse::release::snapshot::differences;
use pilothouse::release::subject::Subject;
use pilothouse::runs::step::lock;
use pilothouse::runs::{self, Recovery, State};

pub(crate) struct Bench {
    pub(crate) config: Config,
    pub(crate) state: State,
    /// What its runs are of, and what it looks at: an environment of the service, or the service without one.
    pub(crate) environment: Option<String>,
    image: String,
    folder: tempfile::TempDir,
}

pub(crate) type Seen = BTreeMap<HostName, Vec<Replica>>;

impl Bench {
    /// `image` is `repository:tag` and there on every host.
    pub(crate) fn on(hosts: Vec<Host>, image: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = hosts.iter().map(|host| host.name.clone()).collect();
        let repository = image.split(':').next().unwrap();
        let config = Config {
            hosts,
            services: vec![shop(names, repository)],
            ..Config::default()
        };
        let dir = StateDir {
            dir: Some(folder.path().join("state")),
            ..StateDir::default()
        };
        let state = State::open(&dir, &|_| None)
            .unwrap()
            .with_program(PathBuf::from(env!("CARGO_BIN_EXE_pilothouse")));
        Self {
            config,
            state,
            environment: None,
            image: image.to_owned(),
            folder,
        }
    }

    /// Another bastion: the same configuration, a state folder of its own with nothing in it.
    pub(crate) fn another(&self) -> Self {
        let mut other = Self::on(self.config.hosts.clone(), &self.image);
        other.config = self.config.clone();
        other.environment.clone_from(&self.environment);
        other
    }

    /// The bastion of a dead run is gone: its locks say a machine that nobody is, and were not renewed for long.
    /// What they pinned stays.
    pub(crate) async fn bastion_gone(&self, run: &RunId) {
        let plan = runs::disk::state::read_run_file(&self.state.dir(run))
            .unwrap()
            .plan;
        for host in &self.config.hosts {
            let daemon = pilothouse::hosts::connect(host, Access::Full).await.unwrap();
            for seen in lock::seen(&daemon, &plan.subject).await.unwrap() {
                let pinned = lock::pinned(&daemon, &seen.id).await.unwrap();
                lock::remove(&daemon, &seen.id).await.unwrap();
                let claim = lock::Claim {
                    plan: &plan,
                    machine: "bastion-gone",
                    pinned: pinned.as_ref(),
                };
                lock::take(&daemon, claim).await.unwrap();
            }
        }
        self.age_locks().await;
    }

    /// As if nobody had renewed them for 100 s, and for their grace over ssh: the lease in each says so.
    pub(crate) async fn age_locks(&self) {
        self.locks_of_age(Duration::from_secs(100)).await;
    }

    /// By the clocks of daemon and holder; what was made over ssh is older by its grace.
    pub(crate) async fn locks_of_age(&self, age: Duration) {
        for host in &self.config.hosts {
            let daemon = pilothouse::hosts::connect(host, Access::Full).await.unwrap();
            for seen in lock::seen(&daemon, &self.subject()).await.unwrap() {
                let ago = |now: Stamp| now.minus(age + seen.grace);
                let (renewed, holder) = (ago(seen.now), ago(seen.now_here));
                let lease = serde_json::json!({ "renewed": renewed, "stage": "gate", "holder": holder });
                self.write_lease(&daemon, &seen.id, &lease.to_string()).await;
            }
            for seen in lock::seen(&daemon, &self.subject()).await.unwrap() {
                assert_eq!(seen.is_stale(), age >= STALE, "{}", seen.described());
            }
        }
    }

    /// In the place of what its holder wrote.
    pub(crate) async fn write_lease(
        &self,
        daemon: &pilothouse::hosts::Daemon,
        lock: &ContainerId,
        text: &str,
    ) {
        self.write_lease_at(daemon, lock, text, 0).await;
    }

    /// The file says this second.
    pub(crate) async fn write_lease_at(
        &self,
        daemon: &pilothouse::hosts::Daemon,
        lock: &ContainerId,
        text: &str,
        modified: i64,
    ) {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(text.len() as u64);
        header.set_mtime(u64::try_from(modified).unwrap());
        let mut archive = tar::Builder::new(Vec::new());
        archive
            .append_data(&mut header, "lease.json", text.as_bytes())
            .unwrap();
        let options = bollard::query_parameters::UploadToContainerOptionsBuilder::default()
            .path("/")
            .build();
        let body = bollard::body_full(archive.into_inner().unwrap().into());
        let docker = daemon.change().unwrap();
        docker
            .upload_to_container(lock.as_str(), Some(options), body)
            .await
            .unwrap();
    }

    /// The process that carries a run out.
    pub(crate) fn process(&self, run: &RunId) -> rustix::process::Pid {
        let dir = self.state.dir(run);
        let wanted = format!("__run\0{}\0", dir.display());
        let pid = std::fs::read_dir("/proc").unwrap().find_map(|entry| {
            let path = entry.unwrap().path();
            let line = std::fs::read(path.join("cmdline")).ok()?;
            let pid = path.file_name()?.to_str()?.parse().ok()?;
            String::from_utf8_lossy(&line).ends_with(&wanted).then_some(pid)
        });
        rustix::process::Pid::from_raw(pid.expect("its process is there")).unwrap()
    }

    /// The same program, that kills itself with -9 right after so many records are on disk.
    fn dying(&self, after: u32) -> State {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.path().join(format!("dying-{after}"));
        let program = env!("CARGO_BIN_EXE_pilothouse");
        std::fs::write(
            &path,
            format!("#!/bin/sh\nPILOTHOUSE_DIE_AFTER={after} exec '{program}' \"$@\"\n"),
        )
        .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        self.state.clone().with_program(path)
    }

    pub(crate) fn subject(&self) -> Subject {
        Subject {
            service: ServiceName::parse("shop").unwrap(),
            environment: self.environment.clone(),
        }
    }

    pub(crate) fn request(&self, kind: RunKind) -> RunRequest {
        RunRequest {
            environment: self.environment.clone(),
            image: Some(self.image.clone()),
            reason: Some("a test".to_owned()),
            ..RunRequest::new(kind, ServiceName::parse("shop").unwrap())
        }
    }

    pub(crate) async fn launch(&self, state: &State, kind: RunKind) -> RunId {
        let request = self.request(kind);
        Box::pin(runs::launch(state, &self.config, &request, actor()))
            .await
            .unwrap()
    }

    /// One that may die before it says that it began: its folder is there all the same.
    pub(crate) async fn launch_dying(&self, after: u32, kind: RunKind) -> RunId {
        self.launch_dying_of(after, &self.request(kind)).await
    }

    pub(crate) async fn launch_dying_of(&self, after: u32, request: &RunRequest) -> RunId {
        let state = self.dying(after);
        match Box::pin(runs::launch(&state, &self.config, request, actor())).await {
            Ok(run) => run,
            Err(_) => runs::list(&self.state)[0].id.clone(),
        }
    }

    /// Its exit code (5 if it died) and what anybody sees of it.
    pub(crate) async fn ended(&self, run: &RunId) -> (u8, RunView) {
        let dir = self.state.dir(run);
        let limit = Duration::from_mins(5);
        let gone = async {
            // It was alive when `launch` returned, or it is dead already.
            while runs::disk::state::is_alive(&dir) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(limit, gone)
            .await
            .unwrap_or_else(|_| panic!("it did not end:\n{}", self.journal(run)));
        let mut reader = runs::seen::follow::Reader::new(dir);
        reader.read().unwrap();
        (
            reader.exit().map_or(5, u8::from),
            runs::view(&self.state, run).unwrap(),
        )
    }

    pub(crate) async fn run(&self, kind: RunKind) -> (u8, RunView) {
        let run = self.launch(&self.state, kind).await;
        self.ended(&run).await
    }

    /// Must converge.
    pub(crate) async fn good(&self, kind: RunKind) -> ReleaseNumber {
        let (exit, view) = self.run(kind).await;
        assert_eq!(exit, 0, "{:?}\n{}", view.status, self.journal(&view.id));
        view.to.unwrap()
    }

    pub(crate) async fn recover(&self, run: &RunId) -> (u8, RunView) {
        let found = Box::pin(runs::recover(
            &self.state,
            &self.config,
            run.clone(),
            Access::Full,
        ))
        .await;
        match found.unwrap_or_else(|failure| panic!("{failure:?}\n{}", self.journal(run))) {
            Recovery::Started(started) => self.ended(&started).await,
            other @ Recovery::Unlocked { .. } => panic!("{other:?}"),
        }
    }

    /// No container, network or volume of the run's tests is on any host.
    pub(crate) async fn assert_no_tests_left(&self, run: &RunId, context: &str) {
        for host in &self.config.hosts {
            let daemon = pilothouse::hosts::connect(host, Access::ReadOnly).await.unwrap();
            let left = runs::step::test::left(&daemon, run).await.unwrap();
            assert!(left.is_empty(), "{}: {left:?}\n{context}", host.name);
        }
    }

    /// Its own folder: for what the configuration names.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A file in the replica that is up on the first host: its text, mode and owner, as the daemon hands it out.
    pub(crate) async fn file_of_active(&self, path: &str) -> (String, u32, u64, u64) {
        use futures_util::TryStreamExt as _;
        use std::io::Read as _;
        let host = &self.config.hosts[0];
        let replicas = self.look().await.remove(&host.name).unwrap();
        let active = replicas.iter().find(|replica| replica.state.is_up()).unwrap();
        let daemon = pilothouse::hosts::connect(host, Access::ReadOnly).await.unwrap();
        let options = bollard::query_parameters::DownloadFromContainerOptionsBuilder::default()
            .path(path)
            .build();
        let stream = daemon
            .read()
            .download_from_container(active.id.as_str(), Some(options));
        let pieces: Vec<_> = stream.try_collect().await.unwrap();
        let tar = pieces.concat();
        let mut archive = tar::Archive::new(tar.as_slice());
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let header = entry.header().clone();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        (text, header.mode().unwrap() & 0o7777, uid, gid)
    }

    pub(crate) fn journal(&self, run: &RunId) -> String {
        std::fs::read_to_string(self.state.dir(run).join("journal.ndjson")).unwrap_or_default()
    }

    /// What is there, host by host, as a person with `docker inspect` finds it.
    pub(crate) async fn look(&self) -> Seen {
        let subject = self.subject();
        let mut seen = Seen::new();
        for host in &self.config.hosts {
            let daemon = pilothouse::hosts::connect(host, Access::ReadOnly).await.unwrap();
            let replicas = runs::step::replicas::replicas(&daemon, &subject).await.unwrap();
            seen.insert(host.name.clone(), replicas);
        }
        seen
    }

    pub(crate) async fn locks(&self) -> usize {
        let mut count = 0;
        for host in &self.config.hosts {
            let daemon = pilothouse::hosts::connect(host, Access::ReadOnly).await.unwrap();
            count += lock::seen(&daemon, &self.subject()).await.unwrap().len();
        }
        count
    }

    /// Until a run has locked so many hosts.
    pub(crate) async fn locked(&self, hosts: usize) {
        let locked = async {
            while self.locks().await < hosts {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(2), locked)
            .await
            .unwrap();
    }

    /// Until a run gates on so many hosts at once.
    pub(crate) async fn gating(&self, run: &RunId, hosts: usize) {
        let gates = || {
            let view = runs::view(&self.state, run).unwrap();
            let mut gates = view.stages.iter().filter(|stage| stage.name == "gate");
            gates.any(|gate| format!("{:?}", gate.cells).matches("Running").count() >= hosts)
        };
        let gating = async {
            while !gates() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(2), gating)
            .await
            .unwrap_or_else(|_| panic!("it does not gate:\n{}", self.journal(run)));
    }

    /// On every host exactly this release is up, with its final policy; nothing else would start after a reboot.
    pub(crate) async fn assert_on(&self, release: ReleaseNumber, context: &str) {
        for (host, replicas) in self.look().await {
            let up: Vec<&Replica> = replicas.iter().filter(|replica| replica.state.is_up()).collect();
            assert_eq!(up.len(), 1, "{host}: {replicas:#?}\n{context}");
            assert_eq!(up[0].release, Some(release), "{host}: {replicas:#?}\n{context}");
            for replica in &replicas {
                let wanted = if replica.id == up[0].id {
                    Policy::Always
                } else {
                    Policy::No
                };
                assert_eq!(replica.policy, wanted, "{host}: {}\n{context}", replica.name);
            }
        }
        assert_eq!(self.locks().await, 0, "{context}");
    }

    pub(crate) async fn assert_as_before(&self, before: &Seen, context: &str) {
        let now = self.look().await;
        for (host, replicas) in &now {
            let found = differences(host, &before[host], replicas);
            assert!(found.is_empty(), "{found:?}\n{context}");
        }
        assert_eq!(self.locks().await, 0, "{context}");
    }
}

pub(crate) fn actor() -> Actor {
    Actor {
        login: "ops-a".to_owned(),
        machine: "bastion-1".to_owned(),
        via: None,
    }
}

fn shop(hosts: Vec<HostName>, repository: &str) -> Service {
    Service {
        name: ServiceName::parse("shop").unwrap(),
        image: repository.to_owned(),
        build: None,
        pipeline: Vec::new(),
        stages: Vec::new(),
        environments: Vec::new(),
        tests: Vec::new(),
        deploy: Some(Deploy {
            hosts,
            strategy: Strategy::Recreate,
            replicas: 1,
            keep: 3,
            spec: Spec {
                command: ["sh", "-c", "trap 'exit 0' TERM; sleep infinity"]
                    .map(str::to_owned)
                    .into(),
                restart: Restart::Always,
                stop_grace: Duration::from_secs(1),
                ..Spec::default()
            },
            gate: Gate {
                steady: Duration::from_millis(50),
                within: Duration::from_secs(5),
                ..Gate::default()
            },
            bake: Duration::ZERO,
            before_switch: Vec::new(),
            after_switch: Vec::new(),
            shared: false,
        }),
    }
}

/// The service finds a key of 1000:1001 in `/run/secrets/tls.key`; its value is taken from `source`.
pub(crate) fn secret_files(bench: &mut Bench, source: &std::path::Path) {
    let spec = &mut bench.config.services[0].deploy.as_mut().unwrap().spec;
    let file = SecretFile {
        source: Secret::File(source.to_owned()),
        path: "/run/secrets/tls.key".to_owned(),
        uid: 1000,
        gid: 1001,
        mode: 0o440,
    };
    spec.files.insert("TLS_KEY".to_owned(), file);
}

/// Runs of `kind` that die after record `from`, `from + step`, …, with their bastion: each time a run of another
/// bastion finds the stale locks, puts in order what was left, and goes on. Until one lives to its end.
pub(crate) async fn stale_matrix(bench: &Bench, kind: RunKind, from: u32, step: usize) {
    bench.good(RunKind::Deploy).await;
    bench.good(RunKind::Deploy).await;
    let (mut undone, mut finished, mut only_locked) = (0, 0, 0);
    for after in (from..).step_by(step) {
        let run = bench.launch_dying(after, kind).await;
        let (exit, _) = bench.ended(&run).await;
        if exit == 0 {
            assert!(
                after > 40,
                "it ended before it could be killed: {}",
                bench.journal(&run)
            );
            break;
        }
        let locks = bench.locks().await;
        bench.bastion_gone(&run).await;
        let other = bench.another();
        let release = other.good(RunKind::Deploy).await;
        let context = format!("killed after record {after}:\n{}", bench.journal(&run));
        bench.assert_on(release, &context).await;
        match runs::view(&other.state, &run).map(|view| view.status) {
            Ok(RunStatus::Closed {
                outcome: Outcome::Converged,
                ..
            }) => finished += 1,
            Ok(RunStatus::Closed {
                outcome: Outcome::Reverted { .. },
                ..
            }) => undone += 1,
            Ok(other) => panic!("{other:?}\n{context}"),
            Err(_) if locks > 0 => only_locked += 1,
            Err(_) => {}
        }
        // The first bastion comes back: of its run nothing is left to do, and no lock stays.
        let (exit, view) = bench.recover(&run).await;
        assert!(exit < 2, "{:?}\n{context}\n{}", view.status, bench.journal(&run));
        bench.assert_on(release, &context).await;
    }
    assert!(
        undone > 0 && finished > 0 && only_locked > 0,
        "{undone} undone, {finished} finished, {only_locked} only locked"
    );
}

/// A runner is stopped (SIGSTOP) in its gate for so long that another bastion takes its lock, recovers it and deploys;
/// then it goes on.
pub(crate) async fn comes_back(bench: &mut Bench) {
    use rustix::process::{Signal, kill_process};
    bench.good(RunKind::Deploy).await;
    let quick = bench.config.clone();
    bench.config.services[0].deploy.as_mut().unwrap().gate.steady = Duration::from_mins(10);
    bench.config.services[0].deploy.as_mut().unwrap().gate.within = Duration::from_mins(20);
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    bench.gating(&run, 2).await;
    let pid = bench.process(&run);
    kill_process(pid, Signal::STOP).unwrap();
    bench.age_locks().await;
    let mut other = bench.another();
    other.config = quick;
    let release = other.good(RunKind::Deploy).await;
    other.assert_on(release, "").await;
    kill_process(pid, Signal::CONT).unwrap();
    let (exit, view) = bench.ended(&run).await;
    assert_eq!(exit, 5, "{:?}\n{}", view.status, bench.journal(&run));
    match &view.status {
        RunStatus::Closed {
            outcome: Outcome::NeedsHuman { why, .. },
            ..
        } => assert!(why.contains("lock of this run"), "{why}"),
        other => panic!("{other:?}"),
    }
    other.assert_on(release, &bench.journal(&run)).await;
}
