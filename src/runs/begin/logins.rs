//! Credentials for registries: from the configuration, or from `docker login` on this machine.
//! Read before a run detaches; never written to disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};

use super::secrets;
use crate::config::Config;
use crate::config::dockerfile::Bases;
use crate::domain::fault::Fault;
use crate::domain::reference::HUB;
use crate::hosts::registry::Login;

/// By registry address. Registries that are not in it are not used; `None` is anonymous access.
pub type Logins = BTreeMap<String, Option<Login>>;

/// A person may have to unlock a key ring.
const PATIENCE: Duration = Duration::from_mins(1);

/// The login for this registry; `None` means anonymous access.
///
/// # Errors
/// If a configured login cannot be resolved; without the output of its command.
pub async fn login(
    config: &Config,
    registry: &str,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<Option<Login>, Fault> {
    match config.registry(registry).and_then(|known| known.login.as_ref()) {
        Some(account) => {
            let what = format!("the password of the registry {registry}");
            Ok(Some(Login::Password {
                username: account.username.clone(),
                password: secrets::one(&what, &account.password, env).await?,
            }))
        }
        None => of_docker(registry, env).await,
    }
}

/// The registries of a run's images that it may use, each with its login: those in `[[registries]]`, those with a
/// `docker login`, and (`wanted`) the targets of pushes. Other registries are not tried anonymously.
pub async fn logins(
    config: &Config,
    registries: &BTreeSet<String>,
    wanted: &BTreeSet<String>,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<Logins, Fault> {
    let mut logins = Logins::new();
    for registry in registries {
        let is_named = config.registry(registry).is_some();
        let is_wanted = wanted.contains(registry);
        // Names without a registry are mostly of images that never leave the hosts.
        if registry == HUB && !is_named && !is_wanted {
            continue;
        }
        let login = login(config, registry, env).await?;
        if is_named || is_wanted || login.is_some() {
            logins.insert(registry.clone(), login);
        }
    }
    Ok(logins)
}

/// Credentials for the registries of the base images, and a note for each registry without any. If a base name is only
/// known to the builder, all configured registries are used.
pub async fn of_bases(
    config: &Config,
    bases: &Bases,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<(Logins, Vec<String>), Fault> {
    let mut registries = bases.registries.clone();
    if bases.has_unknown {
        registries.extend(config.registries.iter().map(|known| known.address.clone()));
    }
    let (mut logins, mut notes) = (Logins::new(), Vec::new());
    for registry in registries {
        match login(config, &registry, env).await {
            Ok(None) => {}
            Ok(found) => drop(logins.insert(registry, found)),
            Err(fault)
                if config
                    .registry(&registry)
                    .is_some_and(|known| known.login.is_some()) =>
            {
                return Err(fault);
            }
            // The image may be on the builder, or be for everybody.
            Err(fault) => notes.push(format!("{fault}: the build uses {registry} without a login")),
        }
    }
    Ok((logins, notes))
}

/// From `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`, with credential helpers and store.
async fn of_docker(
    registry: &str,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<Option<Login>, Fault> {
    let folder = env("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| env("HOME").map(|home| PathBuf::from(home).join(".docker")));
    let Some(path) = folder.map(|folder| folder.join("config.json")) else {
        return Ok(None);
    };
    let fault = |why: &dyn std::fmt::Display| {
        Fault::new(format!("log in to {registry} as {} says", path.display()), why)
    };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(&error)),
    };
    // As `docker login` writes it down.
    let server = match registry {
        HUB => "https://index.docker.io/v1/",
        other => other,
    }
    .to_owned();
    let (tell, told) = tokio::sync::oneshot::channel();
    // A thread of its own, not one of the runtime's: a helper that hangs must not keep the program from ending.
    std::thread::spawn(move || {
        // Nobody listens any more: it took too long.
        drop(tell.send(get_credential_from_reader(BufReader::new(file), &server)));
    });
    let found = tokio::time::timeout(PATIENCE, told)
        .await
        .map_err(|_elapsed| {
            fault(&format!(
                "the credential helper did not answer for {} s",
                PATIENCE.as_secs()
            ))
        })?
        .map_err(|_dropped| fault(&"the credential helper could not be run"))?;
    match found {
        Ok(DockerCredential::UsernamePassword(username, password)) => {
            Ok(Some(Login::Password { username, password }))
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Login::Token(token))),
        Err(error) => match refused(&error) {
            None => Ok(None),
            Some((why, hint)) => Err(fault(&why).hint(hint)),
        },
    }
}

/// Why there is no login, without the helper's output; `None`: there was never a login.
fn refused(error: &CredentialRetrievalError) -> Option<(String, &'static str)> {
    const BY_HAND: &str =
        "try `docker login` there by hand, or give [[registries]] a username and a password";
    let why = match error {
        CredentialRetrievalError::NoCredentialConfigured => return None,
        CredentialRetrievalError::HelperFailure { stdout, helper, .. } => {
            // The protocol's own words for "nothing stored".
            if stdout.contains("credentials not found") {
                return None;
            }
            format!("{helper} failed")
        }
        CredentialRetrievalError::HelperCommunicationError => {
            "its credential helper could not be started".to_owned()
        }
        CredentialRetrievalError::MalformedHelperResponse => {
            "its credential helper did not return a login".to_owned()
        }
        CredentialRetrievalError::CredentialDecodingError => "its `auth` cannot be decoded".to_owned(),
        CredentialRetrievalError::CredentialMismatchError => {
            "its `auth` differs from its `username` and `password`".to_owned()
        }
        CredentialRetrievalError::ConfigNotFound | CredentialRetrievalError::ConfigReadError => {
            "it is not what Docker writes".to_owned()
        }
    };
    Some((why, BY_HAND))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Registry;
    use crate::config::registry::Account;
    use crate::config::service::Secret;

    const SHOP: &str = "registry.internal:5000";

    async fn from(folder: &Path, config: &str) -> Result<Option<Login>, Fault> {
        std::fs::write(folder.join("config.json"), config).unwrap();
        let env = |name: &str| (name == "DOCKER_CONFIG").then(|| folder.display().to_string());
        login(&Config::default(), SHOP, &env).await
    }

    fn hunter() -> Login {
        Login::Password {
            username: "ci".to_owned(),
            password: "hunter22".to_owned(),
        }
    }

    #[tokio::test]
    async fn what_docker_login_left_counts() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        assert_eq!(login(&Config::default(), SHOP, &|_| None).await.unwrap(), None);
        assert_eq!(from(here, "{}").await.unwrap(), None);
        let auths = r#"{"auths": {"registry.internal:5000": {"auth": "Y2k6aHVudGVyMjI="}}}"#;
        assert_eq!(from(here, auths).await.unwrap(), Some(hunter()));
        let elsewhere = r#"{"auths": {"other:5000": {"auth": "Y2k6aHVudGVyMjI="}}}"#;
        assert_eq!(from(here, elsewhere).await.unwrap(), None);
        let broken = from(here, "{\"auths\": hunter22").await.unwrap_err();
        assert!(broken.to_string().contains("config.json"), "{broken}");
        assert!(!format!("{broken:?}").contains("hunter22"));
    }

    #[tokio::test]
    async fn a_credential_helper_is_asked_and_one_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = r#"{"credHelpers": {"registry.internal:5000": "pilothouse-none"}}"#;
        let fault = from(folder.path(), missing).await.unwrap_err();
        assert!(fault.to_string().contains("could not be started"), "{fault}");
        assert!(fault.hint.unwrap().contains("[[registries]]"));
        let said = refused(&CredentialRetrievalError::HelperFailure {
            helper: "docker-credential-none".to_owned(),
            stdout: "hunter22".to_owned(),
            stderr: "hunter22".to_owned(),
        });
        assert!(!said.unwrap().0.contains("hunter22"));
    }

    #[tokio::test]
    async fn the_configuration_comes_first_and_says_what_does_not_resolve() {
        let registry = |password| Config {
            registries: vec![Registry {
                address: SHOP.to_owned(),
                login: Some(Account {
                    username: "ci".to_owned(),
                    password,
                }),
            }],
            ..Config::default()
        };
        let by_env = registry(Secret::Env("REGISTRY_PASSWORD".to_owned()));
        let env = |name: &str| (name == "REGISTRY_PASSWORD").then(|| "hunter22".to_owned());
        assert_eq!(login(&by_env, SHOP, &env).await.unwrap(), Some(hunter()));
        assert_eq!(by_env.private_variables(), ["REGISTRY_PASSWORD"]);
        assert_eq!(login(&by_env, "other:5000", &|_| None).await.unwrap(), None);
        let failing = registry(Secret::Command(
            ["sh", "-c", "echo hunter22; exit 3"].map(str::to_owned).into(),
        ));
        let fault = login(&failing, SHOP, &|_| None).await.unwrap_err();
        assert!(fault.to_string().contains("registry.internal:5000"), "{fault}");
        assert!(!format!("{fault:?}").contains("hunter22"));
    }
}
