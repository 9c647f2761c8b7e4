//! The basis of the tests on real daemons. Begin with [`fleet`].

pub(crate) mod certificates;
pub(crate) mod daemon;
pub(crate) mod fleet;
pub(crate) mod image;
pub(crate) mod podman;
pub(crate) mod program;
pub(crate) mod raw;
pub(crate) mod same_answers;
pub(crate) mod same_streams;
pub(crate) mod sshd;
pub(crate) mod recorder;
pub(crate) mod registry;
pub(crate) mod releases;
pub(crate) mod shop;
pub(crate) mod terminal;
pub(crate) mod wait;
pub(crate) mod watch;
