//! The output of a run in the log view; runs that cannot be shown; the terminal's title and notifications.

use crokey::key;
use pilothouse::app::{Effect, PaneId};
use pilothouse::domain::event::Event;
use pilothouse::domain::fault::Fault;
use pilothouse::domain::logs::FollowId;
use pilothouse::domain::order::Order;
use pilothouse::domain::run::{Outcome, Output, Part, RunLine, RunStatus, RunView};

use super::support::{NOW, Room, ago, host, run_id};
use super::{closed, deploy, history, reverted};

fn line(stage: &str, on: &str, secs: i64, text: &str) -> RunLine {
    RunLine {
        at: ago(secs),
        stage: stage.to_owned(),
        host: Some(host(on)),
        text: text.to_owned(),
    }
}

/// The only follow of what a run said, and of which part.
#[track_caller]
fn followed(effects: &[Effect]) -> (FollowId, Part) {
    let mut orders = effects.iter().filter_map(|effect| match effect {
        Effect::Order(_, Order::FollowRun(id, part)) => Some((*id, part.clone())),
        _ => None,
    });
    let first = orders.next().unwrap_or_else(|| panic!("{effects:?}"));
    assert_eq!(orders.next(), None);
    first
}

fn of(stage: Option<&str>, on: Option<&str>) -> Part {
    Part {
        run: deploy(1).id,
        stage: stage.map(str::to_owned),
        host: on.map(host),
    }
}

#[test]
fn enter_reads_what_the_chosen_stage_said_on_the_chosen_host() {
    let mut room = Room::new(110, 24);
    history(&mut room, &deploy(3));
    room.key(key!(6));
    let (_, part) = followed(&room.key(key!(enter)));
    assert_eq!(part, of(None, None), "nothing is chosen: all of it");
    room.keys(&[key!(esc), key!(right)]);
    insta::assert_snapshot!(room.screen());
    assert_eq!(followed(&room.key(key!(enter))).1, of(Some("gate"), None));
    room.keys(&[key!(esc), key!(left), key!(j), key!(j)]);
    let (id, part) = followed(&room.key(key!(enter)));
    assert_eq!(part, of(Some("start"), Some("web-2")));
    assert_eq!(room.model.focus, PaneId::Logs);
    assert!(
        room.screen().contains("No output here so far"),
        "{}",
        room.screen()
    );
    let lines = (0..40)
        .map(|number| {
            line(
                "start",
                "web-2",
                40 - number,
                &format!("word {number} \u{1b}[2Jof it"),
            )
        })
        .collect();
    room.event(Event::Output(id, Output { gone: 12, lines }));
    let screen = room.screen();
    for words in ["deploy shop · start on web-2", "word 39 of it"] {
        assert!(screen.contains(words), "{words}\n{screen}");
    }
    room.key(key!(g));
    assert!(
        room.screen().contains("12 lines of this run were not kept"),
        "{}",
        room.screen()
    );
    // The tools: searched, and the range said to be all there is.
    room.keys(&[key!('/'), key!('3'), key!('3'), key!(enter)]);
    assert!(room.screen().contains("/33: 1"), "{}", room.screen());
    room.key(key!('>'));
    assert!(room.screen().contains("all that was kept"), "{}", room.screen());
    let copied = room.keys(&[key!(n), key!(y)]);
    assert!(
        matches!(&copied[..], [Effect::Copy(text)] if text == "word 33 of it"),
        "{copied:?}"
    );
    // Back to the run, with what was chosen; nobody follows any more.
    room.keys(&[key!(esc), key!(esc)]);
    assert_eq!(room.model.focus, PaneId::Pipeline);
    let unfollowed = room.frame();
    assert!(
        unfollowed
            .iter()
            .any(|effect| matches!(effect, Effect::Order(_, Order::Unfollow(other)) if *other == id)),
        "{unfollowed:?}"
    );
    assert!(room.screen().contains("output of start on web-2"));
}

#[test]
fn lines_of_several_stages_and_hosts_say_whose_they_are() {
    let mut room = Room::new(80, 24);
    room.run(deploy(3));
    room.key(key!(6));
    let (id, _) = followed(&room.key(key!(enter)));
    let lines = vec![
        line("build", "web-1", 9, "compiling"),
        line("gate", "web-1", 5, "200"),
        line("gate", "web-2", 4, "503"),
        RunLine {
            host: None,
            ..line("notify", "web-1", 1, "told")
        },
    ];
    room.event(Event::Output(id, Output { gone: 0, lines }));
    let screen = room.screen();
    for words in ["web-1 build", "web-1 gate", "web-2 gate", "run notify"] {
        assert!(screen.contains(words), "{words}\n{screen}");
    }
}

#[test]
fn the_runs_before_and_after_are_shown_by_brackets() {
    let mut room = Room::new(80, 24);
    history(&mut room, &deploy(3));
    room.keys(&[key!(6), key!(right), key!('[')]);
    assert!(
        room.screen().contains("20260105-120000-shop"),
        "{}",
        room.screen()
    );
    assert!(
        !room.screen().contains("output of"),
        "another run: nothing is chosen of it"
    );
    room.keys(&[key!(']'), key!(']')]);
    assert!(
        room.screen().contains("this is its latest run"),
        "{}",
        room.screen()
    );
}

#[test]
fn a_run_that_cannot_be_read_is_listed_with_the_reason_and_enter_says_all_of_it() {
    let mut room = Room::new(80, 24);
    history(&mut room, &deploy(3));
    let why = Fault::new(
        "read line 1 of the journal /state/runs/20260105-113000-shop/journal.ndjson",
        "it was written by another version of Pilothouse",
    );
    room.event(Event::Unreadable(run_id("20260105-113000-shop"), why));
    room.key(key!(7));
    insta::assert_snapshot!(room.screen());
    room.keys(&[key!(j), key!(j), key!(enter)]);
    assert_eq!(room.model.focus, PaneId::Runs);
    assert!(
        room.screen().contains("could not read line 1 of the journal"),
        "{}",
        room.screen()
    );
}

#[test]
fn older_runs_are_asked_for_at_the_end_of_the_list() {
    let mut room = Room::new(80, 24);
    history(&mut room, &deploy(3));
    room.key(key!(7));
    assert_eq!(room.keys(&[key!(shift - g), key!(j)]), [], "there are none");
    room.event(Event::OlderRuns(37));
    assert!(room.screen().contains("37 older"), "{}", room.screen());
    assert_eq!(room.key(key!(j)), [Effect::OlderRuns]);
    assert_eq!(room.keys(&[key!(g), key!(j)]), [], "only at the end");
}

fn titles(effects: &[Effect]) -> Vec<&str> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Title(words) => Some(words.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn the_title_says_what_runs_and_how_it_ended_until_a_key_is_pressed() {
    let mut room = Room::new(80, 24);
    assert_eq!(titles(&room.frame()), ["pilothouse"]);
    room.run(deploy(2));
    assert_eq!(titles(&room.frame()), ["deploy shop: gate, 57 % - pilothouse"]);
    assert!(titles(&room.frame()).is_empty(), "only what is new");
    let done = RunView {
        status: RunStatus::Closed {
            at: NOW,
            outcome: Outcome::Converged,
        },
        ..deploy(2)
    };
    let told = room.event(Event::Run(Box::new(done)));
    assert_eq!(
        told,
        [Effect::Notify("deploy shop: r42 runs on web-1, web-2".to_owned())]
    );
    assert_eq!(
        titles(&room.frame()),
        ["deploy shop: r42 runs on web-1, web-2 - pilothouse"]
    );
    room.key(key!(j));
    assert_eq!(titles(&room.frame()), ["pilothouse"]);
}

#[test]
fn nobody_is_told_of_runs_that_were_over_before() {
    let mut room = Room::new(80, 24);
    let old = closed(&deploy(2), "20260105-100000-shop", 14_000, reverted());
    assert_eq!(room.event(Event::Run(Box::new(old))), []);
}
