//! The simulated engine, used over its socket like any daemon.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::{CreateContainerOptionsBuilder, ListContainersOptionsBuilder};
use pilothouse::sim::{BOX_IMAGE, ContainerPlan, Downfall, EngineHandle, Fleet, Scenario};

struct Sim {
    fleet: Fleet,
    folder: tempfile::TempDir,
}

impl Sim {
    fn start(scenario: Scenario) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            fleet: Fleet::start(scenario, folder.path()).unwrap(),
            folder,
        }
    }

    fn one() -> Self {
        Self::start(Scenario::empty(1))
    }

    fn engine(&self) -> &EngineHandle {
        self.fleet.engine("host-1").unwrap()
    }

    fn docker(&self) -> Docker {
        let path = self.engine().socket().to_str().unwrap();
        Docker::connect_with_unix(
            path,
            5,
            &bollard::ClientVersion {
                major_version: 1,
                minor_version: 41,
            },
        )
        .unwrap()
    }
}

fn body(command: &str) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(BOX_IMAGE.to_owned()),
        cmd: Some(["sh", "-c", command].map(str::to_owned).to_vec()),
        ..ContainerCreateBody::default()
    }
}

fn with_policy(command: &str, name: RestartPolicyNameEnum) -> ContainerCreateBody {
    ContainerCreateBody {
        host_config: Some(HostConfig {
            restart_policy: Some(RestartPolicy {
                name: Some(name),
                maximum_retry_count: None,
            }),
            ..HostConfig::default()
        }),
        ..body(command)
    }
}

async fn create(
    docker: &Docker,
    name: &str,
    body: ContainerCreateBody,
) -> Result<String, bollard::errors::Error> {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    Ok(docker.create_container(Some(options), body).await?.id)
}

async fn states(docker: &Docker) -> HashMap<String, String> {
    let options = ListContainersOptionsBuilder::default().all(true).build();
    let rows = docker.list_containers(Some(options)).await.unwrap();
    rows.into_iter()
        .map(|row| {
            let name = row.names.unwrap().remove(0).trim_start_matches('/').to_owned();
            (name, row.state.unwrap().to_string())
        })
        .collect()
}

#[tokio::test]
async fn a_planted_container_is_listed_and_inspected() {
    let sim = Sim::one();
    sim.engine()
        .add(&ContainerPlan::new("web-1", "shop/web:3").publishing(8080, 80))
        .unwrap();
    let docker = sim.docker();
    assert_eq!(docker.ping().await.unwrap(), "OK");
    assert_eq!(states(&docker).await["web-1"], "running");
    let seen = docker.inspect_container("web-1", None).await.unwrap();
    assert_eq!(seen.config.unwrap().image.unwrap(), "shop/web:3");
    assert!(docker.info().await.unwrap().id.is_some());
}

#[tokio::test]
async fn of_many_creates_of_one_name_exactly_one_wins() {
    let sim = Sim::one();
    let docker = sim.docker();
    let tries = (0..20).map(|_| create(&docker, "lock", body("sleep 1")));
    let results = futures_util::future::join_all(tries).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for error in results.into_iter().filter_map(Result::err) {
        assert!(
            error.to_string().contains("is already in use by container"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn after_a_crash_of_the_daemon_only_the_policies_that_survive_it_bring_containers_up() {
    use RestartPolicyNameEnum::{ALWAYS, NO, ON_FAILURE, UNLESS_STOPPED};
    for (how, up) in [
        (Downfall::Killed, vec!["always", "on-failure"]),
        (Downfall::Stopped, vec!["always", "on-failure", "unless-stopped"]),
    ] {
        let sim = Sim::one();
        let docker = sim.docker();
        for (name, policy) in [
            ("always", ALWAYS),
            ("on-failure", ON_FAILURE),
            ("unless-stopped", UNLESS_STOPPED),
            ("no", NO),
            ("never-started", ALWAYS),
        ] {
            let id = create(&docker, name, with_policy("sleep 100", policy))
                .await
                .unwrap();
            if name != "never-started" {
                docker.start_container(&id, None).await.unwrap();
            }
        }
        sim.engine().restart(how).unwrap();
        let states = states(&sim.docker()).await;
        let mut running: Vec<&str> = states
            .iter()
            .filter(|(_, state)| *state == "running")
            .map(|(name, _)| name.as_str())
            .collect();
        running.sort_unstable();
        assert_eq!(running, up, "{how:?}");
        assert_eq!(states["never-started"], "created");
    }
}

async fn text_of(
    mut stream: impl futures_util::Stream<Item = Result<bollard::container::LogOutput, bollard::errors::Error>>
    + Unpin,
) -> String {
    use futures_util::StreamExt;
    let mut text = String::new();
    while let Some(output) = stream.next().await {
        text.push_str(&output.unwrap().to_string());
    }
    text
}

fn tar_of(name: &str, content: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len().try_into().unwrap());
    header.set_mode(0o600);
    builder
        .append_data(&mut header, name, content.as_bytes())
        .unwrap();
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn what_is_put_into_a_never_started_container_outlives_it_in_its_volume() {
    use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
    use futures_util::TryStreamExt;
    let sim = Sim::one();
    let docker = sim.docker();
    let ledger = || ContainerCreateBody {
        image: Some(String::new()),
        cmd: Some(vec!["none".to_owned()]),
        host_config: Some(HostConfig {
            binds: Some(vec!["ledger:/ledger".to_owned()]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let first = create(&docker, "first", ledger()).await.unwrap();
    let put = UploadToContainerOptionsBuilder::default().path("/ledger").build();
    docker
        .upload_to_container(
            &first,
            Some(put),
            bollard::body_full(tar_of("r41", "committed").into()),
        )
        .await
        .unwrap();
    docker.remove_container(&first, None).await.unwrap();
    let second = create(&docker, "second", ledger()).await.unwrap();
    let get = DownloadFromContainerOptionsBuilder::default()
        .path("/ledger/r41")
        .build();
    let tar: Vec<u8> = docker
        .download_from_container(&second, Some(get))
        .try_fold(Vec::new(), |mut all, piece| async move {
            all.extend(piece);
            Ok(all)
        })
        .await
        .unwrap();
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(entry.path().unwrap().to_str().unwrap(), "r41");
    let content = std::io::read_to_string(&mut entry).unwrap();
    assert_eq!(content, "committed");
}

#[tokio::test]
async fn a_script_is_run_its_output_kept_and_its_code_told() {
    use bollard::query_parameters::{LogsOptionsBuilder, WaitContainerOptionsBuilder};
    use futures_util::StreamExt;
    let sim = Sim::one();
    let docker = sim.docker();
    let id = create(&docker, "job", body("echo one; echo two >&2; sleep 0.05; exit 7"))
        .await
        .unwrap();
    docker.start_container(&id, None).await.unwrap();
    let wait = WaitContainerOptionsBuilder::default()
        .condition("not-running")
        .build();
    let code = docker.wait_container(&id, Some(wait)).next().await.unwrap();
    match code {
        Err(bollard::errors::Error::DockerContainerWaitError { code, .. }) => assert_eq!(code, 7),
        other => panic!("{other:?}"),
    }
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
    assert_eq!(text_of(docker.logs(&id, Some(options))).await, "one\ntwo\n");
}

#[tokio::test]
async fn a_follower_gets_lines_as_they_are_written_and_the_end() {
    use bollard::query_parameters::LogsOptionsBuilder;
    use futures_util::StreamExt;
    let sim = Sim::one();
    sim.engine()
        .add(&ContainerPlan::new("talker", BOX_IMAGE))
        .unwrap();
    let docker = sim.docker();
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .follow(true)
        .build();
    let mut lines = docker.logs("talker", Some(options));
    for number in 0..50 {
        sim.engine().print("talker", &format!("line {number}")).unwrap();
        let line = lines.next().await.unwrap().unwrap();
        assert_eq!(line.to_string(), format!("line {number}\n"));
    }
    sim.engine().die("talker", 0).unwrap();
    assert!(lines.next().await.is_none());
}

#[tokio::test]
async fn an_exec_answers_with_its_output_and_code_and_a_shell_can_be_typed_into() {
    use bollard::exec::{CreateExecOptions, StartExecResults};
    use futures_util::StreamExt;
    use tokio::io::AsyncWriteExt;
    let sim = Sim::one();
    sim.engine().add(&ContainerPlan::new("box", BOX_IMAGE)).unwrap();
    let docker = sim.docker();
    let exec = |argv: &[&str], tty: bool| CreateExecOptions {
        cmd: Some(argv.iter().map(|word| (*word).to_owned()).collect()),
        attach_stdin: Some(tty),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(tty),
        ..CreateExecOptions::default()
    };
    let df = docker
        .create_exec("box", exec(&["df", "-P", "/"], false))
        .await
        .unwrap()
        .id;
    match docker.start_exec(&df, None).await.unwrap() {
        StartExecResults::Attached { output, .. } => {
            let text = text_of(output).await;
            assert!(text.contains("overlay"), "{text}");
        }
        StartExecResults::Detached => panic!("detached"),
    }
    let shell = docker.create_exec("box", exec(&["sh"], true)).await.unwrap().id;
    match docker.start_exec(&shell, None).await.unwrap() {
        StartExecResults::Attached {
            mut output,
            mut input,
        } => {
            input.write_all(b"echo hello\rexit 3\r").await.unwrap();
            let mut text = String::new();
            while let Some(Ok(piece)) = output.next().await {
                text.push_str(&piece.to_string());
            }
            assert!(text.contains("\r\nhello\r\n"), "{text:?}");
        }
        StartExecResults::Detached => panic!("detached"),
    }
    assert_eq!(docker.inspect_exec(&shell).await.unwrap().exit_code, Some(3));
}

#[tokio::test]
async fn statistics_come_as_counters_that_grow() {
    use bollard::query_parameters::StatsOptionsBuilder;
    use futures_util::StreamExt;
    let sim = Sim::one();
    sim.engine()
        .add(&ContainerPlan::new("busy", BOX_IMAGE).behaving(pilothouse::sim::Behaviour::worker()))
        .unwrap();
    let docker = sim.docker();
    let options = StatsOptionsBuilder::default().stream(true).build();
    let mut stream = docker.stats("busy", Some(options));
    let total = |stats: &bollard::models::ContainerStatsResponse| {
        stats
            .cpu_stats
            .as_ref()
            .unwrap()
            .cpu_usage
            .as_ref()
            .unwrap()
            .total_usage
            .unwrap()
    };
    let first = stream.next().await.unwrap().unwrap();
    let second = stream.next().await.unwrap().unwrap();
    assert!(total(&second) > total(&first));
}

#[tokio::test]
async fn a_hung_daemon_is_silent_and_a_failing_one_says_what_it_was_told() {
    let sim = Sim::one();
    let docker = sim.docker();
    docker.ping().await.unwrap();
    sim.engine().hang(true);
    let silent = tokio::time::timeout(std::time::Duration::from_millis(100), docker.ping()).await;
    assert!(silent.is_err());
    sim.engine().hang(false);
    docker.ping().await.unwrap();
    sim.engine().fail("GET", "/info", 1, "no luck");
    assert!(docker.info().await.unwrap_err().to_string().contains("no luck"));
    assert!(docker.info().await.is_ok());
    sim.engine().refuse();
    assert!(docker.ping().await.is_err());
    sim.engine().accept().unwrap();
    docker.ping().await.unwrap();
}

async fn build(docker: &Docker, files: &[(&str, &str)], tag: &str) -> Result<String, bollard::errors::Error> {
    use bollard::query_parameters::BuildImageOptionsBuilder;
    use futures_util::StreamExt;
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len().try_into().unwrap());
        header.set_mode(0o755);
        builder
            .append_data(&mut header, name, content.as_bytes())
            .unwrap();
    }
    let body = bollard::body_full(builder.into_inner().unwrap().into());
    let options = BuildImageOptionsBuilder::default().t(tag).rm(true).build();
    let mut stream = docker.build_image(options, None, Some(body));
    let mut id = None;
    while let Some(answer) = stream.next().await {
        id = answer?.aux.and_then(|aux| aux.id).or(id);
    }
    Ok(id.unwrap())
}

#[tokio::test]
async fn an_image_is_built_runs_what_was_copied_and_moves_to_another_host_under_its_id() {
    use bollard::query_parameters::{ImportImageOptionsBuilder, WaitContainerOptionsBuilder};
    use futures_util::{StreamExt, TryStreamExt};
    let sim = Sim::start(Scenario::empty(2));
    let docker = sim.docker();
    let dockerfile =
        "FROM sim/box:1\nCOPY test.sh /app/test.sh\nRUN echo compiling\nCMD [\"/app/test.sh\"]\n";
    let files = [
        ("Dockerfile", dockerfile),
        ("test.sh", "#!/bin/sh\necho tested\nexit 4\n"),
    ];
    let id = build(&docker, &files, "shop:1").await.unwrap();
    assert_eq!(build(&docker, &files, "shop:1").await.unwrap(), id);
    let saved: Vec<u8> = docker
        .export_image("shop:1")
        .try_fold(Vec::new(), |mut all, piece| async move {
            all.extend(piece);
            Ok(all)
        })
        .await
        .unwrap();
    let path = sim.fleet.engine("host-2").unwrap().socket().to_str().unwrap();
    let other = Docker::connect_with_unix(path, 5, bollard::API_DEFAULT_VERSION).unwrap();
    let load = ImportImageOptionsBuilder::default().build();
    let answers: Vec<_> = other
        .import_image(load, bollard::body_full(saved.into()), None)
        .collect()
        .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(other.inspect_image("shop:1").await.unwrap().id.unwrap(), id);
    let shop = ContainerCreateBody {
        image: Some(id),
        ..ContainerCreateBody::default()
    };
    let container = create(&other, "test", shop).await.unwrap();
    other.start_container(&container, None).await.unwrap();
    let wait = WaitContainerOptionsBuilder::default().build();
    match other.wait_container(&container, Some(wait)).next().await.unwrap() {
        Err(bollard::errors::Error::DockerContainerWaitError { code, .. }) => assert_eq!(code, 4),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_failing_step_fails_the_build_in_dockers_words() {
    let sim = Sim::one();
    let files = [("Dockerfile", "FROM sim/box:1\nRUN exit 9\n")];
    let error = build(&sim.docker(), &files, "x:1").await.unwrap_err().to_string();
    assert!(error.contains("returned a non-zero code: 9"), "{error}");
}

#[tokio::test]
async fn the_demo_answers_and_its_trouble_shows() {
    let sim = Sim::start(Scenario::demo());
    let mut total = 0;
    let mut seen = HashMap::new();
    for engine in sim.fleet.engines() {
        let docker =
            Docker::connect_with_unix(engine.socket().to_str().unwrap(), 5, bollard::API_DEFAULT_VERSION)
                .unwrap();
        let states = states(&docker).await;
        total += states.len();
        seen.extend(states);
    }
    assert!(total >= 60, "{total}");
    assert_eq!(seen["shop.r41.1"], "running");
    assert_eq!(seen["shop.r40.1"], "exited");
    assert_eq!(seen["debug-shell"], "paused");
    let docker = Docker::connect_with_unix(
        sim.fleet.engine("web-1").unwrap().socket().to_str().unwrap(),
        5,
        bollard::API_DEFAULT_VERSION,
    )
    .unwrap();
    let options = bollard::query_parameters::LogsOptionsBuilder::default()
        .stdout(true)
        .tail("50")
        .build();
    let text = text_of(docker.logs("shop.r41.1", Some(options))).await;
    assert_eq!(text.lines().count(), 50, "{text}");
}

/// As `R` in the room asks for it: the labels alone tell of what was there before.
#[tokio::test]
async fn the_services_of_the_demo_can_be_rolled_back_to_what_the_list_says_is_usual() {
    use pilothouse::config::StateDir;
    use pilothouse::domain::order::Access;
    use pilothouse::domain::plan::RunRequest;
    use pilothouse::runs::{State, plan};
    let sim = Sim::start(Scenario::demo());
    let config = sim.fleet.config();
    let state = StateDir {
        dir: Some(sim.folder.path().join("state")),
        ..StateDir::default()
    };
    let state = State::open(&state, &|_| None).unwrap();
    let mut request: RunRequest = serde_json::from_value(serde_json::json!({
        "kind": "rollback", "service": "shop", "reason": null,
    }))
    .unwrap();
    let listed = Box::pin(plan(&state, &config, &request, Access::Full))
        .await
        .unwrap();
    let usual = listed.releases.iter().find(|one| one.default).unwrap();
    assert_eq!((usual.release.0, &usual.refused), (40, &None), "{usual:?}");
    request.to = Some(usual.release);
    let named = Box::pin(plan(&state, &config, &request, Access::Full))
        .await
        .unwrap();
    assert_eq!(named.refusals, []);
    request.to = Some(pilothouse::domain::ids::ReleaseNumber(7));
    let never = Box::pin(plan(&state, &config, &request, Access::Full))
        .await
        .unwrap();
    assert!(never.refusals[0].why.contains("r7 was never"), "{never:?}");
}

/// As `M` in the room does it: by a command in one of the host's containers.
#[tokio::test]
async fn a_host_of_the_demo_tells_its_load_when_it_is_asked() {
    use pilothouse::domain::event::{Event, HostEvent};
    use pilothouse::domain::host::Reading;
    use pilothouse::domain::order::{Access, Order, OrderId};
    let sim = Sim::start(Scenario::demo());
    let host = sim.fleet.config().hosts[0].clone();
    let (facts_in, mut facts) = tokio::sync::mpsc::channel(1024);
    let (bulk_in, _bulk) = tokio::sync::mpsc::channel(64);
    let shutdown = tokio_util::sync::CancellationToken::new();
    let hosts = pilothouse::hosts::start(
        vec![host.clone()],
        Access::Full,
        facts_in,
        bulk_in,
        shutdown.clone(),
    );
    hosts
        .order(OrderId(1), Order::Measure(host.name.clone()))
        .unwrap();
    let load = tokio::time::timeout(std::time::Duration::from_secs(45), async {
        loop {
            if let Some(Event::Host(_, HostEvent::Load(load))) = facts.recv().await {
                return load;
            }
        }
    })
    .await
    .unwrap();
    let known = |reading: &Reading<_>| matches!(reading, Reading::Known((used, total)) if used < total);
    assert!(known(&load.memory) && known(&load.disk), "{load:?}");
    assert!(
        matches!(load.cpu, Reading::Known(cpu) if cpu > 0.0 && cpu < 100.0),
        "{load:?}"
    );
    shutdown.cancel();
}
