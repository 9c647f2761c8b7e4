//! The configuration as a person meets it: files on a machine of the test's own, loaded.

mod after;
mod compose;
mod discovery;
mod environments;
mod finish;
mod mangled;
mod options;
mod secrets;
mod switch;
mod rollout;
mod trigger;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::service::{Builder, Mount, Restart, Secret};
use super::settings::Theme;
use super::*;
use crate::domain::endpoint::Endpoint;
use crate::domain::ids::HostName;

/// A machine: a root folder, a home in it, an environment.
struct Machine {
    root: tempfile::TempDir,
    env: BTreeMap<String, String>,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home/ann");
        std::fs::create_dir_all(&home).unwrap();
        let env = BTreeMap::from([("HOME".to_owned(), home.display().to_string())]);
        Self { root, env }
    }

    fn with_file(self, path: &str, text: &str) -> Self {
        self.write(path, text.as_bytes());
        self
    }

    fn write(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn load(&self) -> Result<Config, Vec<ConfigFault>> {
        self.load_explicit(None)
    }

    fn load_explicit(&self, explicit: Option<PathBuf>) -> Result<Config, Vec<ConfigFault>> {
        let env = |name: &str| self.env.get(name).cloned();
        load_on(&Request { explicit, env: &env }, self.root.path(), &|_| {
            Vec::new()
        })
    }

    /// The faults as text, without the folder of this test.
    fn faults(&self) -> String {
        let faults = self.load().expect_err("the configuration should have faults");
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        lines
            .join("\n")
            .replace(&format!("{}/", self.root.path().display()), "")
    }
}

const USER: &str = "home/ann/.config/pilothouse/config.toml";

/// Loads `text` as the user's file.
fn loaded(text: &str) -> Config {
    let faults = |faults: Vec<ConfigFault>| -> Config {
        panic!(
            "{}",
            faults
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        )
    };
    Machine::new().with_file(USER, text).load().unwrap_or_else(faults)
}

/// The faults of `text` as the user's file, one line each and its hint, without the path.
fn faults_of(text: &str) -> String {
    Machine::new()
        .with_file(USER, text)
        .faults()
        .replace(USER, "file")
}

const HOSTS: &str = r#"
[[hosts]]
name = "web-1"
url = "ssh://deploy@web-1:2222/run/docker.sock"
tags = ["web", "prod"]
protected = true
reuse_master = true

[[hosts]]
name = "builder"
url = "unix:///run/docker.sock"
tags = ["web"]
"#;

const SERVICE: &str = r#"
[[services]]
name = "shop"
image = "registry.internal:5000/shop"
[services.build]
host = "builder"
context = "../shop"
tag = "{git.short}"
args = { VERSION = "1" }
[[services.tests]]
name = "unit"
command = ["/app/test.sh"]
env = { ENVIRONMENT = "testing" }
timeout = "5m"
[services.deploy]
hosts = ["builder", "tag:web"]
keep = 5
ports = ["8080:80"]
volumes = ["data:/data", "/etc/shop:/etc/shop:ro"]
restart = "on-failure:3"
memory = "512M"
cpus = 1.5
health = { for = "5s", within = "2m" }
secrets = { API_KEY = { command = ["pass", "shop/api"] }, TOKEN = { file = "token" } }
"#;

#[test]
fn a_whole_configuration_is_read() {
    let machine = Machine::new().with_file(USER, &format!("{HOSTS}{SERVICE}"));
    let config = machine.load().unwrap();
    assert_eq!(config.hosts.len(), 2);
    let Endpoint::Ssh(ssh) = &config.hosts[0].endpoint else {
        panic!("{:?}", config.hosts[0]);
    };
    assert_eq!((ssh.port, ssh.reuse_master), (Some(2222), true));
    assert!(config.hosts[0].protected && !config.hosts[1].protected);

    let service = &config.services[0];
    let build = service.build.as_ref().unwrap();
    assert_eq!(build.context, machine.path("home/ann/.config/pilothouse/../shop"));
    assert_eq!(build.args["VERSION"], "1");
    assert_eq!(service.tests[0].host.as_str(), "builder", "where it was built");
    assert_eq!(service.tests[0].timeout, Duration::from_mins(5));
    let deploy = service.deploy.as_ref().unwrap();
    let hosts: Vec<&str> = deploy.hosts.iter().map(HostName::as_str).collect();
    assert_eq!(
        hosts,
        ["web-1", "builder"],
        "in the order of the configuration, each once"
    );
    assert_eq!((deploy.keep, deploy.replicas), (5, 1));
    assert_eq!(deploy.gate.within, Duration::from_mins(2));
    assert_eq!(deploy.spec.restart, Restart::OnFailure(3));
    assert_eq!(deploy.spec.memory, Some(512 << 20));
    assert_eq!(deploy.spec.stop_grace, Duration::from_secs(10));
    assert_eq!(
        deploy.spec.volumes[1],
        Mount {
            source: "/etc/shop".into(),
            target: "/etc/shop".into(),
            read_only: true
        }
    );
    assert_eq!(
        deploy.spec.secrets["TOKEN"],
        Secret::File(machine.path("home/ann/.config/pilothouse/token"))
    );
}

#[test]
fn settings_are_read_and_what_is_not_said_stays_the_default() {
    let config = loaded(
        r#"
[keys]
deploy = "ctrl-d"
quit = ["q", "ctrl-q"]
[looks]
theme = "light"
log_bytes = "16M"
[state]
dir = "~/runs"
keep_for = "30d"
[log]
level = "info,pilothouse=debug"
"#,
    );
    assert_eq!(config.keys["quit"], ["q", "ctrl-q"]);
    let unknown = config.fault_of_keys(
        "quit",
        crate::domain::fault::Fault::new("", "there is no such command"),
    );
    assert!(
        unknown
            .to_string()
            .ends_with("config.toml:4:8: `quit`: there is no such command"),
        "{unknown}"
    );
    assert_eq!(
        (config.looks.theme, config.looks.log_bytes),
        (Theme::Light, 16 << 20)
    );
    assert_eq!(config.looks.log_tail, Looks::default().log_tail);
    assert!(config.state.dir.unwrap().ends_with("home/ann/runs"));
    assert_eq!(config.log.max_bytes, OwnLog::default().max_bytes);
}

#[test]
fn every_fault_is_said_at_once_with_place_and_hint() {
    let text = r#"
[[hosts]]
name = "web 1"
url = "npipe:////./pipe/docker"
colour = "blue"

[[hosts]]
name = "web-2"
url = "unix:///a"

[[hosts]]
name = "web-2"
url = "unix:///b"
protected = "yes"

[[services]]
name = "shop"
image = "shop:v1"
[services.build]
host = "web-3"
tag = "{git.shrt}"
[services.deploy]
hosts = ["web-2", "tag:prod"]
stratgy = "recreate"
replicas = "3"
memory = "12"
env = { PORT = 80 }
"#;
    insta::assert_snapshot!(faults_of(text));
}

#[test]
fn text_that_is_no_toml_is_said_with_its_place_and_the_rest_is_still_checked() {
    let faults = faults_of("[[hosts]]\nname = \n[looks]\ntheme = \"drk\"\n");
    assert!(faults.contains("file:2:8:"), "{faults}");
    assert!(
        faults.contains("file:4:9: `theme`: \"drk\" is not known"),
        "{faults}"
    );
    assert!(
        !faults.contains("no `name`"),
        "no fault follows from another: {faults}"
    );
}

#[test]
fn a_key_that_is_there_twice_is_named_with_its_first_place() {
    let faults =
        faults_of("[[hosts]]\nname = \"a\"\n[[hosts]]\nname = \"b\"\nurl = \"unix:///x\"\nname = \"c\"\n");
    assert!(faults.contains("file:6:1: `name` appears twice"), "{faults}");
    assert!(faults.contains("line 4"), "{faults}");
    // The nearest of that name may be another table's.
    let nested = "[[services]]\nname = \"a\"\ntest = { name = \"t\" }\nname = \"b\"\n";
    let faults = faults_of(nested);
    assert!(
        faults.contains("file:4:1: `name` appears twice") && faults.contains("line 2"),
        "{faults}"
    );
    let inline = "[[services]]\nname = \"a\"\ntest = { name = \"t\", name = \"u\" }\n";
    let faults = faults_of(inline);
    assert!(
        faults.contains("`name` appears twice") && !faults.contains("already"),
        "{faults}"
    );
    let header = "[looks]\ntheme = \"dark\"\n[log]\nlevel = \"info\"\n[looks]\ntitle = false\n";
    let faults = faults_of(header);
    assert!(
        faults.contains("`looks` appears twice") && faults.contains("line 1"),
        "{faults}"
    );
}

#[test]
fn a_secret_in_the_file_is_refused_without_repeating_it() {
    let text = format!(
        "{HOSTS}[[services]]\nname = \"s\"\nimage = \"s\"\n[services.deploy]\nhosts = [\"web-1\"]\nsecrets = {{ KEY = \"hunter2\" }}\n"
    );
    let faults = faults_of(&text);
    assert!(
        faults.contains("must not be written in the file") && !faults.contains("hunter2"),
        "{faults}"
    );
}

fn faults_of_build(keys: &str) -> String {
    faults_of(&format!(
        "{HOSTS}[[services]]\nname = \"s\"\nimage = \"s\"\n[services.build]\nhost = \"builder\"\n{keys}\n"
    ))
}

#[test]
fn a_build_says_what_it_is_made_of() {
    let build = |keys: &str| {
        let text = format!(
            "{HOSTS}[[services]]\nname = \"s\"\nimage = \"s\"\n[services.build]\nhost = \"builder\"\n{keys}\n"
        );
        loaded(&text).services[0].build.clone().unwrap()
    };
    let plain = build("");
    assert_eq!(plain.tags, ["{time}"]);
    assert_eq!((plain.builder, plain.git), (Builder::Auto, None));
    let full = build(
        r#"
tags = ["{git.short}", "v1"]
git = "release/1.4"
platform = "linux/arm/v7"
cache_from = ["registry.internal:5000/s:latest"]
builder = "buildkit"
secrets = { TOKEN = { env = "NPM_TOKEN" } }"#,
    );
    assert_eq!(full.tags, ["{git.short}", "v1"]);
    assert_eq!(full.git.as_deref(), Some("release/1.4"));
    assert_eq!(full.platform.as_deref(), Some("linux/arm/v7"));
    assert_eq!(full.cache_from, ["registry.internal:5000/s:latest"]);
    assert_eq!(full.builder, Builder::BuildKit);
    assert_eq!(full.secrets["TOKEN"], Secret::Env("NPM_TOKEN".to_owned()));
}

#[test]
fn what_cannot_be_built_is_said_at_its_place() {
    for (keys, said) in [
        ("tag = \"a\"\ntags = [\"b\"]", "both `tag` and `tags`"),
        ("tags = []", "`tags` is empty"),
        ("tags = [\"a b\"]", "`tags`: ' ' is not allowed in a tag"),
        (
            "git = \"--upload-pack=x\"",
            "\"--upload-pack=x\" is not a revision",
        ),
        ("git = \"\"", "is not a revision"),
        ("platform = \"arm64\"", "\"arm64\" is not a platform"),
        ("platform = \"linux/\"", "is not a platform"),
        ("cache_from = [\"a b\"]", "\"a b\" is not an image"),
        ("builder = \"kaniko\"", "\"kaniko\" is not known"),
        (
            "secrets = { TOKEN = \"hunter2\" }",
            "must not be written in the file",
        ),
        (
            "builder = \"classic\"\nsecrets = { TOKEN = { env = \"X\" } }",
            "the classic builder does not support secrets",
        ),
        ("dockerfil = \"x\"", "did you mean `dockerfile`?"),
    ] {
        let faults = faults_of_build(keys);
        assert!(faults.contains(said), "{keys}: {faults}");
        assert!(!faults.contains("hunter2"), "{faults}");
    }
}

#[test]
fn byte_order_mark_and_carriage_returns_are_fine() {
    let machine = Machine::new();
    machine.write(USER, b"\xef\xbb\xbf[looks]\r\ntheme = \"dark\"\r\n");
    assert_eq!(machine.load().unwrap().looks.theme, Theme::Dark);
}

#[test]
fn what_is_no_text_is_said_with_its_place() {
    let machine = Machine::new();
    machine.write(USER, b"[looks]\n# caf\xe9\n");
    assert!(
        machine.faults().contains("config.toml:2:6: is not UTF-8"),
        "{}",
        machine.faults()
    );
}

#[test]
fn the_first_of_the_known_places_is_taken() {
    let looks = |theme: &str| format!("[looks]\ntheme = \"{theme}\"\n");
    let theme = |machine: &Machine| machine.load().unwrap().looks.theme;
    let machine = Machine::new().with_file("etc/pilothouse/config.toml", &looks("ansi"));
    assert_eq!(theme(&machine), Theme::Ansi);
    let machine = machine.with_file(USER, &looks("light"));
    assert_eq!(theme(&machine), Theme::Light);
    let machine = machine.with_file("named.toml", &looks("mono"));
    let named = machine.path("named.toml");
    let machine = machine.with_env("PILOTHOUSE_CONFIG", &named.display().to_string());
    assert_eq!(theme(&machine), Theme::Mono);
    let given = machine.write("given.toml", looks("dark").as_bytes());
    assert_eq!(
        machine.load_explicit(Some(given)).unwrap().looks.theme,
        Theme::Dark
    );
}

#[test]
fn a_file_that_was_asked_for_and_is_not_there_or_is_a_folder_is_said_plainly() {
    let machine = Machine::new();
    let fault = |path: &str| {
        let faults = machine.load_explicit(Some(machine.path(path))).unwrap_err();
        faults[0].what.clone()
    };
    assert_eq!(fault("none.toml"), "cannot be read: no such file or directory");
    assert_eq!(fault("home"), "is a folder, not a file");
}

#[test]
fn included_files_add_hosts_and_services_and_paths_begin_at_their_own_folder() {
    let machine = Machine::new()
        .with_file(
            USER,
            &format!("include = [\"services/*.toml\", \"looks.toml\"]\n[looks]\nlog_tail = 7\n{HOSTS}"),
        )
        .with_file(
            "home/ann/.config/pilothouse/looks.toml",
            "[looks]\ntheme = \"mono\"\nlog_tail = 9\n",
        )
        .with_file("home/ann/.config/pilothouse/services/shop.toml", SERVICE);
    let config = machine.load().unwrap();
    assert_eq!(config.sources.len(), 3);
    assert_eq!(config.looks.theme, Theme::Mono);
    assert_eq!(config.looks.log_tail, 7, "the including file has the last word");
    let build = config.services[0].build.as_ref().unwrap();
    assert_eq!(
        build.context,
        machine.path("home/ann/.config/pilothouse/services/../shop")
    );
}

#[test]
fn includes_that_are_missing_or_go_in_a_circle_are_said_where_they_stand() {
    let machine = Machine::new()
        .with_file(
            USER,
            "include = [\"none.toml\", \"/nowhere/*.toml\", \"a.toml\"]\n",
        )
        .with_file("home/ann/.config/pilothouse/a.toml", "include = [\"b.toml\"]\n")
        .with_file("home/ann/.config/pilothouse/b.toml", "include = [\"a.toml\"]\n");
    let faults = machine.faults();
    assert!(
        faults.contains("config.toml:1:12: home/ann/.config/pilothouse/none.toml: cannot be read"),
        "{faults}"
    );
    assert!(
        faults.contains("b.toml:1:12: files include each other in a circle"),
        "{faults}"
    );
    assert_eq!(
        faults.matches("hint:").count() + 2,
        faults.lines().count(),
        "{faults}"
    );
}

#[test]
fn commands_of_a_file_that_others_may_write_are_refused() {
    let machine = Machine::new().with_file(USER, &format!("{HOSTS}{SERVICE}"));
    let file = machine.path(USER);
    let chmod =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    chmod(&file, 0o664);
    let faults = machine.faults();
    assert!(
        faults.contains("other users may write") && faults.contains("chmod go-w"),
        "{faults}"
    );
    chmod(&file, 0o644);
    assert!(machine.load().is_ok());
    chmod(file.parent().unwrap(), 0o777);
    assert!(
        machine
            .faults()
            .contains("other users may write home/ann/.config/pilothouse (mode 0777)")
    );
    chmod(file.parent().unwrap(), 0o755);
    assert!(machine.load().is_ok());
}
