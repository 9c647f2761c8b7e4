//! Pilothouse: a control room in the terminal for container fleets on plain Docker daemons.
//!
//! # One way round
//!
//! ```text
//!              facts                          one owner                          orders
//!  daemons  ─▶ hosts::actor  ─┐                                            ┌─▶ hosts::actor  (start, stop, follow logs, …)
//!  journals ─▶ runs::watch   ─┼─▶ Event ─▶ Msg ─▶ app::update ─▶ Effect ───┼─▶ runs::launch  (build, test, deploy, roll back)
//!  keys     ─▶ term::keys    ─┴─────────▶ Msg ─▶ (&mut Model)              └─▶ term          (copy, lend the terminal, leave)
//!                                                     │
//!                                                     ▼  &Model, only when dirty, at most 30 frames a second
//!                                                 ui::screen ─▶ terminal
//!
//!  release (pure: what is asked + the hosts as they are ─▶ steps, each with its undo)
//!    └─▶ the run's state machine ◀─▶ runs::runner (does the steps) ─▶ journal on disk + ledger on the hosts ─▶ anybody follows
//! ```
//!
//! - `app::update(&mut Model, Msg, Now) -> Vec<Effect>` is the only writer of the model; `ui::screen::view` only reads it.
//! - A run (build, test, deploy, rollback) is no part of the screen. It is a process of its own that writes a journal;
//!   the control room, a colleague's, and the command line are readers of that journal. That is why a run survives a
//!   dropped SSH session, and why the screen and the command line can't differ.
//! - Deciding is pure (no clock, no I/O, no tokio): [`domain`], `release`, `app`. Doing is thin: `hosts`, `runs`, `term`.
//!
//! # Rooms
//!
//! | room | is for | may name |
//! |---|---|---|
//! | [`domain`] | the words of the fleet: plain data that everybody speaks | nobody |
//! | [`config`] | TOML → [`config::Config`], or every fault at once with its place | `domain` |
//! | [`release`] | decides releases: plan, state machine, gate, snapshot and diff, records | `domain`, `config` |
//! | [`app`] | the functional core of the screen: model, messages, effects, commands, keys | `domain`, `config`, `release`, `panes` |
//! | [`panes`] | one folder a page: its state and update in `mod.rs`, its drawing in `view.rs` | `domain`, `config`, `release`, `app`, `ui` |
//! | [`ui`] | the drawing kit: screen, theme, table, key line, question, `ansi` | `domain`, `config`, `app`, `panes` |
//! | [`hosts`] | one actor a daemon: connect (unix, tcp, tls, ssh), list, watch, statistics, logs, orders, shell | `domain`, `config` |
//! | [`runs`] | the runs: how one begins, its process, a file a step, what of it is on disk, how it is seen, what dead ones left | `domain`, `config`, `release`, `hosts` |
//! | [`listen`] | web hooks: proves who sent one, and starts the run that it asks for | `domain`, `config`, `release`, `runs` |
//! | [`sim`] | a simulated Docker Engine with the real HTTP API: the demo, faults, scale | `domain`, `config` |
//! | [`term`] | the terminal: guard, keys, the main loop, clipboard | `domain`, `config`, `release`, `app`, `ui`, `hosts`, `runs` |
//! | [`observe`] | our own log: a private, bounded file | `domain`, `config` |
//! | [`cli`] | what may be typed, and the commands without a screen | all but `panes` |
//!
//! `tests/it/house_rules.rs` reads this table and holds the source to it. Architecture invariants:
//!
//! - only `hosts`, `runs::step` and `sim` know bollard and Docker's JSON; only `ui` and the views know ratatui;
//! - every request that changes something goes through `hosts::connect::Daemon::change`, which refuses when read-only;
//! - every string from outside passes `ui::ansi` before it reaches the terminal;
//! - every channel is bounded: facts wait, statistics are dropped (the next second is better), logs wait and then say what
//!   they skipped, orders are refused with words.
//!
//! # To add one …
//!
//! | … | touch |
//! |---|---|
//! | page or pane | a folder in `panes/`, a variant, a field, an arm |
//! | command | an entry in `commands!`, an arm |
//! | kind of stage | a variant of [`config::service::Slot`] or `Work`, its table in `config`, a place in `release::road`, a file in `runs/step/`, an arm |
//! | rollout strategy | a variant of [`config::service::Strategy`], a file in `release/`, an arm in `release::road` |
//! | host transport | a variant of [`domain::endpoint::Endpoint`], an arm in `hosts::connect` |
//! | headless command | a variant in `cli::args`, a file in `cli/`, an arm |
//!
//! There are no blue-green rollouts and no proxies yet: their places are `runs/step/`, `release/` and a room `proxy`
//! beside `runs`.

pub mod domain;
pub mod config;
pub mod app;
pub mod panes;
pub mod ui;
pub mod release;
pub mod hosts;
pub mod term;
pub mod runs;
pub mod listen;
pub mod observe;
pub mod sim;
pub mod cli;
