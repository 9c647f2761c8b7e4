//! How a run begins: a request becomes a plan, which is checked and shown; then a process is started for it.

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
