//! The resources of one attempt of a test: a private network, containers and volumes, labelled with the run and the test.
//! They are found by these labels when they are removed.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfigLogConfig, NetworkCreateRequest, NetworkingConfig,
    RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{CreateContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::artifacts::Kept;
use super::container::Container;
use super::{Progress, TestResult, Trial, artifacts, needs, sweep};
use crate::domain::container::{Role, label};
use crate::domain::fault::Fault;
use crate::hosts::Daemon;
use crate::hosts::trouble::engine_words;

/// On the daemon's disk, for one container: the lines that count were streamed before that.
const LOG_FILE: &str = "16m";
/// Of one file put in: settings and scripts, not data.
const LARGEST_FILE: u64 = 16 << 20;
/// Tells a test which of its attempts it is, from 1.
const ATTEMPT: &str = "PILOTHOUSE_ATTEMPT";
/// Removing takes a daemon under load seconds.
const TIDY_LIMIT: Duration = Duration::from_mins(1);

#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) docker: &'a Docker,
    pub(super) daemon: &'a Daemon,
    pub(super) trial: Trial<'a>,
    pub(super) attempt: u32,
    /// `run the test unit on web-1`
    pub(super) what: &'a str,
}

impl Ground<'_> {
    pub(super) fn fault(&self, error: &Error) -> Fault {
        Fault::new(self.what, engine_words(error))
    }

    /// Of the test's container; needs add theirs after a dot.
    pub(super) fn name(&self) -> String {
        let (run, test) = (self.trial.run, &self.trial.test.name);
        if self.attempt == 1 {
            format!("pilothouse-test-{run}-{test}")
        } else {
            // The name of the last attempt may not be free yet.
            format!("pilothouse-test-{run}-{test}.{}", self.attempt)
        }
    }

    pub(super) fn name_of(&self, need: &str) -> String {
        let (run, test) = (self.trial.run, &self.trial.test.name);
        format!("pilothouse-test-{run}-{test}.{}.{need}", self.attempt)
    }

    pub(super) fn labels(&self) -> HashMap<String, String> {
        HashMap::from([
            (label::SCHEMA.to_owned(), "1".to_owned()),
            Role::Test.label(),
            (label::RUN.to_owned(), self.trial.run.to_string()),
            (label::STAGE.to_owned(), self.trial.test.name.clone()),
        ])
    }

    pub(super) async fn attempt(
        &self,
        progress: &mut dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<(TestResult, Kept), Fault> {
        let test = self.trial.test;
        let network = if test.needs.is_empty() {
            None
        } else {
            Some(self.network().await?)
        };
        if let Some(network) = &network {
            needs::begin(self, network, progress, cancel).await?;
        }
        let body = self.body(network.as_deref().or(self.trial.network));
        let id = self.create(&self.name(), body, &test.files).await?;
        let container = Container {
            docker: self.docker,
            id,
            test,
        };
        let result = container.work(progress, cancel, self.what).await?;
        if !result.passed() {
            needs::last_words(self, progress).await;
        }
        let kept = artifacts::keep(self, &container.id, progress).await;
        Ok((result, kept))
    }

    async fn network(&self) -> Result<String, Fault> {
        let name = self.name();
        let request = NetworkCreateRequest {
            name: name.clone(),
            labels: Some(self.labels()),
            ..NetworkCreateRequest::default()
        };
        self.docker.create_network(request).await.map_err(|error| {
            let fault = self.fault(&error);
            if fault.why.contains("address pool") {
                fault.hint("too many networks there: `docker network prune` removes unused ones")
            } else {
                fault
            }
        })?;
        Ok(name)
    }

    fn body(&self, network: Option<&str>) -> ContainerCreateBody {
        let (test, image) = (self.trial.test, self.trial.image);
        let mut body = self.plain(&image.to_string(), network, &[]);
        body.cmd = (!test.command.is_empty()).then(|| test.command.clone());
        let mut env = test.env.clone();
        env.entry(ATTEMPT.to_owned())
            .or_insert_with(|| self.attempt.to_string());
        body.env = Some(variables(&env));
        if let Some(host) = &mut body.host_config {
            host.memory = test.memory.and_then(|bytes| i64::try_from(bytes).ok());
        }
        body
    }

    /// What the test's container and those of its needs have alike.
    pub(super) fn plain(&self, image: &str, network: Option<&str>, names: &[String]) -> ContainerCreateBody {
        // Whatever the daemon's own choice is: this one can be read back, and has an end.
        let log = HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), LOG_FILE.to_owned()),
                ("max-file".to_owned(), "2".to_owned()),
            ])),
        };
        let endpoint = EndpointSettings {
            aliases: (!names.is_empty()).then(|| names.to_vec()),
            ..EndpointSettings::default()
        };
        ContainerCreateBody {
            image: Some(image.to_owned()),
            labels: Some(self.labels()),
            host_config: Some(bollard::models::HostConfig {
                log_config: Some(log),
                network_mode: network.map(str::to_owned),
                restart_policy: Some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::NO),
                    maximum_retry_count: None,
                }),
                ..bollard::models::HostConfig::default()
            }),
            networking_config: network.map(|network| NetworkingConfig {
                endpoints_config: Some(HashMap::from([(network.to_owned(), endpoint)])),
            }),
            ..ContainerCreateBody::default()
        }
    }

    /// Created, with its files in it, not started. Not given up midway: the daemon goes on in any case.
    pub(super) async fn create(
        &self,
        name: &str,
        body: ContainerCreateBody,
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<String, Fault> {
        // Before anything is made: a file that is not here is a mistake, not an accident.
        let archive = pack(files).map_err(|why| Fault::new(self.what, why))?;
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let created = self
            .docker
            .create_container(Some(options), body)
            .await
            .map_err(|error| self.fault(&error))?;
        if let Some(archive) = archive {
            let options = UploadToContainerOptionsBuilder::default().path("/").build();
            self.docker
                .upload_to_container(
                    &created.id,
                    Some(options),
                    bollard::body_full(Bytes::from(archive)),
                )
                .await
                .map_err(|error| self.fault(&error))?;
        }
        Ok(created.id)
    }

    /// Nothing of this test is on the host afterwards.
    pub(super) async fn clear(&self) -> Result<(), Fault> {
        let stage = Some(self.trial.test.name.as_str());
        let what = || {
            format!(
                "clean up after the test {} on {}",
                self.trial.test.name,
                self.daemon.name()
            )
        };
        let clearing = sweep::clear(self.daemon, self.trial.run, stage);
        match tokio::time::timeout(TIDY_LIMIT, clearing).await {
            Ok(Ok(_removed)) => Ok(()),
            Ok(Err(fault)) => Err(Fault {
                what: what(),
                ..fault
            }),
            Err(_elapsed) => Err(Fault::new(what(), "no answer in time")),
        }
    }
}

pub(super) fn variables(env: &BTreeMap<String, String>) -> Vec<String> {
    env.iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// Files under their places in the container, with their modes, owned by root.
fn pack(files: &BTreeMap<String, PathBuf>) -> Result<Option<Vec<u8>>, String> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut archive = tar::Builder::new(Vec::new());
    for (place, path) in files {
        let said = |error: &dyn std::fmt::Display| format!("the file {}: {error}", path.display());
        let content = read(path).map_err(|error| said(&error))?;
        let mut header = tar::Header::new_gnu();
        header.set_mode(content.mode);
        header.set_size(u64::try_from(content.bytes.len()).map_err(|error| said(&error))?);
        archive
            .append_data(
                &mut header,
                place.trim_start_matches('/'),
                content.bytes.as_slice(),
            )
            .map_err(|error| said(&error))?;
    }
    archive.into_inner().map(Some).map_err(|error| error.to_string())
}

struct Content {
    bytes: Vec<u8>,
    mode: u32,
}

fn read(path: &Path) -> std::io::Result<Content> {
    use std::io::Read as _;
    use std::os::unix::fs::MetadataExt as _;
    // A pipe would be waited for.
    let seen = std::fs::metadata(path)?;
    if !seen.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    if seen.len() > LARGEST_FILE {
        return Err(std::io::Error::other("it is larger than 16 MiB"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(LARGEST_FILE)
        .read_to_end(&mut bytes)?;
    Ok(Content {
        bytes,
        mode: seen.mode() & 0o777,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn files_are_packed_under_their_places_with_their_modes() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("run.sh");
        std::fs::write(&script, "exit 0\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let files = BTreeMap::from([("/opt/tests/run".to_owned(), script)]);
        let packed = pack(&files).unwrap().unwrap();
        let mut archive = tar::Archive::new(packed.as_slice());
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (
                    entry.path().unwrap().display().to_string(),
                    entry.header().mode().unwrap(),
                )
            })
            .collect();
        assert_eq!(entries, [("opt/tests/run".to_owned(), 0o755)]);
        assert_eq!(pack(&BTreeMap::new()).unwrap(), None);
    }

    #[test]
    fn a_file_that_is_not_here_or_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent");
        let fault = pack(&BTreeMap::from([("/x".to_owned(), absent)])).unwrap_err();
        assert!(fault.contains("absent: No such file"), "{fault}");
        let fault = pack(&BTreeMap::from([("/x".to_owned(), folder.path().to_owned())])).unwrap_err();
        assert!(fault.contains("not a regular file"), "{fault}");
    }
}
