//! `BuildKit`'s graph as lines of text: each step named once, its output under its number, its result.
//! Independent of the wire format; receives each state that the builder reports.

use std::collections::BTreeMap;

use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog, VertexStatus};

use super::super::{Lines, Progress};
use crate::domain::units::Bytes;

/// A Dockerfile has some dozens; what a daemon says beyond that is not kept.
const MOST: usize = 4096;

/// The state of all steps.
#[derive(Default)]
pub(super) struct Vertices {
    /// By digest.
    steps: BTreeMap<String, Step>,
    /// The digest of the one that was heard of last.
    latest: String,
}

#[derive(Default)]
struct Step {
    /// From 1, in the order in which they were named: what stands before each of its lines.
    number: usize,
    name: String,
    lines: Lines,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Not named yet.
    #[default]
    Unknown,
    Running,
    Over,
}

impl Vertices {
    pub(super) fn hear(&mut self, status: StatusResponse, progress: &mut dyn Progress) {
        // A step that ends in this report has printed before it ended.
        let (over, others): (Vec<Vertex>, Vec<Vertex>) = status
            .vertexes
            .into_iter()
            .partition(|vertex| vertex.completed.is_some());
        for vertex in others.iter().chain(&over) {
            self.name(vertex, progress);
        }
        for log in &status.logs {
            self.print(log, progress);
        }
        for warning in &status.warnings {
            if let Some(step) = self.steps.get(&warning.vertex) {
                let words = String::from_utf8_lossy(&warning.short);
                progress.line(&format!("#{} WARNING: {words}", step.number));
            }
        }
        for vertex in &over {
            self.end(vertex, progress);
        }
        self.say(&status.statuses, progress);
    }

    /// Whatever has no line end yet.
    pub(super) fn finish(&mut self, progress: &mut dyn Progress) {
        for step in self.steps.values_mut() {
            step.lines.finish(&mut Numbered {
                number: step.number,
                progress,
            });
        }
    }

    fn name(&mut self, vertex: &Vertex, progress: &mut dyn Progress) {
        let number = self.steps.len() + 1;
        if number > MOST && !self.steps.contains_key(&vertex.digest) {
            return;
        }
        let step = self.steps.entry(vertex.digest.clone()).or_insert_with(|| Step {
            number,
            name: vertex.name.clone(),
            ..Step::default()
        });
        if vertex.started.is_some() && step.state == State::Unknown {
            step.state = State::Running;
            progress.line(&format!("#{} {}", step.number, step.name));
            self.latest.clone_from(&vertex.digest);
        }
    }

    fn end(&mut self, vertex: &Vertex, progress: &mut dyn Progress) {
        let Some(step) = self.steps.get_mut(&vertex.digest) else {
            return;
        };
        if step.state != State::Running {
            return;
        }
        step.state = State::Over;
        let number = step.number;
        step.lines.finish(&mut Numbered { number, progress });
        let how = if !vertex.error.is_empty() {
            format!("ERROR: {}", vertex.error)
        } else if vertex.cached {
            "CACHED".to_owned()
        } else {
            match seconds(vertex.started.as_ref(), vertex.completed.as_ref()) {
                Some(seconds) => format!("DONE {seconds:.1}s"),
                None => "DONE".to_owned(),
            }
        };
        progress.line(&format!("#{number} {how}"));
    }

    fn print(&mut self, log: &VertexLog, progress: &mut dyn Progress) {
        if let Some(step) = self.steps.get_mut(&log.vertex) {
            let number = step.number;
            step.lines.push(&log.msg, &mut Numbered { number, progress });
        }
    }

    /// `[2/3] RUN make`, with how far it is where the builder counts, and how many others run beside it.
    fn say(&mut self, statuses: &[VertexStatus], progress: &mut dyn Progress) {
        if let Some(moving) = statuses.last() {
            self.latest.clone_from(&moving.vertex);
        }
        let is_running = |step: &&Step| step.state == State::Running;
        let running = self.steps.values().filter(is_running).count();
        let Some(step) = self.steps.get(&self.latest).filter(is_running).or_else(|| {
            self.steps
                .values()
                .filter(is_running)
                .max_by_key(|step| step.number)
        }) else {
            return;
        };
        let own = statuses
            .iter()
            .rfind(|status| status.vertex == self.latest && status.completed.is_none());
        let counted = own.map_or_else(String::new, |status| format!(", {}", counted(status)));
        let others = match running.saturating_sub(1) {
            0 => String::new(),
            others => format!(" (and {others} more)"),
        };
        progress.text(&format!("{}{counted}{others}", step.name));
    }
}

/// `transferring context: 12 M`, `sha256:3f2a… 5 M of 12 M`
fn counted(status: &VertexStatus) -> String {
    let bytes = |count: i64| Bytes(u64::try_from(count).unwrap_or(0));
    let what: String = status.id.chars().take(60).collect();
    match (status.current, status.total) {
        (current, total) if total > 0 => format!("{what} {} of {}", bytes(current), bytes(total)),
        (current, _) if current > 0 => format!("{what} {}", bytes(current)),
        (_, _) => what,
    }
}

fn seconds(from: Option<&Timestamp>, to: Option<&Timestamp>) -> Option<f64> {
    let (from, to) = (from?, to?);
    let whole = i32::try_from(to.seconds.checked_sub(from.seconds)?).ok()?;
    let nanos = to.nanos.checked_sub(from.nanos)?;
    Some((f64::from(whole) + f64::from(nanos) / 1e9).max(0.0))
}

/// Puts a step's number before each of its lines.
struct Numbered<'p> {
    number: usize,
    progress: &'p mut dyn Progress,
}

impl Progress for Numbered<'_> {
    fn text(&mut self, now: &str) {
        self.progress.text(now);
    }

    fn line(&mut self, line: &str) {
        self.progress.line(&format!("#{} {line}", self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vertex(digest: &str, name: &str) -> Vertex {
        Vertex {
            digest: digest.to_owned(),
            name: name.to_owned(),
            started: Some(Timestamp {
                seconds: 10,
                nanos: 900_000_000,
            }),
            ..Vertex::default()
        }
    }

    fn over(digest: &str, name: &str) -> Vertex {
        Vertex {
            completed: Some(Timestamp {
                seconds: 12,
                nanos: 100_000_000,
            }),
            ..vertex(digest, name)
        }
    }

    fn log(digest: &str, text: &str) -> VertexLog {
        VertexLog {
            vertex: digest.to_owned(),
            msg: text.as_bytes().to_vec(),
            ..VertexLog::default()
        }
    }

    fn lines(states: Vec<StatusResponse>) -> Vec<String> {
        let mut told: Vec<String> = Vec::new();
        let mut vertices = Vertices::default();
        for state in states {
            vertices.hear(state, &mut told);
        }
        vertices.finish(&mut told);
        told
    }

    #[test]
    fn each_step_is_named_once_prints_under_its_number_and_says_how_it_ended() {
        let failed = Vertex {
            error: "exit code: 9".to_owned(),
            ..over("b", "RUN exit 9")
        };
        let cached = Vertex {
            cached: true,
            ..over("c", "COPY . /")
        };
        let told = lines(vec![
            StatusResponse {
                vertexes: vec![vertex("a", "RUN make"), vertex("b", "RUN exit 9")],
                logs: vec![log("a", "one\ntw"), log("b", "other\n")],
                ..StatusResponse::default()
            },
            StatusResponse {
                vertexes: vec![vertex("a", "RUN make"), over("a", "RUN make"), failed, cached],
                logs: vec![log("a", "o\nrest"), log("nobody", "lost\n")],
                ..StatusResponse::default()
            },
        ]);
        assert_eq!(
            told,
            [
                "#1 RUN make",
                "#2 RUN exit 9",
                "#1 one",
                "#2 other",
                "#3 COPY . /",
                "#1 two",
                "#1 rest",
                "#1 DONE 1.2s",
                "#2 ERROR: exit code: 9",
                "#3 CACHED",
            ]
        );
    }

    #[test]
    fn a_step_that_has_not_started_is_not_named_and_one_that_is_repeated_ends_once() {
        let waiting = Vertex {
            started: None,
            ..vertex("a", "RUN later")
        };
        let once = || StatusResponse {
            vertexes: vec![over("b", "FROM x")],
            ..StatusResponse::default()
        };
        let first = StatusResponse {
            vertexes: vec![waiting],
            ..StatusResponse::default()
        };
        assert_eq!(lines(vec![first, once(), once()]), ["#2 FROM x", "#2 DONE 1.2s"]);
    }

    #[test]
    fn a_flood_of_steps_is_not_kept() {
        let vertexes = (0..MOST * 2)
            .map(|number| vertex(&number.to_string(), "RUN x"))
            .collect();
        let told = lines(vec![StatusResponse {
            vertexes,
            ..StatusResponse::default()
        }]);
        assert_eq!(told.len(), MOST);
    }
}
