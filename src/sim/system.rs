//! What a simulated daemon says of itself: version, info, disk usage.

use serde_json::{Value, json};

use super::clock::rfc3339;
use super::container::Phase;
use super::engine::Engine;
use super::http::{Answer, ok};
use super::world::World;

pub(super) fn version(world: &World) -> Answer {
    let built = "2026-05-07T21:09:36.000000000+00:00";
    let kernel = &world.traits.kernel;
    Ok(ok(&json!({
        "Platform": {"Name": "Pilothouse simulation"},
        "Components": [{
            "Name": "Engine",
            "Version": "20.10.24+dfsg1",
            "Details": {
                "ApiVersion": "1.41", "Arch": "amd64", "BuildTime": built, "Experimental": "false",
                "GitCommit": "5d6db84", "GoVersion": "go1.19.8", "KernelVersion": kernel,
                "MinAPIVersion": "1.12", "Os": "linux",
            },
        }],
        "Version": "20.10.24+dfsg1",
        "ApiVersion": "1.41",
        "MinAPIVersion": "1.12",
        "GitCommit": "5d6db84",
        "GoVersion": "go1.19.8",
        "Os": "linux",
        "Arch": "amd64",
        "KernelVersion": kernel,
        "BuildTime": built,
    })))
}

pub(super) fn info(engine: &Engine, world: &World) -> Answer {
    let count = |phases: &[Phase]| {
        world
            .containers
            .values()
            .filter(|container| phases.contains(&container.phase))
            .count()
    };
    let traits = &world.traits;
    let mut info: Value = serde_json::from_str(INFO).unwrap_or(Value::Null);
    let own = json!({
        "ID": world.daemon_id,
        "Containers": world.containers.len(),
        "ContainersRunning": count(&[Phase::Running, Phase::Restarting]),
        "ContainersPaused": count(&[Phase::Paused]),
        "ContainersStopped": count(&[Phase::Created, Phase::Exited]),
        "Images": world.images.all.len(),
        "NFd": 25 + engine.lines.count(),
        "SystemTime": rfc3339(world.now),
        "KernelVersion": traits.kernel,
        "NCPU": traits.cpus,
        "MemTotal": traits.memory,
        "Name": engine.name,
    });
    if let (Some(info), Value::Object(own)) = (info.as_object_mut(), own) {
        info.extend(own);
    }
    Ok(ok(&info))
}

/// What is the same for every simulated host.
const INFO: &str = r#"{"Driver":"fuse-overlayfs","DriverStatus":null,"Plugins":{"Volume":["local"],"Network":["bridge","host","ipvlan","macvlan","null","overlay"],"Authorization":null,"Log":["awslogs","fluentd","gcplogs","gelf","journald","json-file","local","logentries","splunk","syslog"]},"MemoryLimit":true,"SwapLimit":true,"KernelMemory":true,"KernelMemoryTCP":true,"CpuCfsPeriod":true,"CpuCfsQuota":true,"CPUShares":true,"CPUSet":true,"PidsLimit":true,"IPv4Forwarding":true,"BridgeNfIptables":true,"BridgeNfIp6tables":true,"Debug":false,"OomKillDisable":true,"NGoroutines":39,"LoggingDriver":"json-file","CgroupDriver":"cgroupfs","CgroupVersion":"1","NEventsListener":0,"OperatingSystem":"Debian GNU/Linux 12 (bookworm)","OSVersion":"12","OSType":"linux","Architecture":"x86_64","IndexServerAddress":"https://index.docker.io/v1/","RegistryConfig":{"AllowNondistributableArtifactsCIDRs":[],"AllowNondistributableArtifactsHostnames":[],"InsecureRegistryCIDRs":["127.0.0.0/8"],"IndexConfigs":{"docker.io":{"Name":"docker.io","Mirrors":[],"Secure":true,"Official":true}},"Mirrors":[]},"GenericResources":null,"DockerRootDir":"/var/lib/docker","HttpProxy":"","HttpsProxy":"","NoProxy":"","Labels":[],"ExperimentalBuild":false,"ServerVersion":"20.10.24+dfsg1","Runtimes":{"io.containerd.runc.v2":{"path":"runc"},"io.containerd.runtime.v1.linux":{"path":"runc"},"runc":{"path":"runc"}},"DefaultRuntime":"runc","Swarm":{"NodeID":"","NodeAddr":"","LocalNodeState":"inactive","ControlAvailable":false,"Error":"","RemoteManagers":null},"LiveRestoreEnabled":false,"Isolation":"","InitBinary":"docker-init","ContainerdCommit":{"ID":"1.6.20~ds1-1+deb12u3","Expected":"1.6.20~ds1-1+deb12u3"},"RuncCommit":{"ID":"1.1.5+ds1-1+deb12u1","Expected":"1.1.5+ds1-1+deb12u1"},"InitCommit":{"ID":"","Expected":""},"SecurityOptions":["name=seccomp,profile=default"],"Warnings":null}"#;

pub(super) fn usage(world: &World) -> Answer {
    let containers: Vec<Value> = world
        .containers
        .values()
        .map(|container| {
            json!({
                "Id": container.id,
                "Names": [format!("/{}", container.name)],
                "Image": container.image,
                "ImageID": container.image_id,
                "Created": container.created.seconds(),
                "SizeRw": container.files.bytes(),
                "SizeRootFs": container.files.bytes(),
                "Labels": container.labels(),
                "State": super::views::state_word(container),
                "Status": world.status(container),
            })
        })
        .collect();
    let layers: u64 = world.images.all.values().map(super::images::Image::size).sum();
    Ok(ok(&json!({
        "LayersSize": layers,
        "Images": world.images_usage(),
        "Containers": containers,
        "Volumes": world.volumes_usage(),
        "BuildCache": null,
        "BuilderSize": 0,
    })))
}
