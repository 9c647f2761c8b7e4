//! `keys`, `completions`, `man`: generated from the tables that the program itself uses.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;
use serde::Serialize;

use super::args::{Cli, Output};
use super::out::{self, Exit};
use crate::app::command::Command;
use crate::app::keymap::Keymap;
use crate::config::Config;

#[derive(Serialize)]
struct Row {
    command: &'static str,
    keys: Vec<String>,
    does: &'static str,
}

/// Every command with its keys, those of the configuration included.
pub(super) fn keys(config: &Config, output: Output) -> Exit {
    let (keymap, faults) = Keymap::new(&config.keys);
    let rows: Vec<Row> = Command::ALL
        .iter()
        .map(|&command| Row {
            command: command.name(),
            keys: keymap.keys_of(command),
            does: command.doc(),
        })
        .collect();
    if output.json {
        out::json(&rows);
    } else {
        let cells: Vec<_> = rows
            .iter()
            .map(|row| [row.keys.join(" "), row.command.to_owned(), row.does.to_owned()])
            .collect();
        out::table(["KEYS", "COMMAND", "DOES"], &cells);
    }
    if faults.is_empty() {
        return Exit::Done;
    }
    for fault in faults {
        out::words(&config.fault_of_keys(&fault.command, fault.fault).to_string());
    }
    Exit::Usage
}

pub(super) fn completions(shell: Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pilothouse", &mut text);
    write(&text)
}

/// The manual page: the command line as clap knows it, then the keys of the control room.
pub(super) fn man() -> Exit {
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command())
        .render(&mut text)
        .and_then(|()| keys_section(&mut text));
    match rendered {
        Ok(()) => write(&text),
        Err(error) => {
            out::words(&format!("could not write the manual page: {error}"));
            Exit::Failed
        }
    }
}

fn keys_section(page: &mut Vec<u8>) -> io::Result<()> {
    let keymap = Keymap::default();
    writeln!(page, ".SH KEYS")?;
    for &command in Command::ALL {
        let keys = keymap
            .keys_of(command)
            .join(" ")
            .replace('\\', "\\e")
            .replace('-', "\\-");
        writeln!(
            page,
            ".TP\n\\fB{}\\fR {keys}\n{}",
            command.name().replace('-', "\\-"),
            command.doc()
        )?;
    }
    Ok(())
}

fn write(text: &[u8]) -> Exit {
    // `| head` may go away: it has what it wanted.
    drop(io::stdout().lock().write_all(text));
    Exit::Done
}
