//! All tests that need no real daemon: one binary, one module per subject.
#![cfg(test)]

#[path = "../support/fake_daemon.rs"]
mod fake_daemon;
#[path = "../support/fake_docker.rs"]
mod fake_docker;
#[path = "../support/wait.rs"]
#[expect(dead_code, reason = "what blocks is for the real daemons' tests")]
mod wait;
mod certified;
mod demo;
mod engine_faults;
mod environments;
mod example;
mod cli;
mod lasting;
mod house_rules;
mod listen;
mod on_finish;
mod pages;
mod post_commit;
mod probes;
mod pushing;
mod releases;
mod retention;
mod simulated;
mod steps;
mod stage;
mod screens;
mod set_back;
mod stories;
mod looking;
mod recovery;
mod terminal;
mod testing;
mod together;
