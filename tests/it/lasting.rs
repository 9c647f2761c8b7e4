//! Runs started from a login that logind would kill at logout: kept alive by the user's systemd, or announced in the plan.
//! logind and systemd are two scripts on the PATH; the runner is real, on a simulated daemon.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use pilothouse::sim::{BOX_IMAGE, Fleet, Scenario};

struct Login {
    folder: tempfile::TempDir,
    fleet: Fleet,
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

impl Login {
    /// `systemd_run`: what its twin does once it has written down how it was called.
    fn new(lingers: bool, systemd_run: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sockets = folder.path().join("fleet");
        std::fs::create_dir(&sockets).unwrap();
        let fleet = Fleet::start(Scenario::empty(1), &sockets).unwrap();
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let linger = if lingers { "yes" } else { "no" };
        script(
            &bin.join("loginctl"),
            &format!(
                "case $1 in show-session) echo KillUserProcesses=yes;; show-user) echo Linger={linger};; esac"
            ),
        );
        script(
            &bin.join("systemd-run"),
            &format!(
                "echo \"$@\" >>'{}'\n{systemd_run}",
                folder.path().join("scopes").display()
            ),
        );
        // More than a pipe holds: who does not read what is handed over is noticed.
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "x".repeat(100_000)).unwrap();
        let secret = secret.display();
        let (repository, _) = BOX_IMAGE.split_once(':').unwrap();
        let socket = fleet.config().hosts[0].endpoint.to_string();
        let config = format!(
            r#"
[[hosts]]
name = "one"
url = "{socket}"

[[services]]
name = "shop"
image = "{repository}"
[services.deploy]
hosts = ["one"]
strategy = "recreate"
command = ["sh", "-c", "sleep infinity"]
health = {{ for = "1s", within = "30s" }}
[services.deploy.secrets]
KEY = {{ file = "{secret}", path = "/run/key" }}
"#
        );
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        Self { folder, fleet }
    }

    async fn deploy(&self, how: &'static [&'static str]) -> Output {
        let folder = self.folder.path().to_path_buf();
        let bin = folder.join("bin");
        tokio::task::spawn_blocking(move || {
            Command::new(env!("CARGO_BIN_EXE_pilothouse"))
                .arg("--config")
                .arg(folder.join("config.toml"))
                .args(["deploy", "shop", "--image", BOX_IMAGE])
                .args(how)
                .env_clear()
                .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
                .env("HOME", &folder)
                .env("XDG_SESSION_ID", "7")
                .stdin(Stdio::null())
                .output()
                .unwrap()
        })
        .await
        .unwrap()
    }

    fn scopes(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("scopes")).unwrap_or_default()
    }
}

/// As systemd-run does it: what follows `--` in its own place.
const CARRY: &str = "while [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\"";

fn words(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test]
async fn with_linger_the_users_systemd_carries_the_run() {
    let login = Login::new(true, CARRY);
    let planned = login.deploy(&["--dry-run"]).await;
    assert!(
        !words(&planned).contains("ends with this login"),
        "{}",
        words(&planned)
    );
    let done = login.deploy(&["--yes"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", words(&done));
    let scopes = login.scopes();
    assert!(
        scopes.contains("--user --scope") && scopes.contains("__run"),
        "{scopes:?}"
    );
    let there = login.fleet.engine("host-1").unwrap().containers();
    assert!(there.iter().any(|name| name.contains("shop.r1")), "{there:?}");
}

#[tokio::test]
async fn without_linger_the_plan_says_that_the_run_ends_with_the_login() {
    let login = Login::new(false, CARRY);
    let planned = login.deploy(&["--dry-run"]).await;
    assert!(
        words(&planned).contains("ends with this login"),
        "{}",
        words(&planned)
    );
    let done = login.deploy(&["--yes"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", words(&done));
    assert_eq!(login.scopes(), "");
}

#[tokio::test]
async fn a_systemd_that_refuses_does_not_keep_the_run_from_being_started() {
    let login = Login::new(true, "echo no bus >&2; exit 1");
    let done = login.deploy(&["--yes"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", words(&done));
    assert!(login.scopes().contains("--scope"));
}
