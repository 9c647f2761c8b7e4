//! `pilothouse hosts` and `pilothouse check`: the engine of each host, and whether it answers.

use serde::Serialize;

use super::args::Output;
use super::out::{self, Exit};
use super::reach::{self, Answer, Question};
use super::setup::Setup;
use crate::config::Service;
use crate::domain::fault::Fault;
use crate::domain::host::Engine;

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    endpoint: String,
    tags: &'a [String],
    protected: bool,
    engine: Option<&'a Engine>,
    running: Option<usize>,
    containers: Option<usize>,
    fault: Option<&'a Fault>,
}

impl<'a> Row<'a> {
    fn of(answer: &'a Answer) -> Self {
        let listed = answer.result.as_ref().ok();
        let count = |wanted: fn(&crate::domain::container::Container) -> bool| {
            listed.map(|seen| {
                let containers = seen.containers.iter();
                containers.filter(|container| wanted(container)).count()
            })
        };
        Self {
            name: answer.host.name.as_str(),
            endpoint: answer.host.endpoint.to_string(),
            tags: &answer.host.tags,
            protected: answer.host.protected,
            engine: listed.map(|seen| seen.daemon.engine()),
            running: count(|container| container.state.is_running()),
            containers: count(|container| !container.is_housekeeping()),
            fault: answer.result.as_ref().err(),
        }
    }

    fn cells(&self) -> [String; 6] {
        let known = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        let count = |(running, all)| format!("{running} of {all}");
        [
            self.name.to_owned(),
            if self.fault.is_some() {
                "unreachable"
            } else {
                "live"
            }
            .to_owned(),
            known(
                self.engine
                    .map(|engine| format!("{:?} {}", engine.kind, engine.version)),
            ),
            known(self.engine.map(|engine| engine.api.clone())),
            known(self.running.zip(self.containers).map(count)),
            self.endpoint.clone(),
        ]
    }
}

/// `pilothouse hosts`
pub(super) async fn hosts(setup: &Setup, output: Output) -> Exit {
    let answers = reach::all(&setup.config.hosts, setup.access, Question::Everything).await;
    print(&answers, output);
    reach::say_missing(&answers)
}

fn print(answers: &[Answer], output: Output) {
    let rows: Vec<Row> = answers.iter().map(Row::of).collect();
    if output.json {
        out::json(&rows);
    } else {
        let cells: Vec<_> = rows.iter().map(Row::cells).collect();
        out::table(["HOST", "LINK", "ENGINE", "API", "RUNNING", "ENDPOINT"], &cells);
    }
}

/// `pilothouse check`: the configuration was read already, or we would not be here.
pub(super) async fn check(setup: &Setup, output: Output) -> Exit {
    let answers = reach::all(&setup.config.hosts, setup.access, Question::Everything).await;
    if output.json {
        print(&answers, output);
    } else {
        describe(setup, &answers);
    }
    say_twins(&answers);
    let contexts = say_contexts(&setup.config.services);
    match reach::say_missing(&answers) {
        Exit::Done if !contexts => Exit::Failed,
        exit => exit,
    }
}

fn describe(setup: &Setup, answers: &[Answer]) {
    for source in &setup.config.sources {
        out::line(&format!("configuration  {}", source.display()));
    }
    out::line(&format!("services       {}", setup.config.services.len()));
    for answer in answers {
        let verdict = match &answer.result {
            Ok(seen) => {
                let engine = seen.daemon.engine();
                format!(
                    "{:?} {}, API {}, {} containers",
                    engine.kind,
                    engine.version,
                    engine.api,
                    seen.containers.len()
                ) + &unknown_info(engine)
            }
            Err(fault) => fault.why.clone(),
        };
        out::line(&format!("host           {}  {verdict}", answer.host.name));
    }
}

/// Folders to build from that are not there; false if there is one. What is built from a revision needs none.
fn say_contexts(services: &[Service]) -> bool {
    let builds = services
        .iter()
        .filter_map(|service| Some((service, service.build.as_ref()?)));
    let mut all = true;
    for (service, build) in builds.filter(|(_, build)| build.git.is_none() && !build.context.is_dir()) {
        all = false;
        out::words(&format!(
            "{}: its build context is not a folder on this machine: {}",
            service.name,
            build.context.display()
        ));
    }
    all
}

fn unknown_info(engine: &Engine) -> String {
    match engine.installation() {
        Ok(known) if known.daemon_id.is_none() => {
            ", runs are refused there: GET /info holds no ID".to_owned()
        }
        Ok(_) => String::new(),
        Err(why) => format!(", runs are refused there: GET /info: {why}"),
    }
}

/// Two hosts that are one daemon would be deployed to twice.
fn say_twins(answers: &[Answer]) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for answer in answers {
        let Ok(seen_there) = &answer.result else { continue };
        let Some(id) = seen_there.daemon.engine().daemon_id() else {
            continue;
        };
        match seen.iter().find(|(other, _)| *other == id) {
            Some((_, first)) => out::words(&format!("{} and {first} are the same daemon", answer.host.name)),
            None => seen.push((id, answer.host.name.as_str())),
        }
    }
}
