//! Tests on real daemons and real sshd; `tests/run` prepares the machine for them. See `support::fleet` for how to write one.

// The attributes tell clippy that all of it is test code.
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod adoption;
#[cfg(test)]
mod daemons;
#[cfg(test)]
mod dependants;
#[cfg(test)]
mod events;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod four_keys;
#[cfg(test)]
mod headless;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod left_room;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod options;
#[cfg(test)]
mod podman;
#[cfg(test)]
mod podman_answers;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod promotions;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod registry_runs;
#[cfg(test)]
mod releases;
#[cfg(test)]
mod room;
#[cfg(test)]
mod room_keys;
#[cfg(test)]
mod disks;
#[cfg(test)]
mod same_answers;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod builds;
#[cfg(test)]
mod build_caches;
#[cfg(test)]
mod build_runs;
#[cfg(test)]
mod stages;
#[cfg(test)]
mod stats;
#[cfg(test)]
mod switch;
#[cfg(test)]
mod test_images;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod ssh;
#[cfg(test)]
mod ssh_lend;
#[cfg(test)]
mod ssh_room;
#[cfg(test)]
mod ssh_runs;
