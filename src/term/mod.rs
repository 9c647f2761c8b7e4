//! The terminal: set-up and restoring, keys, painting with few bytes, and the main loop.
//! Decides nothing about what is shown.

pub mod guard;
pub mod painter;
pub mod escape;
pub mod keys;
pub mod signals;
pub mod clipboard;
pub mod title;
pub mod pace;
pub mod save;
pub mod own_log;
pub mod world;
pub mod main_loop;

pub use main_loop::{Room, run};
