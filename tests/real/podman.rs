//! Podman's service answers the same requests as Docker's daemon.

use pilothouse::domain::endpoint::Endpoint;
use pilothouse::domain::host::EngineKind;
use pilothouse::domain::ids::ServiceName;
use pilothouse::domain::order::Access;
use pilothouse::domain::units::Stamp;
use pilothouse::hosts::connect;
use pilothouse::release::facts::LedgerSeen;
use pilothouse::release::ledger::Unlocked;
use pilothouse::release::subject::Subject;
use pilothouse::runs::step::ledger;

use crate::support::fleet;
use crate::support::podman::Podman;
use crate::support::program::Program;
use crate::support::raw;

#[tokio::test]
async fn podman_is_reached_and_known_for_what_it_is() {
    let daemons = fleet::lease(1);
    let podman = Podman::start(&daemons[0]);
    let host = daemons[0].host_at(Endpoint::Unix(podman.socket().to_owned()));
    let reached = connect(&host, Access::Full).await.unwrap();
    assert_eq!(reached.engine().kind, EngineKind::Podman);
    let images = reached
        .read()
        .list_images(None::<bollard::query_parameters::ListImagesOptions>)
        .await
        .unwrap();
    assert_eq!(images.len(), 1);
}

/// Its containers, networks and volumes.
fn left_on(podman: &Podman) -> [Vec<String>; 3] {
    ["/containers/json?all=1", "/networks", "/volumes"].map(|path| {
        let answer = raw::request(podman.socket(), "GET", path, "", b"")
            .unwrap()
            .json();
        let rows = answer.get("Volumes").unwrap_or(&answer).as_array().cloned();
        let ids = rows
            .unwrap_or_default()
            .into_iter()
            .map(|row| format!("{} {}", row["Id"], row["Name"]));
        ids.collect()
    })
}

#[test]
fn a_test_with_what_it_needs_runs_on_podman_and_reaches_it_by_its_name() {
    let daemons = fleet::lease(1);
    let podman = Podman::start(&daemons[0]);
    let hosts = [daemons[0].host_at(Endpoint::Unix(podman.socket().to_owned()))];
    let program = Program::new(&hosts, "");
    program.configure(
        &hosts,
        r#"
[[services]]
name = "shop"
image = "busybox"
[[services.tests]]
name = "api"
command = ["sh", "-ec", "wget -q -O- http://web:8080/ | grep hello"]
[[services.tests.needs]]
name = "web"
image = "self"
command = ["sh", "-c", "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"]
ready = { tcp = 8080 }
volumes = ["/spare"]
"#,
    );
    let before = left_on(&podman);
    let said = program.run(&["test", "shop", "--image", "busybox:real"]).exits(0);
    assert!(
        said.err.contains("hello") || said.out.contains("hello"),
        "{said:?}"
    );
    assert_eq!(left_on(&podman), before);
}

#[test]
fn a_deploy_to_podman_is_refused_in_words_and_leaves_nothing() {
    let daemons = fleet::lease(1);
    let podman = Podman::start(&daemons[0]);
    let hosts = [daemons[0].host_at(Endpoint::Unix(podman.socket().to_owned()))];
    let program = Program::new(&hosts, "");
    let name = daemons[0].name().as_str();
    program.configure(
        &hosts,
        &format!(
            "[[services]]\nname = \"shop\"\nimage = \"localhost/busybox\"\n[services.deploy]\nhosts = [{name:?}]\n\
             command = [\"sleep\", \"1000\"]\n"
        ),
    );
    let before = left_on(&podman);
    let said = program
        .run(&["deploy", "shop", "--image", "busybox:real", "--yes"])
        .exits(1);
    for words in [
        "Podman cannot change a container's restart policy",
        "on Podman hosts only monitoring, builds and tests work",
    ] {
        assert!(said.err.contains(words), "{}", said.err);
    }
    assert_eq!(left_on(&podman), before);
}

/// Podman wants every container to have an image.
#[tokio::test]
async fn where_no_container_is_made_without_an_image_an_empty_one_serves() {
    let daemons = fleet::lease(1);
    let podman = Podman::start(&daemons[0]);
    let host = daemons[0].host_at(Endpoint::Unix(podman.socket().to_owned()));
    let there = connect(&host, Access::Full).await.unwrap();
    let subject = Subject {
        service: ServiceName::parse("shop").unwrap(),
        environment: None,
    };
    let unlocked = Unlocked {
        at: Stamp::from_seconds(1_790_000_000),
        by: "tester".to_owned(),
        machine: "here".to_owned(),
        why: "a test".to_owned(),
        unlocked: "run-1".to_owned(),
    };
    ledger::note(&there, &subject, unlocked.clone()).await.unwrap();
    let LedgerSeen::Read(seen) = ledger::read(&there, &subject).await.unwrap() else {
        panic!("it can be read back");
    };
    assert_eq!(seen.unlocked, [unlocked]);
    let list = raw::request(podman.socket(), "GET", "/containers/json?all=1", "", b"")
        .unwrap()
        .json();
    assert!(
        list[0]["Image"].as_str().unwrap().contains("pilothouse-empty"),
        "{list:#}"
    );
}
