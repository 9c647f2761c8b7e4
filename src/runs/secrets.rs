//! Secrets: resolved before a run detaches, handed over through a pipe, taken out of everything that is written.
//! A value is never an argument, never in a journal, a log or an error; only its seal is.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use crate::config::service::Secret;
use crate::domain::fault::Fault;

/// By name; what a runner reads from its standard input.
pub type Secrets = BTreeMap<String, String>;

/// A person may have to touch a key meanwhile.
const PATIENCE: Duration = Duration::from_mins(1);

/// Every one, or the fault of the first that does not resolve: named, without what it printed.
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

/// One value; `what` is what it is called when it does not resolve.
pub async fn one(
    what: &str,
    source: &Secret,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<String, Fault> {
    let fault = |why: &dyn std::fmt::Display| Fault::new(format!("resolve {what}"), why);
    let value = match source {
        Secret::Env(variable) => {
            env(variable).ok_or_else(|| fault(&format!("the variable {variable} is not set")))?
        }
        Secret::File(path) => tokio::fs::read_to_string(path)
            .await
            .map_err(|error| fault(&format!("{}: {error}", path.display())))?,
        Secret::Command(command) => {
            let (program, arguments) = command
                .split_first()
                .ok_or_else(|| fault(&"its command is empty"))?;
            let run = tokio::process::Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .output();
            let done = tokio::time::timeout(PATIENCE, run)
                .await
                .map_err(|_elapsed| fault(&format!("{program} did not answer for {} s", PATIENCE.as_secs())))?
                .map_err(|error| fault(&format!("{program}: {error}")))?;
            if !done.status.success() {
                return Err(fault(&format!("{program} ended with {}", done.status))
                    .hint("run the command by hand: it may need a person"));
            }
            String::from_utf8(done.stdout).map_err(|_bytes| fault(&"its value is not text"))?
        }
    };
    let value = value.strip_suffix('\n').map_or(value.clone(), str::to_owned);
    if value.is_empty() {
        return Err(fault(&"its value is empty"));
    }
    Ok(value)
}

/// Takes known values out of text.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a value inside another one leaves nothing behind.
    values: Vec<String>,
}

/// Shorter values would blank out ordinary words.
const SHORTEST: usize = 4;

impl Redactor {
    #[must_use]
    pub fn new(secrets: &Secrets) -> Self {
        let mut values: Vec<String> = secrets
            .values()
            .flat_map(|value| value.lines().map(str::to_owned).chain([value.clone()]))
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
        let secrets = Secrets::from([("KEY".to_owned(), "first-line\nsecond-line".to_owned())]);
        let redactor = Redactor::new(&secrets);
        assert_eq!(redactor.clean("got second-line!"), "got ••••••!");
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
}
