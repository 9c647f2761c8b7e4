//! Pushing to and pulling from real registries; digests are verified through the registry itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pilothouse::domain::endpoint::Endpoint;
use pilothouse::domain::fault::Fault;
use pilothouse::domain::ids::ImageId;
use pilothouse::domain::order::Access;
use pilothouse::domain::reference::Reference;
use pilothouse::hosts;
use pilothouse::hosts::registry::Login;
use pilothouse::runs::step::push::Pushing;
use pilothouse::runs::step::{Progress, pull, push};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::daemon::Daemon;
use crate::support::fleet;
use crate::support::image::BUSYBOX;
use crate::support::podman::Podman;
use crate::support::raw;
use crate::support::registry::{Fault as Refused, PASSWORD, Registry, USER};
use crate::support::wait::until_running;

/// Everything that a step tells.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn all(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

impl Progress for Told {
    fn text(&mut self, now: &str) {
        self.line(now);
    }

    fn line(&mut self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

async fn connect(daemon: &Daemon) -> hosts::Daemon {
    hosts::connect(&daemon.host(), Access::Full)
        .await
        .unwrap_or_else(|why| panic!("{}", why.fault()))
}

/// A small image of the test's own, with no name.
fn image(daemon: &Daemon, content: &str) -> ImageId {
    let id = daemon.create("maker", json!({"Cmd": ["sh"], "Labels": {"test": content}}));
    let made = daemon.ask(
        "POST",
        &format!("/commit?container={}", id.as_str()),
        &json!({"Cmd": ["sh"], "Labels": {"content": content}}),
    );
    daemon.remove(&id);
    ImageId::parse(made["Id"].as_str().unwrap()).unwrap()
}

/// One with so many megabytes that cannot be compressed.
fn large_image(daemon: &Daemon, megabytes: u32) -> ImageId {
    let script = format!("dd if=/dev/urandom of=/large bs=1048576 count={megabytes}");
    let id = daemon.run("maker", &script);
    daemon.await_state(&id, "exited");
    let made = daemon.ask("POST", &format!("/commit?container={}", id.as_str()), &json!({}));
    daemon.remove(&id);
    ImageId::parse(made["Id"].as_str().unwrap()).unwrap()
}

fn references(address: &str, tags: &[&str]) -> Vec<Reference> {
    tags.iter()
        .map(|tag| Reference::parse(&format!("{address}/team/shop:{tag}")).unwrap())
        .collect()
}

async fn pushed(
    daemon: &Daemon,
    image: &ImageId,
    references: &[Reference],
    login: Option<&Login>,
    told: &Told,
) -> Result<Reference, Fault> {
    let pushing = Pushing {
        image,
        references,
        login,
    };
    push::push(
        &connect(daemon).await,
        pushing,
        &mut told.clone(),
        &CancellationToken::new(),
    )
    .await
}

fn inspect(daemon: &Daemon, name: &str) -> Value {
    daemon.ask("GET", &format!("/images/{name}/json"), &Value::Null)
}

/// The names that the image has there.
fn tags(daemon: &Daemon, image: &ImageId) -> Vec<String> {
    let tags = inspect(daemon, image.as_str())["RepoTags"].clone();
    serde_json::from_value(tags).unwrap()
}

fn login(password: &str) -> Login {
    Login::Password {
        username: USER.to_owned(),
        password: password.to_owned(),
    }
}

#[tokio::test]
async fn a_pushed_digest_is_the_same_everywhere_and_gives_the_same_image_on_another_host() {
    let (daemons, registry) = (fleet::lease(2), Registry::open());
    let image = image(&daemons[0], "one");
    let told = Told::default();
    let wanted = references(registry.address(), &["v1", "latest"]);
    let pinned = pushed(&daemons[0], &image, &wanted, None, &told).await.unwrap();

    let digest = pinned.digest().unwrap().to_string();
    assert_eq!(
        registry.digest("team/shop", "v1").as_deref(),
        Some(digest.as_str())
    );
    assert_eq!(
        registry.digest("team/shop", "latest").as_deref(),
        Some(digest.as_str())
    );
    let kept = inspect(&daemons[0], image.as_str())["RepoDigests"].clone();
    assert_eq!(kept, json!([pinned.to_string()]));
    assert!(
        told.all().contains("Pushed") && told.all().contains("layers"),
        "{}",
        told.all()
    );

    let other = connect(&daemons[1]).await;
    let never = CancellationToken::new();
    let came = pull::pull(&other, &pinned, None, &mut told.clone(), &never)
        .await
        .unwrap();
    assert_eq!(came, image);

    // Promoted: another tag for what is there already, without building.
    let promoted = pushed(
        &daemons[0],
        &image,
        &references(registry.address(), &["stable"]),
        None,
        &told,
    )
    .await
    .unwrap();
    assert_eq!(promoted, pinned);
    assert_eq!(
        registry.digest("team/shop", "stable").as_deref(),
        Some(digest.as_str())
    );
    assert!(told.all().contains("Layer already exists"), "{}", told.all());
}

#[tokio::test]
async fn a_password_opens_and_nothing_else_does() {
    let (daemons, registry) = (fleet::lease(1), Registry::guarded());
    let image = image(&daemons[0], "guarded");
    let wanted = references(registry.address(), &["v1"]);
    let told = Told::default();

    let nobody = pushed(&daemons[0], &image, &wanted, None, &told)
        .await
        .unwrap_err();
    assert!(nobody.why.contains("requires a login"), "{nobody}");
    assert!(
        nobody.hint.as_deref().unwrap().contains("docker login"),
        "{nobody:?}"
    );
    let wrong = pushed(&daemons[0], &image, &wanted, Some(&login("wrong battery")), &told)
        .await
        .unwrap_err();
    assert!(wrong.why.contains("refused the login"), "{wrong}");
    assert!(!format!("{wrong:?}\n{}", told.all()).contains("battery"));
    assert_eq!(registry.digest("team/shop", "v1"), None);

    let right = login(PASSWORD);
    let pinned = pushed(&daemons[0], &image, &wanted, Some(&right), &told)
        .await
        .unwrap();
    assert_eq!(
        registry.digest("team/shop", "v1").as_deref(),
        pinned.digest().map(pilothouse::domain::ids::Digest::as_str)
    );
    assert!(!told.all().contains(PASSWORD), "{}", told.all());
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_a_denial_is_not() {
    let (daemons, registry) = (fleet::lease(1), Registry::open());
    let image = image(&daemons[0], "faults");
    let busy = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
    let manifest = |status, body| Refused {
        of: "PUT /v2/team/shop/manifests/",
        status,
        body,
    };
    let door = registry.behind(vec![manifest(503, "{}"), manifest(429, busy)]);
    let told = Told::default();
    let pinned = pushed(
        &daemons[0],
        &image,
        &references(door.address(), &["v1"]),
        None,
        &told,
    )
    .await
    .unwrap_or_else(|fault| panic!("{fault}\n{}", told.all()));
    assert_eq!(
        registry.digest("team/shop", "v1").as_deref(),
        pinned.digest().map(pilothouse::domain::ids::Digest::as_str)
    );
    assert!(told.all().contains("trying again in"), "{}", told.all());
    assert_eq!(door.left(), 0);

    let no = r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#;
    let door = registry.behind(vec![manifest(403, no)]);
    let told = Told::default();
    let denied = pushed(
        &daemons[0],
        &image,
        &references(door.address(), &["v2"]),
        None,
        &told,
    )
    .await
    .unwrap_err();
    assert!(denied.why.contains("denied"), "{denied}");
    assert!(!told.all().contains("trying again"), "{}", told.all());
}

#[tokio::test]
async fn a_registry_that_is_down_is_named_and_the_tag_is_put_back() {
    let (daemons, mut registry) = (fleet::lease(1), Registry::open());
    let (one, two) = (image(&daemons[0], "one"), image(&daemons[0], "two"));
    let told = Told::default();
    let wanted = references(registry.address(), &["v1"]);
    pushed(&daemons[0], &one, &wanted, None, &told).await.unwrap();
    registry.kill_9();
    let fault = pushed(&daemons[0], &two, &wanted, None, &told).await.unwrap_err();
    assert!(
        fault.why.contains("refused") && fault.why.contains("tried"),
        "{fault}"
    );
    assert!(fault.what.contains(registry.address()), "{fault}");
    assert_eq!(
        tags(&daemons[0], &one),
        [wanted[0].to_string()],
        "the tag names the first again"
    );
}

#[tokio::test]
async fn a_registry_that_dies_midway_gets_the_image_all_the_same() {
    let (daemons, mut registry) = (fleet::lease(1), Registry::open());
    let image = large_image(&daemons[0], 96);
    let told = Told::default();
    let (host, wanted) = (
        connect(&daemons[0]).await,
        references(registry.address(), &["v1"]),
    );
    let push = tokio::spawn({
        let (image, wanted, mut told) = (image.clone(), wanted.clone(), told.clone());
        async move {
            let pushing = Pushing {
                image: &image,
                references: &wanted,
                login: None,
            };
            push::push(&host, pushing, &mut told, &CancellationToken::new()).await
        }
    });
    until_running(Duration::from_mins(1), "the upload is in progress", || {
        (registry.stored() > 1 << 20).then_some(())
    })
    .await;
    registry.kill_9();
    until_running(Duration::from_mins(1), "the daemon notices", || {
        let said = told.all().to_lowercase();
        (said.contains("retrying") || said.contains("trying again")).then_some(())
    })
    .await;
    registry.start();
    let pinned = push
        .await
        .unwrap()
        .unwrap_or_else(|fault| panic!("{fault}\n{}", told.all()));
    assert_eq!(
        registry.digest("team/shop", "v1").as_deref(),
        pinned.digest().map(pilothouse::domain::ids::Digest::as_str)
    );
}

#[tokio::test]
async fn a_cancelled_push_ends_at_once_and_leaves_no_tag() {
    let (daemons, registry) = (fleet::lease(1), Registry::open());
    let image = large_image(&daemons[0], 96);
    daemons[0].ask(
        "POST",
        &format!("/images/{}/tag?repo=kept&tag=1", image.as_str()),
        &Value::Null,
    );
    let (told, cancel) = (Told::default(), CancellationToken::new());
    let (host, wanted) = (
        connect(&daemons[0]).await,
        references(registry.address(), &["v1"]),
    );
    let push = tokio::spawn({
        let (image, mut told, cancel) = (image.clone(), told.clone(), cancel.clone());
        async move {
            let pushing = Pushing {
                image: &image,
                references: &wanted,
                login: None,
            };
            push::push(&host, pushing, &mut told, &cancel).await
        }
    });
    until_running(Duration::from_mins(1), "the upload is in progress", || {
        (registry.stored() > 1 << 20).then_some(())
    })
    .await;
    cancel.cancel();
    let fault = tokio::time::timeout(Duration::from_secs(30), push)
        .await
        .expect("it ends")
        .unwrap()
        .unwrap_err();
    assert!(fault.why.contains("cancelled"), "{fault}");
    assert_eq!(registry.digest("team/shop", "v1"), None);
    assert_eq!(tags(&daemons[0], &image), ["kept:1"]);
}

#[tokio::test]
async fn what_no_registry_has_is_named() {
    let (daemons, registry) = (fleet::lease(1), Registry::open());
    let host = connect(&daemons[0]).await;
    let never = CancellationToken::new();
    let unknown = references(registry.address(), &["v1"])[0]
        .pinned(pilothouse::domain::ids::Digest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap());
    let fault = pull::pull(&host, &unknown, None, &mut Told::default(), &never)
        .await
        .unwrap_err();
    assert!(fault.why.contains("has no such image"), "{fault}");
    let gone = ImageId::parse(&format!("sha256:{}", "1".repeat(64))).unwrap();
    let fault = pushed(
        &daemons[0],
        &gone,
        &references(registry.address(), &["v1"]),
        None,
        &Told::default(),
    )
    .await
    .unwrap_err();
    assert!(fault.why.contains("is not there"), "{fault}");
}

#[tokio::test]
async fn podman_pushes_what_docker_pulls() {
    let (daemons, registry) = (fleet::lease(1), Registry::guarded());
    let podman = Podman::trusting(&daemons[0], registry.address());
    let host = hosts::connect(
        &daemons[0].host_at(Endpoint::Unix(podman.socket().to_owned())),
        Access::Full,
    )
    .await
    .unwrap();
    let seen = raw::request(
        podman.socket(),
        "GET",
        &format!("/images/{BUSYBOX}/json"),
        "",
        b"",
    )
    .unwrap()
    .json();
    let id = seen["Id"].as_str().unwrap();
    let id = if id.contains(':') {
        id.to_owned()
    } else {
        format!("sha256:{id}")
    };
    let image = ImageId::parse(&id).unwrap();
    let (told, right) = (Told::default(), login(PASSWORD));
    let wanted = references(registry.address(), &["v1"]);
    let pushing = Pushing {
        image: &image,
        references: &wanted,
        login: Some(&right),
    };
    let never = CancellationToken::new();
    let pinned = push::push(&host, pushing, &mut told.clone(), &never)
        .await
        .unwrap_or_else(|fault| panic!("{fault:?}\n{}", told.all()));
    assert_eq!(
        registry.digest("team/shop", "v1").as_deref(),
        pinned.digest().map(pilothouse::domain::ids::Digest::as_str)
    );
    let docker = connect(&daemons[0]).await;
    let came = pull::pull(&docker, &pinned, Some(&right), &mut told.clone(), &never)
        .await
        .unwrap();
    assert_eq!(came, image);
}
