//! The terminal: taken and given back, its keys read, frames painted with few bytes; the loop that ties the rooms together.
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
