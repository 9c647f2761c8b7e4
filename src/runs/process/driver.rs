//! Drives a run: carries out the actions of the state machine and reports their outcome back until the run is closed.
//! Decides nothing; besides the steps it renews the leases and listens for cancels.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::cancel;
use super::hands::Hands;
use super::lease;
use super::turn::{Asked, Waiting};
use crate::domain::exit::Exit;
use crate::domain::fault::Fault;
use crate::domain::run::Outcome;
use crate::release::record::{Entry, Failure, FailureKind, Finding};
use crate::release::run::{Action, Fact, Run};
use crate::release::stage::{Is, Stage, Step, Way};

/// Short enough that a person does not notice.
const LISTEN: Duration = Duration::from_millis(200);
/// How often to check for the turn; the pause between two runs of a queue.
const ASK: Duration = Duration::from_millis(25);
/// Cancel requests are checked at every eighth look at the queue.
const WISHES: u32 = 8;

/// How long an interrupted step may take to end; then it is abandoned, and what it leaves is swept.
const GRACE: Duration = Duration::from_secs(20);

/// How `drive` ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Closed {
        outcome: Outcome,
        exit: Exit,
    },
    /// Still open; it can be recovered later.
    Left {
        why: String,
        exit: Exit,
    },
}

/// Requests of the system to end, by name.
type Stopped = mpsc::Receiver<&'static str>;

/// Whether a run begins.
enum Begin {
    Now,
    /// It is closed for this reason.
    Never(Fact),
    /// A recovery that is postponed.
    Later(String),
}

type Answer = (Step, Result<Result<Finding, Failure>, Fault>);

/// A step in progress.
struct Doing {
    handle: AbortHandle,
    since: Instant,
    /// When it is abandoned, once it was asked to end.
    until: Option<Instant>,
}

/// The driver of one run: owns the state machine, the running steps and the leases. `drive` returns when the run is closed,
/// left open for recovery, or its journal cannot be written.
pub struct Driver {
    run: Run,
    hands: Arc<Hands>,
    dir: PathBuf,
    steps: JoinSet<Answer>,
    under_way: BTreeMap<Step, Doing>,
    leases: JoinSet<()>,
    wishes: usize,
    /// The disk-full notice was already sent.
    is_tight: bool,
}

impl Driver {
    #[must_use]
    pub fn new(run: Run, hands: Hands, dir: PathBuf) -> Self {
        Self {
            run,
            hands: Arc::new(hands),
            dir,
            steps: JoinSet::new(),
            under_way: BTreeMap::new(),
            leases: JoinSet::new(),
            wishes: 0,
            is_tight: false,
        }
    }

    /// `stopped` resolves when the system asks this process to end.
    ///
    /// # Errors
    /// If the journal cannot be written: then nothing more may be done.
    pub async fn drive(mut self, mut waiting: Waiting, mut stopped: Stopped) -> Result<Ended, Fault> {
        let actions = match self.turn(&mut waiting, &mut stopped).await? {
            Begin::Now => self.run.start(),
            Begin::Never(fact) => self.run.on(fact),
            Begin::Later(why) => vec![Action::Leave {
                why,
                exit: Exit::Locked,
            }],
        };
        let ended = self.work(actions, stopped).await;
        waiting.leave();
        ended
    }

    /// Waits for the turn, or until it is cancelled.
    async fn turn(&mut self, waiting: &mut Waiting, stopped: &mut Stopped) -> Result<Begin, Fault> {
        let mut said = String::new();
        let mut looks: u32 = 0;
        loop {
            let behind = match (waiting.ask()?, self.run.way()) {
                (Asked::Ours, _) => {
                    self.hands.has_waited(waiting.waited());
                    return Ok(Begin::Now);
                }
                // The locks on its hosts decide; the one that is in progress may be the one that recovers it.
                (Asked::Behind(_) | Asked::Late(_), Way::Ask) if self.run.plan().is_release() => {
                    return Ok(Begin::Now);
                }
                (Asked::Behind(words) | Asked::Late(words), Way::Ask) => {
                    return Ok(Begin::Later(format!("{words} is in progress")));
                }
                (Asked::Late(words), _) => return Ok(Begin::Never(Fact::Late(words))),
                (Asked::Unfounded(why), _) => return Ok(Begin::Never(Fact::Unfounded(why))),
                (Asked::Behind(words), _) => words,
            };
            if behind != said {
                let text = format!("for {behind}");
                self.hands.pen.write(Entry::Waits { text })?;
                said = behind;
            }
            tokio::select! {
                biased;
                Some(by) = stopped.recv() => return Ok(Begin::Never(Fact::Cancelled(by.to_owned()))),
                () = tokio::time::sleep(ASK) => {}
            }
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(WISHES)
                && let Some(fact) = self.wished()
            {
                return Ok(Begin::Never(fact));
            }
        }
    }

    async fn work(&mut self, first: Vec<Action>, mut stopped: Stopped) -> Result<Ended, Fault> {
        // One message a host at most.
        let (lost, mut losses) = mpsc::channel::<Fact>(64);
        let mut actions: VecDeque<Action> = first.into();
        let mut listen = tokio::time::interval(LISTEN);
        loop {
            while let Some(action) = actions.pop_front() {
                if let Some(ended) = self.carry(action)? {
                    return Ok(ended);
                }
            }
            if let Some(fact) = self.filled_up() {
                actions.extend(self.run.on(fact));
                continue;
            }
            let fact = tokio::select! {
                biased;
                Some(answer) = self.steps.join_next() => self.answered(answer)?,
                Some(fact) = losses.recv() => Some(fact),
                Some(by) = stopped.recv() => Some(Fact::Cancelled(by.to_owned())),
                _ = listen.tick() => match self.give_up()? {
                    None => self.wished(),
                    given_up => given_up,
                },
            };
            if let Some(fact) = fact {
                self.note_lock(&fact, &lost);
                actions.extend(self.run.on(fact));
            }
        }
    }

    fn carry(&mut self, action: Action) -> Result<Option<Ended>, Fault> {
        match action {
            Action::Write(entry) => self.write(entry)?,
            Action::Do(step) => self.begin(step),
            Action::Interrupt => self.interrupt(),
            Action::Close { outcome, exit } => return Ok(Some(Ended::Closed { outcome, exit })),
            Action::Leave { why, exit } => return Ok(Some(Ended::Left { why, exit })),
        }
        Ok(None)
    }

    fn write(&mut self, entry: Entry) -> Result<(), Fault> {
        match &entry {
            Entry::Decided(decision) => self.hands.decided((**decision).clone()),
            Entry::Turned { way, .. } => self.hands.turned(*way),
            Entry::Kept { hosts, .. } => self.hands.kept(hosts.clone()),
            Entry::Lost { host, .. } => {
                // No more steps there, also none that is in progress.
                let gone = self
                    .under_way
                    .iter()
                    .filter(|(step, _)| step.host == *host && !step.stage.needs_no_host());
                for (_, doing) in gone {
                    doing.handle.abort();
                }
            }
            Entry::Opened(_)
            | Entry::Resumed { .. }
            | Entry::Intent(_)
            | Entry::Done { .. }
            | Entry::Failed { .. }
            | Entry::Text { .. }
            | Entry::Note(_)
            | Entry::Tested { .. }
            | Entry::Waits { .. }
            | Entry::Closed { .. } => {}
        }
        self.hands.pen.write(entry)
    }

    fn begin(&mut self, step: Step) {
        if step.stage == Stage::Record {
            self.hands.will_record(self.run.ledger_result());
        }
        if step.stage.is(Is::Work) {
            self.hands.will_tell(self.run.result_so_far(&step.stage));
        }
        let hands = Arc::clone(&self.hands);
        let doing = step.clone();
        let handle = self.steps.spawn(async move {
            let answer = Box::pin(hands.take(&doing)).await;
            (doing, answer)
        });
        let doing = Doing {
            handle,
            since: Instant::now(),
            until: None,
        };
        self.under_way.insert(step, doing);
    }

    /// The first time, asks the steps that can be interrupted to end; the second time all steps except the commit, because only
    /// its answer tells whether it was written.
    fn interrupt(&mut self) {
        let stops = self.hands.interrupt.is_cancelled();
        if stops {
            self.hands.stop.cancel();
        }
        self.hands.interrupt.cancel();
        let until = Some(Instant::now() + GRACE);
        for (step, doing) in &mut self.under_way {
            let ends = step.stage.is(Is::Interruptible) && !self.run.plan().is_always(&step.stage);
            if ends || stops && step.stage != Stage::Commit {
                doing.until = doing.until.or(until);
            }
        }
    }

    /// Abandons steps that were asked to end and did not.
    fn give_up(&mut self) -> Result<Option<Fact>, Fault> {
        let now = Instant::now();
        let late = self.under_way.iter().find(|(_, doing)| {
            // One that has just answered is heard.
            doing.until.is_some_and(|until| until <= now) && !doing.handle.is_finished()
        });
        let Some(step) = late.map(|(step, _)| step.clone()) else {
            return Ok(None);
        };
        let mut took = Duration::ZERO;
        if let Some(doing) = self.under_way.remove(&step) {
            doing.handle.abort();
            took = doing.since.elapsed();
        }
        let why = format!(
            "it did not end within {} s of being asked to, and was abandoned",
            GRACE.as_secs()
        );
        let failure = Failure::of(FailureKind::Abandoned, Fault::new(step.to_string(), why));
        self.hands.pen.write(Entry::Failed {
            step: step.clone(),
            took,
            why: failure.clone(),
        })?;
        Ok(Some(Fact::Failed(step, failure)))
    }

    fn answered(&mut self, answer: Result<Answer, tokio::task::JoinError>) -> Result<Option<Fact>, Fault> {
        match answer {
            Ok((step, done)) => {
                self.under_way.remove(&step);
                Ok(Some(match done? {
                    Ok(finding) => Fact::Did(step, finding),
                    Err(failure) => Fact::Failed(step, failure),
                }))
            }
            // Ended by us because its host was lost: the machine does not wait for it any more.
            Err(error) if error.is_cancelled() => Ok(None),
            // A panic in a step: which one is found by whose task has finished.
            Err(error) => {
                let panicked = self
                    .under_way
                    .iter()
                    .find(|(_, doing)| doing.handle.is_finished())
                    .map(|(step, _)| step.clone());
                Ok(panicked.map(|step| {
                    self.under_way.remove(&step);
                    let fault = Fault::new(step.to_string(), format!("a bug in Pilothouse: {error}"));
                    Fact::Failed(step, Failure::of(FailureKind::Refused, fault))
                }))
            }
        }
    }

    /// Starts renewing a lock that was taken.
    fn note_lock(&mut self, fact: &Fact, lost: &mpsc::Sender<Fact>) {
        if let Fact::Did(step, Finding::Lock { .. }) = fact {
            let hands = Arc::clone(&self.hands);
            self.leases
                .spawn(lease::keep(hands, step.host.clone(), lost.clone()));
        }
    }

    fn filled_up(&mut self) -> Option<Fact> {
        if self.is_tight || !self.hands.pen.is_tight() {
            return None;
        }
        self.is_tight = true;
        Some(Fact::Full(format!("the disk of {} is full", self.dir.display())))
    }

    fn wished(&mut self) -> Option<Fact> {
        let wishes = cancel::wishes(&self.dir);
        let next = wishes.get(self.wishes)?;
        self.wishes += 1;
        Some(Fact::Cancelled(next.clone()))
    }
}
