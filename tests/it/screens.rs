//! Screens of a fleet made from facts: 80×24, 160×50, 40×10; a lost host, no colour, wide glyphs, ASCII.
//! A wanted change is accepted with `INSTA_UPDATE=always`.

use pilothouse::domain::event::HostEvent;
use pilothouse::domain::order::Access;
use pilothouse::ui::theme::{ASCII, Theme, UNICODE};
use ratatui::style::Color;

use crate::stage::{Stage, exited, id_of, live, row, text};

/// The wall clock is the machine's own zone: only its shape is compared.
pub(crate) fn steady(screen: &str) -> String {
    let times = regex::Regex::new(r"\b\d\d:\d\d\b").unwrap();
    times.replace_all(screen, "hh:mm").into_owned()
}

macro_rules! shows {
    ($name:ident, $width:literal x $height:literal, $keys:expr) => {
        #[test]
        fn $name() {
            let mut stage = Stage::new($width, $height);
            let keys: &str = $keys;
            if !keys.is_empty() {
                stage.press(keys);
            }
            insta::assert_snapshot!(steady(&stage.screen()));
        }
    };
}

shows!(services_on_a_small_terminal, 80 x 24, "");
shows!(containers_on_a_small_terminal, 80 x 24, "2");
shows!(containers_with_images, 80 x 24, "2 c");
shows!(problems_on_a_small_terminal, 80 x 24, "3");
shows!(a_container_among_the_problems, 80 x 24, "3 down");
shows!(hosts_on_a_small_terminal, 80 x 24, "5 down down");
shows!(the_room, 160 x 50, "");
shows!(problems_alone_at_160_by_50, 160 x 50, "3");
shows!(hosts_alone_at_160_by_50, 160 x 50, "5 f");
shows!(containers_on_a_tiny_terminal, 40 x 10, "2");
shows!(services_on_a_tiny_terminal, 40 x 10, "");
shows!(problems_on_a_tiny_terminal, 40 x 10, "3");
shows!(hosts_on_a_tiny_terminal, 40 x 10, "5 down");
shows!(services_at_120_columns, 120 x 30, "");
shows!(a_question_names_target_and_host, 80 x 24, "2 down down down down down r");
shows!(a_question_on_a_protected_host_wants_the_name, 80 x 24, "2 down down down s");
shows!(help_for_this_page, 80 x 24, "2 ?");
shows!(the_palette, 80 x 24, ": r o l l");

#[test]
fn containers_with_traffic() {
    use pilothouse::domain::sample::Sample;
    use pilothouse::domain::units::Bytes;
    let mut stage = Stage::new(80, 24);
    let sample = Sample {
        received: Bytes(1_500),
        sent: Bytes(3 << 20),
        received_total: Bytes(7 << 30),
        sent_total: Bytes(9 << 30),
        read: Bytes(12 << 10),
        written: Bytes(0),
        read_total: Bytes(5 << 20),
        written_total: Bytes(6 << 20),
        pids: 12,
        ..Sample::default()
    };
    stage.host("web-1", HostEvent::Samples(vec![(id_of(1), sample)]));
    stage.press("2 c c");
    insta::assert_snapshot!(steady(&stage.screen()));
}

/// Labelled as Compose does.
fn composed(name: &str, id: u32, service: &str) -> pilothouse::domain::container::Container {
    let labels = [("project", "blog"), ("service", service)];
    let labels = labels.map(|(key, value)| (format!("com.docker.compose.{key}"), value.to_owned()));
    pilothouse::domain::container::Container {
        labels: std::sync::Arc::new(labels.into()),
        ..row(name, id, 3_600)
    }
}

#[test]
fn what_compose_made_is_grouped_by_its_project() {
    let mut stage = Stage::new(80, 24);
    let rows = vec![
        composed("blog-web-1", 20, "web"),
        composed("blog-web-2", 21, "web"),
        exited(composed("blog-db-1", 22, "db"), 1, false),
    ];
    stage.host("db-1", HostEvent::Link(live()));
    stage.host("db-1", HostEvent::Listed(rows));
    stage.press("1");
    insta::assert_snapshot!("compose_projects", steady(&stage.screen()));
    stage.press("/");
    stage.typed("blog");
    stage.press("enter down enter");
    insta::assert_snapshot!("containers_of_a_compose_project", steady(&stage.screen()));
}

/// A dash is a figure that is not known; which it is and why is said below the table.
#[test]
fn a_figure_of_a_host_that_is_not_known_is_a_dash_with_the_reason() {
    use pilothouse::domain::host::{HostLoad, Reading};
    use pilothouse::domain::units::Bytes;
    let mut stage = Stage::new(100, 24);
    stage.host("db-1", HostEvent::Link(live()));
    let row_of = |screen: &str, name: &str| {
        let is_row = |line: &&str| line.contains(name) && line.contains("docker");
        screen
            .lines()
            .find(is_row)
            .unwrap_or_else(|| panic!("{screen}"))
            .to_owned()
    };
    stage.press("5 down down");
    let screen = stage.screen();
    assert_eq!(row_of(&screen, "db-1").matches('–').count(), 3, "{screen}");
    assert!(screen.contains("cpu, memory, disk: reading over ssh"), "{screen}");

    let load = HostLoad {
        at: stage.model.now.wall,
        cpu: Reading::Known(12.0),
        memory: Reading::Known((Bytes(1 << 30), Bytes(4 << 30))),
        disk: Reading::Unknown {
            why: "df: /var/lib/docker: Permission denied".to_owned(),
        },
    };
    stage.host("db-1", HostEvent::Load(load));
    let screen = stage.screen();
    let row = row_of(&screen, "db-1");
    assert!(row.contains("12 %") && row.contains("25 %"), "{screen}");
    assert_eq!(row.matches('–').count(), 1, "{screen}");
    assert!(
        screen.contains("disk unknown: df: /var/lib/docker: Permission denied"),
        "{screen}"
    );
}

#[test]
fn why_a_host_that_is_not_reached_over_ssh_has_no_figures_is_said_with_what_helps() {
    for (access, said) in [
        (
            Access::Full,
            "not in Docker's API; M reads them once in a container",
        ),
        (
            Access::ReadOnly,
            "not in Docker's API, and --read-only runs no command",
        ),
    ] {
        let mut stage = Stage::dark(100, 24, access);
        stage.host("web-1", HostEvent::Link(live()));
        stage.press("5");
        assert!(stage.screen().contains(said), "{}", stage.screen());
    }
}

#[test]
fn before_anything_answers_the_screen_says_so() {
    let mut stage = Stage::dark(80, 24, Access::Full);
    insta::assert_snapshot!(steady(&stage.screen()));
}

#[test]
fn a_service_that_is_down_on_all_its_hosts_is_said_in_its_row_and_as_a_problem() {
    let mut stage = Stage::new(160, 24);
    let down = ["api.r7.1", "api.r7.2"].into_iter().zip(910..);
    let down = down.map(|(name, id)| exited(row(name, id, 7_200), 0, false));
    stage.host("web-2", HostEvent::Listed(down.collect()));
    let screen = stage.screen();
    let is_said = |line: &str| line.contains("▲ api") && line.contains("DRIFT");
    assert!(screen.lines().any(is_said), "{screen}");
    stage.press("3");
    let screen = stage.screen();
    assert!(screen.contains("web-2 runs 0 of 2"), "{screen}");
}

/// `shop` has two minds about its release, `api` has left-overs.
fn of_two_minds(width: u16, height: u16) -> Stage {
    let mut stage = Stage::new(width, height);
    let on_one = ["shop.r42.1", "shop.r42.2"].into_iter().zip(900..);
    let on_two = ["shop.r41.1", "shop.r41.2", "api.r7.1", "api.r7.2", "api.r6.1"];
    let rows = |names: &mut dyn Iterator<Item = (&str, u32)>| {
        HostEvent::Listed(names.map(|(name, id)| row(name, id, 7_200)).collect())
    };
    stage.host("web-1", rows(&mut on_one.into_iter()));
    stage.host("web-2", rows(&mut on_two.into_iter().zip(910..)));
    stage
}

#[test]
fn services_of_two_minds_are_said_in_their_row_and_as_problems() {
    let mut stage = of_two_minds(80, 24);
    insta::assert_snapshot!("services_of_two_minds", steady(&stage.screen()));
    stage.press("3");
    insta::assert_snapshot!("services_of_two_minds_as_problems", steady(&stage.screen()));
}

/// `shop` with a container of every part that is possible without a run; `api` with a run of ops-b from elsewhere.
fn of_every_part(width: u16, height: u16) -> Stage {
    use pilothouse::domain::container::{Container, Health, State};
    let labelled = |container: Container, more: &[(&str, &str)]| {
        let more = more
            .iter()
            .map(|(key, value)| (format!("pilothouse.{key}"), (*value).to_owned()));
        let labels = container
            .labels
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()));
        Container {
            labels: std::sync::Arc::new(labels.chain(more).collect()),
            ..container
        }
    };
    let created = |container: Container| Container {
        state: State::Created,
        health: Health::Unchecked,
        ..container
    };
    let held = [
        ("service", "api"),
        ("role", "lock"),
        ("run", "20260921-141300-0a1b"),
        ("actor", "ops-b"),
        ("kind", "deploy"),
    ];
    let candidate = Container {
        health: Health::Starting,
        ..labelled(row("api.r18.1", 21, 9), &held[2..3])
    };
    let mut stage = Stage::new(width, height);
    let on_one = vec![
        row("shop.r41.1", 1, 7_200),
        row("shop.r41.2", 2, 7_200),
        exited(row("shop.r40.1", 11, 90_000), 143, false),
        row("shop.r39.1", 12, 600),
        created(row("shop.r42.1", 13, 300)),
    ];
    let on_two = vec![
        row("shop.r41.3", 3, 7_200),
        exited(row("shop.r41.4", 4, 60), 1, false),
        row("shop.r42.2", 14, 300),
        row("api.r17.1", 5, 86_400),
        row("api.r17.2", 6, 86_400),
        candidate,
        labelled(created(row("pilothouse-lock-api", 22, 9)), &held),
    ];
    stage.host("web-1", HostEvent::Listed(on_one));
    stage.host("web-2", HostEvent::Listed(on_two));
    stage
}

#[test]
fn the_part_of_each_container_is_said_in_the_table_and_whose_run_is_at_a_service_in_its_row() {
    let mut stage = of_every_part(80, 24);
    insta::assert_snapshot!("services_with_a_run_of_elsewhere", steady(&stage.screen()));
    stage.press("2 a");
    insta::assert_snapshot!("containers_of_every_part", steady(&stage.screen()));
    let mut stage = of_every_part(160, 50);
    stage.press("a up");
    insta::assert_snapshot!("the_room_with_every_part", steady(&stage.screen()));
    let mut stage = of_every_part(160, 50);
    stage.press("f 2 a");
    insta::assert_snapshot!("containers_of_every_part_at_160_by_50", steady(&stage.screen()));
}

#[test]
fn a_run_of_elsewhere_that_was_left_is_said_in_its_services_row() {
    use pilothouse::domain::event::Event;
    use pilothouse::domain::run::Silence;
    let silence = Silence::For(std::time::Duration::from_mins(5));
    let mut stage = of_every_part(80, 24);
    stage.event(Event::LeftLocks(vec![(
        "20260921-141300-0a1b".to_owned(),
        silence,
    )]));
    let screen = stage.screen();
    let is_said = |line: &str| line.contains("▲ api") && line.ends_with("ops-b left a run");
    assert!(screen.lines().any(is_said), "{screen}");
}

#[test]
fn what_needs_a_look_is_told_by_colour_what_is_kept_is_dim() {
    let theme = Theme::dark(&UNICODE);
    for (width, height) in [(80, 24), (160, 50)] {
        let mut stage = of_every_part(width, height);
        stage.press("f 2 a");
        let buffer = stage.drawn(&theme);
        let screen = text(&buffer);
        for (word, style) in [
            ("retained", theme.dim),
            ("candidate", theme.busy),
            ("failed", theme.warn),
            ("orphan", theme.warn),
            ("revived", theme.warn),
        ] {
            let found = screen
                .lines()
                .zip(0..)
                .find_map(|(line, y)| Some((line.split_once(word)?.0, y)));
            let (before, y) = found.unwrap_or_else(|| panic!("{word}: {screen}"));
            let x = u16::try_from(unicode_width::UnicodeWidthStr::width(before)).unwrap();
            assert_eq!(Some(buffer[(x, y)].fg), style.fg, "{word}: {screen}");
        }
        assert!(!screen.contains("active"), "{screen}");
    }
}

#[test]
fn a_containers_page_says_what_it_is_to_its_service() {
    for (name, said) in [
        ("shop.r41.1", "r41, active"),
        ("shop.r40.1", "r40, retained: kept for R"),
        ("shop.r41.4", "r41, failed: it should be running"),
        ("shop.r42.2", "r42, orphan: left over"),
        ("shop.r39.1", "r39, revived: it is running again"),
        ("api.r18.1", "r18, candidate: a run is bringing it out"),
    ] {
        let mut stage = of_every_part(80, 24);
        stage.press("2 a /");
        stage.typed(name);
        stage.press("enter enter");
        let screen = stage.screen();
        assert!(screen.contains(said), "{screen}");
        if name == "shop.r40.1" {
            insta::assert_snapshot!("a_container_that_is_retained", steady(&screen));
        }
    }
    let mut stage = of_every_part(160, 50);
    stage.press("f 2 a /");
    stage.typed("shop.r39.1");
    stage.press("enter enter");
    insta::assert_snapshot!(
        "a_container_that_is_revived_at_160_by_50",
        steady(&stage.screen())
    );
}

#[test]
fn without_colour_no_cell_has_one() {
    let mut stage = Stage::new(160, 50);
    let buffer = stage.drawn(&Theme::mono(&UNICODE));
    let coloured = buffer
        .content
        .iter()
        .find(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
    assert_eq!(coloured, None);
}

/// A row's colours, a letter each, under its text: what is bad, what is well, and what is dim must be told apart.
fn coloured(stage: &mut Stage, theme: &Theme) -> String {
    use std::fmt::Write as _;
    let buffer = stage.drawn(theme);
    let mut letters: Vec<Color> = Vec::new();
    let mut drawn = String::new();
    for (y, line) in steady(&text(&buffer)).lines().enumerate() {
        let y = u16::try_from(y).unwrap();
        let marks: String = (0..buffer.area.width)
            .map(|x| match buffer[(x, y)].fg {
                Color::Reset => ' ',
                color => {
                    let known = letters.iter().position(|one| *one == color);
                    let number = known.unwrap_or_else(|| {
                        letters.push(color);
                        letters.len() - 1
                    });
                    char::from(b'a' + u8::try_from(number).unwrap())
                }
            })
            .collect();
        if !line.is_empty() {
            writeln!(drawn, "{line}\n{}", marks.trim_end()).unwrap();
        }
    }
    for (number, color) in (b'a'..).zip(&letters) {
        writeln!(drawn, "{}: {color:?}", char::from(number)).unwrap();
    }
    drawn
}

#[test]
fn problems_on_a_light_background_and_in_16_colours() {
    for (name, theme) in [
        ("light", Theme::light(&UNICODE)),
        ("sixteen", Theme::ansi(&UNICODE)),
    ] {
        let mut stage = Stage::new(80, 24);
        stage.press("3");
        insta::assert_snapshot!(format!("problems_{name}"), coloured(&mut stage, &theme));
    }
}

#[test]
fn in_ascii_nothing_else_reaches_the_terminal() {
    for page in ["1", "2", "3", "5", "?"] {
        let mut stage = Stage::new(80, 24);
        stage.press(page);
        let screen = text(&stage.drawn(&Theme::mono(&ASCII)));
        assert!(screen.is_ascii(), "{screen}");
    }
}

#[test]
fn no_page_and_no_size_panics() {
    for (width, height) in [
        (1, 1),
        (5, 3),
        (20, 4),
        (40, 10),
        (79, 23),
        (119, 30),
        (120, 24),
        (300, 90),
    ] {
        for keys in [
            "1", "2", "3", "4", "5", "6", "7", "2 i", "2 r", "1 d", "?", ":", "/ a", "2 f",
        ] {
            let mut stage = Stage::new(width, height);
            stage.press(keys);
            stage.screen();
        }
    }
}

#[test]
fn what_is_bad_stays_so_in_a_row_that_is_dim() {
    let mut stage = Stage::new(80, 24);
    stage.press("2");
    let theme = Theme::dark(&UNICODE);
    let buffer = stage.drawn(&theme);
    let screen = text(&buffer);
    let row = screen.lines().position(|line| line.contains("OOM-killed"));
    let y = u16::try_from(row.unwrap_or_else(|| panic!("{screen}"))).unwrap();
    assert_eq!(Some(buffer[(2, y)].fg), theme.bad.fg, "{screen}");
    assert_eq!(Some(buffer[(4, y)].fg), theme.dim.fg, "{screen}");
}

#[test]
fn a_pane_that_has_the_focus_is_seen_in_the_room() {
    for (key, title) in [
        ("1", "Services"),
        ("2", "Containers"),
        ("3", "Problems"),
        ("4", "Logs"),
        ("5", "Hosts"),
        ("6", "Pipeline"),
        ("7", "Runs"),
    ] {
        let mut stage = Stage::new(160, 50);
        stage.press(key);
        assert!(stage.screen().contains(title), "{}", stage.screen());
    }
}

#[test]
fn on_a_tiny_terminal_a_name_is_seen_as_it_is_typed() {
    let mut stage = Stage::new(40, 10);
    stage.press("2 down down down s s h o p");
    insta::assert_snapshot!(steady(&stage.screen()));
}
