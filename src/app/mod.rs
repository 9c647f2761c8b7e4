//! The functional core of the screen: what is shown, what a key means, what follows from it.
//! Decides only: no clock, no I/O, no drawing; everything that must happen outside is returned as an `Effect`.

pub mod place;
pub mod command;
pub mod keymap;
pub mod msg;
pub mod effect;
pub mod subject;
pub mod cursor;
pub mod input;
pub mod filter;
pub mod layout;
pub mod notices;
pub mod question;
pub mod palette;
pub mod promote;
mod adopt;
mod copy;
pub mod layer;
pub mod help;
pub mod model;
pub mod availability;
pub mod title;
pub mod watch;
pub mod orders;
pub mod act;
pub mod recovery;
pub mod locks;
pub mod update;

pub use command::Command;
pub use effect::Effect;
pub use model::{Model, Setup};
pub use msg::Msg;
pub use place::PaneId;
pub use update::update;
