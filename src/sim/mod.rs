//! A simulated Docker Engine that speaks the real HTTP API (1.41) on unix sockets, inside this process.
//! Touches nothing but the folder it is given; used by `pilothouse demo`, by tests and by benches.
//!
//! The state of a host (`world`) changes only when something happens: an agenda holds what will happen next,
//! everything else (logs, figures, ages) is computed from the time when somebody asks. An unwatched fleet sleeps.

#![expect(
    clippy::unnecessary_wraps,
    reason = "every route answers alike, also one that never refuses"
)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "JSON made for a call is handed over"
)]

mod applets;
mod archive;
mod attach;
mod behaviour;
mod build;
mod chatter;
mod clock;
mod configure;
mod container;
mod containers;
mod copy;
mod create;
mod demo;
mod dockerfile;
mod engine;
mod events;
mod exec;
mod faults;
mod fleet;
mod health;
mod http;
mod images;
mod life;
mod line;
mod logs;
mod networks;
mod ports;
mod proc;
mod registry;
mod routes;
mod scenario;
mod session;
mod shell;
mod signal;
mod stats;
mod syntax;
mod system;
mod transfer;
mod tree;
mod views;
mod volumes;
mod wares;
mod world;

pub use behaviour::{Behaviour, Chatter, Ending, HealthScript, Load, OnTerm, Said, Stream, Style};
pub use faults::{EngineHandle, Refusal};
pub use fleet::Fleet;
pub use life::Downfall;
pub use scenario::{BOX_IMAGE, Condition, ContainerPlan, HostPlan, HostTraits, ImagePlan, Outages, Scenario};
