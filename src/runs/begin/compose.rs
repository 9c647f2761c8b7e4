//! Reads what a test needs from a compose file when a run begins, and checks that the files it copies exist.
//! Afterwards the plan contains all of it: recovery and colleagues read no compose file.

use std::path::Path;

use crate::config::Service;
use crate::config::compose::needs;
use crate::config::service::Work;
use crate::config::test::{Need, Test};
use crate::domain::fault::Fault;

/// Larger files are refused.
const LARGEST: u64 = 1 << 20;

/// Converts the compose files of the service's tests to needs.
pub(in crate::runs) fn complete(service: &mut Service) -> Result<(), Fault> {
    let stages = service
        .stages
        .iter_mut()
        .filter_map(|stage| match &mut stage.work {
            Work::Run { test, .. } => Some(test.as_mut()),
            Work::Command { .. } | Work::Approve { .. } => None,
        });
    for test in service.tests.iter_mut().chain(stages) {
        take(test)?;
        let of_needs = test.needs.iter().flat_map(|need| need.files.values());
        for path in test.files.values().chain(of_needs) {
            is_here(path).map_err(|why| {
                Fault::new(
                    format!("test {}", test.name),
                    format!("the file {}: {why}", path.display()),
                )
            })?;
        }
    }
    Ok(())
}

fn take(test: &mut Test) -> Result<(), Fault> {
    let Some(compose) = &test.compose else {
        return Ok(());
    };
    let file = &compose.file;
    let what = || {
        format!(
            "take {} of the test {} from {}",
            compose.services.join(" and "),
            test.name,
            file.display()
        )
    };
    let content = read(file).map_err(|error| Fault::new(what(), error))?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let taken = needs(&content, folder, &compose.services, compose.within).map_err(|faults| {
        let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Fault::new(what(), words.join("; ")).hint("use [[services.tests.needs]] instead")
    })?;
    let known = |need: &Need| test.needs.iter().find(|other| other.name == need.name);
    if let Some(twice) = taken.iter().find_map(known) {
        return Err(Fault::new(
            what(),
            format!("{} is one of [[services.tests.needs]], too", twice.name),
        ));
    }
    // They are what the others may need.
    test.needs.splice(0..0, taken);
    test.compose = None;
    Ok(())
}

pub(in crate::runs) fn read(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > LARGEST {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    std::fs::read_to_string(path)
}

fn is_here(path: &Path) -> std::io::Result<()> {
    if std::fs::metadata(path)?.is_file() {
        Ok(())
    } else {
        Err(std::io::Error::other("it is not a regular file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test::Compose;
    use crate::domain::ids::{HostName, ServiceName};
    use std::time::Duration;

    fn service(test: Test) -> Service {
        Service {
            name: ServiceName::parse("shop").unwrap(),
            image: "shop".to_owned(),
            build: None,
            tests: vec![test],
            deploy: None,
            pipeline: Vec::new(),
            stages: Vec::new(),
            environments: Vec::new(),
        }
    }

    #[test]
    fn a_compose_file_becomes_needs_before_the_others_and_its_faults_name_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("compose.yaml");
        std::fs::write(
            &file,
            "services:\n  db:\n    image: db:1\n  odd:\n    image: x\n    privileged: true\n",
        )
        .unwrap();
        let host = HostName::parse("local").unwrap();
        let with = |name: &str| Test {
            needs: vec![Need {
                name: "app".to_owned(),
                ..Need::default()
            }],
            compose: Some(Compose {
                file: file.clone(),
                services: vec![name.to_owned()],
                within: Duration::from_secs(5),
            }),
            ..Test::new("api", host.clone())
        };
        let mut good = service(with("db"));
        complete(&mut good).unwrap();
        let names: Vec<&str> = good.tests[0]
            .needs
            .iter()
            .map(|need| need.name.as_str())
            .collect();
        assert_eq!(names, ["db", "app"]);
        assert_eq!(good.tests[0].compose, None);
        let fault = complete(&mut service(with("odd"))).unwrap_err();
        assert!(fault.what.contains("compose.yaml"), "{fault}");
        assert_eq!(fault.why, "line 6: `privileged` of odd is not supported");
        std::fs::remove_file(&file).unwrap();
        assert!(
            complete(&mut service(with("db")))
                .unwrap_err()
                .why
                .contains("No such file")
        );
    }

    #[test]
    fn a_file_to_put_in_that_is_not_here_is_refused_before_anything_begins() {
        let mut test = Test::new("api", HostName::parse("local").unwrap());
        test.files
            .insert("/etc/app.toml".to_owned(), "/nowhere/app.toml".into());
        let fault = complete(&mut service(test)).unwrap_err();
        assert!(fault.why.contains("/nowhere/app.toml: No such file"), "{fault}");
    }
}
