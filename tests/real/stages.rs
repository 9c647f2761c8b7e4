//! Custom stages on real daemons: containers, commands, approvals, `always` stages.

use crate::support::daemon::Daemon;
use crate::support::releases::{Bench, stages};
use crate::support::{fleet, image};

fn bench(daemons: &fleet::Lease) -> Bench {
    Bench::on(daemons.iter().map(Daemon::host).collect(), image::BUSYBOX)
}

#[tokio::test]
async fn they_are_done_in_order_in_containers_and_here_and_by_a_persons_word() {
    let daemons = fleet::lease(2);
    stages::in_order(&mut bench(&daemons)).await;
}

#[tokio::test]
async fn what_is_always_done_in_a_container_of_any_image_is_done_when_the_run_turns_back() {
    let daemons = fleet::lease(2);
    stages::always_in_containers(&mut bench(&daemons)).await;
}

#[tokio::test]
async fn cancelled_behind_the_commit_the_release_stays_and_killed_there_nothing_is_done_twice() {
    let daemons = fleet::lease(1);
    stages::cancelled_behind_the_commit(&mut bench(&daemons)).await;
    let daemons = fleet::lease(1);
    stages::done_once(&mut bench(&daemons)).await;
}
