//! Who started a run: the person's login, not the shared account, and from where.
//! Read from the kernel and the environment, never from a network.

use crate::release::plan::Actor;

/// The person behind this process.
#[must_use]
pub fn who() -> Actor {
    by(&|name| std::env::var(name).ok())
}

/// `PILOTHOUSE_ACTOR`, then the login uid, then `SUDO_USER`, then the account.
fn by(env: &dyn Fn(&str) -> Option<String>) -> Actor {
    let given = |name: &str| env(name).map(|text| clean(&text)).filter(|text| !text.is_empty());
    let login = given("PILOTHOUSE_ACTOR")
        .or_else(login_of_session)
        .or_else(|| given("SUDO_USER"))
        .or_else(|| name_of(rustix::process::getuid().as_raw()))
        .or_else(|| given("USER"))
        .unwrap_or_else(account);
    let machine = clean(&rustix::system::uname().nodename().to_string_lossy());
    Actor {
        login,
        machine,
        via: given("SSH_CONNECTION"),
    }
}

/// Set once at login and kept through `su` and `sudo`.
fn login_of_session() -> Option<String> {
    let text = std::fs::read_to_string("/proc/self/loginuid").ok()?;
    let uid: u32 = text.trim().parse().ok()?;
    // All ones: nobody logged in (a service, a container).
    (uid != u32::MAX).then(|| name_of(uid)).flatten()
}

/// The account this process runs as: its name, or its number.
pub(in crate::runs) fn account() -> String {
    let uid = rustix::process::getuid().as_raw();
    name_of(uid).unwrap_or_else(|| uid.to_string())
}

/// The name in `/etc/passwd`.
pub(in crate::runs) fn name_of(uid: u32) -> Option<String> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let found = fields.nth(1)?.parse() == Ok(uid);
        found.then(|| clean(name))
    })
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pipeline_says_of_itself_comes_first() {
        let actor = by(&|name| (name == "PILOTHOUSE_ACTOR").then(|| "ci\u{1b}[31m".to_owned()));
        assert_eq!(actor.login, "ci[31m");
        assert!(!actor.machine.is_empty());
    }
}
