//! A plan in words, and its confirmation.
//! Without a terminal nothing is asked, and missing options are not assumed.

use std::io::{self, BufRead, IsTerminal};

use super::args::HowToRun;
use super::out;
use crate::domain::ids::ServiceName;
use crate::domain::plan::PlanView;
use crate::domain::units::short_span;

/// The plan for people, to stdout.
pub(super) fn print(plan: &PlanView) {
    let word = plan.request.word();
    let hosts: Vec<&str> = plan.hosts.iter().map(|(host, _)| host.as_str()).collect();
    let from = plan.request.origin_words().map(|from| format!("{from} to "));
    let from = from.unwrap_or_default();
    out::line(&format!(
        "{word} {from}{} on {}",
        plan.request.subject(),
        hosts.join(", ")
    ));
    for (host, from) in &plan.hosts {
        let from = from.map_or_else(|| "nothing".to_owned(), |release| release.to_string());
        let to = plan
            .to
            .map_or_else(String::new, |release| format!(" → {release}"));
        out::line(&format!("  {:<9}{host}: {from}{to}", ""));
    }
    let id = plan.image_id.as_deref().filter(|id| *id != plan.image);
    let id = id.map(|id| format!("  {id}")).unwrap_or_default();
    out::line(&format!("  {:<9}{}{id}", "image", plan.image));
    let sections = [
        ("changes", &plan.changes),
        ("order", &plan.order),
        ("tests", &plan.tests),
        ("undo", &plan.undo),
        ("▲", &plan.warnings),
    ];
    for (title, lines) in sections {
        for (index, line) in lines.iter().enumerate() {
            out::line(&format!("  {:<9}{line}", if index == 0 { title } else { "" }));
        }
    }
    if plan.request.dependants.is_empty() && !plan.dependants.is_empty() {
        let names: Vec<&str> = plan.dependants.iter().map(ServiceName::as_str).collect();
        out::line(&format!(
            "  {:<9}{}: --with-dependants also does a {word} of each afterwards",
            "on it",
            names.join(", ")
        ));
    }
    if let Some(estimate) = plan.estimate {
        out::line(&format!("  {:<9}about {}", "time", short_span(estimate)));
    }
    plan.stops().for_each(out::fault);
}

/// As a shell takes it for one word.
fn quoted(words: &str) -> String {
    if words.contains(' ') {
        format!("'{words}'")
    } else {
        words.to_owned()
    }
}

/// What became of the question.
pub(super) enum Answer {
    Yes,
    No,
    /// Nobody could be asked; the words say which option was missing.
    NotAsked(String),
}

/// A protected host wants the service's name, with its environment; anything else wants `--yes` or a `y`.
pub(super) fn confirm(plan: &PlanView, how: &HowToRun) -> Answer {
    let service = plan.word.as_str();
    let protected: Vec<&str> = plan
        .protected
        .iter()
        .map(crate::domain::ids::HostName::as_str)
        .collect();
    if how.confirm.as_deref() == Some(service) || (how.yes && protected.is_empty()) {
        return Answer::Yes;
    }
    if !protected.is_empty() || how.confirm.is_some() {
        return typed(service, &protected, how.confirm.as_deref());
    }
    if !is_somebody_there() {
        return Answer::NotAsked("without a terminal, use --yes".to_owned());
    }
    let question = format!("{} {}? Type yes: ", plan.request.word(), plan.request.subject());
    answered(&question, &["y", "yes"])
}

/// The name, typed where a host is protected. `other`: what `--confirm` says instead.
pub(super) fn typed(word: &str, protected: &[&str], other: Option<&str>) -> Answer {
    if let Some(other) = other {
        return Answer::NotAsked(format!("--confirm is {other:?}, but the service is {word:?}"));
    }
    let names = protected.join(", ");
    if !is_somebody_there() {
        return Answer::NotAsked(format!("{names} is protected: use --confirm {}", quoted(word)));
    }
    answered(&format!("{names} is protected. Type {word}: "), &[word])
}

fn is_somebody_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn answered(question: &str, wanted: &[&str]) -> Answer {
    out::ask(question);
    let mut answer = String::new();
    match io::stdin().lock().read_line(&mut answer) {
        Ok(_) if wanted.contains(&answer.trim()) => Answer::Yes,
        Ok(_) | Err(_) => Answer::No,
    }
}
