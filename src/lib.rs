//! Pilothouse: a control room in the terminal for container fleets on plain Docker daemons.
//!
//! # Data flow, in one direction
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
//! - A run (build, test, deploy, rollback) is not part of the screen. It is a process of its own that writes a journal;
//!   the control room, a colleague's, and the command line are readers of that journal. That is why a run survives a
//!   dropped SSH session, and why the screen and the command line can't differ.
//! - Deciding is pure (no clock, no I/O, no tokio): [`domain`], `release`, `app`. Doing is thin: `hosts`, `runs`, `term`.
//!
//! # Rooms
//!
//! | room | is for | may name |
//! |---|---|---|
//! | [`domain`] | the vocabulary of the fleet: plain data used by all rooms | nobody |
//! | [`config`] | TOML → [`config::Config`], or all faults at once with their places | `domain` |
//! | [`release`] | decides releases: plan, state machine, gate, snapshot and diff, records | `domain`, `config` |
//! | [`app`] | the functional core of the screen: model, messages, effects, commands, keys | `domain`, `config`, `release`, `panes` |
//! | [`panes`] | one folder per page: its state and update in `mod.rs`, its drawing in `view.rs` | `domain`, `config`, `release`, `app`, `ui` |
//! | [`ui`] | the drawing kit: screen, theme, table, key line, question, `ansi` | `domain`, `config`, `app`, `panes` |
//! | [`hosts`] | one actor per daemon: connect (unix, tcp, tls, ssh), list, watch, statistics, logs, orders, shell | `domain`, `config` |
//! | [`runs`] | the runs: planning and starting, the process, one file per step, files on disk, reading, recovery | `domain`, `config`, `release`, `hosts` |
//! | [`listen`] | webhooks: authenticates the sender and starts the run of the trigger | `domain`, `config`, `release`, `runs` |
//! | [`sim`] | a simulated Docker Engine with the real HTTP API: the demo, faults, scale | `domain`, `config` |
//! | [`term`] | the terminal: guard, keys, the main loop, clipboard | `domain`, `config`, `release`, `app`, `ui`, `hosts`, `runs` |
//! | [`observe`] | Pilothouse's own log: a private, bounded file | `domain`, `config` |
//! | [`cli`] | arguments, and the commands without a screen | all but `panes` |
//!
//! `tests/it/house_rules.rs` reads this table and holds the source to it. Architecture invariants:
//!
//! - only `hosts`, `runs::step` and `sim` know bollard and Docker's JSON; only `ui`, the views and `term` know ratatui;
//! - every request that changes something goes through `hosts::connect::Daemon::change` or `change_wire`, which refuse when read-only;
//! - every string from outside passes `ui::ansi` before it reaches the terminal;
//! - every channel is bounded: facts wait, statistics are dropped (the next second brings new ones), logs wait and then count
//!   skipped lines, orders are refused with a reason.
//!
//! # To add one …
//!
//! | … | touch |
//! |---|---|
//! | page or pane | a folder in `panes/`, a variant, a field, an arm |
//! | command | an entry in `commands!`, an arm |
//! | stage of the machine | a variant of [`release::stage::Stage`] and its row there, a place in [`release::road`], an arm in [`release::deeds`], a file in `runs/step/`, an arm in `runs::process::hands` |
//! | kind of custom stage | a variant of [`config::service::Work`], its table in `config/read/custom.rs` and `config.example.toml`, arms in [`release::road`], [`release::work`], `release/withheld.rs`, `runs/begin/` (compose, draft, needed, `plan/work.rs`), `runs/process/hands/custom.rs`, `runs/seen/view.rs` |
//! | rollout strategy | a variant of [`config::service::Strategy`], its table in `config/read/rollout.rs`, a file in `release/`, arms in [`release::road`], `release/rolling.rs`, `runs/begin/plan/describe.rs` |
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
