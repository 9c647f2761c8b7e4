//! Adoption on real daemons: containers started by hand or by Compose, verified through the daemons themselves.

use pilothouse::domain::ids::ReleaseNumber;
use pilothouse::domain::order::Access;

use crate::support::daemon::Daemon;
use crate::support::releases::Bench;
use crate::support::releases::adoption::{self, BY_HAND, adopt, named, start_everywhere};
use crate::support::watch::Watch;
use crate::support::{fleet, image};

#[tokio::test]
async fn what_runs_is_adopted_untouched_deployed_over_and_gone_back_to_also_after_a_prune() {
    let daemons = fleet::lease(2);
    let mut bench = Bench::on(daemons.iter().map(Daemon::host).collect(), image::BUSYBOX);
    Box::pin(adoption::story(&mut bench)).await;
}

#[tokio::test]
async fn what_was_adopted_and_made_anew_by_hand_is_drift() {
    let daemons = fleet::lease(2);
    let bench = Bench::on(daemons.iter().map(Daemon::host).collect(), image::BUSYBOX);
    Box::pin(adoption::recreated(&bench)).await;
}

#[tokio::test]
async fn a_control_room_that_is_open_sees_at_once_what_somebody_adopts() {
    let daemons = fleet::lease(2);
    let bench = Bench::on(daemons.iter().map(Daemon::host).collect(), image::BUSYBOX);
    start_everywhere(&bench).await;
    let mut room = Watch::start(bench.config.hosts.clone(), Access::ReadOnly);
    let releases = |room: &Watch| {
        let rows = room
            .fleet
            .rows()
            .filter(|(_, row)| &*row.container.name == BY_HAND);
        rows.map(|(_, row)| row.container.release()).collect::<Vec<_>>()
    };
    room.until("both are there", |room| {
        (releases(room) == [None, None]).then_some(())
    })
    .await;
    assert_eq!(adopt(&bench, vec![named(BY_HAND)]).await.0, 0);
    let r0 = Some(ReleaseNumber(0));
    room.until("both are r0", |room| (releases(room) == [r0, r0]).then_some(()))
        .await;
    let host = bench.config.hosts[0].name.clone();
    let adopted = &room.fleet.host(&host).unwrap().adopted;
    assert_eq!(adopted[0].containers.values().collect::<Vec<_>>(), [BY_HAND]);
}
