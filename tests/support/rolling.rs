//! Rolling deploys: strategies, a host on which the new release never starts, and what a paused run leaves.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig, VolumeCreateRequest};
use bollard::query_parameters::{CreateContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use pilothouse::config::service::{Batch, Mount, OnFailure, Order, Rolling, Strategy};
use pilothouse::domain::ids::{HostName, ReleaseNumber};
use pilothouse::domain::order::Access;
use pilothouse::domain::run::{Outcome, RunKind, RunStatus, RunView};
use pilothouse::release::replica::Policy;

use super::{Bench, Seen};

/// Its content says where the new release fails.
const VOLUME: &str = "flags";

impl Bench {
    pub(crate) fn rolling(&mut self, batch: Batch, order: Order, on_failure: OnFailure) {
        let deploy = self.config.services[0].deploy.as_mut().unwrap();
        deploy.strategy = Strategy::Rolling(Rolling {
            batch,
            order,
            on_failure,
            canary: None,
        });
    }

    /// What is deployed from now on exits with 3 on these hosts, and runs on the others.
    pub(crate) async fn fails_on(&mut self, bad: &[HostName]) {
        for host in &self.config.hosts {
            let daemon = pilothouse::hosts::connect(host, Access::Full).await.unwrap();
            let docker = daemon.change().unwrap();
            let volume = VolumeCreateRequest {
                name: Some(VOLUME.to_owned()),
                ..VolumeCreateRequest::default()
            };
            docker.create_volume(volume).await.unwrap();
            if !bad.contains(&host.name) {
                continue;
            }
            let name = CreateContainerOptionsBuilder::default().name("flagger").build();
            let body = ContainerCreateBody {
                image: Some(self.image.clone()),
                labels: Some(HashMap::from([("pilothouse.role".to_owned(), "test".to_owned())])),
                host_config: Some(HostConfig {
                    binds: Some(vec![format!("{VOLUME}:/flags")]),
                    ..HostConfig::default()
                }),
                ..ContainerCreateBody::default()
            };
            let made = docker.create_container(Some(name), body).await.unwrap();
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(1);
            let mut archive = tar::Builder::new(Vec::new());
            archive.append_data(&mut header, "bad", b"1".as_slice()).unwrap();
            let options = UploadToContainerOptionsBuilder::default().path("/flags").build();
            let body = bollard::body_full(archive.into_inner().unwrap().into());
            docker
                .upload_to_container(&made.id, Some(options), body)
                .await
                .unwrap();
        }
        let deploy = self.config.services[0].deploy.as_mut().unwrap();
        deploy.spec.volumes = vec![Mount {
            source: VOLUME.to_owned(),
            target: "/flags".to_owned(),
            read_only: true,
        }];
        deploy.spec.command = [
            "sh",
            "-c",
            "if test -e /flags/bad; then echo bad; exit 3; fi; trap 'exit 0' TERM; sleep infinity",
        ]
        .map(str::to_owned)
        .into();
    }

    /// Runs again as the first releases did.
    pub(crate) fn fails_nowhere(&mut self) {
        let deploy = self.config.services[0].deploy.as_mut().unwrap();
        deploy.spec.command = ["sh", "-c", "trap 'exit 0' TERM; sleep infinity"]
            .map(str::to_owned)
            .into();
    }

    /// Exactly this release is up and final on these hosts, the others are as before, no lock is left.
    pub(crate) async fn assert_split(
        &self,
        (kept, release): (&[HostName], ReleaseNumber),
        before: &Seen,
        context: &str,
    ) {
        for (host, replicas) in self.look().await {
            if !kept.contains(&host) {
                let found = pilothouse::release::snapshot::differences(&host, &before[&host], &replicas);
                assert!(found.is_empty(), "{found:?}\n{context}");
                continue;
            }
            for replica in &replicas {
                let is_new = replica.release == Some(release);
                assert_eq!(replica.state.is_up(), is_new, "{host}: {replicas:#?}\n{context}");
                let wanted = if is_new { Policy::Always } else { Policy::No };
                assert_eq!(replica.policy, wanted, "{host}: {replicas:#?}\n{context}");
            }
            assert!(
                replicas.iter().any(|replica| replica.release == Some(release)),
                "{host}: {replicas:#?}\n{context}"
            );
        }
        assert_eq!(self.locks().await, 0, "{context}");
    }
}

/// A run that was paused says so, and what is where.
pub(crate) fn assert_paused(view: &RunView, context: &str) {
    match &view.status {
        RunStatus::Closed {
            outcome: Outcome::NeedsHuman { why, differences },
            ..
        } => {
            assert!(why.starts_with("paused: "), "{why}\n{context}");
            assert!(
                matches!(&differences[..], [split] if split.starts_with("SPLIT: ")),
                "{differences:?}\n{context}"
            );
        }
        other => panic!("{other:?}\n{context}"),
    }
}

/// A deploy that is paused in its last wave, its runner killed after record `from`, `from + step`, … and recovered:
/// reverted, or paused as if it had not been killed. From each SPLIT both ways on are taken in turn.
/// How many were reverted, and how many paused.
pub(crate) async fn pause_matrix(bench: &mut Bench, from: u32, step: usize) -> (u32, u32) {
    let last = bench.config.hosts.last().unwrap().name.clone();
    bench.good(RunKind::Deploy).await;
    let mut whole = bench.good(RunKind::Deploy).await;
    bench.fails_on(std::slice::from_ref(&last)).await;
    let kept: Vec<HostName> = bench.config.hosts.iter().map(|host| host.name.clone()).collect();
    let kept = &kept[..kept.len() - 1];
    let (mut reverted, mut paused) = (0, 0);
    for after in (from..).step_by(step) {
        let before = bench.look().await;
        let run = bench.launch_dying(after, RunKind::Deploy).await;
        let (exit, view) = bench.ended(&run).await;
        let lived = runs_closed(&view);
        let (exit, view) = if lived {
            (exit, view)
        } else {
            bench.recover(&run).await
        };
        let context = format!("killed after record {after}:\n{}", bench.journal(&run));
        if exit == 1 {
            assert!(!lived, "{context}");
            reverted += 1;
            bench.assert_as_before(&before, &context).await;
            continue;
        }
        assert_eq!(exit, 5, "{context}");
        assert_paused(&view, &context);
        paused += 1;
        let release = view.to.unwrap();
        bench.assert_split((kept, release), &before, &context).await;
        if lived {
            break;
        }
        if paused % 2 == 0 {
            assert_eq!(bench.good(RunKind::Rollback).await, whole, "{context}");
        } else {
            bench.fails_nowhere();
            whole = bench.good(RunKind::Deploy).await;
            let deploy = bench.config.services[0].deploy.as_mut().unwrap();
            deploy.spec.command[2] =
                "if test -e /flags/bad; then echo bad; exit 3; fi; trap 'exit 0' TERM; sleep infinity"
                    .to_owned();
        }
        bench.assert_on(whole, &context).await;
    }
    assert!(reverted > 0 && paused > 1, "{reverted} reverted, {paused} paused");
    (reverted, paused)
}

fn runs_closed(view: &RunView) -> bool {
    matches!(view.status, RunStatus::Closed { .. })
}
