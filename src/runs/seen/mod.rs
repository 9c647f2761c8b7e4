//! A run as people see it: live or finished, one or all, on the screen or by a command.

pub mod view;
pub mod estimate;
pub(super) mod tail;
pub mod follow;
pub mod transcript;
pub mod watch;
pub mod history;
pub mod tested;
