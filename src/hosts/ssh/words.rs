//! Interprets ssh's messages: which words to show, what helps, whether a person is needed.
//! Judges text only.

use std::collections::VecDeque;

use crate::domain::fault::Fault;
use crate::hosts::Unreached;

/// Enough for the box that says a host key changed.
const LINES: usize = 24;
const LONGEST_LINE: usize = 300;

/// The last lines of a process's stderr, without control characters.
#[derive(Clone, Debug, Default)]
pub(super) struct Words(VecDeque<String>);

impl Words {
    pub(super) fn of(text: &[u8]) -> Self {
        let mut words = Self::default();
        for line in String::from_utf8_lossy(text).lines() {
            words.push(line);
        }
        words
    }

    pub(super) fn push(&mut self, line: &str) {
        let line: String = line
            .chars()
            .filter(|c| !c.is_control())
            .take(LONGEST_LINE)
            .collect();
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        if self.0.len() == LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    /// The last line, or what stands in for it.
    pub(super) fn last_or(&self, otherwise: &str) -> String {
        self.0.back().cloned().unwrap_or_else(|| otherwise.to_owned())
    }

    fn find(&self, part: &str) -> Option<&String> {
        self.0.iter().rev().find(|line| line.contains(part))
    }
}

/// Which keys of the user's could have been offered, found on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// At least one is encrypted: only its passphrase opens it.
    Locked,
    /// At least one wants a touch.
    Touch,
    Open,
}

/// A remedy and whom it needs.
enum Remedy {
    Person(String),
    Hint(String),
}

/// Whether the login was denied; only then are the user's keys looked at.
pub(super) fn is_denied(words: &Words) -> bool {
    words.find("Permission denied (").is_some()
}

/// Why no connection came about. `what` names the thing and the place; `host` is what the user would give to ssh.
pub(super) fn judge(what: String, host: &str, words: &Words, keys: Keys) -> Unreached {
    let (why, remedy) = verdict(host, words, keys);
    match remedy {
        Some(Remedy::Person(hint)) => Unreached::NeedsPerson(Fault::new(what, why).hint(hint)),
        Some(Remedy::Hint(hint)) => Unreached::Fault(Fault::new(what, why).hint(hint)),
        None => Unreached::Fault(Fault::new(what, why)),
    }
}

/// What stands before and behind the host whose key it is, `[NAME]:PORT` where the port is not 22. Before OpenSSH 9 it begins
/// with the key's type: `ED25519 host key for …`.
const CHANGED: (&str, &str) = (
    "ost key for ",
    " has changed and you have requested strict checking",
);

fn verdict(host: &str, words: &Words, keys: Keys) -> (String, Option<Remedy>) {
    if words.find("REMOTE HOST IDENTIFICATION HAS CHANGED").is_some() {
        let entry = words
            .find("Offending")
            .and_then(|line| line.rsplit_once(" in "))
            .map_or_else(String::new, |(_, place)| {
                format!(" ({})", place.trim_end_matches(':'))
            });
        // A jump host's, often.
        let whose = words.find(CHANGED.1).and_then(|line| {
            let (whose, _) = line.split_once(CHANGED.0)?.1.split_once(CHANGED.1)?;
            Some(whose)
        });
        let whose = whose.unwrap_or_else(|| host.rsplit_once('@').map_or(host, |(_, name)| name));
        return (
            format!("the host key of {whose} has changed. Host key verification failed."),
            Some(Remedy::Hint(format!(
                "find out why it changed before you trust it{entry}; then `ssh-keygen -R \"{whose}\"` and run `ssh {host}` once to accept the new one"
            ))),
        );
    }
    if let Some(line) = TOUCH.iter().find_map(|part| words.find(part)) {
        return (line.clone(), Some(Remedy::Person(touch())));
    }
    if let Some(line) = words.find("Permission denied (") {
        return (line.clone(), Some(denied(host, line, keys)));
    }
    for (part, hint) in KNOWN {
        if let Some(line) = words.find(part) {
            return (line.clone(), Some(Remedy::Hint(hint.replace("HOST", host))));
        }
    }
    (words.last_or("ssh ended without a message"), None)
}

fn denied(host: &str, line: &str, keys: Keys) -> Remedy {
    let methods = line.rsplit_once('(').map_or("", |(_, methods)| methods);
    match keys {
        Keys::Touch => Remedy::Person(touch()),
        Keys::Locked => Remedy::Person(
            "a key of yours has a passphrase: press Enter here to type it, or `ssh-add` it to your agent"
                .to_owned(),
        ),
        Keys::Open if methods.contains("password") || methods.contains("keyboard-interactive") => {
            Remedy::Person(
                "it asks for a password or a second factor: press Enter here to log in yourself".to_owned(),
            )
        }
        Keys::Open => Remedy::Hint(format!(
            "is one of your keys allowed there? `ssh-add -l` shows your agent's, `ssh -v {host}` which were offered"
        )),
    }
}

fn touch() -> String {
    "your security key needs a touch or a PIN: press Enter here to provide it".to_owned()
}

/// ssh's words when a key sits on a device or its agent wants to be asked.
const TOUCH: [&str; 3] = [
    "agent refused operation",
    "signing failed",
    "Confirm user presence",
];

/// OpenSSH's words (`sshconnect.c`, `packet.c`, `misc.c`, `readconf.c` of 9.2) and what helps; the first that fits counts.
const KNOWN: [(&str, &str); 16] = [
    (
        "Host key verification failed",
        "its host key is not known here: run `ssh HOST` once by hand, compare the fingerprint and accept it",
    ),
    (
        "Too many authentication failures",
        "the agent offers too many keys: give IdentityFile and IdentitiesOnly yes for HOST in ssh_config",
    ),
    (
        "Could not resolve hostname",
        "is the name right? it must be known to DNS, /etc/hosts or your ssh_config",
    ),
    ("Bad configuration option", "correct that line of your ssh_config"),
    (
        "Bad owner or permissions",
        "ssh refuses a configuration that other users may write: chmod go-w that file",
    ),
    (
        "timed out",
        "is the host up? does a firewall block its ssh port, or is a VPN missing?",
    ),
    (
        "Connection refused",
        "the host answers, but no sshd listens on that port: is it running, is the port right?",
    ),
    (
        "No route to host",
        "is the host up? is this machine in its network?",
    ),
    (
        "Network is unreachable",
        "this machine has no route there: is a VPN missing?",
    ),
    ("not responding", "the link is down or very slow; retrying"),
    (
        "kex_exchange_identification",
        "its sshd closed the connection at once: too many logins at once (MaxStartups), or it blocks this address",
    ),
    (
        "Connection reset by",
        "its sshd or something in between closed the connection",
    ),
    (
        "closed by remote host",
        "its sshd ended, or an administrator ended the session",
    ),
    (
        "Connection closed by",
        "its sshd closed the connection; its log on the host says why",
    ),
    (
        "no matching",
        "client and server share no algorithm: the server is very old or locked down; see ssh_config(5)",
    ),
    ("could not run", "install OpenSSH's client (openssh-client)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(stderr: &str, keys: Keys) -> Unreached {
        judge(
            "reach db at ssh://db".to_owned(),
            "db",
            &Words::of(stderr.as_bytes()),
            keys,
        )
    }

    fn fault(unreached: Unreached) -> Fault {
        match unreached {
            Unreached::Fault(fault) => fault,
            Unreached::NeedsPerson(fault) => panic!("needs a person: {fault}"),
        }
    }

    fn person(unreached: Unreached) -> Fault {
        match unreached {
            Unreached::NeedsPerson(fault) => fault,
            Unreached::Fault(fault) => panic!("needs no person: {fault}"),
        }
    }

    #[test]
    fn a_changed_host_key_is_told_apart_from_an_unknown_one() {
        let changed = "@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n\
            Offending ED25519 key in /home/a/.ssh/known_hosts:3\nHost key verification failed.\n";
        let changed = fault(judged(changed, Keys::Open));
        assert!(changed.why.contains("has changed"), "{changed}");
        assert!(changed.hint.unwrap().contains("/home/a/.ssh/known_hosts:3"));
        let hint = |said: &str| {
            let words = format!("{said}\nHost key verification failed.\n");
            let fault = fault(judged(
                &format!("REMOTE HOST IDENTIFICATION HAS CHANGED!\n{words}"),
                Keys::Open,
            ));
            (fault.why.clone(), fault.hint.unwrap())
        };
        let (why, hint_of_jump) =
            hint("Host key for [bastion-1]:2222 has changed and you have requested strict checking.");
        assert!(why.starts_with("the host key of [bastion-1]:2222 has"), "{why}");
        assert!(
            hint_of_jump.contains("`ssh-keygen -R \"[bastion-1]:2222\"` and run `ssh db` once"),
            "{hint_of_jump}"
        );
        let (why, _) =
            hint("ED25519 host key for bastion-1 has changed and you have requested strict checking.");
        assert!(why.starts_with("the host key of bastion-1 has"), "{why}");
        let (why, own) = hint("");
        assert!(why.contains("key of db has"), "{why}");
        assert!(own.contains("-R \"db\"`"), "{own}");
        let unknown = fault(judged("Host key verification failed.\r\n", Keys::Open));
        assert_eq!(unknown.why, "Host key verification failed.");
        assert!(unknown.hint.unwrap().contains("ssh db` once"));
    }

    #[test]
    fn a_refusal_needs_a_person_only_where_one_could_help() {
        let denied = "banner\nroot@10.0.0.2: Permission denied (publickey).\n";
        assert!(
            fault(judged(denied, Keys::Open))
                .hint
                .unwrap()
                .contains("ssh -v db")
        );
        assert!(
            person(judged(denied, Keys::Locked))
                .hint
                .unwrap()
                .contains("passphrase")
        );
        let asks = "root@db: Permission denied (publickey,keyboard-interactive).\n";
        assert!(
            person(judged(asks, Keys::Open))
                .hint
                .unwrap()
                .contains("second factor")
        );
    }

    #[test]
    fn the_words_are_clean_and_bounded() {
        let mut words = Words::default();
        for number in 0..1_000 {
            words.push(&format!("\x1b[31mline {number}\x07{}", "x".repeat(5_000)));
        }
        assert_eq!(words.0.len(), LINES);
        assert!(words.last_or("").starts_with("[31mline 999x"));
        assert_eq!(words.last_or("").len(), LONGEST_LINE);
    }

    #[test]
    fn what_is_not_known_is_said_in_ssh_s_own_last_words() {
        assert_eq!(
            fault(judged("hello\nsomething new\n", Keys::Open)).why,
            "something new"
        );
    }

    #[test]
    fn a_key_on_a_device_needs_a_touch_whether_ssh_says_so_or_only_denies() {
        let denied = "root@db: Permission denied (publickey).\n";
        let agent = "sign_and_send_pubkey: signing failed for ED25519-SK \"/home/a/.ssh/id\" from agent: agent refused operation\n";
        let touch = |said: &str, keys| {
            let fault = person(judged(said, keys));
            assert!(
                fault.hint.as_deref().unwrap().contains("touch or a PIN"),
                "{fault:?}"
            );
            fault.why
        };
        assert_eq!(touch(denied, Keys::Touch), denied.trim());
        // Whatever the key files say: the agent's own keys are in none.
        assert_eq!(touch(&format!("{agent}{denied}"), Keys::Open), agent.trim());
        assert_eq!(
            touch(
                &format!("Confirm user presence for key ED25519-SK SHA256:x\n{denied}"),
                Keys::Locked
            ),
            "Confirm user presence for key ED25519-SK SHA256:x"
        );
    }
}
