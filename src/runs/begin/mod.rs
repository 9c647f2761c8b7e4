//! How a run begins: what is asked for becomes a plan, looked at and shown; then a process of its own is started
//! for it.

pub mod actor;
pub mod draft;
pub(super) mod compose;
pub(super) mod needed;
pub(super) mod readers;
pub mod plan;
pub(super) mod promote;
pub(super) mod dependants;
pub mod secrets;
pub mod logins;
pub(super) mod authorities;
pub mod login;
pub mod launch;
