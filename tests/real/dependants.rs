//! A base image that is rebuilt: its dependants are built on exactly that image, with either builder.

use std::fs;

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::fleet;
use crate::support::image::BUSYBOX;
use crate::support::program::Program;

/// The layers of what this name stands for.
fn layers(daemon: &Daemon, image: &str) -> Vec<Value> {
    let seen = daemon.ask("GET", &format!("/images/{image}/json"), &Value::Null);
    seen["RootFS"]["Layers"].as_array().unwrap().clone()
}

fn what_stands_on_it_stands_on_the_new_one(builder: &str) {
    let daemons = fleet::lease(1);
    let hosts = [daemons[0].host()];
    let program = Program::new(&hosts, "");
    let service = |name: &str, more: &str| {
        format!(
            "[[services]]\nname = \"{name}\"\nimage = \"{name}\"\n{more}\n\
             [services.build]\ncontext = \"{name}\"\nbuilder = \"{builder}\"\ntag = \"v{{run.number}}\"\n"
        )
    };
    let text = service("app", "after = [\"base\"]") + &service("base", "");
    program.configure(&hosts, &text);
    let write = |name: &str, dockerfile: &str| {
        let folder = program.dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    };
    write("app", "FROM base:last-build\nRUN echo the app > /app\n");
    for version in ["one", "two"] {
        write(
            "base",
            &format!("FROM {BUSYBOX}\nRUN echo {builder} {version} > /base\n"),
        );
        let said = program
            .run(&["build", "base", "--with-dependants", "--yes"])
            .exits(0);
        let (base, app) = (
            layers(&daemons[0], "base:last-build"),
            layers(&daemons[0], "app:last-build"),
        );
        assert_eq!(app.len(), base.len() + 1, "{said:?}");
        assert_eq!(
            app[..base.len()],
            base[..],
            "the app of version {version} stands on another base"
        );
    }
    let runs = program.run(&["runs", "--json"]).exits(0).json();
    let mut built: Vec<&str> = runs
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["service"].as_str().unwrap())
        .collect();
    built.sort_unstable();
    assert_eq!(built, ["app", "app", "base", "base"]);
}

#[test]
fn what_stands_on_an_image_is_built_on_the_new_one_by_buildkit() {
    what_stands_on_it_stands_on_the_new_one("buildkit");
}

#[test]
fn what_stands_on_an_image_is_built_on_the_new_one_by_the_classic_builder() {
    what_stands_on_it_stands_on_the_new_one("classic");
}
