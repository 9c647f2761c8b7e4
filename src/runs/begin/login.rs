//! Whether a run would end with the login that starts it, and whether its ssh keys would be lost: checked, not assumed.
//! If logind would end it, the user's own systemd runs it instead, provided that lingering is enabled.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::process::Command;

use crate::config::Host;
use crate::domain::endpoint::Endpoint;

/// The limit for two requests to logind.
const LIMIT: Duration = Duration::from_secs(2);

/// What becomes of a process when the login that started it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// It keeps running: nothing ends it.
    ByItself,
    /// It is started in a scope of the user's systemd and keeps running.
    InScope,
    /// It ends with the login: logind kills it.
    EndsWithLogin,
}

type Env<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

pub async fn stay(env: Env<'_>) -> Stay {
    if !is_in_login(env) {
        return Stay::ByItself;
    }
    let asked = ["KillUserProcesses", "KillOnlyUsers", "KillExcludeUsers"];
    let Some(said) = loginctl("show-session", None, &asked).await else {
        return Stay::ByItself;
    };
    let user = super::actor::account();
    if !kills(&said, &user) {
        return Stay::ByItself;
    }
    let lingers = loginctl("show-user", Some(&user), &["Linger"]).await;
    if lingers.is_some_and(|said| value(&said, "Linger") == "yes") && is_there("systemd-run", env) {
        Stay::InScope
    } else {
        Stay::EndsWithLogin
    }
}

/// Whether logind has a session for it; services, cron jobs and containers have none.
fn is_in_login(env: Env<'_>) -> bool {
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut parts = cgroup.split(['/', '\n']);
    let in_scope = parts.any(|part| {
        let session = part.strip_suffix(".scope").unwrap_or_default();
        session.starts_with("session-")
    });
    in_scope || env("XDG_SESSION_ID").is_some_and(|id| !id.is_empty())
}

async fn loginctl(verb: &str, of: Option<&str>, properties: &[&str]) -> Option<String> {
    let mut command = Command::new("loginctl");
    command.arg(verb).args(of);
    for property in properties {
        command.arg(format!("--property={property}"));
    }
    command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await.ok()?.ok()?;
    // Not there, or no logind: then nobody ends anything.
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn value<'a>(said: &'a str, property: &str) -> &'a str {
    said.lines()
        .find_map(|line| line.strip_prefix(property)?.strip_prefix('='))
        .unwrap_or_default()
}

/// Whether logind kills the processes of this user.
fn kills(said: &str, user: &str) -> bool {
    let listed = |property| value(said, property).split_whitespace().any(|name| name == user);
    let only = value(said, "KillOnlyUsers");
    value(said, "KillUserProcesses") == "yes"
        && (only.is_empty() || listed("KillOnlyUsers"))
        && !listed("KillExcludeUsers")
}

fn is_there(program: &str, env: Env<'_>) -> bool {
    let path = env("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The command that starts `program`: in a scope of the user's systemd, or directly.
#[must_use]
pub fn command(stay: Stay, program: &Path) -> Command {
    match stay {
        Stay::InScope => {
            let mut command = Command::new("systemd-run");
            command
                .args([
                    "--user",
                    "--scope",
                    "--quiet",
                    "--collect",
                    "--description=Pilothouse run",
                    "--",
                ])
                .arg(program);
            command
        }
        Stay::ByItself | Stay::EndsWithLogin => Command::new(program),
    }
}

/// Notes for the plan.
pub async fn notes(env: Env<'_>, hosts: &[Host]) -> Vec<String> {
    let mut notes = Vec::new();
    if stay(env).await == Stay::EndsWithLogin {
        notes.push(
            "the run ends with this login: logind ends what a login leaves (KillUserProcesses); \
             loginctl enable-linger lets it go on"
                .to_owned(),
        );
    }
    let over_ssh: Vec<&str> = hosts
        .iter()
        .filter(|host| matches!(host.endpoint, Endpoint::Ssh(_)))
        .map(|host| host.name.as_str())
        .collect();
    if !over_ssh.is_empty() && is_forwarded(env).await {
        notes.push(format!(
            "{} may be reached by the ssh agent that this login forwards: it dies with the login, and a link that \
             breaks after that is not opened again",
            over_ssh.join(", ")
        ));
    }
    notes
}

/// Whether the ssh agent is forwarded: the process behind its socket is sshd.
async fn is_forwarded(env: Env<'_>) -> bool {
    let (Some(socket), Some(_)) = (env("SSH_AUTH_SOCK"), env("SSH_CONNECTION")) else {
        return false;
    };
    let Ok(Ok(stream)) = tokio::time::timeout(LIMIT, UnixStream::connect(&socket)).await else {
        // Nobody is there: then no host can be reached by it, and that is told when it is tried.
        return false;
    };
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
    let comm = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok());
    comes_from_sshd(comm.as_deref(), &socket)
}

/// If that process is hidden, decides by the path where sshd creates its sockets.
fn comes_from_sshd(comm: Option<&str>, socket: &str) -> bool {
    match comm {
        Some(comm) => comm.starts_with("sshd"),
        None => socket.starts_with("/tmp/ssh-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logind_is_understood_as_it_decides_itself() {
        let on = "KillUserProcesses=yes\nKillOnlyUsers=\nKillExcludeUsers=root\n";
        assert!(kills(on, "ops"));
        assert!(!kills(on, "root"));
        assert!(!kills("KillUserProcesses=no\nKillExcludeUsers=root\n", "ops"));
        assert!(!kills("KillUserProcesses=yes\nKillOnlyUsers=guest\n", "ops"));
        assert!(!kills("", "ops"));
    }

    #[test]
    fn an_agent_is_forwarded_when_sshd_answers_for_it() {
        assert!(comes_from_sshd(
            Some("sshd-session\n"),
            "/home/ops/.ssh/agent/s.x"
        ));
        assert!(!comes_from_sshd(Some("ssh-agent\n"), "/tmp/ssh-abc/agent.7"));
        assert!(comes_from_sshd(None, "/tmp/ssh-abc/agent.7"));
        assert!(!comes_from_sshd(None, "/run/user/1000/keyring/ssh"));
    }

    #[tokio::test]
    async fn an_agent_of_this_machine_is_not_called_forwarded() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent");
        let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let env = |name: &str| match name {
            "SSH_AUTH_SOCK" => Some(socket.display().to_string()),
            "SSH_CONNECTION" => Some("10.0.0.1 1 10.0.0.2 22".to_owned()),
            _ => None,
        };
        assert!(!is_forwarded(&env).await);
        assert!(!is_forwarded(&|_| None).await);
    }
}
