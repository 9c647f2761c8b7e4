//! Whether a dependency or a replica listens on a port: read from the kernel's table in its network namespace, wherever
//! the daemon is. Opens no connection, which would show up in the log of what is tested.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt as _;

use super::ground::Ground;
use super::ready::{Look, Said, ask, is_missing};
use crate::config::test::Need;
use crate::domain::fault::Fault;

const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// A table of ten thousand sockets is 1.5 MB.
const MOST: usize = 4 << 20;
/// Of a container that only prints the tables.
const LIMIT: Duration = Duration::from_secs(20);

/// Who can reach what listens on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runs::step) enum Listens {
    Nobody,
    /// On the loopback alone.
    Inside,
    Everybody,
}

impl Listens {
    /// `None`: whoever can reach the container is answered.
    pub(in crate::runs::step) fn why_not(self, port: u16) -> Option<String> {
        match self {
            Self::Everybody => None,
            Self::Inside => Some(format!("port {port} only listens on loopback")),
            Self::Nobody => Some(format!("nothing listens on port {port}")),
        }
    }
}

pub(super) async fn look(ground: &Ground<'_>, id: &str, need: &Need, port: u16) -> Result<Look, Fault> {
    let asked = seen(ground.docker, id, port).await;
    let found = match asked.map_err(|error| ground.fault(&error))? {
        Seen::Table(found) => found,
        Seen::Nothing => return Ok(Look::Wait("it does not answer".to_owned())),
        Seen::NoTools => match beside(ground, id).await? {
            Some(text) => listens(&text, port),
            None => return Ok(Look::Bad(unseen(ground, need, port))),
        },
    };
    Ok(match found.why_not(port) {
        None => Look::Good,
        Some(why) => Look::Wait(why),
    })
}

/// What a look into a container's own table found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runs::step) enum Seen {
    Table(Listens),
    /// Its image has no program to read it with.
    NoTools,
    /// No answer within the limit of one look.
    Nothing,
}

pub(in crate::runs::step) async fn seen(docker: &Docker, id: &str, port: u16) -> Result<Seen, Error> {
    let command: Vec<String> = std::iter::once("cat").chain(TABLES).map(str::to_owned).collect();
    Ok(match ask(docker, id, &command).await? {
        Said::Ended { code, text } if is_missing(code, &text) => Seen::NoTools,
        // Without IPv6 there is no second table, and `cat` says so with its exit code.
        Said::Ended { text, .. } => Seen::Table(listens(&text, port)),
        Said::Nothing => Seen::Nothing,
    })
}

fn unseen(ground: &Ground<'_>, need: &Need, port: u16) -> Fault {
    let why = format!(
        "it is unknown whether {} listens on port {port}: neither its image nor the image under test has `cat`",
        need.name
    );
    Fault::new(ground.what, why).hint("use ready = \"health\", { log = … } or { command = […] } instead")
}

/// `  0: 00000000:1F90 00000000:0000 0A …` (`proc(5)`): address and port in hexadecimal digits, 0A is LISTEN.
fn listens(text: &str, port: u16) -> Listens {
    let mut found = Listens::Nobody;
    for line in text.lines() {
        let mut words = line.split_whitespace().skip(1);
        let (Some(local), Some(_remote), Some("0A")) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let Some((address, digits)) = local.rsplit_once(':') else {
            continue;
        };
        if u16::from_str_radix(digits, 16) != Ok(port) {
            continue;
        }
        if is_loopback(address) {
            found = Listens::Inside;
        } else {
            return Listens::Everybody;
        }
    }
    found
}

/// Each 32 bits in the order of the machine: 127.0.0.1 is `0100007F` on most, `7F000001` on some.
fn is_loopback(address: &str) -> bool {
    match address.len() {
        8 => address.ends_with("7F") || address == "7F000001",
        32 => {
            let one = address.ends_with("01000000") || address.ends_with("00000001");
            let mapped = address.contains("FFFF0000") || address.contains("0000FFFF");
            let empty = address.trim_end_matches(['0', '1']).is_empty();
            (one && empty) || (mapped && (address.ends_with("7F") || address.contains("7F000001")))
        }
        _ => false,
    }
}

/// The tables read by a container of the tested image in the need's network; `None` if that has no `cat` either.
async fn beside(ground: &Ground<'_>, id: &str) -> Result<Option<String>, Fault> {
    let fault = |error: Error| ground.fault(&error);
    let mut body = ground.plain(&ground.trial.image.to_string(), None, &[]);
    body.entrypoint = Some(vec!["cat".to_owned()]);
    body.cmd = Some(TABLES.map(str::to_owned).to_vec());
    if let Some(host) = &mut body.host_config {
        host.network_mode = Some(format!("container:{id}"));
    }
    let made = ground
        .docker
        .create_container(None, body)
        .await
        .map_err(fault)?
        .id;
    let reading = async {
        if let Err(error) = ground.docker.start_container(&made, None).await {
            let why = ground.fault(&error).why;
            let missing = why.contains("executable file not found") || why.contains("no such file");
            return if missing { Ok(None) } else { Err(fault(error)) };
        }
        let options = WaitContainerOptionsBuilder::default()
            .condition("not-running")
            .build();
        let mut ends = std::pin::pin!(ground.docker.wait_container(&made, Some(options)));
        // A code other than 0 comes as an error: one table may be missing.
        drop(ends.next().await);
        let options = LogsOptionsBuilder::default().stdout(true).tail("all").build();
        let mut output = std::pin::pin!(ground.docker.logs(&made, Some(options)));
        let mut said = Vec::new();
        while let Some(Ok(piece)) = output.next().await {
            if said.len() < MOST {
                said.extend_from_slice(piece.as_ref());
            }
        }
        Ok(Some(String::from_utf8_lossy(&said).into_owned()))
    };
    let read = tokio::time::timeout(LIMIT, reading).await;
    let options = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    // What is left of it goes with everything of this test.
    drop(ground.docker.remove_container(&made, Some(options)).await);
    read.unwrap_or_else(|_elapsed| Ok(Some(String::new())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100
   2: 0B00007F:A1B2 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100
   3: 020011AC:1538 030011AC:9C40 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000001000000:18EB 00000000000000000000000000000000:0000 0A 0
   1: 00000000000000000000000000000000:1F91 00000000000000000000000000000000:0000 0A 0
   2: 0000000000000000FFFF00000100007F:1F92 00000000000000000000000000000000:0000 0A 0
";

    #[test]
    fn only_what_listens_for_others_counts() {
        for (port, expected) in [
            (80, Listens::Everybody),
            (8080, Listens::Inside),
            (5432, Listens::Nobody),
            (6379, Listens::Inside),
            (8081, Listens::Everybody),
            (8082, Listens::Inside),
            (1, Listens::Nobody),
        ] {
            assert_eq!(listens(TABLE, port), expected, "{port}");
        }
    }
}
