//! Real Unix accounts with one state folder: members of its group see everything and control nothing, others see nothing.
//! Uses accounts of every Debian through setpriv, and a real daemon.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::fleet::{self, Lease};
use crate::support::program::{Said, finish, kill_runner};
use crate::support::wait::until;

const LIMIT: Duration = Duration::from_mins(1);

/// An account with a home of its own, and the groups it is in beside its own.
struct Account {
    name: &'static str,
    id: u32,
    groups: &'static [u32],
    /// Who the person is that works with it.
    person: &'static str,
}

/// `staff`, which may follow the runs.
const OPS: u32 = 50;
const STARTER: Account = Account {
    name: "games",
    id: 5,
    groups: &[OPS],
    person: "anna",
};
const COLLEAGUE: Account = Account {
    name: "news",
    id: 9,
    groups: &[OPS],
    person: "ben",
};
const STRANGER: Account = Account {
    name: "uucp",
    id: 10,
    groups: &[],
    person: "eve",
};
const ROOT: Account = Account {
    name: "root",
    id: 0,
    groups: &[],
    person: "root",
};

struct Bastion {
    _daemons: Lease,
    dir: PathBuf,
}

impl Bastion {
    fn new() -> Self {
        let daemons = fleet::lease(1);
        let dir = fleet::folder("bastion");
        let host = daemons[0].tcp_host();
        let bastion = Self {
            _daemons: daemons,
            dir,
        };
        fs::copy(env!("CARGO_BIN_EXE_pilothouse"), bastion.program()).unwrap();
        fs::set_permissions(bastion.program(), fs::Permissions::from_mode(0o755)).unwrap();
        let state = bastion.dir.join("state");
        fs::create_dir(&state).unwrap();
        chown(&state, None, Some(OPS)).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(0o3770)).unwrap();
        for account in [&STARTER, &COLLEAGUE, &STRANGER, &ROOT] {
            let home = bastion.dir.join(account.name);
            fs::create_dir(&home).unwrap();
            chown(&home, Some(account.id), Some(account.id)).unwrap();
        }
        let text = format!(
            "[[hosts]]\nname = \"{}\"\nurl = \"{}\"\n\
             [[services]]\nname = \"shop\"\nimage = \"busybox\"\n\
             [[services.tests]]\nname = \"long\"\ncommand = [\"sh\", \"-c\", \"echo begun; sleep 600\"]\n\
             [state]\ndir = \"{}\"\ngroup = \"staff\"\n",
            host.name,
            host.endpoint,
            state.display()
        );
        fs::write(bastion.dir.join("config.toml"), text).unwrap();
        bastion
    }

    fn program(&self) -> PathBuf {
        self.dir.join("pilothouse")
    }

    fn run_dir(&self, run: &str) -> PathBuf {
        self.dir.join("state/runs").join(run)
    }

    fn other(&self, who: &Account, program: &Path, arguments: &[&str]) -> Said {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", who.name, "--regid", &who.id.to_string()]);
        if who.groups.is_empty() {
            command.arg("--clear-groups");
        } else {
            let groups: Vec<String> = who.groups.iter().map(u32::to_string).collect();
            command.arg("--groups").arg(groups.join(","));
        }
        let home = self.dir.join(who.name);
        command
            .arg("--")
            .arg(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", &home)
            .env("LANG", "C.UTF-8")
            .env("PILOTHOUSE_ACTOR", who.person)
            .current_dir(&home)
            .stdin(Stdio::null());
        finish(&mut command)
    }

    fn by(&self, who: &Account, arguments: &[&str]) -> Said {
        let config = self.dir.join("config.toml");
        let all = [&["--config", config.to_str().unwrap()], arguments].concat();
        self.other(who, &self.program(), &all)
    }

    fn begin(&self, who: &Account) -> String {
        let test = [
            "test",
            "shop",
            "--image",
            "busybox:real",
            "--wait",
            "10m",
            "--detach",
        ];
        self.by(who, &test).exits(0).out.trim().to_owned()
    }

    /// What `who` sees of the run as soon as its test has said something.
    fn under_way(&self, who: &Account, run: &str) -> Value {
        until(LIMIT, "its test is in progress", || {
            let seen = self.by(who, &["runs", run, "--json"]).exits(0).json()[0].clone();
            let said = seen["output"]
                .as_array()?
                .iter()
                .any(|line| line["text"] == "begun");
            said.then_some(seen)
        })
    }

    fn kill_9(&self, run: &str) {
        kill_runner(run);
        until(LIMIT, "it is dead", || {
            let seen = self.by(&ROOT, &["runs", run, "--json"]).json();
            (seen[0]["status"]["state"] == "dead").then_some(())
        });
    }

    /// Whoever made a file of the run: its owner reads all of it, the group too, nobody else.
    fn well_kept(&self, run: &str, owner: &Account) {
        let dir = self.run_dir(run);
        let seen = fs::metadata(&dir).unwrap();
        assert_eq!(
            (seen.mode() & 0o7777, seen.uid(), seen.gid()),
            (0o2750, owner.id, OPS)
        );
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let seen = fs::metadata(&path).unwrap();
            // Its own log is its owner's.
            if path.extension().is_some_and(|extension| extension == "log") {
                continue;
            }
            assert_eq!(
                (seen.mode() & 0o7777, seen.uid(), seen.gid()),
                (0o640, owner.id, OPS),
                "{}",
                path.display()
            );
        }
        assert!(dir.join("journal.ndjson").is_file());
    }
}

/// Refused with whose it is and who may.
#[track_caller]
fn refused(said: Said, owner: &Account) {
    let said = said.exits(1);
    let words = format!("{0} started it, and only {0} or root may", owner.name);
    assert!(said.err.contains(&words), "{}", said.err);
}

#[test]
fn colleagues_see_a_run_live_with_names_and_only_who_started_it_or_root_may_end_it() {
    let bastion = Bastion::new();
    let run = bastion.begin(&STARTER);
    let seen = bastion.under_way(&COLLEAGUE, &run);
    assert_eq!(
        (&seen["actor"], &seen["status"]["state"]),
        (&"anna".into(), &"running".into())
    );
    assert_eq!(seen["theirs"], "games");
    bastion.well_kept(&run, &STARTER);
    refused(bastion.by(&COLLEAGUE, &["cancel", &run]), &STARTER);
    let journal = bastion.run_dir(&run).join("journal.ndjson");
    let journal = journal.to_str().unwrap();
    bastion.other(&COLLEAGUE, Path::new("cat"), &[journal]).exits(0);
    for forbidden in [["tee", "-a", journal], ["rm", "-f", journal]] {
        bastion
            .other(&COLLEAGUE, Path::new(forbidden[0]), &forbidden[1..])
            .exits(1);
    }

    // A colleague's own run waits its turn behind it.
    let said = bastion.by(
        &COLLEAGUE,
        &["test", "shop", "--image", "busybox:real", "--no-wait"],
    );
    assert!(said.exits(4).err.contains(&run));

    let hidden = bastion.by(&STRANGER, &["runs"]).exits(2);
    assert!(hidden.err.contains("your user is not in it"), "{}", hidden.err);
    assert_eq!(hidden.out, "");
    for tool in ["cat", "ls"] {
        let said = bastion.other(&STRANGER, Path::new(tool), &[journal]);
        assert!(said.code != Some(0) && said.out.is_empty(), "{said:?}");
    }

    bastion.by(&ROOT, &["cancel", &run]).exits(0);
    bastion.by(&STARTER, &["follow", &run]).exits(130);
    bastion.well_kept(&run, &STARTER);
}

#[test]
fn a_dead_run_is_recovered_by_who_started_it_or_root_and_stays_readable_for_both() {
    let bastion = Bastion::new();
    for rescuer in [&ROOT, &STARTER] {
        let run = bastion.begin(&STARTER);
        bastion.under_way(&STARTER, &run);
        bastion.kill_9(&run);
        refused(bastion.by(&COLLEAGUE, &["recover", &run]), &STARTER);
        refused(bastion.by(&COLLEAGUE, &["recover"]), &STARTER);
        bastion.by(rescuer, &["recover", &run]).exits(1);
        bastion.well_kept(&run, &STARTER);
        let seen = bastion.by(&STARTER, &["runs", &run, "--json"]).exits(0).json();
        assert_eq!(seen[0]["status"]["result"], "reverted", "{seen:#}");
    }
    // What is dead of others is in nobody's way.
    let own = bastion.begin(&COLLEAGUE);
    bastion.under_way(&STARTER, &own);
    refused(bastion.by(&STARTER, &["cancel", &own]), &COLLEAGUE);
    bastion.by(&COLLEAGUE, &["cancel", &own]).exits(0);
    bastion.by(&COLLEAGUE, &["follow", &own]).exits(130);
}
