//! The main loop: keys first, then a frame if one is due, then facts, then bulk, then the clock.
//! Decides nothing: messages go to `app::update`, its effects to `world`.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ratatui::Terminal;
use tokio::time::{Instant, sleep_until};

use super::clipboard::{self, Inside};
use super::escape::Input;
use super::guard::{self, Guard};
use super::keys::Keys;
use super::pace::Pace;
use super::painter::Painter;
use super::signals::{Caught, Signals};
use super::title;
use super::world::{News, World};
use crate::app::effect::Lend;
use crate::app::model::Redraw;
use crate::app::{Effect, Model, Msg, Setup, update};
use crate::config::{Config, Notify};
use crate::domain::event::Event;
use crate::domain::fault::Fault;
use crate::domain::order::{Access, OrderId};
use crate::domain::units::Now;
use crate::release::plan::Actor;
use crate::runs::State;
use crate::ui;
use crate::ui::theme::{self, Theme};

/// A login that was cut must not keep us: two questions to a daemon that answers take far less.
const PARTING: Duration = Duration::from_secs(2);

/// A busy machine delivers a signal to two processes this far apart; nobody notices it when the room comes back.
const TOGETHER: Duration = Duration::from_millis(100);
/// Ages and the clock.
const TICK: Duration = Duration::from_secs(1);
/// Facts or batches taken at once before keys are looked at again.
const AT_ONCE: usize = 256;
/// What is still open gets this long to close.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the room is opened with.
pub struct Room {
    pub config: Arc<Config>,
    pub access: Access,
    /// The header says so.
    pub demo: bool,
    /// `ops-a@bastion-1`
    pub actor: Actor,
    /// Where runs are kept and followed, or why they cannot be.
    pub state: Result<State, Fault>,
    /// The file of our own log.
    pub log: Option<PathBuf>,
    /// What is missing though the room can be opened; said in it.
    pub lacking: Vec<Fault>,
}

/// Until a person quits, a signal ends it, or the terminal is gone.
pub async fn run(room: Room) -> Result<(), Fault> {
    guard::keep_panics();
    let term = std::env::var("TERM").ok();
    let is_understood = title::is_understood(term.as_deref());
    let mut guard = Guard::take(is_understood && room.config.looks.title)?;
    let opened = |fault: io::Error| Fault::new("open the control room", fault);
    let size = guard.size().map_err(opened)?;
    let out = guard.out().map_err(opened)?;
    let painter = Painter::new(out, ratatui::layout::Size::new(size.width, size.height));
    let started = Instant::now();
    let setup = Setup {
        config: Arc::clone(&room.config),
        access: room.access,
        demo: room.demo,
        clipboard: is_understood,
        actor: format!("{}@{}", room.actor.login, room.actor.machine),
        size,
    };
    let clock = Clock { started };
    let (world, mut news) = World::start(&room.config, room.access, room.state, room.actor, room.log);
    let mut desk = Desk {
        model: Model::new(setup, clock.now()),
        theme: theme(&room.config),
        terminal: Terminal::new(painter).map_err(opened)?,
        keys: Some(Keys::open().map_err(opened)?),
        signals: Signals::listen().map_err(opened)?,
        pace: Pace::new(),
        world,
        clock,
        guard: &mut guard,
        notify: room.config.looks.notify,
        is_understood,
        leaving: false,
    };
    for fault in room.lacking {
        desk.happened(Msg::Fault(fault), &mut news).await?;
    }
    let ended = desk.attend(&mut news).await;
    let world = desk.world;
    guard.give_back().map_err(opened)?;
    // Whoever waits to tell us something must not wait for ever.
    drop(news);
    if tokio::time::timeout(FAREWELL, world.end()).await.is_err() {
        tracing::warn!("something did not end in time");
    }
    ended
}

/// Everything the loop works with.
struct Desk<'a> {
    model: Model,
    theme: Theme,
    terminal: Terminal<Painter<File>>,
    /// Absent while the terminal is lent.
    keys: Option<Keys>,
    signals: Signals,
    pace: Pace,
    world: World,
    clock: Clock,
    guard: &'a mut Guard,
    notify: Notify,
    /// Does the terminal know operating system commands?
    is_understood: bool,
    leaving: bool,
}

#[derive(Clone, Copy, Debug)]
struct Clock {
    started: Instant,
}

impl Clock {
    fn now(self) -> Now {
        Now {
            uptime: self.started.elapsed(),
            wall: std::time::SystemTime::now().into(),
        }
    }

    fn instant(self, uptime: Duration) -> Instant {
        self.started + uptime
    }
}

/// What one turn of the loop brought.
enum Turn {
    Signal(Caught),
    Input(io::Result<Input>),
    Frame,
    News,
    Tick,
}

impl Desk<'_> {
    async fn attend(&mut self, news: &mut News) -> Result<(), Fault> {
        let mut tick = Instant::now() + TICK;
        let (mut facts, mut bulk) = (Vec::new(), Vec::new());
        while !self.leaving {
            let frame_at = self.frame_at();
            let due = self.clock.instant(frame_at.unwrap_or_default());
            let ticking = self.next_tick(tick);
            let keys = self.keys.as_mut();
            let turn = tokio::select! {
                biased;
                caught = self.signals.next() => Turn::Signal(caught),
                input = next_input(keys) => Turn::Input(input),
                () = sleep_until(due), if frame_at.is_some() => Turn::Frame,
                _ = news.facts.recv_many(&mut facts, AT_ONCE) => Turn::News,
                _ = news.bulk.recv_many(&mut bulk, AT_ONCE) => Turn::News,
                () = sleep_until(ticking) => Turn::Tick,
            };
            match turn {
                Turn::Signal(Caught::End | Caught::Interrupted) => break,
                Turn::Signal(Caught::Resumed) => self.taken_again()?,
                Turn::Signal(Caught::Resized) => self.resized()?,
                Turn::Input(Ok(Input::Key(key))) => self.happened(Msg::Key(key), news).await?,
                Turn::Input(Ok(Input::Paste(text))) => self.happened(Msg::Paste(text), news).await?,
                // The terminal is gone: there is nobody to ask and nothing to draw on.
                Turn::Input(Err(fault)) => {
                    tracing::info!(%fault, "the terminal is gone");
                    break;
                }
                Turn::Frame => self.draw(news).await?,
                Turn::News => {
                    if facts.is_empty() && bulk.is_empty() {
                        return Err(Fault::new("watch the hosts", "all connections have ended"));
                    }
                    for event in facts.drain(..).chain(bulk.drain(..)).collect::<Vec<_>>() {
                        self.happened(Msg::Event(event), news).await?;
                    }
                }
                Turn::Tick => {
                    if Instant::now() >= tick {
                        tick = Instant::now() + TICK;
                        self.told_of_panics(news).await?;
                        panic_if_asked();
                    }
                    self.happened(Msg::Tick, news).await?;
                }
            }
        }
        Ok(())
    }

    /// Once a second, or as soon as `update` asked for it.
    fn next_tick(&self, tick: Instant) -> Instant {
        match self.model.wake_at() {
            Some(wake) => tick.min(self.clock.instant(wake)),
            None => tick,
        }
    }

    /// When a frame is due, by the program's own clock.
    fn frame_at(&self) -> Option<Duration> {
        match self.model.redraw() {
            Redraw::No => None,
            Redraw::By(by) => Some(by.max(self.pace.next())),
            Redraw::Now => Some(self.pace.next()),
        }
    }

    async fn happened(&mut self, msg: Msg, news: &mut News) -> Result<(), Fault> {
        let effects = update(&mut self.model, msg, self.clock.now());
        for effect in effects {
            self.perform(effect, news).await?;
        }
        Ok(())
    }

    async fn draw(&mut self, news: &mut News) -> Result<(), Fault> {
        let effects = update(&mut self.model, Msg::Frame, self.clock.now());
        for effect in effects {
            Box::pin(self.perform(effect, news)).await?;
        }
        if self.keys.is_none() {
            return Ok(());
        }
        let (model, theme) = (&self.model, &self.theme);
        self.terminal
            .draw(|frame| ui::screen::view(model, theme, frame))
            .map_err(|fault| Fault::new("draw the screen", fault))?;
        self.pace.drawn(self.clock.now().uptime);
        Ok(())
    }

    async fn perform(&mut self, effect: Effect, news: &mut News) -> Result<(), Fault> {
        match effect {
            Effect::Order(id, order) => self.world.order(id, order),
            Effect::Plan(id, request) => self.world.plan(id, request),
            Effect::Launch(id, request) => self.world.launch(id, request),
            Effect::Approve(id, run, said) => self.world.approve(id, run, said),
            Effect::Cancel(id, run) => self.world.cancel(id, run),
            Effect::Recover(id, run) => self.world.recover(id, run),
            Effect::LookAtLocks(asked) => self.world.look_at_locks(asked),
            Effect::OlderRuns => self.world.older_runs(),
            Effect::Save(id, save) => self.world.save(id, save),
            Effect::Copy(text) => self.copy(&text)?,
            Effect::Title(words) => self.guard.title(&words).map_err(gone)?,
            Effect::Notify(words) => self.notify(&words)?,
            Effect::Lend(id, lend) => Box::pin(self.lend(id, lend, news)).await?,
            Effect::Suspend => self.suspend()?,
            Effect::Redraw => self.taken_again()?,
            Effect::Leave => self.leaving = true,
        }
        Ok(())
    }

    fn copy(&mut self, text: &str) -> Result<(), Fault> {
        let env = |name: &str| std::env::var(name).ok();
        let bytes = clipboard::copy(text, Inside::of(&env));
        self.terminal.backend_mut().pass(&bytes).map_err(gone)
    }

    fn notify(&mut self, words: &str) -> Result<(), Fault> {
        let how = match self.notify {
            // A bell is heard everywhere.
            Notify::Osc9 if !self.is_understood => Notify::Bell,
            how => how,
        };
        let bytes = title::notify(how, words);
        self.terminal.backend_mut().pass(bytes.as_bytes()).map_err(gone)
    }

    /// The terminal is another program's until that ends; facts are still heard, so that nobody waits for us.
    async fn lend(&mut self, id: OrderId, lend: Lend, news: &mut News) -> Result<(), Fault> {
        self.happened(Msg::Lent, news).await?;
        self.keys = None;
        match lend {
            Lend::Shell(_) => self.guard.lend_raw(),
            Lend::Host(_) => self.guard.give_back(),
        }
        .map_err(gone)?;
        let (mut facts, mut bulk) = (Vec::new(), Vec::new());
        let mut waiting: Vec<Effect> = Vec::new();
        let result = {
            let ended = self.world.lend(lend.clone());
            tokio::pin!(ended);
            loop {
                tokio::select! {
                    biased;
                    caught = self.signals.next() => if caught == Caught::End {
                        self.leaving = true;
                        self.world.part();
                        // A shell is ended in its container before we go; what it answers is nobody's any more.
                        drop(tokio::time::timeout(PARTING, &mut ended).await);
                        return Ok(());
                    },
                    result = &mut ended => break result,
                    _ = news.facts.recv_many(&mut facts, AT_ONCE) => {}
                    _ = news.bulk.recv_many(&mut bulk, AT_ONCE) => {}
                }
                for event in facts.drain(..).chain(bulk.drain(..)) {
                    waiting.extend(update(&mut self.model, Msg::Event(event), self.clock.now()));
                }
            }
        };
        // Ctrl-C went to both of us, and its end may have been seen before: that was no word to the room.
        drop(tokio::time::timeout(TOGETHER, self.signals.interrupted()).await);
        self.keys = Some(Keys::open().map_err(gone)?);
        self.taken_again()?;
        for effect in waiting {
            self.perform(effect, news).await?;
        }
        self.happened(Msg::Returned(lend), news).await?;
        self.happened(Msg::Event(Event::Done(id, result)), news).await
    }

    /// As any program does at Ctrl-Z; comes back here when it is continued.
    fn suspend(&mut self) -> Result<(), Fault> {
        self.guard.give_back().map_err(gone)?;
        let stopped = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP);
        stopped.map_err(|fault| Fault::new("suspend", fault))?;
        self.taken_again()
    }

    /// Somebody else had the terminal: nothing of ours is on it.
    fn taken_again(&mut self) -> Result<(), Fault> {
        self.guard.again().map_err(gone)?;
        self.terminal.backend_mut().forget();
        self.terminal.clear().map_err(gone)?;
        self.resized()
    }

    fn resized(&mut self) -> Result<(), Fault> {
        let size = self.guard.size().map_err(gone)?;
        self.terminal
            .backend_mut()
            .resize(ratatui::layout::Size::new(size.width, size.height));
        let effects = update(&mut self.model, Msg::Resized(size), self.clock.now());
        debug_assert!(effects.is_empty(), "a new size asks for nothing by itself");
        Ok(())
    }

    async fn told_of_panics(&mut self, news: &mut News) -> Result<(), Fault> {
        for words in guard::take_panics() {
            let fault = Fault::new("go on with a task", words)
                .hint("this is a bug in Pilothouse: :log shows where it happened");
            self.happened(Msg::Fault(fault), news).await?;
        }
        Ok(())
    }
}

/// By this the tests prove that a panic gives the terminal back. Not in released programs.
fn panic_if_asked() {
    if cfg!(debug_assertions) {
        let asked = std::env::var_os("PILOTHOUSE_PANIC").is_some();
        assert!(!asked, "PILOTHOUSE_PANIC is set");
    }
}

async fn next_input(keys: Option<&mut Keys>) -> io::Result<Input> {
    match keys {
        Some(keys) => keys.next().await,
        None => std::future::pending().await,
    }
}

fn gone(fault: io::Error) -> Fault {
    Fault::new("use the terminal", fault)
}

fn theme(config: &Config) -> Theme {
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = env("LC_ALL").or_else(|| env("LC_CTYPE")).or_else(|| env("LANG"));
    let (term, colorterm, colors) = (env("TERM"), env("COLORTERM"), env("COLORFGBG"));
    let terminal = theme::Terminal {
        no_color: env("NO_COLOR").is_some(),
        term: term.as_deref(),
        colorterm: colorterm.as_deref(),
        colors: colors.as_deref(),
        locale: locale.as_deref(),
    };
    Theme::choose(config.looks.theme, config.looks.ascii, terminal)
}
