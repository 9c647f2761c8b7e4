//! Secrets: resolved before a run detaches, passed through a pipe, removed from everything that is written.
//! A value is never in an argument, a journal, a log or an error; only its hash is.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

use super::logins::Logins;
use crate::config::service::{Secret, Spec};
use crate::domain::fault::Fault;
use crate::hosts::registry::Login;
use crate::release::spec::{self, Seals};
use crate::runs::process::family::Family;
use crate::runs::process::finish::Finish;

/// By name.
pub type Secrets = BTreeMap<String, String>;

/// What a launcher passes to its runner through the pipe.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Handed {
    /// For the containers that are created.
    pub secrets: Secrets,
    /// Who is notified of the result.
    #[serde(default)]
    pub finish: Option<Finish>,
    /// The logins for the registries that the run uses.
    #[serde(default)]
    pub logins: Logins,
    /// The logins for the registries of base images, for builders only.
    #[serde(default)]
    pub bases: Logins,
}

/// A person may have to touch a key.
const PATIENCE: Duration = Duration::from_mins(1);
/// The limit of `BuildKit`; containers get less.
const LONGEST: u64 = 500 << 10;

/// All of them, or the fault of the first that cannot be resolved, without its output.
pub async fn resolve(
    wanted: &BTreeMap<String, Secret>,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<Secrets, Fault> {
    let mut secrets = Secrets::new();
    for (name, source) in wanted {
        let value = one(&format!("the secret {name}"), source, env).await?;
        secrets.insert(name.clone(), value);
    }
    Ok(secrets)
}

/// The secrets of a replica: variables without the final newline, files unchanged.
pub async fn of_replicas(
    spec: &Spec,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<Secrets, Fault> {
    let mut secrets = resolve(&spec.secrets, env).await?;
    for (name, file) in &spec.files {
        let value = within(&format!("the secret {name}"), &file.source, env, PATIENCE).await?;
        secrets.insert(name.clone(), value);
    }
    Ok(secrets)
}

/// The hashes of those that need no command, because a command may wait for a person.
pub async fn seals_at_hand(spec: &Spec, env: &(dyn Fn(&str) -> Option<String> + Sync)) -> Seals {
    let asks = |source: &Secret| matches!(source, Secret::Command(_));
    let mut at_hand = Spec {
        secrets: spec.secrets.clone(),
        files: spec.files.clone(),
        ..Spec::default()
    };
    at_hand.secrets.retain(|_, source| !asks(source));
    at_hand.files.retain(|_, file| !asks(&file.source));
    // What does not resolve is told when the run begins.
    seals(&of_replicas(&at_hand, env).await.unwrap_or_default())
}

#[must_use]
pub fn seals(secrets: &Secrets) -> Seals {
    let seal = |(name, value): (&String, &String)| (name.clone(), spec::seal(name, value));
    secrets.iter().map(seal).collect()
}

/// The prefix of a build's secrets among all secrets of a run; variable names contain no colon.
const OF_BUILD: &str = "build:";

/// Prefixes a build's secrets, since a replica's secret of the same name may have another value.
#[must_use]
pub fn for_build(secrets: Secrets) -> Secrets {
    secrets
        .into_iter()
        .map(|(name, value)| (format!("{OF_BUILD}{name}"), value))
        .collect()
}

/// The secrets of the build, under their own names.
#[must_use]
pub fn of_build(secrets: &Secrets) -> Secrets {
    secrets
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(OF_BUILD)?.to_owned(), value.clone())))
        .collect()
}

/// One value; `what` is its name in the fault.
pub async fn one(
    what: &str,
    source: &Secret,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<String, Fault> {
    let mut value = within(what, source, env, PATIENCE).await?;
    if value.ends_with('\n') {
        value.pop();
    }
    filled(what, value)
}

/// The value as given, with any final newline.
async fn within(
    what: &str,
    source: &Secret,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
    patience: Duration,
) -> Result<String, Fault> {
    let fault = |why: &dyn std::fmt::Display| Fault::new(format!("resolve {what}"), why);
    let value = match source {
        Secret::Env(variable) => {
            env(variable).ok_or_else(|| fault(&format!("the variable {variable} is not set")))?
        }
        Secret::File(path) => {
            let shown = path.display();
            let mut text = String::new();
            let file = tokio::fs::File::open(path)
                .await
                .map_err(|error| fault(&format!("{shown}: {error}")))?;
            file.take(LONGEST + 1)
                .read_to_string(&mut text)
                .await
                .map_err(|error| fault(&format!("{shown}: {error}")))?;
            text
        }
        Secret::Command(command) => match tokio::time::timeout(patience, said(command)).await {
            Ok(Ok(text)) => text,
            Ok(Err(why)) => {
                return Err(fault(&why).hint("run the command by hand: it may need input"));
            }
            Err(_elapsed) => {
                let program = command.first().map_or("", String::as_str);
                let why = format!("{program} did not answer for {} s", patience.as_secs());
                return Err(fault(&why).hint("run the command by hand: it may wait for input"));
            }
        },
    };
    if value.len() as u64 > LONGEST {
        return Err(fault(&format!("its value is longer than {LONGEST} bytes")));
    }
    filled(what, value)
}

fn filled(what: &str, value: String) -> Result<String, Fault> {
    if value.is_empty() {
        return Err(Fault::new(format!("resolve {what}"), "its value is empty"));
    }
    Ok(value)
}

/// The output of a command, or why it cannot be used. The command is ended when this is dropped.
async fn said(command: &[String]) -> Result<String, String> {
    let (program, arguments) = command.split_first().ok_or("its command is empty")?;
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let (mut child, family) = Family::start(&mut command).map_err(|error| format!("{program}: {error}"))?;
    let mut bytes = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        // A longer one is refused: the command hears so by its closed pipe.
        let read = stdout.take(LONGEST + 1).read_to_end(&mut bytes).await;
        read.map_err(|error| format!("{program}: {error}"))?;
    }
    if bytes.len() as u64 <= LONGEST {
        let status = child
            .wait()
            .await
            .map_err(|error| format!("{program}: {error}"))?;
        family.has_ended();
        if !status.success() {
            return Err(format!("{program} ended with {status}"));
        }
    }
    String::from_utf8(bytes).map_err(|_bytes| "its value is not text".to_owned())
}

/// Removes known values from text.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, because a value may contain another one.
    values: Vec<String>,
}

/// Shorter values would remove ordinary words.
const SHORTEST: usize = 4;

impl Redactor {
    #[must_use]
    pub fn new(handed: &Handed) -> Self {
        let secrets = handed.secrets.values().map(String::as_str);
        let mut values: Vec<String> = secrets
            .chain(handed.finish.iter().flat_map(Finish::secrets))
            .chain(
                handed
                    .logins
                    .values()
                    .chain(handed.bases.values())
                    .flatten()
                    .map(Login::secret),
            )
            .flat_map(|value| value.lines().chain([value]).map(str::to_owned))
            .filter(|value| value.len() >= SHORTEST)
            .collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        self.values
            .iter()
            .fold(text.to_owned(), |text, value| text.replace(value, "••••••"))
    }

    #[must_use]
    pub fn fault(&self, fault: Fault) -> Fault {
        Fault {
            what: self.clean(&fault.what),
            why: self.clean(&fault.why),
            hint: fault.hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_are_taken_out_of_text_line_by_line() {
        let login = Login::Password {
            username: "deploy".to_owned(),
            password: "hunter22".to_owned(),
        };
        let handed = Handed {
            secrets: Secrets::from([("KEY".to_owned(), "first-line\nsecond-line".to_owned())]),
            logins: Logins::from([("registry:5000".to_owned(), Some(login))]),
            ..Handed::default()
        };
        let redactor = Redactor::new(&handed);
        assert_eq!(redactor.clean("got second-line!"), "got ••••••!");
        assert_eq!(redactor.clean("deploy said hunter22"), "deploy said ••••••");
    }

    #[tokio::test]
    async fn a_secret_that_does_not_resolve_is_named_without_what_was_printed() {
        let wanted = BTreeMap::from([(
            "KEY".to_owned(),
            Secret::Command(["sh", "-c", "echo hunter2; exit 3"].map(str::to_owned).into()),
        )]);
        let fault = resolve(&wanted, &|_| None).await.unwrap_err();
        assert!(fault.to_string().contains("KEY"), "{fault}");
        assert!(!format!("{fault:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_command_that_hangs_or_never_stops_printing_is_given_up() {
        let command = |script: &str| Secret::Command(["sh", "-c", script].map(str::to_owned).into());
        let folder = tempfile::tempdir().unwrap();
        let group = folder.path().join("group");
        let script = format!("echo $$ > {}; echo hunter2; sleep 1000 | cat", group.display());
        let fault = within("KEY", &command(&script), &|_| None, Duration::from_millis(500))
            .await
            .unwrap_err();
        assert!(fault.why.contains("sh did not answer"), "{fault}");
        // Nobody of the pipe is left behind.
        let group: i32 = std::fs::read_to_string(group).unwrap().trim().parse().unwrap();
        let group = rustix::process::Pid::from_raw(group).unwrap();
        let gone = async {
            while rustix::process::test_kill_process_group(group).is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
        for endless in [command("exec yes hunter2"), Secret::File("/dev/zero".into())] {
            let fault = one("KEY", &endless, &|_| None).await.unwrap_err();
            assert!(fault.why.contains("longer than 512000 bytes"), "{fault}");
            assert!(!format!("{fault:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_builds_secrets_are_apart_from_those_of_what_runs() {
        let own = Secrets::from([("TOKEN".to_owned(), "build".to_owned())]);
        let mut all = for_build(own.clone());
        all.insert("TOKEN".to_owned(), "run".to_owned());
        assert_eq!(of_build(&all), own);
        assert_eq!(all["TOKEN"], "run");
    }
}
