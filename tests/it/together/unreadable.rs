//! A build by a user who cannot read all of its context; uses its own account, because root can read everything.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use pilothouse::sim::BOX_IMAGE;

use super::{Desk, finish};

/// `nobody` of Debian.
const NOBODY: u32 = 65534;

fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_named_with_what_helps_and_nothing_is_built() {
    let desk = Desk::new(
        1,
        "[[services]]\nname = \"shop\"\nimage = \"shop\"\n[services.build]\ncontext = \"{dir}/context\"\n",
    );
    let (context, home) = (desk.dir().join("context"), desk.dir().join("home"));
    for folder in [&context, &home] {
        std::fs::create_dir(folder).unwrap();
        allow(folder, 0o755);
    }
    std::fs::write(
        context.join("Dockerfile"),
        format!("FROM {BOX_IMAGE}\nCOPY . /\n"),
    )
    .unwrap();
    std::fs::write(context.join("key.pem"), "x").unwrap();
    allow(&context.join("key.pem"), 0);
    // Wherever this clone lies, its program and the engine's socket are within reach.
    let program = desk.dir().join("pilothouse");
    std::fs::copy(env!("CARGO_BIN_EXE_pilothouse"), &program).unwrap();
    allow(desk.dir(), 0o755);
    for entry in std::fs::read_dir(desk.dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "sock") {
            allow(&path, 0o777);
        }
    }
    let command = |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(&program);
        command
            .arg("--config")
            .arg(desk.config_file())
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &home)
            .stdin(std::process::Stdio::null());
        if rustix::process::geteuid().is_root() {
            chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
            command.uid(NOBODY).gid(NOBODY).current_dir(&home);
        }
        command
    };
    let refused = finish(command(&["build", "shop"])).await.exits(1);
    assert!(
        refused.err.contains("context/key.pem: permission denied") && refused.err.contains(".dockerignore"),
        "{refused:?}"
    );
    std::fs::write(context.join(".dockerignore"), "*.pem\n").unwrap();
    finish(command(&["build", "shop"])).await.exits(0);
}
