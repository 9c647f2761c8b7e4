//! What a simulated container does while it runs: how busy it is, what it says, how it feels, how it ends.
//! Plain data; the same behaviour and seed give the same figures and lines for the same time.

use std::time::Duration;

/// A container's conduct from its start to its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Behaviour {
    pub load: Load,
    /// Said once a life, each so long after the start; in order.
    pub opening: Vec<Said>,
    /// Said again and again.
    pub chatter: Vec<Chatter>,
    pub health: HealthScript,
    /// When it ends by itself; `None` runs until it is stopped.
    pub ends: Option<Ending>,
    pub on_term: OnTerm,
}

/// One line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub after: Duration,
    pub stream: Stream,
    pub text: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stream {
    #[default]
    Out,
    Err,
}

/// A kind of line, written at a steady pace with some irregularity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chatter {
    pub style: Style,
    pub every: Duration,
    pub stream: Stream,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Style {
    /// As a web server's access log.
    Access,
    /// `INFO`, `WARN`, now and then `ERROR` and a reason.
    Levels,
    /// One JSON object a line.
    Json,
    /// A worker's jobs, with a stack of several lines when one fails.
    Jobs,
    /// A database's check points and slow statements.
    Database,
    /// `line 0`, `line 1`, …: to count them.
    Counted,
    /// These, one after the other, again from the first.
    Fixed(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Percent of one core, on average.
    pub cpu: f64,
    /// How far it goes up and down, as a part of `cpu`: 0.0 … 1.0.
    pub swing: f64,
    /// Of one up and down.
    pub period: Duration,
    /// Bytes in use, page cache aside.
    pub memory: u64,
    /// Bytes it grows by an hour, until the limit: a leak.
    pub leak: u64,
    /// Bytes a second.
    pub received: u64,
    pub sent: u64,
    pub read: u64,
    pub written: u64,
    pub pids: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            cpu: 0.1,
            swing: 0.3,
            period: Duration::from_mins(1),
            memory: 2 << 20,
            leak: 0,
            received: 0,
            sent: 0,
            read: 0,
            written: 0,
            pids: 1,
        }
    }
}

/// What its health check finds, for a container that declares one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HealthScript {
    /// What the check's own command gives in the simulated shell; good if that says nothing.
    #[default]
    Command,
    /// Bad until so long after the start, good from then on.
    GoodAfter(Duration),
    /// Good for a while, then bad for a while, and so on.
    Flips {
        good: Duration,
        bad: Duration,
    },
    Bad,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// After its start.
    pub after: Duration,
    pub code: i32,
    /// The kernel killed it for memory.
    pub oom: bool,
    /// Its last lines, on stderr.
    pub words: Vec<String>,
}

/// What the stop signal does to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTerm {
    /// As a main process without a handler: nothing; the grace runs out and it is killed.
    #[default]
    Ignored,
    /// Ends in order.
    Exits { after: Duration, code: i32 },
}

impl Behaviour {
    /// Runs, says nothing, ends at once when asked to.
    #[must_use]
    pub fn quiet() -> Self {
        Self {
            on_term: OnTerm::Exits {
                after: Duration::from_millis(20),
                code: 0,
            },
            ..Self::default()
        }
    }

    /// Serves pages, logs each.
    #[must_use]
    pub fn web() -> Self {
        Self {
            load: Load {
                cpu: 9.0,
                swing: 0.7,
                period: Duration::from_secs(140),
                memory: 84 << 20,
                received: 42 << 10,
                sent: 510 << 10,
                written: 9 << 10,
                pids: 9,
                ..Load::default()
            },
            opening: opening(&["configuration ok", "listening on :80, 4 workers"]),
            chatter: vec![chatter(Style::Access, 900)],
            health: HealthScript::GoodAfter(Duration::from_secs(2)),
            ..Self::quiet()
        }
    }

    /// Answers requests, logs with levels.
    #[must_use]
    pub fn api() -> Self {
        Self {
            load: Load {
                cpu: 22.0,
                swing: 0.6,
                period: Duration::from_secs(95),
                memory: 190 << 20,
                received: 88 << 10,
                sent: 240 << 10,
                read: 4 << 10,
                written: 16 << 10,
                pids: 24,
                ..Load::default()
            },
            opening: opening(&[
                "INFO  starting, 8 threads",
                "INFO  migrations: none pending",
                "INFO  ready",
            ]),
            chatter: vec![chatter(Style::Levels, 1_700)],
            health: HealthScript::GoodAfter(Duration::from_secs(3)),
            ..Self::quiet()
        }
    }

    /// Logs JSON.
    #[must_use]
    pub fn shop() -> Self {
        Self {
            chatter: vec![chatter(Style::Json, 2_300)],
            load: Load {
                cpu: 12.0,
                memory: 208 << 20,
                period: Duration::from_secs(75),
                ..Self::api().load
            },
            opening: opening(&[r#"{"level":"info","msg":"listening on :8080"}"#]),
            ..Self::api()
        }
    }

    /// Works through a queue; now and then a job fails with a stack.
    #[must_use]
    pub fn worker() -> Self {
        Self {
            load: Load {
                cpu: 58.0,
                swing: 0.8,
                period: Duration::from_secs(210),
                memory: 380 << 20,
                leak: 6 << 20,
                received: 120 << 10,
                sent: 60 << 10,
                read: 90 << 10,
                written: 210 << 10,
                pids: 14,
            },
            opening: opening(&["worker up, queues: mail, images, reports"]),
            chatter: vec![chatter(Style::Jobs, 3_100)],
            on_term: OnTerm::Exits {
                after: Duration::from_millis(800),
                code: 143,
            },
            ..Self::quiet()
        }
    }

    /// Up, and good for nothing; its log says why.
    #[must_use]
    pub fn unready() -> Self {
        Self {
            opening: opening(&[
                "INFO  starting, 4 threads",
                "ERROR cannot open the index /data/index: no such file or directory",
                "WARN  not ready: there is nothing to search in",
            ]),
            health: HealthScript::Bad,
            ..Self::quiet()
        }
    }

    #[must_use]
    pub fn database() -> Self {
        Self {
            load: Load {
                cpu: 6.0,
                memory: 900 << 20,
                read: 300 << 10,
                written: 700 << 10,
                received: 60 << 10,
                sent: 90 << 10,
                pids: 31,
                ..Load::default()
            },
            opening: opening(&["database system is ready to accept connections"]),
            chatter: vec![Chatter {
                stream: Stream::Err,
                ..chatter(Style::Database, 11_000)
            }],
            health: HealthScript::GoodAfter(Duration::from_secs(1)),
            ..Self::quiet()
        }
    }

    /// Prints `line 0`, `line 1`, … at this pace.
    #[must_use]
    pub fn printing(lines_per_second: u32) -> Self {
        Self {
            chatter: vec![Chatter {
                style: Style::Counted,
                every: Duration::from_secs(1) / lines_per_second.max(1),
                stream: Stream::Out,
            }],
            ..Self::quiet()
        }
    }

    /// Ends by itself with this code after a while, every time it is started.
    #[must_use]
    pub fn failing(after: Duration, code: i32, words: &str) -> Self {
        Self {
            ends: Some(Ending {
                after,
                code,
                oom: false,
                words: words.lines().map(str::to_owned).collect(),
            }),
            ..Self::quiet()
        }
    }

    /// Is killed by the kernel for memory after a while, every time.
    #[must_use]
    pub fn out_of_memory(after: Duration) -> Self {
        let mut behaviour = Self::api();
        behaviour.health = HealthScript::default();
        behaviour.ends = Some(Ending {
            after,
            code: 137,
            oom: true,
            words: vec!["java.lang.OutOfMemoryError: Java heap space".to_owned()],
        });
        behaviour
    }

    #[must_use]
    pub fn with_health(mut self, health: HealthScript) -> Self {
        self.health = health;
        self
    }

    #[must_use]
    pub fn with_load(mut self, load: Load) -> Self {
        self.load = load;
        self
    }
}

fn chatter(style: Style, millis: u64) -> Chatter {
    Chatter {
        style,
        every: Duration::from_millis(millis),
        stream: Stream::Out,
    }
}

fn opening(lines: &[&str]) -> Vec<Said> {
    let mut after = Duration::from_millis(30);
    lines
        .iter()
        .map(|text| {
            after += Duration::from_millis(70);
            Said {
                after,
                stream: Stream::Out,
                text: (*text).to_owned(),
            }
        })
        .collect()
}

impl Behaviour {
    /// By the name that images carry in their label `sim.behaviour`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "quiet" => Self::quiet(),
            "web" => Self::web(),
            "api" => Self::api(),
            "shop" => Self::shop(),
            "worker" => Self::worker(),
            "database" => Self::database(),
            "crash" => Self::failing(
                Duration::from_millis(1_200),
                1,
                "panic: configuration has no key `basket.rounding`\n    at main (main.go:41)",
            ),
            "oom" => Self::out_of_memory(Duration::from_secs(20)),
            "unhealthy" => Self::unready(),
            _ => return None,
        })
    }
}
