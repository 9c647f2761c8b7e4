//! Podman's service answers the same requests as Docker's daemon.

use pilothouse::domain::endpoint::Endpoint;
use pilothouse::domain::host::EngineKind;
use pilothouse::domain::order::Access;
use pilothouse::hosts::connect;

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
    let lists = || {
        ["/containers/json?all=1", "/networks", "/volumes"].map(|path| {
            let answer = raw::request(podman.socket(), "GET", path, "", b"")
                .unwrap()
                .json();
            let rows = answer.get("Volumes").unwrap_or(&answer).as_array().cloned();
            let ids = rows
                .unwrap_or_default()
                .into_iter()
                .map(|row| format!("{} {}", row["Id"], row["Name"]));
            ids.collect::<Vec<String>>()
        })
    };
    let before = lists();
    let said = program.run(&["test", "shop", "--image", "busybox:real"]).exits(0);
    assert!(
        said.err.contains("hello") || said.out.contains("hello"),
        "{said:?}"
    );
    assert_eq!(lists(), before);
}
