//! A confirmation question: it names its target, the default is No, and Enter alone never confirms.
//! The answer applies to the target named in the question, even if the selection has changed since.

use std::time::Duration;

use crokey::{KeyCombination, key};

use super::input::{Line, typed};
use crate::domain::ids::{ContainerKey, RunId};
use crate::domain::order::Verb;
use crate::domain::plan::RunRequest;
use crate::domain::run::Said;

/// Keys typed before a person can have read the question are ignored.
pub const QUIET: Duration = Duration::from_millis(300);

#[derive(Clone, Debug)]
pub struct Question {
    /// `Restart shop.r42.1 on web-1?`
    pub title: String,
    /// Consequences of a yes, and other details.
    pub details: Vec<String>,
    pub answer: Answer,
    pub intent: Intent,
    /// `Tab` asks for this plan instead.
    instead: Option<RunRequest>,
    quiet_until: Duration,
}

#[derive(Clone, Debug)]
pub enum Answer {
    /// `y`
    YesNo,
    /// This word, then Enter.
    Typed { word: String, line: Line },
    /// `yes` or `no`, a reason behind it if there is one, then Enter.
    Reasoned { line: Line },
}

/// What a yes does. Contains the targets, so a moved selection does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    Act {
        verb: Verb,
        targets: Vec<ContainerKey>,
    },
    Launch(Box<RunRequest>),
    Cancel(RunId),
    /// Approves or denies a stage of the run.
    Approve(RunId, Said),
    Recover(RunId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pending,
    Yes,
    No,
    /// Neither: another plan is shown first.
    Instead(Box<RunRequest>),
}

impl Question {
    #[must_use]
    pub fn yes_no(title: String, intent: Intent, uptime: Duration) -> Self {
        Self {
            title,
            details: Vec::new(),
            answer: Answer::YesNo,
            intent,
            instead: None,
            quiet_until: uptime + QUIET,
        }
    }

    #[must_use]
    pub fn typed(title: String, word: String, intent: Intent, uptime: Duration) -> Self {
        let line = Line::default();
        Self {
            answer: Answer::Typed { word, line },
            ..Self::yes_no(title, intent, uptime)
        }
    }

    /// A question of an approval stage; the answer is recorded with its reason.
    #[must_use]
    pub fn reasoned(title: String, run: RunId, stage: String, uptime: Duration) -> Self {
        let (yes, reason, line) = (false, None, Line::default());
        Self {
            answer: Answer::Reasoned { line },
            ..Self::yes_no(title, Intent::Approve(run, Said { stage, yes, reason }), uptime)
        }
    }

    #[must_use]
    pub fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// Offers another plan, described as `with shop afterwards, which depends on it`.
    #[must_use]
    pub fn or_plan(mut self, words: &str, request: RunRequest) -> Self {
        self.details.push(format!("Tab: {words}"));
        self.instead = Some(request);
        self
    }

    pub fn key(&mut self, key: KeyCombination, uptime: Duration) -> Verdict {
        if key == key!(esc) {
            return Verdict::No;
        }
        if uptime < self.quiet_until {
            // A burst (a paste, a cat on the keyboard) has to end first.
            self.quiet_until = self.quiet_until.max(uptime + QUIET / 3);
            return Verdict::Pending;
        }
        if key == key!(tab)
            && let Some(request) = self.instead.take()
        {
            return Verdict::Instead(Box::new(request));
        }
        match &mut self.answer {
            Answer::YesNo => match typed(key) {
                Some('y' | 'Y') => Verdict::Yes,
                Some('n' | 'N' | 'q') => Verdict::No,
                _ if key == key!(enter) => Verdict::No,
                _ => Verdict::Pending,
            },
            Answer::Typed { word, line } if key == key!(enter) => match line.text() {
                text if text == word => Verdict::Yes,
                "" => Verdict::No,
                _ => Verdict::Pending,
            },
            Answer::Reasoned { line } if key == key!(enter) => match (word_of(line.text()), &mut self.intent)
            {
                (Word::Nothing, _) => Verdict::No,
                (Word::Said(yes, reason), Intent::Approve(_, said)) => {
                    said.yes = yes;
                    said.reason = reason;
                    Verdict::Yes
                }
                (Word::Said(..) | Word::Other, _) => Verdict::Pending,
            },
            Answer::Typed { line, .. } | Answer::Reasoned { line } => {
                line.key(key);
                Verdict::Pending
            }
        }
    }
}

enum Word {
    Nothing,
    Said(bool, Option<String>),
    Other,
}

/// `yes: looks good`
fn word_of(text: &str) -> Word {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len());
    let (first, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let reason = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
    let reason = (!reason.is_empty()).then(|| reason.to_owned());
    match first.to_lowercase().as_str() {
        "" if rest.is_empty() => Word::Nothing,
        "y" | "yes" => Word::Said(true, reason),
        "n" | "no" => Word::Said(false, reason),
        _ => Word::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_answered_with_yes_or_no_and_why() {
        let answered = |text: &str| {
            let run = RunId::parse("r1").unwrap();
            let mut question = Question::reasoned("Go?".into(), run, "go".into(), seconds(0.0));
            for letter in text.chars() {
                let code = crossterm::event::KeyCode::Char(letter);
                assert_eq!(
                    question.key(KeyCombination::from(code), seconds(1.0)),
                    Verdict::Pending
                );
            }
            let verdict = question.key(key!(enter), seconds(2.0));
            let Intent::Approve(_, said) = question.intent else {
                panic!("{verdict:?}")
            };
            (verdict, said.yes, said.reason)
        };
        let reason = |text: &str| Some(text.to_owned());
        assert_eq!(answered(""), (Verdict::No, false, None));
        assert_eq!(answered("  "), (Verdict::No, false, None));
        assert_eq!(answered("maybe"), (Verdict::Pending, false, None));
        assert_eq!(answered("yes"), (Verdict::Yes, true, None));
        assert_eq!(answered("y, seen"), (Verdict::Yes, true, reason("seen")));
        assert_eq!(answered("no: Friday"), (Verdict::Yes, false, reason("Friday")));
    }

    fn cancel() -> Intent {
        Intent::Cancel(RunId::parse("r1").unwrap())
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn enter_alone_never_confirms() {
        let mut question = Question::yes_no("Sure?".into(), cancel(), seconds(0.0));
        assert_eq!(question.key(key!(enter), seconds(9.0)), Verdict::No);
        let mut question = Question::typed("Sure?".into(), "shop".into(), cancel(), seconds(0.0));
        assert_eq!(question.key(key!(enter), seconds(9.0)), Verdict::No);
    }

    #[test]
    fn what_was_typed_before_it_could_be_read_is_discarded() {
        let mut question = Question::yes_no("Sure?".into(), cancel(), seconds(1.0));
        assert_eq!(question.key(key!(y), seconds(1.1)), Verdict::Pending);
        assert_eq!(question.key(key!(y), seconds(1.29)), Verdict::Pending);
        assert_eq!(
            question.key(key!(y), seconds(1.35)),
            Verdict::Pending,
            "the burst goes on"
        );
        assert_eq!(question.key(key!(y), seconds(2.0)), Verdict::Yes);
    }

    #[test]
    fn a_protected_target_needs_its_whole_name() {
        let mut question = Question::typed("Sure?".into(), "ab".into(), cancel(), seconds(0.0));
        assert_eq!(question.key(key!(a), seconds(1.0)), Verdict::Pending);
        assert_eq!(question.key(key!(enter), seconds(1.0)), Verdict::Pending);
        assert_eq!(question.key(key!(b), seconds(1.0)), Verdict::Pending);
        assert_eq!(question.key(key!(enter), seconds(1.0)), Verdict::Yes);
    }
}
