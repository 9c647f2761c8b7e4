//! A test stage for screens: a fleet made from facts, keys by name, controlled time.
//! Nothing here waits or does I/O except reading the configuration.

use std::sync::Arc;
use std::time::Duration;

use pilothouse::app::keymap;
use pilothouse::app::layout::Size;
use pilothouse::app::{Effect, Model, Msg, Setup, update};
use pilothouse::config::{self, Config};
use pilothouse::domain::container::{Container, Health, Port, State};
use pilothouse::domain::event::{Event, HostEvent};
use pilothouse::domain::fault::Fault;
use pilothouse::domain::host::{Engine, EngineKind, HostLoad, Info, Installation, Link, Reading};
use pilothouse::domain::ids::{ContainerId, ContainerKey, HostName};
use pilothouse::domain::order::Access;
use pilothouse::domain::sample::Sample;
use pilothouse::domain::units::{Bytes, Now, Stamp};
use pilothouse::ui::screen::view;
use pilothouse::ui::theme::{Theme, UNICODE};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

/// 2026-09-21 14:13:20 UTC
const START: i64 = 1_790_000_000;

const CONFIG: &str = r#"
[[hosts]]
name = "web-1"
url = "unix:///run/web-1.sock"
tags = ["web"]
protected = true

[[hosts]]
name = "web-2"
url = "unix:///run/web-2.sock"
tags = ["web"]

[[hosts]]
name = "db-1"
url = "ssh://ops@db-1"

[[services]]
name = "shop"
image = "shop"
[services.build]
host = "web-2"
context = "."
[[services.tests]]
name = "unit"
host = "web-2"
command = ["/app/test.sh"]
[services.deploy]
hosts = ["tag:web"]
replicas = 2

[[services]]
name = "api"
image = "api"
[services.deploy]
hosts = ["web-2"]
replicas = 2
"#;

pub(crate) struct Stage {
    pub(crate) model: Model,
    now: Now,
}

impl Stage {
    /// Nothing has answered yet.
    pub(crate) fn dark(width: u16, height: u16, access: Access) -> Self {
        let now = Now {
            uptime: Duration::from_secs(1),
            wall: Stamp::from_seconds(START),
        };
        let setup = Setup {
            config: Arc::new(configuration()),
            access,
            demo: false,
            clipboard: true,
            actor: "ops-a@bastion-1".to_owned(),
            size: Size { width, height },
        };
        Self {
            model: Model::new(setup, now),
            now,
        }
    }

    /// The fleet of these tests: two live hosts, one lost, a service that is fine, one that is not.
    pub(crate) fn new(width: u16, height: u16) -> Self {
        Self::with(width, height, Access::Full)
    }

    pub(crate) fn with(width: u16, height: u16, access: Access) -> Self {
        let mut stage = Self::dark(width, height, access);
        let containers = [
            (
                "web-1",
                vec![row("shop.r41.1", 1, 7_200), row("shop.r41.2", 2, 7_200)],
            ),
            (
                "web-2",
                vec![
                    row("shop.r41.3", 3, 7_200),
                    row("shop.r41.4", 4, 7_200),
                    unhealthy(row("api.r17.1", 5, 86_400 * 2)),
                    exited(row("api.r17.2", 6, 0), 137, true),
                    row("漢字-cache", 7, 3_600 * 5),
                ],
            ),
            (
                "db-1",
                vec![
                    row("pg.r3.1", 8, 86_400 * 9),
                    exited(row("backup", 9, 0), 0, false),
                ],
            ),
        ];
        for (name, rows) in containers {
            stage.host(name, HostEvent::Link(live()));
            stage.host(name, HostEvent::Engine(Box::new(engine(name))));
            stage.host(name, HostEvent::Listed(rows));
        }
        stage.host("web-1", HostEvent::Load(load(22.0, 61, 40)));
        stage.host("web-2", HostEvent::Load(load(19.0, 58, 93)));
        stage.host("web-1", samples(&[1, 2]));
        stage.host("web-2", samples(&[3, 4, 5, 7]));
        stage.host("db-1", HostEvent::Link(lost()));
        stage.frame();
        stage
    }

    pub(crate) fn wait(&mut self, span: Duration) -> Vec<Effect> {
        self.now.uptime += span;
        self.now.wall = self.now.wall.plus(span);
        self.tell(Msg::Tick)
    }

    pub(crate) fn tell(&mut self, msg: Msg) -> Vec<Effect> {
        update(&mut self.model, msg, self.now)
    }

    pub(crate) fn event(&mut self, event: Event) -> Vec<Effect> {
        self.tell(Msg::Event(event))
    }

    pub(crate) fn host(&mut self, name: &str, event: HostEvent) -> Vec<Effect> {
        self.event(Event::Host(host(name), event))
    }

    /// A frame is about to be drawn.
    pub(crate) fn frame(&mut self) -> Vec<Effect> {
        self.tell(Msg::Frame)
    }

    /// Keys by their names, a second apart: `2 down r`.
    pub(crate) fn press(&mut self, keys: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        for key in keys.split(' ') {
            effects.extend(self.wait(Duration::from_secs(1)));
            effects.extend(self.at_once(key));
        }
        effects
    }

    /// One key, without any time passing.
    pub(crate) fn at_once(&mut self, key: &str) -> Vec<Effect> {
        let key = keymap::parse(key).unwrap_or_else(|fault| panic!("{key:?}: {fault}"));
        self.tell(Msg::Key(key))
    }

    /// Letters typed one after the other.
    pub(crate) fn typed(&mut self, text: &str) -> Vec<Effect> {
        text.chars().flat_map(|c| self.at_once(&c.to_string())).collect()
    }

    pub(crate) fn drawn(&mut self, theme: &Theme) -> Buffer {
        self.frame();
        let Size { width, height } = self.model.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view(&self.model, theme, frame)).unwrap();
        terminal.backend().buffer().clone()
    }

    pub(crate) fn screen(&mut self) -> String {
        let buffer = self.drawn(&Theme::mono(&UNICODE));
        text(&buffer)
    }
}

/// As a terminal shows it: a wide character covers the cell after it.
pub(crate) fn text(buffer: &Buffer) -> String {
    let mut lines = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += u16::try_from(unicode_width::UnicodeWidthStr::width(symbol))
                .unwrap()
                .max(1);
        }
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

fn configuration() -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, CONFIG).unwrap();
    let request = config::Request {
        explicit: Some(path),
        env: &|_| None,
    };
    config::load(&request).unwrap_or_else(|faults| panic!("{faults:?}"))
}

pub(crate) fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

pub(crate) fn key(host_name: &str, id: u32) -> ContainerKey {
    ContainerKey {
        host: host(host_name),
        id: id_of(id),
    }
}

pub(crate) fn id_of(id: u32) -> ContainerId {
    ContainerId::parse(&format!("{id:064x}")).unwrap()
}

/// `name.rN.i` belongs to the service `name`.
pub(crate) fn row(name: &str, id: u32, age: i64) -> Container {
    let since = Stamp::from_seconds(START - age);
    let mut parts = name.split('.');
    let mut labels = std::collections::BTreeMap::new();
    if let (Some(service), Some(release)) = (parts.next(), parts.next()) {
        labels.insert("pilothouse.service".to_owned(), service.to_owned());
        labels.insert(
            "pilothouse.release".to_owned(),
            release.trim_start_matches('r').to_owned(),
        );
    }
    Container {
        id: id_of(id),
        name: name.into(),
        image: format!("registry.internal:5000/{name}").into(),
        image_id: None,
        command: "/app".into(),
        created: since,
        state: State::Running { since: Some(since) },
        health: Health::Healthy,
        ports: vec![Port {
            inside: 80,
            protocol: "tcp".into(),
            published: Some(("0.0.0.0".into(), 8_080)),
        }],
        labels: Arc::new(labels),
    }
}

pub(crate) fn unhealthy(container: Container) -> Container {
    Container {
        health: Health::Unhealthy,
        ..container
    }
}

pub(crate) fn exited(container: Container, code: i32, oom: bool) -> Container {
    let at = Some(Stamp::from_seconds(START - 260));
    Container {
        state: State::Exited { code, at, oom },
        health: Health::Unchecked,
        ..container
    }
}

pub(crate) fn live() -> Link {
    Link::Live {
        since: Stamp::from_seconds(START - 600),
        latency: Some(Duration::from_millis(2)),
    }
}

pub(crate) fn lost() -> Link {
    Link::Lost {
        since: Stamp::from_seconds(START - 40),
        why: Fault::new("reach db-1 at ssh://ops@db-1", "connection timed out").hint("is the machine up?"),
        retry_at: Some(Stamp::from_seconds(START + 8)),
    }
}

fn engine(name: &str) -> Engine {
    Engine {
        kind: EngineKind::Docker,
        version: "29.1.3".to_owned(),
        api: "1.52".to_owned(),
        os: "Debian GNU/Linux 13".to_owned(),
        arch: "amd64".to_owned(),
        kernel: "6.12".to_owned(),
        info: Info::Known(Installation {
            daemon_id: Some(format!("daemon-of-{name}")),
            hostname: name.to_owned(),
            cpus: 8,
            memory: Bytes(32 << 30),
            storage_driver: "overlay2".to_owned(),
            logging_driver: "json-file".to_owned(),
            cgroup: 2,
            data_root: "/var/lib/docker".to_owned(),
        }),
    }
}

fn load(cpu: f32, memory: u64, disk: u64) -> HostLoad {
    HostLoad {
        at: Stamp::from_seconds(START),
        cpu: Reading::Known(cpu),
        memory: Reading::Known((Bytes(memory << 30), Bytes(100 << 30))),
        disk: Reading::Known((Bytes(disk << 30), Bytes(100 << 30))),
    }
}

fn samples(ids: &[u32]) -> HostEvent {
    let sample = |id: &u32| {
        let sample = Sample {
            at: Stamp::from_seconds(START),
            cpu: Some(f32::from(u16::try_from(*id).unwrap()) * 4.0),
            memory: Bytes(u64::from(*id) * (40 << 20)),
            ..Sample::default()
        };
        (id_of(*id), sample)
    };
    HostEvent::Samples(ids.iter().map(sample).collect())
}

/// The line with these words.
pub(crate) fn line<'a>(screen: &'a str, words: &str) -> &'a str {
    let mut lines = screen.lines();
    lines
        .find(|line| line.contains(words))
        .unwrap_or_else(|| panic!("no line has {words:?}:\n{screen}"))
}
