//! A registry for pushes and pulls, and its login.
//! Holds the source of the password, never the password.

use super::service::Secret;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// As images' names begin: `registry.internal:5000`; `docker.io` for Docker's own.
    pub address: String,
    /// Absent: what `docker login` left on this machine, or nobody.
    pub login: Option<Account>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub username: String,
    pub password: Secret,
}
