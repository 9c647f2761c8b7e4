//! The screen without a terminal: keys and events in, effects and text out.

use std::sync::Arc;
use std::time::Duration;

use crokey::KeyCombination;
use pilothouse::app::layout::Size;
use pilothouse::app::{Effect, Model, Msg, Setup, update};
use pilothouse::config::{Config, Host};
use pilothouse::domain::container::{Container, Health, State, label};
use pilothouse::domain::endpoint::Endpoint;
use pilothouse::domain::event::Event;
use pilothouse::domain::host::Link;
use pilothouse::domain::ids::{ContainerId, ContainerKey, HostName, RunId, ServiceName};
use pilothouse::domain::order::Access;
use pilothouse::domain::run::RunView;
use pilothouse::domain::units::{Now, Stamp};
use pilothouse::ui::theme::{Theme, UNICODE};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

/// 2026-01-05 14:03:22 UTC
pub(super) const NOW: Stamp = Stamp(1_767_621_802_000_000_000);

pub(super) struct Room {
    pub(super) model: Model,
    uptime: Duration,
}

pub(super) fn ago(seconds: i64) -> Stamp {
    Stamp(NOW.0 - seconds * 1_000_000_000)
}

pub(super) fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

pub(super) fn service(name: &str) -> ServiceName {
    ServiceName::parse(name).unwrap()
}

pub(super) fn run_id(name: &str) -> RunId {
    RunId::parse(name).unwrap()
}

pub(super) fn key(on: &str, id: &str) -> ContainerKey {
    ContainerKey {
        host: host(on),
        id: ContainerId::parse(id).unwrap(),
    }
}

pub(super) fn container(id: &str, name: &str, service: &str) -> Container {
    let labels = [(label::SERVICE.to_owned(), service.to_owned())];
    Container {
        id: ContainerId::parse(id).unwrap(),
        name: name.into(),
        image: "registry:5000/shop:42".into(),
        image_id: None,
        command: "".into(),
        created: ago(900),
        state: State::Running {
            since: Some(ago(900)),
        },
        health: Health::Healthy,
        ports: Vec::new(),
        labels: Arc::new(labels.into()),
    }
}

impl Room {
    pub(super) fn new(width: u16, height: u16) -> Self {
        let hosts = ["web-1", "web-2", "web-3"].map(|name| Host {
            name: host(name),
            endpoint: Endpoint::Unix("/nowhere".into()),
            tags: Vec::new(),
            protected: false,
            concurrency: None,
            address: None,
        });
        let setup = Setup {
            config: Arc::new(Config {
                hosts: hosts.into(),
                ..Config::default()
            }),
            access: Access::Full,
            demo: false,
            clipboard: true,
            actor: "ops-a@bastion-1".to_owned(),
            size: Size { width, height },
        };
        let uptime = Duration::from_mins(1);
        let now = Now { uptime, wall: NOW };
        let mut room = Self {
            model: Model::new(setup, now),
            uptime,
        };
        for name in ["web-1", "web-2", "web-3"] {
            let link = Link::Live {
                since: ago(900),
                latency: None,
            };
            let event = pilothouse::domain::event::HostEvent::Link(link);
            room.event(Event::Host(host(name), event));
        }
        room
    }

    fn update(&mut self, msg: Msg) -> Vec<Effect> {
        let now = Now {
            uptime: self.uptime,
            wall: NOW,
        };
        update(&mut self.model, msg, now)
    }

    pub(super) fn key(&mut self, key: KeyCombination) -> Vec<Effect> {
        self.update(Msg::Key(key))
    }

    /// What all of them ask for.
    pub(super) fn keys(&mut self, keys: &[KeyCombination]) -> Vec<Effect> {
        keys.iter().flat_map(|key| self.key(*key)).collect()
    }

    pub(super) fn event(&mut self, event: Event) -> Vec<Effect> {
        self.update(Msg::Event(event))
    }

    pub(super) fn run(&mut self, run: RunView) {
        self.event(Event::Run(Box::new(run)));
    }

    /// Long enough to have read a question.
    pub(super) fn wait(&mut self) {
        self.uptime += Duration::from_secs(5);
    }

    /// The moment that the model asked to be woken at; with no frame drawn until then.
    pub(super) fn woken(&mut self) -> Vec<Effect> {
        let wake = self.model.wake_at().expect("a moment to be woken at");
        assert!(wake > self.uptime, "{wake:?} is over");
        self.uptime = wake;
        self.update(Msg::Tick)
    }

    /// A frame is about to be drawn.
    pub(super) fn frame(&mut self) -> Vec<Effect> {
        self.update(Msg::Frame)
    }

    pub(super) fn screen(&mut self) -> String {
        self.update(Msg::Frame);
        let Size { width, height } = self.model.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let theme = Theme::dark(&UNICODE);
        terminal
            .draw(|frame| pilothouse::ui::screen::view(&self.model, &theme, frame))
            .unwrap();
        let buffer = terminal.backend().buffer();
        let mut text = String::new();
        for y in 0..height {
            let row: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text
    }
}
